package main

import (
	"fmt"
	"math"
	"os"
	"runtime/debug"
	"strconv"
	"strings"

	"github.com/daffi-rpc/daffi/internal/cgroup"
)

// softShare is the part of its memory, in percent, up to which the process keeps garbage: calls are refused at 80 (LIM-16).
const softShare = 70

// size is a number of bytes that is written as 256MiB, 2GiB or 1048576.
type size int64

func (s *size) UnmarshalText(text []byte) error {
	t, unit := string(text), int64(1)
	for suffix, n := range map[string]int64{"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30} {
		if number, ok := strings.CutSuffix(t, suffix); ok {
			t, unit = number, n
			break
		}
	}
	n, err := strconv.ParseInt(t, 10, 64)
	if err != nil || n <= 0 || n > math.MaxInt64/unit {
		return fmt.Errorf("%q is no size: want a number of bytes, such as 256MiB or 2GiB", text)
	}
	*s = size(n * unit)
	return nil
}

// ceiling is what the process may occupy: what its control group allows, or what was asked for if that is less; 0 if neither says something. The Go runtime is made to collect garbage before
// it gets there, unless GOMEMLIMIT says when.
func ceiling(asked int64) int64 {
	limit := cgroup.MemoryLimit()
	if limit == 0 || asked > 0 && asked < limit {
		limit = asked
	}
	if limit > 0 && os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(limit / 100 * softShare)
	}
	return limit
}
