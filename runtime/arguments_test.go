package daffi_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"iter"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	daffi "github.com/daffi-rpc/daffi/runtime"
	"github.com/daffi-rpc/daffi/runtime/codec"
	"github.com/daffi-rpc/daffi/runtime/daffitest"
	"github.com/daffi-rpc/daffi/runtime/internal/rawpeer"
	"github.com/daffi-rpc/daffi/runtime/internal/testkit"
	"github.com/daffi-rpc/daffi/runtime/transport"
)

// depot is a node whose handlers keep what calls bring until they may go.
type depot struct {
	testkit.Kit
	node *daffi.Node
	hold chan struct{}
}

func newDepot(t *testing.T, net *daffitest.Net, most int) *depot {
	t.Helper()
	d := &depot{Kit: new(testkit.Impl), hold: make(chan struct{})}
	d.node = net.NodeWith(daffi.Options{Name: "depot", Limits: daffi.Limits{ArgumentBytes: most}})
	_, err := daffi.Handle(d.node, "depot.Blob", keeps[byte](d))
	require.NoError(t, err)
	_, err = daffi.Handle(d.node, "depot.Words", keeps[string](d))
	require.NoError(t, err)
	_, err = daffi.HandleUnknown(d.node, "raw", func(ctx context.Context, c *daffi.RawCall) error {
		args, err := c.Args()
		if err != nil {
			return err
		}
		n, err := keeps[any](d)(ctx, args[0].([]any))
		if err != nil {
			return err
		}
		return c.Reply(n)
	})
	require.NoError(t, err)
	_, err = testkit.RegisterKit(d.node, d)
	require.NoError(t, err)
	return d
}

func keeps[T any](d *depot) func(context.Context, []T) (int, error) {
	return func(ctx context.Context, v []T) (int, error) {
		d.wait(ctx)
		return len(v), nil
	}
}

// wait returns when a handler may go.
func (d *depot) wait(ctx context.Context) {
	select {
	case <-d.hold:
	case <-ctx.Done():
	}
}

// Size keeps each item of its input, too.
func (d *depot) Size(ctx context.Context, in iter.Seq2[[]byte, error]) (n int, err error) {
	for b, err := range in {
		if err != nil {
			return n, err
		}
		d.wait(ctx)
		n += len(b)
	}
	return n, nil
}

// start makes a call with one argument, and returns where its end is told.
func start(t *testing.T, n *daffi.Node, service, method, sig string, write func(*codec.Encoder)) <-chan error {
	end := make(chan error, 1)
	go func() {
		_, err := called(n, service, method, sig, func(e *codec.Encoder) { e.Array(1); write(e) }, codec.ReadInt).Do(t.Context())
		end <- err
	}()
	synctest.Wait()
	return end
}

func zeros(n int) func(e *codec.Encoder) { return func(e *codec.Encoder) { e.Blob(make([]byte, n)) } }

func words(n int) func(e *codec.Encoder) {
	return func(e *codec.Encoder) {
		e.Array(n)
		for range n {
			e.String("")
		}
	}
}

// attack sends calls of few bytes, of which many become.
func attack(t *testing.T, net *daffitest.Net, name string, calls int, service, method, sig string, flags transport.Flags, write func(e *codec.Encoder)) *rawpeer.Peer {
	t.Helper()
	var e codec.Encoder
	e.Reset(nil)
	e.Array(1)
	write(&e)
	msg := e.Bytes()
	if flags&transport.Zstd != 0 {
		msg = transport.NewCompressor().Compress(nil, msg)
	}
	l, err := net.Controller.Attach()
	require.NoError(t, err)
	p := rawpeer.New(l).Start().Join(t, name)
	route := p.Route(t, service, method, sig)
	for i := range calls {
		p.Send(transport.Frame{Header: transport.Header{Kind: transport.Request, Flags: flags, Call: transport.CallID(uint32(i), 1), Route: route}, Payload: msg})
	}
	synctest.Wait()
	return p
}

// Calls of some hundred bytes each, of which a MiB becomes that their handlers keep: the node holds what it may, refuses the others, and still takes what another brings. The same for lists of nothing, which are not
// compressed and become 16 times as much.
func TestLIM74ArgumentsOfManyCalls(t *testing.T) {
	for _, c := range []struct {
		service, method, sig string
		flags                transport.Flags
		write                func(*codec.Encoder)
	}{
		{"depot", "Blob", "(bytes)(int)", transport.Zstd, zeros(1 << 20)},
		{"depot", "Words", "([]string)(int)", 0, words(20 << 10)},
		{"raw", "Words", "([]string)(int)", 0, words(20 << 10)},
	} {
		t.Run(c.service+c.method, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				net := daffitest.New(t)
				const most = 16 << 20
				d, good := newDepot(t, net, most), net.Node("good")
				before := testkit.LiveHeap()
				var evil []*rawpeer.Peer
				for i := range 2 {
					evil = append(evil, attack(t, net, fmt.Sprint("evil", i), 50, c.service, c.method, c.sig, c.flags, c.write))
				}
				held, running := testkit.Held(before, most+8<<20), d.node.Stats().Running
				t.Logf("running %d, held %d KiB", running, held>>10)
				require.Less(t, held, most+8<<20)
				require.Less(t, running, 40, "the others were refused")
				require.Equal(t, string(daffi.ReasonBusy), rawpeer.Failure(t, evil[0].Expect(t, transport.Error)).Reason)

				var ends []<-chan error
				for _, size := range []int{10, 60 << 10, 100 << 10} {
					ends = append(ends, start(t, good, "depot", "Blob", "(bytes)(int)", zeros(size)))
				}
				require.Equal(t, running+len(ends), d.node.Stats().Running, "those of another run")
				close(d.hold)
				for _, end := range ends {
					require.NoError(t, <-end)
				}
				for _, p := range evil {
					p.Close()
				}
				synctest.Wait()
				require.Empty(t, d.node.Held())
			})
		})
	}
}

// What the arguments of calls may occupy, to the byte: at the bound one more call runs, and one byte below it is busy. What is larger than all of it runs alone, and what is no more than 64 KiB is not counted.
func TestLIM74Bound(t *testing.T) {
	const n = 100_000
	const message = n + 6
	for _, c := range []struct{ limit, fits int }{{2*n + message, 2}, {2*n + message - 1, 1}, {1, 1}, {-1, 4}} {
		synctest.Test(t, func(t *testing.T) {
			net := daffitest.New(t)
			d, caller := newDepot(t, net, c.limit), net.Node("caller")
			for range 2 {
				var ends []<-chan error
				for range min(c.fits, 3) {
					ends = append(ends, start(t, caller, "depot", "Blob", "(bytes)(int)", zeros(n)))
				}
				if c.fits < 3 {
					requireError(t, <-start(t, caller, "depot", "Blob", "(bytes)(int)", zeros(n)), daffi.ResourceExhausted, daffi.ReasonBusy, daffi.NotRun)
				}
				for range 20 {
					ends = append(ends, start(t, caller, "depot", "Blob", "(bytes)(int)", zeros(60<<10)))
				}
				require.Equal(t, len(ends), d.node.Stats().Running)
				for _, end := range ends {
					d.hold <- struct{}{}
					require.NoError(t, <-end)
				}
				synctest.Wait()
				require.Empty(t, d.node.Held())
			}
		})
	}
}

// Large items of streams are counted as well. One that finds no room waits, and so does its sender; its stream goes on when others have let go, or ends busy after 10 s.
func TestLIM74ItemsWait(t *testing.T) {
	for _, zstd := range []daffi.Compression{daffi.CompressOff, daffi.CompressOn} {
		for _, waits := range []time.Duration{9 * time.Second, 11 * time.Second} {
			t.Run(fmt.Sprint(zstd, waits), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					net := daffitest.New(t)
					d := newDepot(t, net, 3<<20)
					one := start(t, net.Node("one"), "depot", "Blob", "(bytes)(int)", zeros(2<<20))
					type end struct {
						n   int
						err error
					}
					ends := make(chan end, 1)
					sent := 0
					go func() {
						n, err := testkit.NewKit(net.NodeWith(daffi.Options{Name: "two", Compression: zstd})).Size(t.Context(), func(yield func([]byte, error) bool) {
							for sent < 30 && yield(make([]byte, 1<<20), nil) {
								sent++
							}
						})
						ends <- end{n, err}
					}()
					synctest.Wait()
					require.Less(t, sent, 25, "no more than the link has room for")
					time.Sleep(waits)
					require.Equal(t, waits > 10*time.Second, len(ends) == 1)
					close(d.hold)
					require.NoError(t, <-one)
					if got := <-ends; waits < 10*time.Second {
						require.NoError(t, got.err)
						require.Equal(t, end{30 << 20, nil}, got)
					} else {
						requireError(t, got.err, daffi.ResourceExhausted, daffi.ReasonBusy, daffi.Ran)
					}
					synctest.Wait()
					require.Empty(t, d.node.Held())
				})
			})
		}
	}
}

// An item's values are counted when they were decoded, also those of a stream of argument lists, and a stream that is given up gives back what it holds.
func TestLIM74ItemsOfAStreamThatEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := daffitest.New(t)
		d := newDepot(t, net, 3<<20)
		two := testkit.NewKit(net.Node("two"))
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() {
			_, err := two.Size(ctx, func(yield func([]byte, error) bool) { yield(make([]byte, 2<<20), nil) })
			ended <- err
		}()
		synctest.Wait()
		requireError(t, <-start(t, net.Node("one"), "depot", "Blob", "(bytes)(int)", zeros(2<<20)), daffi.ResourceExhausted, daffi.ReasonBusy, daffi.NotRun)
		cancel()
		require.Error(t, <-ended)
		synctest.Wait()
		end := start(t, net.Node("other"), "depot", "Blob", "(bytes)(int)", zeros(2<<20))
		require.Empty(t, end)
		close(d.hold)
		require.NoError(t, <-end)
		synctest.Wait()
		require.Empty(t, d.node.Held())
	})
}

// Of the items of one frame no more become than a frame may have that is not compressed: an item that is longer is announced. The last byte is that of the limit.
func TestLIM5UnpackedItems(t *testing.T) {
	for size, fits := range map[int]bool{transport.MaxPayload: true, transport.MaxPayload + 1: false} {
		synctest.Test(t, func(t *testing.T) {
			net := daffitest.New(t)
			d := newDepot(t, net, 0)
			close(d.hold)
			l, err := net.Controller.Attach()
			require.NoError(t, err)
			p := rawpeer.New(l).Start().Join(t, "evil")
			defer p.Close()
			var item codec.Encoder
			item.Reset(nil)
			item.Blob(make([]byte, size-3-5))
			frame := append(binary.AppendUvarint(nil, uint64(item.Len())), item.Bytes()...)
			require.Equal(t, size, len(frame))
			call, route := transport.CallID(0, 1), p.Route(t, "Kit", "Size", "(<bytes)(int)")
			p.Send(transport.Frame{Header: transport.Header{Kind: transport.Request, Call: call, Route: route, Mode: transport.Input}, Payload: []byte{0x90}},
				transport.Frame{Header: transport.Header{Kind: transport.Data, Flags: transport.Zstd | transport.Bulk, Call: call}, Payload: transport.NewCompressor().Compress(nil, frame)},
				transport.Frame{Header: transport.Header{Kind: transport.Data, Flags: transport.End | transport.Bulk, Call: call}})
			if fits {
				p.Expect(t, transport.Reply)
				return
			}
			p.Expect(t, transport.Stop)
			require.Contains(t, rawpeer.Failure(t, p.Expect(t, transport.Error)).Message, "65793 bytes of content, at most 65792 are allowed")
		})
	}
}
