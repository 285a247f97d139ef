package main

import (
	"math"
	"runtime/debug"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/daffi-rpc/daffi/internal/cgroup"
)

func TestMaxMemory(t *testing.T) {
	for text, want := range map[string]int64{"1": 1, "4KiB": 4096, "256MiB": 256 << 20, "2GiB": 2 << 30, "9223372036854775807": math.MaxInt64, "8589934591GiB": 8589934591 << 30} {
		var s size
		require.NoError(t, s.UnmarshalText([]byte(text)), text)
		require.EqualValues(t, want, s, text)
	}
	for _, text := range []string{"", "0", "-1", "MiB", "1.5GiB", "1GB", "8589934592GiB", "9223372036854775808", "1 MiB"} {
		var s size
		require.Error(t, s.UnmarshalText([]byte(text)), text)
	}
	before := debug.SetMemoryLimit(-1)
	defer debug.SetMemoryLimit(before)
	t.Setenv("GOMEMLIMIT", "")
	require.Equal(t, cgroup.MemoryLimit(), ceiling(0))
	require.EqualValues(t, 64<<20, ceiling(64<<20))
	require.EqualValues(t, (64<<20)/100*softShare, debug.SetMemoryLimit(-1))
	t.Setenv("GOMEMLIMIT", "1GiB")
	require.EqualValues(t, 32<<20, ceiling(32<<20))
	require.EqualValues(t, (64<<20)/100*softShare, debug.SetMemoryLimit(-1), "who has set it knows better")
}
