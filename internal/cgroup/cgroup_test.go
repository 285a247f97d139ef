package cgroup

import (
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"
)

func TestMemoryLimit(t *testing.T) {
	const v1 = "9:name=systemd:/\n4:memory,hugetlb:/job/7\n0::/\n"
	const none = "9223372036854771712\n"
	for name, c := range map[string]struct {
		files map[string]string
		want  int64
	}{
		"another system": {},
		"version 2":      {map[string]string{"proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/b/memory.max": "max\n", "sys/fs/cgroup/a/memory.max": "1000\n"}, 1000},
		"memory.high":    {map[string]string{"proc/self/cgroup": "0::/a\n", "sys/fs/cgroup/a/memory.max": "1000\n", "sys/fs/cgroup/a/memory.high": "900\n"}, 900},
		"container 2":    {map[string]string{"proc/self/cgroup": "0::/../../x\n", "sys/fs/cgroup/memory.max": "4096\n"}, 4096},
		"version 1":      {map[string]string{"proc/self/cgroup": v1, "sys/fs/cgroup/memory/job/7/memory.limit_in_bytes": "300\n", "sys/fs/cgroup/memory/job/memory.limit_in_bytes": none}, 300},
		"container 1":    {map[string]string{"proc/self/cgroup": v1, "sys/fs/cgroup/memory/memory.limit_in_bytes": "268435456\n"}, 256 << 20},
		"no limit":       {map[string]string{"proc/self/cgroup": v1, "sys/fs/cgroup/memory/memory.limit_in_bytes": none}, 0},
		"nonsense":       {map[string]string{"proc/self/cgroup": "x\n4:memory\n::\n", "sys/fs/cgroup/memory.max": "-5\n"}, 0},
		"both":           {map[string]string{"proc/self/cgroup": "4:memory:/\n0::/u\n", "sys/fs/cgroup/memory/memory.limit_in_bytes": "700", "sys/fs/cgroup/unified/u/memory.max": "600"}, 600},
	} {
		t.Run(name, func(t *testing.T) {
			root := fstest.MapFS{}
			for file, text := range c.files {
				root[file] = &fstest.MapFile{Data: []byte(text)}
			}
			require.Equal(t, c.want, memoryLimit(root))
		})
	}
	require.GreaterOrEqual(t, MemoryLimit(), int64(0))
}
