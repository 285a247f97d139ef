package daffi_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	daffi "github.com/daffi-rpc/daffi/runtime"
	"github.com/daffi-rpc/daffi/runtime/codec"
	"github.com/daffi-rpc/daffi/runtime/controller"
	"github.com/daffi-rpc/daffi/runtime/internal/control"
	"github.com/daffi-rpc/daffi/runtime/internal/memconn"
	"github.com/daffi-rpc/daffi/runtime/internal/rawpeer"
	"github.com/daffi-rpc/daffi/runtime/internal/testkit"
	"github.com/daffi-rpc/daffi/runtime/transport"
)

// TestACC41Programs runs random programs of legal and illegal operations against a controller with honest nodes, and against a node. A failure names the seed.
func TestACC41Programs(t *testing.T) {
	programs := testkit.Full(300, 20_000)
	if raceEnabled {
		programs /= 6
	}
	corpus := corpusOf(t)
	for role, run := range map[string]func(*testing.T, *rawpeer.Corpus, []byte){"controller": programController, "node": programNode} {
		t.Run(role, func(t *testing.T) {
			for seed := range uint64(programs) {
				synctest.Test(t, func(t *testing.T) {
					defer func() {
						if t.Failed() {
							t.Logf("seed %d: %x", seed, randomProgram(seed))
						}
					}()
					run(t, &corpus, randomProgram(seed))
				})
			}
		})
	}
}

// randomProgram is a program as its seed makes it.
func randomProgram(seed uint64) []byte {
	r := rand.New(rand.NewPCG(41, seed))
	b := make([]byte, 30+r.IntN(400))
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

func corpusOf(t testing.TB) rawpeer.Corpus {
	t.Helper()
	corpus, err := rawpeer.ReadCorpus("../testdata/frames")
	require.NoError(t, err)
	return corpus
}

// FuzzControllerProgram takes bytes as what two attackers, and honest nodes beside them, do at a controller.
func FuzzControllerProgram(f *testing.F) { fuzzProgram(f, programController) }

// FuzzNodeProgram takes bytes as what an attacker does who plays the controller of a node.
func FuzzNodeProgram(f *testing.F) { fuzzProgram(f, programNode) }

func fuzzProgram(f *testing.F, run func(*testing.T, *rawpeer.Corpus, []byte)) {
	corpus := corpusOf(f)
	for seed := range uint64(16) {
		f.Add(randomProgram(seed))
	}
	f.Fuzz(func(t *testing.T, program []byte) {
		synctest.Test(t, func(t *testing.T) { run(t, &corpus, program[:min(len(program), 1000)]) })
	})
}

// script reads a program.
type script struct{ b []byte }

func (s *script) done() bool { return len(s.b) == 0 }

func (s *script) next() byte {
	if s.done() {
		return 0
	}
	v := s.b[0]
	s.b = s.b[1:]
	return v
}

func (s *script) n(n int) int { return int(s.next()) % n }

// pause lets time pass: none, a moment in which everything settles, or up to two seconds.
func (s *script) pause() {
	switch v := s.n(8); {
	case v < 3:
	case v < 6:
		synctest.Wait()
	default:
		time.Sleep(time.Duration(1+s.n(20)) * 100 * time.Millisecond)
	}
}

// honestCalls are what honest callers do. Each returns what is wrong with what it got, and its error.
var honestCalls = []struct {
	name string
	make func(ctx context.Context, p *testkit.KitProxy, arg int) (wrong string, err error)
}{
	{"Echo", func(ctx context.Context, p *testkit.KitProxy, arg int) (string, error) {
		b := binary.LittleEndian.AppendUint64(make([]byte, arg*arg), uint64(arg))
		got, err := p.Echo(ctx, b)
		if err == nil && string(got) != string(b) {
			return "the echo is another", nil
		}
		return "", err
	}},
	{"Count", func(ctx context.Context, p *testkit.KitProxy, arg int) (wrong string, err error) {
		next := 0
		for i, e := range p.Count(ctx, 10*arg, "") {
			if err != nil {
				wrong = fmt.Sprintf("item %d after the error %v", i, err)
			}
			if err = e; err == nil && i != next {
				wrong = fmt.Sprintf("item %d instead of %d", i, next)
			}
			if next++; next == 20*arg+5 {
				break
			}
		}
		if err == nil && next != 10*arg {
			wrong = fmt.Sprintf("%d items instead of %d", next, 10*arg)
		}
		return wrong, err
	}},
	{"Sum", func(ctx context.Context, p *testkit.KitProxy, arg int) (string, error) {
		sum, err := p.Sum(ctx, 0, numbers(arg))
		if err == nil && sum != arg*(arg-1)/2 {
			return "the sum is another", nil
		}
		return "", err
	}},
	{"Chat", func(ctx context.Context, p *testkit.KitProxy, arg int) (wrong string, err error) {
		said := 0
		for line, e := range p.Chat(ctx, func(yield func(string, error) bool) {
			for i := range arg {
				if !yield(fmt.Sprint(i), nil) {
					return
				}
			}
		}) {
			if err = e; err == nil && line != fmt.Sprintf("re: %d", said) {
				wrong = fmt.Sprintf("%q answers %d", line, said)
			}
			said++
		}
		if err == nil && said != arg {
			wrong = fmt.Sprintf("%d of %d answers", said, arg)
		}
		return wrong, err
	}},
	{"Blobs", func(ctx context.Context, p *testkit.KitProxy, arg int) (wrong string, err error) {
		left := 0
		for b, e := range p.Blobs(ctx, 5, arg*100+1) {
			if err = e; err == nil && len(b) != arg*100+1 {
				wrong = "a blob of another size"
			}
			if left++; left == 3 {
				break
			}
		}
		return wrong, err
	}},
	{"Block", func(ctx context.Context, p *testkit.KitProxy, arg int) (string, error) { return "", p.Block(ctx) }},
	{"Note", func(ctx context.Context, p *testkit.KitProxy, arg int) (string, error) {
		return "", p.Note(ctx, "note")
	}},
	{"Total", func(ctx context.Context, p *testkit.KitProxy, arg int) (string, error) {
		n, err := p.Total(ctx)
		if err == nil && n != 0 && arg%2 == 0 { // attackers may add
			return "", nil
		}
		return "", err
	}},
}

// honestCall makes one call of the program on a goroutine of its own.
func (s *script) honestCall(o *oracle, all *sync.WaitGroup, n *daffi.Node, directed bool) {
	what, arg := honestCalls[s.n(len(honestCalls))], s.n(16)
	limit := time.Duration(1+s.n(30)) * 100 * time.Millisecond
	cancelAt := limit * time.Duration(s.n(8)) / 4
	var opts []daffi.CallOption
	if directed {
		opts = append(opts, daffi.To("server"))
	}
	p := testkit.NewKit(n, opts...)
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	ctx, c := o.call(ctx, what.name, directed, limit)
	all.Go(func() {
		defer cancel()
		if cancelAt < limit && arg%4 == 0 {
			time.AfterFunc(cancelAt, cancel)
		}
		wrong, err := what.make(ctx, p, arg)
		o.end(c, err, wrong)
	})
}

// villain is a node without manners, on one connection after the other.
type villain struct {
	ctl   *controller.Controller
	o     *oracle
	name  string
	usual *rawpeer.Usual
	wants string // a name that is not its own

	conn  *rawpeer.Feed
	mut   *rawpeer.Mutator
	links int

	mu     sync.Mutex
	guest  rawpeer.Guest
	served []uint64 // calls that it was given
	last   uint64   // generation of its own
	asked  uint64
}

// connect begins another connection, under a name.
func (v *villain) connect(name string, seed byte) {
	if v.conn != nil {
		v.conn.End()
	}
	v.links++
	c := rawpeer.NewFeed()
	guest := rawpeer.Guest{Hello: transport.HelloPayload{Name: name, Features: transport.FeatureResume, Incarnation: uint64(v.links)}}
	copy(guest.Hello.Session[:], v.name)
	v.mu.Lock() // what is written to the connection before may still be seen
	v.guest, v.served = guest, nil
	v.conn, v.mut = c, v.usual.Mutator(rand.New(rand.NewPCG(uint64(seed), uint64(v.links))))
	v.mu.Unlock()
	c.OnFrame = func(f *transport.Frame) {
		v.mu.Lock()
		defer v.mu.Unlock()
		if v.conn != c {
			return
		}
		c.PushFrames(v.guest.Answer(f)...)
		if v.guest.Joined && v.guest.Hello.Name == "server" {
			v.o.mu.Lock()
			v.o.violation("an attacker has the name of the server")
			v.o.mu.Unlock()
		}
		if f.Kind == transport.Request {
			v.served = append(v.served, f.Call)
			v.mut.Call(f.Call)
		}
	}
	v.ctl.Serve(transport.NewConn(c, transport.Info{Network: "mem", Remote: v.name, UID: -1}), nil)
	first := guest.First()
	c.PushFrames(first)
}

// send sends a frame whose payload, if it is of a call, has the venom in it.
func (v *villain) send(h transport.Header, payload []byte) {
	v.conn.PushFrames(transport.Frame{Header: h, Payload: payload})
}

// arguments are what may follow a Request of an attacker.
func (s *script) arguments() []byte {
	all := [][]byte{{0x90}, {0x91, 0xc4, 1, 7}, {0x92, 3, 0xa0}, {0x91, 0xce, 0xff, 0xff, 0xff, 0xff}, {0x91, 3}, {0x92, 0, 0x90}, nil, []byte(venom), {0xc1}, {0x91, 0xc4, 6, 0xc1, 'V', 'E', 'N', 'O', 'M'}}
	return all[s.n(len(all))]
}

// act does one operation.
func (v *villain) act(s *script) {
	v.mu.Lock()
	own := transport.CallID(uint32(s.n(4)), v.last)
	given := transport.Served | transport.CallID(uint32(s.n(8)), uint64(1+s.n(4)))
	if n := len(v.served); n > 0 && s.n(4) > 0 {
		given = v.served[s.n(n)]
	}
	v.asked++
	asked := v.asked
	v.mu.Unlock()
	poison := append([]byte{7}, venom+"!"...)
	ask := func(payload []byte) {
		v.send(transport.Header{Kind: transport.Control, Call: asked}, payload)
	}
	said := func(what string) []byte {
		v.o.mu.Lock()
		defer v.o.mu.Unlock()
		return v.o.said[what]
	}
	plain := func(fill func(*codec.Encoder)) []byte {
		var e codec.Encoder
		fill(&e)
		return e.Bytes()
	}
	switch op := s.n(20); op {
	case 0, 1, 2, 3: // calls
		h := transport.Header{Kind: transport.Request, Route: uint32(s.n(20)), Mode: transport.Mode(s.next()) & 0x7f, Arg: uint64(s.n(20)) * 1e8}
		if op < 3 {
			h.Mode &= transport.Input | transport.Output | transport.Oneway
		}
		if s.n(4) == 0 {
			h.Flags = transport.Flags(s.next()) &^ transport.Large
			h.Peer = uint32(s.n(8))
			h.Depth = s.next() % 40
		}
		v.mu.Lock()
		if s.n(16) > 0 {
			v.last++
		}
		h.Call = transport.CallID(uint32(s.n(4)), v.last)
		v.mu.Unlock()
		payload := s.arguments()
		if s.n(8) == 0 {
			h.Flags |= transport.Large
			payload = transport.AppendAnnounced(nil, s.n(256)<<s.n(26))
		}
		v.send(h, payload)
	case 4, 5: // what follows calls, of either side
		id := own
		if s.n(2) == 0 {
			id = given
		}
		kinds := []transport.Kind{transport.Data, transport.Chunk, transport.Credit, transport.Grant}
		h := transport.Header{Kind: kinds[s.n(4)], Call: id, Flags: transport.Flags(s.next()) & (transport.End | transport.More | transport.Bulk | transport.Broken), Arg: uint64(s.n(256)) << s.n(56)}
		v.send(h, poison)
	case 6, 7: // ends of what it serves, or does not
		kinds := []transport.Kind{transport.Reply, transport.Error, transport.Stop, transport.Reply}
		v.send(transport.Header{Kind: kinds[s.n(4)], Call: given, Flags: transport.Flags(s.next()) & transport.Bulk}, poison)
	case 8:
		v.send(transport.Header{Kind: transport.Reply, Call: given, Flags: transport.Large}, transport.AppendAnnounced(nil, s.n(256)<<s.n(16)))
	case 9:
		v.send(transport.Header{Kind: transport.Cancel, Call: own, Flags: transport.Bulk}, nil)
	case 10: // it serves what the server does, and calls what the caller does
		if b := said(fmt.Sprint("server ", control.OpRegister)); b != nil {
			ask(b)
		}
		if b := said(fmt.Sprint("caller ", control.OpResolve)); b != nil {
			v.send(transport.Header{Kind: transport.Control, Call: asked + 1<<20}, b)
		}
	case 11:
		ask(plain((&control.Unregister{Service: testkit.KitName}).Append))
	case 12:
		ask(plain((&control.Find{Node: []string{"server", "caller", "bad0", ""}[s.n(4)]}).Append))
	case 13:
		ask(plain((&control.Targets{Route: uint32(s.n(20)), Named: s.n(2) == 0}).Append))
	case 14:
		var b []byte
		for range 1 + s.n(4) {
			b = v.mut.Append(b)
		}
		v.conn.Push(b)
	case 15:
		v.send(transport.Header{Kind: []transport.Kind{transport.Ping, transport.Drain, transport.Goodbye, transport.Pong}[s.n(4)], Arg: uint64(s.next())}, nil)
	case 16:
		v.connect([]string{v.name, v.wants, v.name, "Bad Name\n"}[s.n(4)], s.next())
	case 17: // half a frame, and the end
		b := v.mut.Append(nil)
		v.conn.Push(b[:len(b)/2])
		v.conn.End()
		v.connect(v.name, s.next())
	case 18: // goes on with what was never cut, or is not its own
		v.mu.Lock()
		p := transport.ResumePayload{Session: v.guest.Welcome.Session, Controller: v.guest.Welcome.Incarnation, Attempt: uint64(s.n(4)), Received: uint64(s.n(3))}
		p.Session += uint32(s.n(3))
		p.Prove(v.guest.Secret, false)
		v.mu.Unlock()
		c := rawpeer.NewFeed()
		v.ctl.Serve(transport.NewConn(c, transport.Info{Network: "mem", Remote: v.name, UID: -1}), nil)
		c.PushFrames(transport.Frame{Header: transport.Header{Kind: transport.Resume}, Payload: transport.AppendResume(nil, &p)})
		if s.n(2) == 0 {
			synctest.Wait()
		}
		c.End()
	case 19:
		ask(plain((&control.Select{Service: testkit.KitName, Methods: rawpeer.Methods("()()", "M"), Choice: control.Choice{Self: true, Balance: control.Balance(s.next())}}).Append))
	}
}

func programController(t *testing.T, corpus *rawpeer.Corpus, program []byte) {
	s, o := &script{program}, newOracle()
	ctl := controller.New(controller.Options{PingInterval: time.Second, DeadInterval: 3 * time.Second})
	cut := map[string]*memconn.Conn{}
	var cutting sync.Mutex
	attach := func(name string) daffi.Controller {
		return attaching(func() (transport.Link, error) {
			a, b := memconn.Pair()
			cutting.Lock()
			cut[name] = a
			cutting.Unlock()
			info := transport.Info{Network: "mem", Remote: name, UID: -1}
			ctl.Serve(transport.NewConn(b, info), nil)
			return transport.NewConn(o.tap(name, a), info), nil
		})
	}
	server, err := daffi.Connect(t.Context(), daffi.Options{Name: "server", Controller: attach("server"), ServeInterceptors: []daffi.Interceptor{o.started}})
	require.NoError(t, err)
	_, err = testkit.RegisterKit(server, new(brief))
	require.NoError(t, err)
	caller, err := daffi.Connect(t.Context(), daffi.Options{Name: "caller", Controller: attach("caller")})
	require.NoError(t, err)
	_, err = testkit.NewKit(caller).Total(t.Context()) // the routes have numbers
	require.NoError(t, err)
	usual := corpus.Of(rawpeer.FromNode)
	victim, wants := "server", "bad1" // a node that is cut off leaves its name to others after a while, so either happens
	if s.n(2) == 0 {
		victim, wants = "caller", "server"
	}
	villains := []*villain{{ctl: ctl, o: o, name: "bad0", usual: usual, wants: wants}, {ctl: ctl, o: o, name: "bad1", usual: usual, wants: wants}}
	for _, v := range villains {
		v.connect(v.name, s.next())
	}
	synctest.Wait()

	var calls sync.WaitGroup
	for !s.done() {
		switch op := s.n(16); op {
		case 0, 1, 2:
			s.honestCall(o, &calls, caller, true)
		case 3:
			s.honestCall(o, &calls, caller, false)
		case 4:
			if s.n(4) == 0 {
				cutting.Lock()
				cut[victim].Close()
				cutting.Unlock()
			}
		default:
			villains[op%2].act(s)
		}
		s.pause()
	}
	for _, v := range villains {
		v.conn.End()
	}
	calls.Wait()
	time.Sleep(20 * time.Second) // what was cut is over, and one-way calls have ended
	synctest.Wait()
	_, err = testkit.NewKit(caller, daffi.To("server")).Total(t.Context())
	require.NoError(t, err, "others are served")
	time.Sleep(time.Second)
	require.Empty(t, server.Held())
	require.Empty(t, caller.Held())
	require.NoError(t, caller.Close())
	require.NoError(t, server.Close())
	synctest.Wait()
	st := ctl.Stats()
	require.Zero(t, [...]int{st.Links, st.Pending, st.Nodes, st.Waiting, st.Services, st.Providers, st.Watchers, st.Calls, st.Serving, st.Introductions, st.Kept}, "%+v", st)
	require.NoError(t, ctl.Close())
	require.Empty(t, strings.Join(o.verdict(), "\n"))
}

// programNode is the same with an attacker in the controller's place, who may say anything of anybody. A node must not panic or hang, each of its calls must end once and in
// time, no handler starts twice or without a Request, and nothing is left.
func programNode(t *testing.T, corpus *rawpeer.Corpus, program []byte) {
	s := &script{program}
	o := newOracle()
	usual := corpus.Of(rawpeer.FromController)
	var mu sync.Mutex
	var conn *rawpeer.Feed
	var mut *rawpeer.Mutator
	var requests []uint64 // of the node, that are under way
	var requested, starts int
	host := rawpeer.Host{Name: "villain"}
	dialled := uint64(0)
	over := false
	n := daffi.New(daffi.Options{Name: "n", MaxRunning: 4, MaxQueue: 4, Controller: attaching(func() (transport.Link, error) {
		mu.Lock()
		defer mu.Unlock()
		if over {
			return nil, errors.New("nobody listens")
		}
		dialled++
		c := rawpeer.NewFeed()
		conn, mut, requests = c, usual.Mutator(rand.New(rand.NewPCG(dialled, 0))), nil
		c.OnFrame = func(f *transport.Frame) {
			mu.Lock()
			defer mu.Unlock()
			c.PushFrames(host.Answer(f)...)
			if f.Kind == transport.Request && conn == c {
				requests = append(requests, f.Call)
				mut.Call(f.Call)
			}
		}
		info := transport.Info{Network: "mem", Remote: "controller", UID: -1}
		return transport.NewConn(o.tap("n", c), info), nil
	}), ServeInterceptors: []daffi.Interceptor{func(ctx context.Context, c *daffi.Interception, next func(context.Context) error) error {
		mu.Lock()
		starts++
		mu.Unlock()
		return next(ctx)
	}}})
	_, err := testkit.RegisterKit(n, new(brief))
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go n.Join(ctx)
	synctest.Wait()

	var calls sync.WaitGroup
	generation := uint64(0)
	given := uint64(0)
	for !s.done() {
		mu.Lock()
		c, m := conn, mut
		own := transport.CallID(uint32(s.n(8)), uint64(1+s.n(4)))
		if k := len(requests); k > 0 && s.n(4) > 0 {
			own = requests[s.n(k)]
		}
		mu.Unlock()
		send := func(h transport.Header, payload []byte) {
			c.PushFrames(transport.Frame{Header: h, Payload: payload})
		}
		switch op := s.n(16); op {
		case 0, 1, 2:
			s.honestCall(o, &calls, n, false)
		case 3:
			send(transport.Header{Kind: transport.Peer, Peer: uint32(s.n(4)), Flags: transport.Flags(s.next()) & transport.Bulk, Arg: uint64(s.n(2))}, []byte(venom)[:s.n(2)*5])
		case 4, 5, 6: // calls
			h := transport.Header{Kind: transport.Request, Route: uint32(s.n(20)), Peer: uint32(s.n(4)), Mode: transport.Mode(s.next()) & 0x7f, Arg: uint64(s.n(20)) * 1e8}
			if s.n(16) > 0 {
				generation++
			}
			h.Call = transport.Served | transport.CallID(uint32(s.n(4)), generation)
			given = h.Call
			payload := s.arguments()
			switch s.n(8) {
			case 0:
				h.Flags = transport.Large
				payload = transport.AppendAnnounced(nil, s.n(256)<<s.n(26))
			case 1:
				h.Flags = transport.Flags(s.next()) &^ transport.Large
				h.Depth = s.next()
			}
			requested++
			send(h, payload)
		case 7, 8:
			id := own
			if s.n(2) == 0 {
				id = given
			}
			kinds := []transport.Kind{transport.Data, transport.Chunk, transport.Credit, transport.Grant, transport.Stop, transport.Cancel}
			send(transport.Header{Kind: kinds[s.n(6)], Call: id, Flags: transport.Flags(s.next()) & (transport.End | transport.More | transport.Bulk | transport.Broken), Arg: uint64(s.n(256)) << s.n(56)}, s.arguments())
		case 9, 10:
			kinds := []transport.Kind{transport.Reply, transport.Error, transport.Accepted}
			send(transport.Header{Kind: kinds[s.n(3)], Call: own, Flags: transport.Flags(s.next()) & (transport.Bulk | transport.Meta)}, s.arguments())
		case 11:
			send(transport.Header{Kind: transport.Reply, Call: own, Flags: transport.Large}, transport.AppendAnnounced(nil, s.n(256)<<s.n(16)))
		case 12, 13:
			var b []byte
			before := len(b)
			for range 1 + s.n(3) {
				b = m.Append(b)
			}
			requested += len(b) - before // more than there can be in it
			c.Push(b)
		case 14:
			send(transport.Header{Kind: []transport.Kind{transport.Ping, transport.Drain, transport.Goodbye, transport.Pong}[s.n(4)]}, nil)
		case 15:
			if s.n(4) == 0 {
				c.End()
			}
		}
		s.pause()
	}
	mu.Lock()
	over = true
	conn.End()
	mu.Unlock()
	calls.Wait()
	cancel()
	time.Sleep(20 * time.Second)
	require.Equal(t, "no session", n.Held())
	require.NoError(t, n.Close())
	require.LessOrEqual(t, starts, requested)
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, c := range o.calls {
		require.Equal(t, 1, c.ends, "ends of call %s, %s", c.id, c.what)
		require.LessOrEqual(t, c.at.Sub(c.began), c.limit+slack, "call %s, %s: %v", c.id, c.what, c.err)
	}
	for _, wrong := range o.wrong {
		if strings.Contains(wrong, " answers ") {
			require.Fail(t, wrong)
		}
	}
}
