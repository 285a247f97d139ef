package daffi_test

import (
	"bytes"
	"context"
	"iter"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	daffi "github.com/daffi-rpc/daffi/runtime"
	"github.com/daffi-rpc/daffi/runtime/controller"
	"github.com/daffi-rpc/daffi/runtime/internal/testkit"
)

// eachWay runs f with a server and a client whose links to the controller are in memory or sockets.
func eachWay(t *testing.T, maxMessage int, f func(t *testing.T, server, client *daffi.Node)) {
	for _, way := range []string{"memory", "unix"} {
		t.Run(way, func(t *testing.T) {
			c, err := controller.Listen(t.Context(), controller.Options{Addr: "unix://" + t.TempDir() + "/daffi.sock", MaxMessage: maxMessage})
			require.NoError(t, err)
			t.Cleanup(func() { c.Close() })
			o := daffi.Options{MaxMessage: maxMessage}
			if o.Addr = c.Addr(); way == "memory" {
				o.Addr, o.Controller = "", c
			}
			node := func(name string) *daffi.Node { o.Name = name; return connect(t, o) }
			f(t, node("server"), node("client"))
		})
	}
}

// scribbler changes all that it is given, after it has answered with a copy, and goes on to keep it.
type scribbler struct {
	testkit.Impl
	kept [][]byte
}

func (s *scribbler) scribble(b []byte) []byte {
	answer := bytes.Clone(b)
	copy(b, bytes.Repeat([]byte{b[0] + 1}, len(b)))
	_ = append(b, "more than was given"...)
	s.kept = append(s.kept, b)
	return answer
}

func (s *scribbler) Echo(_ context.Context, b []byte) ([]byte, error) { return s.scribble(b), nil }

func (s *scribbler) Size(_ context.Context, in iter.Seq2[[]byte, error]) (n int, err error) {
	for b, err := range in {
		if err != nil {
			return n, err
		}
		n += len(b)
		s.scribble(b)
	}
	return n, nil
}

// A handler and a caller own the bytes that they get, whatever these are a part of.
func TestBytesBelongToWhoGetsThem(t *testing.T) {
	sizes := []int{100, 20 << 10, 60 << 10, 64 << 10, 65 << 10, 300 << 10}
	eachWay(t, 0, func(t *testing.T, server, client *daffi.Node) {
		impl := new(scribbler)
		_, err := testkit.RegisterKit(server, impl)
		require.NoError(t, err)
		p := testkit.NewKit(client)
		sent := func(i, size int) []byte { return bytes.Repeat([]byte{byte(i)}, size) }

		var got [][]byte
		for i := range 30 {
			in := sent(i, sizes[i%len(sizes)])
			out, err := p.Echo(t.Context(), in)
			require.NoError(t, err)
			require.True(t, bytes.Equal(in, out))
			require.True(t, bytes.Equal(in, sent(i, len(in))), "the caller's own bytes are as they were")
			out[0] = 200
			_ = append(out, "more"...)
			got = append(got, out[1:])
		}
		n, err := p.Size(t.Context(), func(yield func([]byte, error) bool) {
			for i := range 60 {
				b := sent(i, sizes[i%len(sizes)])
				if !yield(b, nil) {
					return
				}
				clear(b) // it was taken
			}
		})
		require.NoError(t, err)
		require.Equal(t, 60*(100+20<<10+60<<10+64<<10+65<<10+300<<10)/6, n)
		var items [][]byte
		for _, size := range sizes {
			for b, err := range p.Blobs(t.Context(), 20, size) {
				require.NoError(t, err)
				b[1] = 200
				items = append(items, b)
			}
		}

		for i, b := range got {
			require.True(t, bytes.Equal(b, sent(i, len(b))), "result %d", i)
		}
		require.Len(t, impl.kept, 90)
		for i, b := range impl.kept {
			require.True(t, bytes.Equal(b, sent(i%30+i/60*30+1, len(b))), "bytes %d that the handler has kept", i)
		}
		for i, b := range items {
			require.Equal(t, []byte{byte(i % 20), 200, 0, 0, byte(i%20 + len(b) - 1)}, []byte{b[0], b[1], b[2], b[len(b)-2], b[len(b)-1]})
		}
	})
}

// A message of any size is copied twice on its way: into the buffer that it is sent from, and, unless it fits into a frame, from frames into one
// that the receiver gets. Each copy of a large one is in memory of its own, so that memory tells; what the frames on the way are in is reused.
func TestCopiesOfALargeMessage(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector counts as well")
	}
	sizes := []int{64 << 10, 1 << 20, 64<<20 - 6} // the header of the array has one byte, that of the blob five
	eachWay(t, 64<<20, func(t *testing.T, server, client *daffi.Node) {
		_, err := testkit.RegisterKit(server, new(testkit.Impl))
		require.NoError(t, err)
		p := testkit.NewKit(client)
		for _, size := range sizes {
			b := bytes.Repeat([]byte{7}, size)
			echo := func() {
				got, err := p.Echo(t.Context(), b)
				require.NoError(t, err)
				require.Len(t, got, size)
				require.Equal(t, [2]byte{7, 7}, [2]byte{got[0], got[size-1]})
			}
			echo()
			calls := max(1, (64<<20)/size)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			for range calls {
				echo()
			}
			runtime.ReadMemStats(&after)
			copies := float64(after.TotalAlloc-before.TotalAlloc) / float64(calls) / float64(size)
			t.Logf("%d bytes there and back: %.2f times their memory, %.1f allocations", size, copies, float64(after.Mallocs-before.Mallocs)/float64(calls))
			require.LessOrEqual(t, copies, 4.6)
		}
	})
}
