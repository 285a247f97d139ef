package codec_test

import (
	"encoding/binary"
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/daffi-rpc/daffi/runtime/codec"
)

// TestACC42Lengths: every header with a length, and every length, in front of nothing and of a little, read as everything: what is reserved is bounded by what is there.
func TestACC42Lengths(t *testing.T) {
	var list [][]byte
	for _, h := range []byte{0xdc, 0xdd, 0xde, 0xdf, 0xd9, 0xda, 0xdb, 0xc4, 0xc5, 0xc6, 0xc7, 0xc8, 0xc9} {
		for _, n := range []uint32{0, 1, math.MaxUint8, math.MaxUint16, math.MaxUint16 + 1, math.MaxInt32, math.MaxInt32 + 1, math.MaxUint32 - 8, math.MaxUint32, math.MaxUint32/1008 + 1, math.MaxUint32/16 + 1} {
			b := binary.BigEndian.AppendUint32([]byte{h}, n)
			switch h {
			case 0xd9, 0xc4, 0xc7:
				b = []byte{h, byte(n)}
			case 0xdc, 0xde, 0xda, 0xc5, 0xc8:
				b = binary.BigEndian.AppendUint16([]byte{h}, uint16(n))
			}
			list = append(list, b, append(append([]byte{0x91}, b...), b...), append(b[:len(b):len(b)], make([]byte, 64)...))
		}
	}
	for name, read := range everything {
		for _, b := range list {
			got := allocated(func() {
				var d codec.Decoder
				d.Reset(b)
				read(&d)
				_ = d.Close()
			})
			require.LessOrEqual(t, got, allowed(b), "%s % x", name, b)
		}
	}
}
