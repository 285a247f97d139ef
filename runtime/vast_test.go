package daffi_test

import (
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	daffi "github.com/daffi-rpc/daffi/runtime"
	"github.com/daffi-rpc/daffi/runtime/controller"
	"github.com/daffi-rpc/daffi/runtime/daffitest"
	"github.com/daffi-rpc/daffi/runtime/internal/rawpeer"
	"github.com/daffi-rpc/daffi/runtime/internal/testkit"
	"github.com/daffi-rpc/daffi/runtime/transport"
)

// vastStep is how much of a message above the room for all is on its way at a time.
const vastStep = 4 << 20

// announcer is a caller by hand that announces requests to the kit of a server.
type announcer struct {
	*rawpeer.Peer
	t     *testing.T
	route uint32
	calls uint32
}

// newAnnouncer returns one that has joined, and its server, whose limit of a message is 64 MiB.
func newAnnouncer(t *testing.T) (*announcer, *daffi.Node) {
	net := daffitest.With(t, controller.Options{MaxMessage: 64 << 20})
	server := net.NodeWith(daffi.Options{Name: "server", MaxMessage: 64 << 20})
	_, err := testkit.RegisterKit(server, new(testkit.Impl))
	require.NoError(t, err)
	link, err := net.Controller.Attach()
	require.NoError(t, err)
	a := &announcer{Peer: rawpeer.New(link).Start().Join(t, "announcer"), t: t}
	t.Cleanup(a.Close)
	a.route = a.Route(t, "Kit", "Echo", "(bytes)(bytes)")
	return a, server
}

// announce announces a request of n bytes.
func (a *announcer) announce(n int) uint64 {
	a.calls++
	id := transport.CallID(a.calls, 1)
	a.Send(transport.Frame{Header: transport.Header{Kind: transport.Request, Flags: transport.Large | transport.Bulk, Call: id, Route: a.route},
		Payload: transport.AppendAnnounced(nil, n)})
	synctest.Wait()
	return id
}

// send sends n bytes of it in chunks, as if others were to follow.
func (a *announcer) send(id uint64, n int) {
	for n > 0 {
		size := min(n, transport.MaxContent)
		n -= size
		h := transport.Header{Kind: transport.Chunk, Flags: transport.Bulk | transport.More, Call: id}
		a.Send(transport.Frame{Header: h, Payload: make([]byte, size)})
	}
	synctest.Wait()
}

// grants returns what was granted, by call, since it was last asked; 0 is all.
func (a *announcer) grants() map[uint64][]uint64 {
	got := map[uint64][]uint64{}
	for {
		f, ok := a.Poll()
		if !ok {
			return got
		}
		require.Equal(a.t, transport.Grant, f.Kind)
		got[f.Call] = append(got[f.Call], f.Arg)
	}
}

// What fits into the room is granted as a whole, and what is larger comes in steps, one such message at a time.
func TestVastMessagesAreGrantedInSteps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, server := newAnnouncer(t)
		const room = 16 << 20
		vast := a.announce(room + 1<<20) // with what wraps a request it is more than the room
		require.Equal(t, map[uint64][]uint64{vast: {vastStep}}, a.grants())
		other := a.announce(room + 1<<20)
		require.Empty(t, a.grants(), "one at a time")
		large := a.announce(room - vastStep)
		require.Equal(t, map[uint64][]uint64{large: {0}}, a.grants(), "the other one is not in its way")
		late := a.announce(1 << 20)
		require.Empty(t, a.grants(), "the room is spent")

		a.send(vast, vastStep/2-1)
		require.Empty(t, a.grants())
		a.send(vast, 1)
		require.Equal(t, map[uint64][]uint64{vast: {vastStep / 2}}, a.grants(), "half of it has come")
		a.Send(transport.Frame{Header: transport.Header{Kind: transport.Cancel, Flags: transport.Bulk, Call: vast}})
		synctest.Wait()
		require.Equal(t, map[uint64][]uint64{other: {vastStep}}, a.grants(), "it was before the late one")
		for _, id := range []uint64{large, other} {
			a.Send(transport.Frame{Header: transport.Header{Kind: transport.Cancel, Flags: transport.Bulk, Call: id}})
			synctest.Wait()
		}
		require.Equal(t, map[uint64][]uint64{late: {0}}, a.grants())
		a.Send(transport.Frame{Header: transport.Header{Kind: transport.Cancel, Flags: transport.Bulk, Call: late}})
		synctest.Wait()
		require.Empty(t, server.Held())
	})
}

// Chunks of a message that waits for its turn, or beyond its end, end the call.
func TestMoreThanWasGranted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const size = 17<<20 + 1
		a, server := newAnnouncer(t)
		vast, other := a.announce(size), a.announce(size)
		a.grants()
		a.send(other, 1)
		require.Equal(t, string(daffi.ReasonProtocol), a.Failed(t, other).Reason)
		for sent := 0; sent < size; sent += vastStep / 2 { // each time it is granted as much again
			a.send(vast, min(vastStep/2, size-sent))
		}
		granted := vastStep
		for range 7 {
			granted += int(a.Expect(t, transport.Grant).Arg)
		}
		require.Equal(t, size, granted)
		require.Equal(t, string(daffi.ReasonProtocol), a.Failed(t, vast).Reason, "all came, and more was to follow")
		require.Empty(t, server.Held())

	})
}

func TestAnnouncedOverTheLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, server := newAnnouncer(t)
		f := a.Failed(t, a.announce(64<<20+16<<10)) // more than may wrap the longest message
		require.EqualValues(t, daffi.ResourceExhausted, f.Code)
		require.Equal(t, string(daffi.ReasonTooLarge), f.Reason)
		require.Empty(t, server.Held())
	})
}
