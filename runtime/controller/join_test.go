package controller

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/daffi-rpc/daffi/runtime/internal/control"
	"github.com/daffi-rpc/daffi/runtime/internal/rawpeer"
	"github.com/daffi-rpc/daffi/runtime/transport"
)

func hello(name string, session byte, incarnation uint64) transport.HelloPayload {
	return transport.HelloPayload{Name: name, Session: [16]byte{session}, Incarnation: incarnation, Features: 0xff}
}

// refusal reads a Refuse.
func refusal(t *testing.T, f frame) transport.RefusePayload {
	t.Helper()
	require.Equal(t, transport.Refuse, f.Kind)
	r, err := transport.ParseRefuse(f.Payload)
	require.NoError(t, err)
	return r
}

func TestJoin(t *testing.T) {
	over(t, func(t *testing.T, w *world) {
		for i := range uint32(3) {
			f := w.peer().Hello(t, hello(fmt.Sprintf("node-%d", i), byte(i), 1), nil)
			require.Equal(t, transport.Welcome, f.Kind)
			welcome, err := transport.ParseWelcome(f.Payload)
			require.NoError(t, err)
			require.Equal(t, transport.WelcomePayload{
				Session: i + 1, Incarnation: w.incarnation, Ping: 5 * time.Second, Dead: 15 * time.Second,
				MessageLimit: transport.MaxMessage, Name: "controller",
			}, welcome)
			require.NotZero(t, welcome.Incarnation)
		}
		require.Equal(t, 3, w.Stats().Nodes)
	})
}

func TestToken(t *testing.T) {
	w := start(t, Options{})
	token := []byte("a token of which nobody must learn")
	join := func(name string, with []byte) frame {
		a, b := transport.Pipe()
		w.Serve(b, token)
		p := rawpeer.New(a).Start()
		w.peers = append(w.peers, p)
		return p.Hello(t, hello(name, 1, 1), with)
	}
	require.Equal(t, transport.Welcome, join("good", token).Kind)
	require.Equal(t, unauthenticated, refusal(t, join("bad", []byte("another"))).Code)
	require.Equal(t, unauthenticated, refusal(t, join("none", nil)).Code)
	require.Equal(t, 1, w.Stats().Nodes)
	require.EqualValues(t, 2, w.Stats().Refused)
}

// TestChallenge checks that the controller proves the token first.
func TestChallenge(t *testing.T) {
	w := start(t, Options{})
	token := []byte("token")
	a, b := transport.Pipe()
	w.Serve(b, token)
	p := rawpeer.New(a).Start()
	w.peers = append(w.peers, p)
	h := hello("node", 1, 1)
	payload := transport.AppendHello(nil, &h)
	p.Send(frame{Header: header{Kind: transport.Hello}, Payload: payload})
	f := p.Expect(t, transport.Challenge)
	c, err := transport.ParseChallenge(f.Payload)
	require.NoError(t, err)
	require.EqualValues(t, transport.AuthToken, c.Auth)
	require.EqualValues(t, transport.FeatureZstd, c.Features)
	require.Equal(t, transport.ControllerProof(token, payload, f.Payload), c.Proof)
}

// TestBadHandshake sends what no node may send before it has joined.
func TestBadHandshake(t *testing.T) {
	h := hello("node", 1, 1)
	good := frame{Header: header{Kind: transport.Hello}, Payload: transport.AppendHello(nil, &h)}
	proof := frame{Header: header{Kind: transport.Proof}, Payload: make([]byte, transport.ProofSize)}
	for name, frames := range map[string][]frame{
		"proof first":   {proof},
		"hello twice":   {good, good},
		"short proof":   {good, {Header: proof.Header, Payload: proof.Payload[1:]}},
		"request first": {{Header: header{Kind: transport.Request, Call: 1 << transport.SlotBits}}},
		"ping first":    {{Header: header{Kind: transport.Ping}}},
		"welcome":       {{Header: header{Kind: transport.Welcome}}},
		"control":       {good, {Header: header{Kind: transport.Control}}},
		"too long":      {{Header: header{Kind: transport.Hello}, Payload: make([]byte, transport.MaxUnproven+1)}},
	} {
		t.Run(name, func(t *testing.T) {
			over(t, func(t *testing.T, w *world) {
				p := w.peer()
				p.Send(frames...)
				require.Error(t, p.Closed(t))
				require.Zero(t, w.Stats().Nodes)
			})
		})
	}
}

func TestBadHello(t *testing.T) {
	h := hello("node", 1, 1)
	good := transport.AppendHello(nil, &h)
	version := append([]byte(nil), good...)
	version[4] = 9
	bad := hello("Not A Name", 1, 1)
	for name, test := range map[string]struct {
		payload []byte
		code    uint8
	}{
		"version":  {version, failedPrecondition},
		"name":     {transport.AppendHello(nil, &bad), internal},
		"short":    {good[:20], internal},
		"no daffi": {[]byte("GET / HTTP/1.1"), internal},
		"empty":    {nil, internal},
	} {
		t.Run(name, func(t *testing.T) {
			over(t, func(t *testing.T, w *world) {
				p := w.peer()
				p.Send(frame{Header: header{Kind: transport.Hello}, Payload: test.payload})
				r := refusal(t, p.Next(t))
				require.Equal(t, test.code, r.Code)
				require.NotEmpty(t, r.Message)
				require.Error(t, p.Closed(t))
			})
		})
	}
}

// TestHandshakeTimeout holds a silent peer to LIM-2, at any step.
func TestHandshakeTimeout(t *testing.T) {
	over2 := func(conn bool) {
		synctest.Test(t, func(t *testing.T) {
			w := start(t, Options{})
			w.conn = conn
			begin := time.Now()
			silent, half := w.peer(), w.peer()
			h := hello("node", 1, 1)
			half.Send(frame{Header: header{Kind: transport.Hello}, Payload: transport.AppendHello(nil, &h)})
			half.Expect(t, transport.Challenge)
			require.Error(t, silent.Closed(t))
			require.Error(t, half.Closed(t))
			require.Equal(t, 5*time.Second, time.Since(begin))
			w.end()
		})
	}
	over2(false)
	over2(true)
}

// TestPending drops the oldest of too many links that are not authenticated (LIM-3); those in memory do not count.
func TestPending(t *testing.T) {
	w := start(t, Options{MaxPending: 4})
	for range 6 {
		w.peer()
	}
	w.conn = true
	joined := w.join("joined")
	var waiting []*rawpeer.Peer
	for range 4 {
		waiting = append(waiting, w.peer())
	}
	w.eventually(func(st Stats) bool { return st.Pending == 4 && st.Links == 11 }, "not all are there")
	w.peer()
	require.Error(t, waiting[0].Closed(t))
	w.eventually(func(st Stats) bool { return st.Pending == 4 && st.Links == 11 }, "the oldest is still there")
	waiting[1].Join(t, "late")
	require.Equal(t, 3, w.Stats().Pending)
	joined.Route(t, "Svc", "M", "sig")
}

func TestLIM4MaxNodes(t *testing.T) {
	w := start(t, Options{MaxNodes: 2})
	w.join("a")
	b := w.join("b")
	require.Equal(t, resourceExhausted, refusal(t, w.peer().Hello(t, hello("c", 1, 1), nil)).Code)
	b.Close()
	w.eventually(func(st Stats) bool { return st.Nodes == 1 }, "b is still there")
	w.join("c")
}

// TestD65SEM15NameTaken refuses a live name, whoever asks, after having waited for it (SEM-15).
func TestD65SEM15NameTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, Options{})
		first := w.peer()
		first.Hello(t, hello("name", 1, 5), nil)
		for _, h := range []transport.HelloPayload{hello("name", 2, 9), hello("name", 1, 5), hello("name", 1, 4)} {
			begin := time.Now()
			r := refusal(t, w.peer().Hello(t, h, nil))
			require.Equal(t, [2]any{alreadyExists, reasonNameTaken}, [2]any{r.Code, r.Reason})
			require.Equal(t, nameWait, time.Since(begin))
		}
		first.Register(t, "Svc", "M")
		w.end()
	})
}

// TestD62NameFreed lets a node in whose name is freed while it waits.
func TestD62NameFreed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, Options{})
		first := w.join("name")
		go func() {
			time.Sleep(nameWait / 2)
			first.Link.Close(nil)
		}()
		begin := time.Now()
		require.Equal(t, transport.Welcome, w.peer().Hello(t, hello("name", 2, 1), nil).Kind)
		require.Equal(t, nameWait/2, time.Since(begin))
		time.Sleep(time.Second) // nothing of the wait is left
		require.Equal(t, 1, w.Stats().Nodes)
		w.end()
	})
}

// TestWaitersLeave ends links that wait for a name.
func TestWaitersLeave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, Options{})
		first := w.join("name")
		h := hello("name", 2, 1)
		var waiters []*rawpeer.Peer
		for range 4 {
			p := w.peer()
			claimName(p, h)
			p.Expect(t, transport.Challenge)
			waiters = append(waiters, p)
		}
		synctest.Wait()
		require.Equal(t, 4, w.Stats().Waiting)
		waiters[0].Close()
		waiters[1].Send(frame{Header: header{Kind: transport.Ping}}) // too early
		require.Error(t, waiters[1].Closed(t))
		synctest.Wait()
		require.Equal(t, 2, w.Stats().Waiting)
		first.Close()
		waiters[2].Expect(t, transport.Welcome)
		require.Equal(t, alreadyExists, refusal(t, waiters[3].Next(t)).Code)
		w.end()
	})
}

// TestT9Rejoin replaces a session by a newer link of the same node at once; its calls end.
func TestT9Rejoin(t *testing.T) {
	over(t, func(t *testing.T, w *world) {
		old := w.peer()
		old.Hello(t, hello("node", 7, 1), nil)
		old.Register(t, "Svc", "M")
		caller := w.join("caller")
		route := caller.Route(t, "Svc", "M", "sig")
		id := caller.Call(route, 0, 1, "")
		old.Served(t)

		young := w.peer()
		require.Equal(t, transport.Welcome, young.Hello(t, hello("node", 7, 2), nil).Kind)
		require.Greater(t, young.Session, old.Session)
		require.Error(t, old.Closed(t))
		require.Equal(t, reasonNodeLost, caller.Failed(t, id).Reason)
		require.Equal(t, reasonNoProvider, caller.Failed(t, caller.Call(route, 0, 2, "")).Reason)
		young.Register(t, "Svc", "M")
		caller.Call(route, 0, 3, "")
		young.Served(t)
	})
}

// TestRejoinTwice lets the newest of three links of a node win.
func TestRejoinTwice(t *testing.T) {
	for range 10 {
		w := start(t, Options{})
		w.peer().Hello(t, hello("node", 7, 1), nil)
		second, third := w.peer(), w.peer()
		go claimName(second, hello("node", 7, 2)) // it is let in and replaced, or refused
		require.Equal(t, transport.Welcome, third.Hello(t, hello("node", 7, 3), nil).Kind)
		require.Error(t, second.Closed(t))
		w.eventually(func(st Stats) bool { return st.Nodes == 1 && st.Waiting == 0 }, "not one is left")
		third.Register(t, "Svc")
		w.end()
	}
}

// claimName does a whole handshake without looking at the answers.
func claimName(p *rawpeer.Peer, h transport.HelloPayload) {
	p.Send(frame{Header: header{Kind: transport.Hello}, Payload: transport.AppendHello(nil, &h)},
		frame{Header: header{Kind: transport.Proof}, Payload: make([]byte, transport.ProofSize)})
}

// TestNamesDoNotInterfere joins and leaves under many names at once.
func TestNamesDoNotInterfere(t *testing.T) {
	w := start(t, Options{})
	done := make(chan struct{})
	for i := range 8 {
		go func() {
			defer func() { done <- struct{}{} }()
			for range 50 {
				l, _ := w.Attach()
				p := rawpeer.New(l).Start().Join(t, fmt.Sprintf("node-%d", i))
				p.Register(t, "Svc", "M")
				p.Close()
			}
		}()
	}
	for range 8 {
		<-done
	}
}

// TestD60Silence closes the link of a node that is silent for the dead interval, not one that answers pings.
func TestD60Silence(t *testing.T) {
	for _, conn := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			w := start(t, Options{})
			w.conn = conn
			alive := rawpeer.New(w.link())
			alive.OnFrame = func(f *transport.Frame) bool {
				if f.Kind == transport.Ping {
					alive.Link.Enqueue(frame{Header: header{Kind: transport.Pong, Arg: f.Arg}})
				}
				return f.Kind == transport.Ping
			}
			w.peers = append(w.peers, alive.Start().Join(t, "alive"))
			alive.Register(t, "Svc", "M")
			alive.Call(alive.Route(t, "Svc", "M", "sig"), 0, 1, "")
			alive.Served(t)

			dead := w.join("dead").Register(t, "Dead", "M")
			id := alive.Call(alive.Route(t, "Dead", "M", "sig"), 1, 1, "")
			dead.Served(t)
			begin := time.Now()
			dead.Expect(t, transport.Ping)
			require.Greater(t, time.Since(begin), 5*time.Second)
			require.LessOrEqual(t, time.Since(begin), 5625*time.Millisecond)
			f := failedWithin(t, alive, id, time.Minute)
			require.Equal(t, reasonNodeLost, f.Reason)
			require.InDelta(t, 15*time.Second, time.Since(begin), float64(2*time.Millisecond))
			require.Error(t, dead.Closed(t))

			time.Sleep(10 * time.Minute)
			require.Equal(t, 1, w.Stats().Nodes)
			w.end()
		})
	}
}

// TestD60NodesAskFirst: an idle node that pings, as all do, is never asked, so that a link costs one Ping and one Pong in five seconds. The extremes of the intervals leave it time as well.
func TestD60NodesAskFirst(t *testing.T) {
	for _, o := range []Options{{}, {PingInterval: 10 * time.Millisecond, DeadInterval: 14 * time.Millisecond}, {PingInterval: 23 * time.Hour, DeadInterval: 24 * time.Hour}} {
		synctest.Test(t, func(t *testing.T) {
			w := start(t, o)
			p := w.join("idle")
			ping := w.opts.PingInterval
			k := transport.NewKeepalive(p.Link, transport.KeepaliveOptions{Ping: ping, Dead: w.opts.DeadInterval, Stop: w.opts.DeadInterval})
			time.Sleep(100*ping + ping/2)
			k.Stop()
			synctest.Wait()
			pongs := 0
			for f, ok := p.Poll(); ok; f, ok = p.Poll() {
				require.Equal(t, transport.Pong, f.Kind)
				pongs++
			}
			require.Equal(t, 100, pongs)
			require.Equal(t, 1, w.Stats().Nodes)
		})
	}
}

// failedWithin is Failed with more patience.
func failedWithin(t *testing.T, p *rawpeer.Peer, id uint64, wait time.Duration) control.Failure {
	t.Helper()
	for end := time.Now().Add(wait); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if f, ok := p.Poll(); ok {
			require.Equal(t, [2]any{transport.Error, id}, [2]any{f.Kind, f.Call})
			return rawpeer.Failure(t, f)
		}
	}
	t.Fatal("no error came")
	return control.Failure{}
}

func TestLIM17Ping(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, Options{})
		p := w.join("node")
		for i := range uint64(40) {
			p.Send(frame{Header: header{Kind: transport.Ping, Arg: i}})
			require.Equal(t, i, p.Expect(t, transport.Pong).Arg)
			time.Sleep(100 * time.Millisecond)
		}
		for range 20 {
			p.Send(frame{Header: header{Kind: transport.Ping}})
		}
		require.Error(t, p.Closed(t))
		w.end()
	})
}

func TestShutdown(t *testing.T) {
	over(t, func(t *testing.T, w *world) {
		a, b := w.join("a"), w.join("b")
		waiting := w.peer()
		require.NoError(t, w.Shutdown(context.Background()))
		a.Expect(t, transport.Goodbye)
		b.Expect(t, transport.Goodbye)
		for _, p := range []*rawpeer.Peer{a, b, waiting} {
			require.Error(t, p.Closed(t))
		}
		_, err := w.Attach()
		require.ErrorIs(t, err, transport.ErrClosed)
		require.NoError(t, w.Shutdown(context.Background()))
		require.NoError(t, w.Close())
	})
}

// TestShutdownStuck does not wait longer than it may for a node that takes nothing.
func TestShutdownStuck(t *testing.T) {
	w := start(t, Options{})
	w.conn = true
	goOn, stuck := w.stall("stuck")
	stuck.Register(t, "Svc", "M")
	caller := w.join("caller")
	route := caller.Route(t, "Svc", "M", "sig")
	for i := range uint32(10) {
		caller.Send(frame{Header: header{Kind: transport.Request, Call: transport.CallID(i, 1), Route: route}, Payload: make([]byte, transport.MaxContent)})
	}
	w.eventually(func(st Stats) bool { return st.Serving == 10 }, "not all are routed")
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	begin := time.Now()
	require.ErrorIs(t, w.Shutdown(ctx), context.DeadlineExceeded)
	require.Less(t, time.Since(begin), 10*time.Second)
	goOn()
}

func TestCloseAtAnyTime(t *testing.T) {
	for i := range 30 {
		w := start(t, Options{})
		w.conn = i%2 == 0
		done := make(chan struct{})
		for j := range 4 {
			go func() {
				defer func() { done <- struct{}{} }()
				for {
					l, err := w.Attach()
					if err != nil {
						return
					}
					p := rawpeer.New(l).Start()
					claimName(p, hello(fmt.Sprintf("node-%d", j), 1, 1))
					p.Close()
				}
			}()
		}
		time.Sleep(time.Millisecond)
		begin := time.Now()
		go w.Shutdown(t.Context())
		require.NoError(t, w.Close())
		require.Less(t, time.Since(begin), 10*time.Second)
		for range 4 {
			<-done
		}
	}
}

// slowLog is a log that takes its time over refusals.
type slowLog struct {
	slog.Handler
	begun, goOn chan struct{}
}

func (l slowLog) Enabled(context.Context, slog.Level) bool { return true }
func (l slowLog) Handle(_ context.Context, r slog.Record) error {
	if r.Message == "node refused" {
		close(l.begun)
		<-l.goOn
	}
	return nil
}

// TestCloseDuringRefusal closes a controller while a timer refuses a node: Close returns after that.
func TestCloseDuringRefusal(t *testing.T) {
	l := slowLog{slog.DiscardHandler, make(chan struct{}), make(chan struct{})}
	w := start(t, Options{Logger: slog.New(l)})
	w.join("node")
	claimName(w.peer(), hello("node", 9, 1))
	<-l.begun
	closed := make(chan error, 1)
	go func() { closed <- w.Close() }()
	w.eventually(func(st Stats) bool { return st.Links == 0 }, "links are left")
	select {
	case <-closed:
		t.Error("closed although a node is being refused")
	case <-time.After(50 * time.Millisecond):
	}
	close(l.goOn)
	w.Close()
}
