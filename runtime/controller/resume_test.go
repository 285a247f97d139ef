package controller

import (
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/daffi-rpc/daffi/runtime/internal/control"
	"github.com/daffi-rpc/daffi/runtime/internal/rawpeer"
	"github.com/daffi-rpc/daffi/runtime/transport"
)

// resumer is a peer whose link resumes, and that does what a link would do by hand.
type resumer struct {
	*rawpeer.Peer
	w        *world
	received uint64 // bytes of numbered frames
	sent     uint64
	attempt  uint64
	calls    uint64
}

// resumable returns a controller whose links resume, and the first peer.
func resumable(t *testing.T, o Options) (*world, *resumer) {
	o.ResumeGrace = time.Second
	w := start(t, o)
	w.conn = true
	return w, w.resumer("victim")
}

func (w *world) resumer(name string) *resumer { return w.resumerOver(w.link(), name) }

func (w *world) resumerOver(l transport.Link, name string) *resumer {
	r := &resumer{Peer: rawpeer.New(l), w: w}
	w.peers = append(w.peers, r.Peer)
	r.OnFrame = func(f *transport.Frame) bool {
		if f.Kind > transport.Refuse && f.Kind != transport.Ack && f.Kind != transport.Resume {
			r.received += uint64(transport.HeaderSize + len(f.Payload))
		}
		return f.Kind == transport.Ack
	}
	r.Start()
	hello := transport.HelloPayload{Name: name, Incarnation: 1, Features: transport.FeatureResume}
	copy(hello.Session[:], name)
	require.Equal(w, transport.Welcome, r.Hello(w, hello, nil).Kind)
	return r
}

// say sends frames and counts them.
func (r *resumer) say(fs ...transport.Frame) {
	for _, f := range fs {
		r.sent += uint64(transport.HeaderSize + len(f.Payload))
	}
	r.Send(fs...)
}

// alive fails the test if the peer's session does not answer.
func (r *resumer) alive() {
	r.w.Helper()
	r.calls++
	id := transport.CallID(0, r.calls)
	r.say(transport.Frame{Header: transport.Header{Kind: transport.Request, Call: id, Route: 99}})
	require.Equal(r.w, reasonStaleRoute, r.Failed(r.w, id).Reason)
}

// ask is the Resume that would be right, as changed by change before it is proved.
func (r *resumer) ask(change func(*transport.ResumePayload)) transport.ResumePayload {
	p := transport.ResumePayload{Session: r.Session, Controller: r.Controller, Attempt: r.attempt + 1, Received: r.received}
	if change != nil {
		change(&p)
	}
	p.Prove(r.Secret, false)
	return p
}

// try sends a Resume over a new connection and returns the peer there.
func (w *world) try(payload []byte, more ...transport.Frame) *rawpeer.Peer {
	p := w.peer()
	p.Send(append([]transport.Frame{{Header: transport.Header{Kind: transport.Resume}, Payload: payload}}, more...)...)
	return p
}

// TestWrongResumptions are refused, and the session that they are about goes on (ACC-7).
func TestWrongResumptions(t *testing.T) {
	t.Parallel() // it waits
	w, victim := resumable(t, Options{})
	thief := w.resumer("thief")
	victim.alive()
	early := victim.received
	victim.alive()
	victim.Send(transport.Frame{Header: transport.Header{Kind: transport.Ack, Arg: victim.received}})
	victim.alive()

	for name, ask := range map[string]func() transport.ResumePayload{
		"no proof": func() transport.ResumePayload {
			return transport.ResumePayload{Session: victim.Session, Controller: victim.Controller, Attempt: 1, Received: victim.received}
		},
		"the proof of another session": func() transport.ResumePayload {
			p := victim.ask(nil)
			p.Prove(thief.Secret, false)
			return p
		},
		"an offset that was changed": func() transport.ResumePayload {
			p := victim.ask(nil)
			p.Received--
			return p
		},
		"more than was sent": func() transport.ResumePayload { return victim.ask(func(p *transport.ResumePayload) { p.Received++ }) },
		"far more than was sent": func() transport.ResumePayload {
			return victim.ask(func(p *transport.ResumePayload) { p.Received = 1 << 63 })
		},
		"less than was acknowledged": func() transport.ResumePayload {
			return victim.ask(func(p *transport.ResumePayload) { p.Received = early })
		},
		"no attempt": func() transport.ResumePayload { return victim.ask(func(p *transport.ResumePayload) { p.Attempt = 0 }) },
		"another controller": func() transport.ResumePayload {
			return victim.ask(func(p *transport.ResumePayload) { p.Controller[3]++ })
		},
		"another session's number": func() transport.ResumePayload {
			return victim.ask(func(p *transport.ResumePayload) { p.Session = thief.Session })
		},
		"nobody's number": func() transport.ResumePayload { return victim.ask(func(p *transport.ResumePayload) { p.Session = 99 }) },
	} {
		wrong := ask()
		p := w.try(transport.AppendResume(nil, &wrong))
		p.Name = name
		r, err := transport.ParseRefuse(p.Expect(t, transport.Refuse).Payload)
		require.NoError(t, err)
		require.Equal(t, reasonNotResumed, r.Reason, name)
		p.Closed(t)
		victim.alive()
	}
	answer := victim.ask(nil)
	answer.Prove(victim.Secret, true) // what the controller would say
	w.try(transport.AppendResume(nil, &answer)).Expect(t, transport.Refuse)
	right := victim.ask(nil)
	for n := range len(transport.AppendResume(nil, &right)) {
		w.try(transport.AppendResume(nil, &right)[:n]).Expect(t, transport.Refuse)
	}
	// With something behind it that would be lost.
	w.try(transport.AppendResume(nil, &right), transport.Frame{Header: transport.Header{Kind: transport.Ping}}).Closed(t)
	victim.alive()
	thief.alive()
	require.Zero(t, w.Stats().Resumed)
}

// TestSEM25ResumeOfAnother gives a session to nobody but who has the same certificate, over TLS, whatever else is right.
func TestSEM25ResumeOfAnother(t *testing.T) {
	t.Parallel() // it waits
	w := start(t, Options{ResumeGrace: time.Second})
	from := func(info transport.Info) transport.Link {
		x, y := net.Pipe()
		w.Serve(transport.NewConn(y, info), nil)
		return transport.NewConn(x, info)
	}
	own := transport.Info{Network: "tcp", UID: -1, TLS: true, Certificate: "daffi://shop/victim"}
	victim := w.resumerOver(from(own), "victim")
	victim.alive()
	come := func(info transport.Info, want transport.Kind) {
		p := rawpeer.New(from(info)).Start()
		t.Cleanup(p.Close)
		ask := victim.ask(nil)
		p.Send(transport.Frame{Header: transport.Header{Kind: transport.Resume}, Payload: transport.AppendResume(nil, &ask)})
		p.Expect(t, want)
	}
	for _, info := range []transport.Info{
		{Network: "tcp", UID: -1, TLS: true, Certificate: "daffi://shop/thief"},
		{Network: "tcp", UID: -1, TLS: true, Certificate: "daffi://shop2/victim"},
		{Network: "tcp", UID: -1, TLS: true},
		{Network: "tcp", UID: -1},
		{Network: "unix", UID: 7},
	} {
		come(info, transport.Refuse)
		victim.alive()
	}
	come(own, transport.Resume)
}

// TestResumeIsTakenOnce resumes a session by hand, before the controller has noticed a cut, and sends the same again.
func TestResumeIsTakenOnce(t *testing.T) {
	t.Parallel() // it waits
	w, victim := resumable(t, Options{})
	victim.alive()
	missed := victim.received
	victim.alive()
	ask := victim.ask(func(p *transport.ResumePayload) { p.Received = missed })
	p := w.try(transport.AppendResume(nil, &ask))
	answer, err := transport.ParseResume(p.Expect(t, transport.Resume).Payload)
	require.NoError(t, err)
	want := transport.ResumePayload{Session: victim.Session, Controller: victim.Controller, Attempt: 1, Received: victim.sent}
	want.Prove(victim.Secret, true)
	require.Equal(t, want, answer)
	require.Equal(t, transport.CallID(0, 2), p.Expect(t, transport.Error).Call, "the answer that it says it has missed")
	victim.Closed(t)

	w.try(transport.AppendResume(nil, &ask)).Expect(t, transport.Refuse)
	p.Send(transport.Frame{Header: transport.Header{Kind: transport.Ping, Arg: 5}})
	require.EqualValues(t, 5, p.Expect(t, transport.Pong).Arg)
	require.EqualValues(t, 1, w.Stats().Resumed)
	require.Equal(t, 1, w.Stats().Nodes)
}

func TestWrongAcks(t *testing.T) {
	t.Parallel() // it waits
	w, victim := resumable(t, Options{})
	victim.alive()
	for name, acks := range map[string][]uint64{
		"beyond what was sent":            {1 << 40},
		"within what was not sent yet":    {1 << 10},
		"before what was acknowledged":    {1, 0},
		"beyond, although it says so all": {1<<64 - 1},
	} {
		p := w.resumer("liar")
		p.alive()
		for _, a := range acks {
			p.Send(transport.Frame{Header: transport.Header{Kind: transport.Ack, Arg: a}})
		}
		p.Closed(t)
		w.eventually(func(st Stats) bool { return st.Nodes == 1 }, name+": it is a member")
		victim.alive()
	}
	plain := w.join("plain")
	plain.Send(transport.Frame{Header: transport.Header{Kind: transport.Ack}})
	plain.Closed(t)
	hello := w.resumer("late")
	hello.say(transport.Frame{Header: transport.Header{Kind: transport.Resume}, Payload: make([]byte, 69)})
	hello.Closed(t)
	victim.alive()
}

// TestD62NameOfACutSession is held until the session is dead, and then given to who waits for it (SEM-15).
func TestD62NameOfACutSession(t *testing.T) {
	t.Parallel() // it waits
	w := start(t, Options{ResumeGrace: 700 * time.Millisecond})
	w.conn = true
	victim := w.resumer("victim")
	victim.Link.Close(nil)
	other := w.peer()
	hello := transport.HelloPayload{Name: "victim", Session: [16]byte{9}}
	require.Equal(t, transport.Welcome, other.Hello(t, hello, nil).Kind)
	require.Equal(t, 1, w.Stats().Nodes)
}

// TestD62TheSameNodeDoesNotWait for the name of its cut session: it knows that this is dead.
func TestD62TheSameNodeDoesNotWait(t *testing.T) {
	t.Parallel() // it waits
	w := start(t, Options{ResumeGrace: time.Minute})
	w.conn = true
	hello := transport.HelloPayload{Name: "next", Incarnation: 2}
	next := w.resumer("next")
	next.Link.Close(nil)
	copy(hello.Session[:], "next")
	begin := time.Now()
	require.Equal(t, transport.Welcome, w.peer().Hello(t, hello, nil).Kind)
	require.Less(t, time.Since(begin), 30*time.Second)
}

// TestSEM15CutSession keeps its name from other identities, and is resumed by none.
func TestSEM15CutSession(t *testing.T) {
	t.Parallel()                                         // it waits
	w := start(t, Options{ResumeGrace: 2 * time.Second}) // the three attempts below come meanwhile, on a busy machine as well
	w.conn = true
	victim := w.resumer("victim")
	stranger, ask := w.come(someones["user 7"]), victim.ask(nil) // as if the secret had been stolen
	stranger.Send(transport.Frame{Header: transport.Header{Kind: transport.Resume}, Payload: transport.AppendResume(nil, &ask)})
	require.Equal(t, reasonNotResumed, refusal(t, stranger.Next(t)).Reason)
	victim.Link.Close(nil)
	for range 3 {
		r := refusal(t, w.come(someones["user 7"]).Hello(t, hello("victim", 1, 9), nil))
		require.Equal(t, permissionDenied, r.Code)
	}
	w.eventually(func(st Stats) bool { return st.Nodes == 0 }, "the session is not dead")
	require.Equal(t, transport.Welcome, w.come(someones["user 7"]).Hello(t, hello("victim", 1, 9), nil).Kind)
}

// TestCallOfACutSession ends with node_lost when the session is dead, and not before.
func TestCallOfACutSession(t *testing.T) {
	t.Parallel() // it waits
	w := start(t, Options{ResumeGrace: 300 * time.Millisecond})
	w.conn = true
	server := w.resumer("server")
	server.Register(t, "Svc", "M")
	client := w.join("client")
	route := client.Route(t, "Svc", "M", "sig")
	call := client.Call(route, 0, 1, "x")
	server.Served(t)
	begin := time.Now()
	server.Link.Close(nil)
	f := client.Failed(t, call)
	require.Equal(t, control.Failure{Code: unavailable, Reason: reasonNodeLost, Outcome: mayHaveRun, Method: f.Method, Node: f.Node, Message: f.Message}, f)
	require.GreaterOrEqual(t, time.Since(begin), 290*time.Millisecond)
	require.Less(t, time.Since(begin), 10*time.Second)
}
