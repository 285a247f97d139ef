package e2e

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// peak is the most memory that a process had resident so far, in bytes.
func (p *process) peak() int {
	p.t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	require.NoError(p.t, err)
	_, rest, ok := strings.Cut(string(text), "VmHWM:")
	require.True(p.t, ok)
	kb, err := strconv.Atoi(strings.Fields(rest)[0])
	require.NoError(p.t, err)
	return kb << 10
}

// However much flows through a stream, in either direction, each process keeps no more than 64 MiB resident.
func TestStreamInLittleMemory(t *testing.T) {
	if runtime.GOOS != "linux" || len(buildFlags) > 0 {
		t.Skip("memory is read from /proc, and the race detector needs much more")
	}
	type way struct {
		network string
		size    int // of an item
	}
	total, ways := 128<<20, []way{{"unix", 64 << 10}}
	if os.Getenv("DAFFI_NIGHT") != "" {
		total, ways = 1<<30, append(ways, way{"tcp", 64 << 10}, way{"tcp", 1 << 20})
	}
	for _, c := range ways {
		t.Run(fmt.Sprintf("%s/%d", c.network, c.size), func(t *testing.T) {
			addr := address(t, c.network)
			processes := map[string]*process{"controller": controllerAt(t, addr)}
			processes["server"] = start(t, "flood", "-addr", addr, "-name", "server")
			processes["server"].wait("ready")
			processes["client"] = start(t, "flood", "-addr", addr, "-name", "client", "-n", strconv.Itoa(total/c.size), "-size", strconv.Itoa(c.size))
			processes["client"].wait("all has come")
			for name, p := range processes {
				t.Logf("%s: %d MiB", name, p.peak()>>20)
				require.LessOrEqual(t, p.peak(), 64<<20, "the %s", name)
			}
		})
	}
}
