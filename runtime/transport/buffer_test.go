package transport

import (
	"runtime"
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
	held := func() bool {
		reserve.Lock()
		defer reserve.Unlock()
		return reserve.memory != nil
	}
	giveAway(reserveFrom - 1)
	giveAway(reserveFrom)
	require.True(t, held())
	require.Eventually(t, func() bool { runtime.GC(); return !held() }, 10*time.Second, time.Millisecond, "nothing is given away any more")
	giveAway(reserveFrom)
	require.True(t, held())
	require.Eventually(t, func() bool { runtime.GC(); return !held() }, 10*time.Second, time.Millisecond)
}
