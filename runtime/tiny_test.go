package daffi_test

import (
	"context"
	"encoding/binary"
	"iter"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	daffi "github.com/daffi-rpc/daffi/runtime"
	"github.com/daffi-rpc/daffi/runtime/controller"
	"github.com/daffi-rpc/daffi/runtime/daffitest"
	"github.com/daffi-rpc/daffi/runtime/internal/rawpeer"
	"github.com/daffi-rpc/daffi/runtime/internal/testkit"
	"github.com/daffi-rpc/daffi/runtime/transport"
)

// bombOf is 2 GiB of zeros in a zstd frame that says so, or, if it lies, 4 MiB.
func bombOf(lies bool) []byte {
	b := []byte{0x28, 0xb5, 0x2f, 0xfd, 3 << 6, 10 << 3}
	size := uint64(2 << 30)
	if lies {
		size = transport.MaxMessage
	}
	b = binary.LittleEndian.AppendUint64(b, size)
	const block = 128 << 10
	for i := range (2 << 30) / block {
		h := uint32(block<<3 | 1<<1)
		if i == (2<<30)/block-1 {
			h |= 1
		}
		b = append(b, byte(h), byte(h>>8), byte(h>>16), 0)
	}
	return b[:min(len(b), transport.MaxContent-8)]
}

// ACC-43: the controller passes a bomb on as it came and unpacks nothing, the node refuses it; one that comes before its sender has proved who it is ends the link, also as a proof.
func TestACC43BombsThroughTheController(t *testing.T) {
	w := wired{t, daffitest.New(t).Controller}
	server := w.node("server")
	_, err := testkit.RegisterKit(server, new(testkit.Impl))
	require.NoError(t, err)
	a := w.attacker("attacker")
	callee := w.attacker("callee")
	require.Nil(t, callee.Serve(t, "Raw", "(bytes)(bytes)", "M"))
	raw, kit := a.Route(t, "Raw", "M", "(bytes)(bytes)"), a.Route(t, testkit.KitName, "Echo", "(bytes)(bytes)")
	for i, lies := range []bool{false, true} {
		bomb := bombOf(lies)
		before := testkit.LiveHeap()
		a.Send(transport.Frame{Header: transport.Header{Kind: transport.Request, Call: transport.CallID(1, uint64(i+1)), Route: raw, Flags: transport.Zstd | transport.Bulk}, Payload: bomb})
		got := callee.Served(t)
		require.Equal(t, bomb, got.Payload)
		require.Equal(t, transport.Zstd|transport.Bulk, got.Flags)
		callee.Reply(got.Call, "")
		a.Expect(t, transport.Reply)
		id := transport.CallID(2, uint64(i+1))
		a.Send(transport.Frame{Header: transport.Header{Kind: transport.Request, Call: id, Route: kit, Flags: transport.Zstd | transport.Bulk}, Payload: bomb})
		why := a.Failed(t, id)
		require.Equal(t, uint8(daffi.InvalidArgument), why.Code, "%+v", why)
		require.Equal(t, uint8(daffi.NotRun), why.Outcome)
		assert.LessOrEqual(t, testkit.Held(before, 8<<20), 8<<20)
	}
	for _, kind := range []transport.Kind{transport.Hello, transport.Proof, transport.Request, transport.Control} {
		p := rawpeer.New(transport.NewConn(w.dial(), wireInfo)).Start()
		p.Send(transport.Frame{Header: transport.Header{Kind: kind, Flags: transport.Zstd}, Payload: bombOf(false)[:4<<10]})
		if kind == transport.Hello { // it is told that this is none
			require.Equal(t, transport.Refuse, p.Next(t).Kind)
		}
		p.Closed(t)
	}
}

// idler consumes the items of Size until it is told to stop, and then no more until free is closed.
type idler struct {
	testkit.Impl
	stop  atomic.Bool
	stuck chan struct{}
	free  chan struct{}
}

func (k *idler) Size(_ context.Context, in iter.Seq2[[]byte, error]) (n int, err error) {
	for _, err := range in {
		if err != nil {
			return n, err
		}
		if n++; k.stop.Load() {
			select {
			case k.stuck <- struct{}{}:
			case <-k.free: // nobody waits to be told any more
			}
			<-k.free
		}
	}
	return n, nil
}

// ACC-48, BUG-4: items of one byte, each in a frame of its own, are charged for what they occupy: 64 KiB of credit holds 1 MiB at most, at the node whose consumer takes nothing, and at the
// controller whose node takes nothing.
func TestACC48TinyFrames(t *testing.T) {
	w := wired{t, daffitest.New(t).Controller}
	impl := &idler{stuck: make(chan struct{}, 1), free: make(chan struct{})}
	server := w.node("server")
	_, err := testkit.RegisterKit(server, impl)
	require.NoError(t, err)
	a := w.attacker("attacker")
	item := []byte{2, 0xc4, 0} // an empty blob
	tiny := func(call uint64) transport.Frame {
		return transport.Frame{Header: transport.Header{Kind: transport.Data, Call: call, Flags: transport.Bulk}, Payload: item}
	}
	open := func(p *attacker, slot uint32, service, sig, method string) uint64 {
		id := transport.CallID(slot, 1)
		p.Send(transport.Frame{Header: transport.Header{Kind: transport.Request, Call: id, Route: p.Route(t, service, method, sig), Mode: transport.Input}, Payload: []byte("\x90")})
		return id
	}
	call := open(a, 1, testkit.KitName, "(<bytes)(int)", "Size")
	credit := transport.MinCredit
	take := func() { // at least once
		credit += int(a.Expect(t, transport.Credit).Arg)
		for f, ok := a.Poll(); ok; f, ok = a.Poll() {
			require.Equal(t, transport.Credit, f.Kind, "%q", f.Payload)
			credit += int(f.Arg)
		}
	}
	for granted := 0; granted < 64<<10; { // until it has that much at a time
		for credit >= transport.MinCost {
			a.Send(tiny(call))
			credit -= transport.MinCost
		}
		before := credit
		take()
		if granted = credit - before; granted > 32<<10 {
			break
		}
	}
	impl.stop.Store(true)
	a.Send(tiny(call))
	credit -= transport.MinCost
	<-impl.stuck
	a.Send(transport.Frame{Header: transport.Header{Kind: transport.Request, Call: transport.CallID(2, 1), Route: a.Route(t, testkit.KitName, "Total", "()(int)")}, Payload: []byte("\x90")})
	for f := a.Next(t); f.Kind != transport.Reply; f = a.Next(t) { // credit that was on its way has come before it
		require.Equal(t, transport.Credit, f.Kind, "%q", f.Payload)
		credit += int(f.Arg)
	}
	require.Greater(t, credit, 16<<10)
	before, sent := testkit.LiveHeap(), 0
	for ; credit >= transport.MinCost; credit -= transport.MinCost {
		a.Send(tiny(call))
		sent += transport.MinCost
	}
	w.passed(t, a)
	held := testkit.Held(before, max(sent, 64<<10)*16)
	t.Logf("the node holds %d bytes for %d bytes of credit", held, sent)
	assert.LessOrEqual(t, held, max(sent, 64<<10)*16)
	a.Send(tiny(call))
	require.Equal(t, uint8(daffi.Internal), a.Failed(t, call).Code, "beyond the credit")
	close(impl.free)

	// At the controller: who receives is of no help, and grants whatever it is asked to.
	greedy, deaf := w.attacker("greedy"), w.attacker("deaf")
	require.Nil(t, deaf.Serve(t, "Deaf", "(<bytes)(int)", "M"))
	id := open(greedy, 1, "Deaf", "(<bytes)(int)", "M")
	there := deaf.Served(t).Call
	deaf.Send(transport.Frame{Header: transport.Header{Kind: transport.Credit, Call: there, Arg: 64 << 10}})
	greedy.Expect(t, transport.Credit)
	deaf.rough.Store(true)
	deaf.pause()
	greedy.Send(tiny(id))
	before, sent = testkit.LiveHeap(), 0
	for ; sent < 64<<10; sent += transport.MinCost {
		greedy.Send(tiny(id))
	}
	w.passed(t, greedy)
	held = testkit.Held(before, 1<<20)
	t.Logf("the controller holds %d bytes for %d bytes of credit", held, sent)
	assert.LessOrEqual(t, held, 1<<20)
	deaf.resume()
	for _, p := range []*attacker{a, greedy, deaf} {
		p.Close()
	}
	w.eventually(func(st controller.Stats) bool { return st.Calls == 0 && st.Serving == 0 && server.Held() == "" }, "something is left")
}

// passed waits until the controller, and the nodes behind it, have read what p has sent.
func (w wired) passed(t *testing.T, p *attacker) {
	t.Helper()
	before := w.ctl.Stats().Late
	p.Send(transport.Frame{Header: transport.Header{Kind: transport.Cancel, Call: 1<<40 | 9}})
	w.eventually(func(st controller.Stats) bool { return st.Late > before }, "not read")
	time.Sleep(20 * time.Millisecond)
}
