package transport

import (
	"math"
	"runtime"
	"runtime/debug"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestBufferSizes(t *testing.T) {
	for n, size := range map[int]int{0: 256, 256: 256, 257: 512, 64 << 10: 64 << 10, 64<<10 + 1: frameSize, MaxPayload + HeaderSize: frameSize,
		frameSize: frameSize, frameSize + 1: 128 << 10, 128 << 10: 128 << 10, 128<<10 + 1: 128<<10 + 1} {
		b := NewBuffer(n)
		require.Empty(t, b.B)
		require.Equal(t, size, cap(b.B), "for %d bytes", n)
		b.B = append(b.B[:cap(b.B)], 1) // outgrows it
		b.Release()
	}
}

func TestForsakenBufferIsNotReused(t *testing.T) {
	for range 100 { // the pool is of other tests as well
		b := NewBuffer(MaxPayload)
		kept := append(b.B, "kept"...)
		require.True(t, b.Sole())
		b.Forsake()
		b.Release()
		next := NewBuffer(MaxPayload)
		next.B = append(next.B, "next"...)
		require.Equal(t, "kept", string(kept))
		next.Release()
	}
}

func TestReserve(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(100))
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(math.MaxInt64))
	// becomes gives that much away in every cycle until the reserve is held, or is not.
	account := giveAway
	becomes := func(want bool, bytes int, why string) {
		t.Helper()
		require.Eventually(t, func() bool {
			runtime.GC()
			account(bytes)
			reserve.Lock()
			defer reserve.Unlock()
			return (reserve.memory != nil) == want
		}, 10*time.Second, time.Millisecond, why)
	}
	becomes(true, reserveFrom, "much is given away")
	becomes(false, reserveFrom/4, "little is given away")
	becomes(true, reserveFrom, "much again")

	becomes(false, 0, "")
	debug.SetMemoryLimit(1 << 40)
	for range 10 {
		becomes(false, reserveFrom, "the process has a limit")
	}
	debug.SetMemoryLimit(math.MaxInt64)
	debug.SetGCPercent(200)
	for range 10 {
		becomes(false, reserveFrom, "the process has set its collector")
	}
	debug.SetGCPercent(100)
	becomes(true, reserveFrom, "much, and all is as it was")
	becomes(false, 0, "")

	account = func(bytes int) {
		for ; bytes > 0; bytes -= decodedFrom {
			Decoded(min(bytes, decodedFrom))
		}
	}
	becomes(true, reserveFrom, "items are decoded")
	becomes(false, reserveFrom/4, "few are")
	account = func(bytes int) {
		for range bytes / 1000 {
			Decoded(1000)
		}
	}
	for range 10 {
		becomes(false, 2*reserveFrom, "they come one by one")
	}
}
