package control_test

import (
	"encoding/binary"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/daffi-rpc/daffi/runtime/codec"
	"github.com/daffi-rpc/daffi/runtime/internal/control"
	"github.com/daffi-rpc/daffi/runtime/internal/golden"
	"github.com/daffi-rpc/daffi/runtime/transport"
)

// TestACC42Lengths puts lengths that nothing stands behind in the place of every byte, or in the daytime of every eighth, of every control message and error that there is a golden file of, and has each read as every message: nothing is
// reserved for them. It is the same where an int has 32 bits.
func TestACC42Lengths(t *testing.T) {
	files, err := filepath.Glob("../../../testdata/frames/v1/*.hex")
	require.NoError(t, err)
	tried := 0
	for _, name := range files {
		base := filepath.Base(name)
		if !strings.HasPrefix(base, "control-") && !strings.HasPrefix(base, "error") {
			continue
		}
		text, err := os.ReadFile(name)
		require.NoError(t, err)
		b, err := golden.Bytes(text)
		require.NoError(t, err)
		payload := b[transport.HeaderSize:]
		for at := range payload {
			if at > 16 && at%8 != 0 && os.Getenv("DAFFI_NIGHT") == "" {
				continue
			}
			var list [][]byte
			for _, wide := range []byte{0xdd, 0xdf, 0xdb, 0xc6, 0xc9} { // array, map, string, bytes, extension
				for _, n := range []uint32{0, 1 << 16, math.MaxInt32, math.MaxInt32 + 1, math.MaxUint32, math.MaxUint32 / 8, math.MaxUint32/24 + 1} {
					list = append(list, with(payload, at, binary.BigEndian.AppendUint32([]byte{wide}, n)))
				}
			}
			for _, short := range []byte{0xdc, 0xde, 0xda, 0xc5} {
				list = append(list, with(payload, at, []byte{short, 0xff, 0xff}))
			}
			most := uint64(0)
			before := allocated()
			for _, b := range list {
				for _, m := range messages {
					var d codec.Decoder
					d.Reset(b)
					control.ReadOp(&d)
					_ = m().Read(&d)
					most += 8<<10 + 64*uint64(len(b))
				}
			}
			require.Less(t, allocated()-before, most, "%s, byte %d", base, at)
			tried += len(list) * len(messages)
		}
	}
	require.Greater(t, tried, 20_000)
}

// with is b with a byte replaced.
func with(b []byte, at int, by []byte) []byte {
	return append(append(append([]byte(nil), b[:at]...), by...), b[at+1:]...)
}

func allocated() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.TotalAlloc
}
