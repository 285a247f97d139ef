package controller

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/daffi-rpc/daffi/runtime/internal/rawpeer"
	"github.com/daffi-rpc/daffi/runtime/transport"
)

// TestChurn kills and restarts providers, by surprise or after a drain, while callers call, post, stream and cancel: every call
// ends exactly once, whatever happens to the two ends (SEM-2).
func TestChurn(t *testing.T) {
	over(t, func(t *testing.T, w *world) {
		const slots, rounds = 64, 40
		stop := make(chan struct{})
		var providers, callers sync.WaitGroup
		for i := range 3 {
			p := w.provider(fmt.Sprintf("provider-%d", i))
			providers.Go(func() {
				for {
					select {
					case <-stop:
						p.Close()
						return
					case <-time.After(time.Duration(rand.IntN(5000)) * time.Microsecond):
					}
					if rand.IntN(2) == 0 {
						p.Send(frame{Header: header{Kind: transport.Drain}})
					}
					p.Close()
					w.released(p.Name)
					p = w.provider(p.Name)
				}
			})
		}
		for i := range 2 {
			var mu sync.Mutex
			open := map[uint64]bool{}
			caller := rawpeer.New(w.link())
			caller.OnFrame = func(f *transport.Frame) bool {
				switch f.Kind {
				case transport.Reply, transport.Error, transport.Accepted:
					mu.Lock()
					if !open[f.Call] {
						t.Errorf("%v for call %#x, which is not open", f.Kind, f.Call)
					}
					delete(open, f.Call)
					mu.Unlock()
					return true
				}
				return !f.Kind.Handshake() && f.Kind != transport.Control
			}
			w.peers = append(w.peers, caller.Start().Join(t, fmt.Sprintf("caller-%d", i)))
			route := caller.Route(t, "Svc", "M", "sig")
			callers.Go(func() {
				for round := range uint64(rounds) {
					for slot := range uint32(slots) {
						id := transport.CallID(slot, round+1)
						mu.Lock()
						open[id] = true
						mu.Unlock()
						mode := []transport.Mode{0, transport.Oneway, transport.Input, transport.Output}[rand.IntN(4)]
						caller.Send(frame{Header: header{Kind: transport.Request, Call: id, Route: route, Mode: mode}, Payload: []byte("x")})
						if mode == transport.Input {
							caller.Send(frame{Header: header{Kind: transport.Data, Call: id, Flags: transport.Bulk | transport.End}})
						}
					}
					for end := time.Now().Add(10 * time.Second); ; time.Sleep(100 * time.Microsecond) {
						mu.Lock()
						n := len(open)
						mu.Unlock()
						if n == 0 {
							break
						}
						if time.Now().After(end) {
							t.Errorf("%d calls have not ended", n)
							return
						}
					}
				}
			})
		}
		callers.Wait()
		close(stop)
		providers.Wait()
		w.eventually(func(st Stats) bool { return st.Nodes == 2 && st.Calls+st.Serving+st.Introductions+st.Providers == 0 }, "something is left")
		require.NotZero(t, w.Stats().Routes)
	})
}

// released waits until nobody has a name: a busy machine may take longer to see that a link has ended than who joins waits for the name (nameWait).
func (w *world) released(name string) {
	w.Helper()
	w.eventually(func(Stats) bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		return w.names[name] == nil
	}, name+" is still there")
}

// provider joins a node that answers at once, with an item first where that is asked for.
func (w *world) provider(name string) *rawpeer.Peer {
	p := rawpeer.New(w.link())
	p.OnFrame = func(f *transport.Frame) bool {
		if f.Kind == transport.Request {
			if f.Mode == transport.Output {
				p.Link.Enqueue(frame{Header: header{Kind: transport.Data, Call: f.Call, Flags: transport.Bulk}, Payload: []byte("item")})
			}
			p.Link.Enqueue(frame{Header: header{Kind: transport.Reply, Call: f.Call, Flags: transport.Bulk}, Payload: []byte("y")})
		}
		return !f.Kind.Handshake() && f.Kind != transport.Control
	}
	return p.Start().Join(w, name).Register(w, "Svc", "M")
}
