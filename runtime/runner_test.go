package daffi_test

import (
	"context"
	"runtime"
	"slices"
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

// moody is a Kit whose Echo does what its argument says.
type moody struct {
	testkit.Impl
	started chan string
	release chan struct{}
}

func (m *moody) Echo(ctx context.Context, b []byte) ([]byte, error) {
	m.started <- string(b)
	switch string(b) {
	case "block":
		<-m.release
	case "nap":
		time.Sleep(900 * time.Microsecond)
	case "wait":
		<-ctx.Done()
		return nil, ctx.Err()
	case "exit":
		runtime.Goexit()
	case "panic":
		panic("moody")
	}
	return b, nil
}

// quickKit is a node whose Echo is known to return at once, and a peer that sends it calls which are read together.
type quickKit struct {
	t     *testing.T
	impl  *moody
	node  *daffi.Node
	peer  *rawpeer.Peer
	route uint32
	slot  uint32
}

func newQuickKit(t *testing.T) *quickKit {
	net := daffitest.New(t)
	k := &quickKit{t: t, impl: &moody{started: make(chan string, 1000), release: make(chan struct{})}, node: net.Node("server")}
	_, err := testkit.RegisterKit(k.node, k.impl)
	require.NoError(t, err)
	link, err := net.Controller.Attach()
	require.NoError(t, err)
	k.peer = rawpeer.New(link).Start().Join(t, "client")
	t.Cleanup(k.peer.Close)
	k.route = k.peer.Route(t, testkit.KitName, "Echo", "(bytes)(bytes)")
	for range 20 {
		k.call("warm up")
		k.reply()
		<-k.impl.started
	}
	return k
}

// call sends a Request for each argument, all in one write, and returns their ids.
func (k *quickKit) call(args ...string) (ids []uint64) {
	var frames []transport.Frame
	for _, a := range args {
		var e codec.Encoder
		e.Array(1)
		e.Blob([]byte(a))
		k.slot++
		id := transport.CallID(k.slot, 1)
		frames = append(frames, transport.Frame{Header: transport.Header{Kind: transport.Request, Call: id, Route: k.route}, Payload: e.Bytes()})
		ids = append(ids, id)
	}
	k.peer.Send(frames...)
	return ids
}

func (k *quickKit) reply() uint64 {
	k.t.Helper()
	return k.peer.Expect(k.t, transport.Reply).Call
}

func repeated(s string, n int) []string {
	list := make([]string, n)
	for i := range list {
		list[i] = s
	}
	return list
}

// TestQuickCallsThatBlock has calls read together whose method has returned at once so far, and now blocks: all run soon nevertheless, those that
// return are answered while the others block, and from then on the method has a goroutine for each call at once.
func TestQuickCallsThatBlock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newQuickKit(t)
		const n = 40
		k.call(append(repeated("block", n), "last")...)
		synctest.Wait()
		require.Less(t, len(k.impl.started), n, "they begin one after the other")
		last := k.reply() // the 41st, while 40 block
		require.Equal(t, k.slot, transport.SlotOf(last))
		synctest.Wait()
		require.Len(t, k.impl.started, n+1)
		_, more := k.peer.Poll()
		require.False(t, more)
		close(k.impl.release)
		for range n {
			k.reply()
		}
		synctest.Wait()
		require.Empty(t, k.node.Held())

		for range n + 1 {
			<-k.impl.started
		}
		k.call(repeated("wait", n)...)
		synctest.Wait()
		require.Len(t, k.impl.started, n, "a goroutine for each, without a tick between")
	})
}

// TestQuickRepliesAreNotHeld answers what has returned although the call after it blocks for ever.
func TestQuickRepliesAreNotHeld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newQuickKit(t)
		start := time.Now()
		ids := k.call("one", "two", "wait")
		require.ElementsMatch(t, ids[:2], []uint64{k.reply(), k.reply()}) // they may have been read apart
		require.LessOrEqual(t, time.Since(start), 2*time.Millisecond)
		k.peer.Send(transport.Frame{Header: transport.Header{Kind: transport.Cancel, Call: ids[2]}})
		synctest.Wait()
		require.Empty(t, k.node.Held())
	})
}

// TestQuickCallsThatExit has handlers of calls that were read together panic or end their goroutine: every call is answered.
func TestQuickCallsThatExit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newQuickKit(t)
		ids := k.call("one", "exit", "panic", "two", "exit", "exit", "three", "exit")
		kinds := map[uint64]transport.Kind{}
		for range ids {
			f := k.peer.Next(t)
			kinds[f.Call] = f.Kind
		}
		require.Len(t, kinds, len(ids))
		for i, id := range ids {
			want := transport.Error
			if i == 0 || i == 3 || i == 6 {
				want = transport.Reply
			}
			require.Equal(t, want, kinds[id], "call %d", i)
		}
		synctest.Wait()
		require.Empty(t, k.node.Held())
	})
}

// TestQuickCallsCancelled cancels calls that wait behind one that blocks: they do not run.
func TestQuickCallsCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newQuickKit(t)
		ids := k.call("wait", "two", "three")
		synctest.Wait()
		for _, id := range slices.Backward(ids) {
			k.peer.Send(transport.Frame{Header: transport.Header{Kind: transport.Cancel, Call: id}})
		}
		synctest.Wait()
		time.Sleep(10 * time.Millisecond)
		require.Len(t, k.impl.started, 1)
		require.Empty(t, k.node.Held())
	})
}

// TestQuickCallsAtClose closes the node, and its caller, with calls that wait behind one that blocks: all end at once.
func TestQuickCallsAtClose(t *testing.T) {
	for name, end := range map[string]func(k *quickKit){
		"node closed": func(k *quickKit) { require.NoError(k.t, k.node.Close()) },
		"caller gone": func(k *quickKit) { k.peer.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				k := newQuickKit(t)
				k.call(repeated("wait", 50)...)
				synctest.Wait()
				started := len(k.impl.started)
				require.Less(t, started, 50)
				require.Positive(t, started)
				start := time.Now()
				end(k)
				synctest.Wait()
				require.Zero(t, time.Since(start))
				require.Contains(t, []string{"", "no session"}, k.node.Held())
			})
		})
	}
}

// TestQuickCallsThatSlowDown has many calls read together whose handlers take longer than before, but return between any two ticks: they do not add up, and
// replies are not held back for all of them.
func TestQuickCallsThatSlowDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newQuickKit(t)
		const n = 64
		start := time.Now()
		k.call(repeated("nap", n)...)
		k.reply()
		require.LessOrEqual(t, time.Since(start), 3*time.Millisecond)
		for range n - 1 {
			k.reply()
		}
		require.LessOrEqual(t, time.Since(start), 10*time.Millisecond)
	})
}
