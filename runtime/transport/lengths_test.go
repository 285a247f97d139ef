package transport

import (
	"encoding/binary"
	"math"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
)

var lengths = []uint32{0, 1, MaxUnproven, MaxUnproven + 1, MaxPayload, MaxPayload + 1, math.MaxInt32, math.MaxInt32 + 1, math.MaxUint32 - HeaderSize, math.MaxUint32 - HeaderSize + 1, math.MaxUint32}

// TestACC42Lengths: the length of a frame, before and after authentication, and of a message that is announced, and every byte of the handshake as a length: nothing is reserved for what did not come. It is
// the same where an int has 32 bits.
func TestACC42Lengths(t *testing.T) {
	before := allocated()
	frame := make([]byte, HeaderSize+64)
	for _, limit := range []int{MaxUnproven, MaxPayload} {
		for _, n := range lengths {
			frame[4] = byte(Reply)
			binary.LittleEndian.PutUint32(frame, n)
			h, got, err := ParseHeader(frame, limit)
			require.Equal(t, Reply, h.Kind)
			_, rest, whole, again := ParseFrame(frame, limit)
			if int64(n) > int64(limit) {
				require.ErrorIs(t, err, ErrProtocol, "%d of %d", n, limit)
				require.ErrorIs(t, again, ErrProtocol)
				continue
			}
			require.NoError(t, err)
			require.NoError(t, again)
			require.EqualValues(t, n, got)
			require.Equal(t, n <= 64, whole)
			if whole {
				require.Len(t, rest, 64-int(n))
			}
			require.EqualValues(t, n, AnnouncedLength(frame[:4]))
		}
	}
	for _, n := range lengths {
		require.Equal(t, int64(n), AnnouncedLength(binary.LittleEndian.AppendUint32(nil, n)), "never negative")
	}
	for kind, good := range payloads() {
		for at := range good {
			for _, n := range lengths {
				b := append([]byte(nil), good...)
				b[at] = byte(n)
				_, _ = reappend(kind, b)
				var wide [4]byte
				binary.LittleEndian.PutUint32(wide[:], n)
				copy(b[at:], wide[:])
				_, _ = reappend(kind, b)
			}
		}
	}
	require.Less(t, allocated()-before, uint64(16<<20))
}

// TestACC42Unpacked: what a compressed message says of its length.
func TestACC42Unpacked(t *testing.T) {
	c := NewCompressor()
	defer c.Close()
	packed := c.Compress(nil, make([]byte, 1<<10))
	for _, n := range []uint64{0, MaxMessage, MaxMessage + 1, math.MaxInt32, math.MaxInt32 + 1, math.MaxUint32, 1 << 32, math.MaxInt64, math.MaxInt64 + 1, math.MaxUint64} {
		frame := append([]byte{0x28, 0xb5, 0x2f, 0xfd, 0xc0, 0x00}, binary.LittleEndian.AppendUint64(nil, n)...) // a content size of 8 bytes, a window of 1 KiB
		frame = append(frame, packed[len(packed)-8:]...)
		before := allocated()
		_, err := c.Decompress(nil, frame, MaxMessage)
		require.ErrorIs(t, err, ErrCompressed, "%d", n)
		if n > MaxMessage {
			require.Less(t, allocated()-before, uint64(64<<10), "%d", n)
		}
	}
}

func allocated() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.TotalAlloc
}
