package controller

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/daffi-rpc/daffi/runtime/codec"
	"github.com/daffi-rpc/daffi/runtime/internal/control"
	"github.com/daffi-rpc/daffi/runtime/internal/rawpeer"
	"github.com/daffi-rpc/daffi/runtime/transport"
)

func TestRegisterRefused(t *testing.T) {
	w := start(t, Options{})
	p := w.join("node")
	p.Register(t, "Svc", "M")
	var many []string
	for i := range maxMethods {
		many = append(many, fmt.Sprintf("M%d", i))
	}
	long := strings.Repeat("x", transport.MaxWord)
	var wide []string
	for i := range tableBytes / transport.MaxWord {
		wide = append(wide, fmt.Sprintf("M%0*d", transport.MaxWord-1, i))
	}
	for name, test := range map[string]struct {
		service string
		methods []string
		code    uint8
	}{
		"twice":            {"Svc", []string{"Other"}, alreadyExists},
		"no name":          {"", nil, invalidArgument},
		"long service":     {long + "x", nil, invalidArgument},
		"long method":      {"S", []string{long + "x"}, invalidArgument},
		"space":            {"S", []string{"a b"}, invalidArgument},
		"not ASCII":        {"S", []string{"Größe"}, invalidArgument},
		"newline":          {"S\n", nil, invalidArgument},
		"dots":             {"a..b", nil, invalidArgument},
		"leading dot":      {".a", nil, invalidArgument},
		"trailing dot":     {"a.", nil, invalidArgument},
		"method twice":     {"S", []string{"A", "A"}, invalidArgument},
		"too many methods": {"S", many, resourceExhausted},
		"names too long":   {"S", wide, resourceExhausted},
	} {
		t.Run(name, func(t *testing.T) {
			f := p.TryRegister(t, test.service, rawpeer.Methods("sig", test.methods...))
			require.NotNil(t, f)
			require.Equal(t, test.code, f.Code, f.Message)
			require.NotEmpty(t, f.Message)
			require.Less(t, len(f.Message), 1024)
			require.Equal(t, 1, w.Stats().Services)
			require.Equal(t, 1, w.Stats().Providers)
		})
	}
	p.Register(t, long, long)
	p.Register(t, "a.b-c._1", many[:maxMethods-2]...)
	require.Equal(t, resourceExhausted, p.TryRegister(t, "More", rawpeer.Methods("sig", "One")).Code)
	p.Ask(t, (&control.Unregister{Service: "Svc"}).Append, control.OpOK, nil)
	p.Ask(t, (&control.Unregister{Service: "Svc"}).Append, control.OpOK, nil)
	p.Register(t, "More", "One")
}

func TestResolve(t *testing.T) {
	w := start(t, Options{})
	a, b := w.join("a"), w.join("b")
	n := a.Route(t, "Svc", "M", "one")
	require.Equal(t, n, b.Route(t, "Svc", "M", "one"))
	require.NotEqual(t, n, b.Route(t, "Svc", "M", "two"))
	b.TryRegister(t, "Svc", rawpeer.Methods("one", "M"))
	require.Equal(t, n, a.Route(t, "Svc", "M", "one"))

	resolve := func(service string, methods []control.Method) (control.Routes, *control.Failure) {
		var routes control.Routes
		f := a.Ask(t, (&control.Resolve{Service: service, Methods: methods}).Append, control.OpRoutes, &routes)
		return routes, f
	}
	routes, f := resolve("Svc", append(rawpeer.Methods("one", "M", "N"), rawpeer.Methods("two", "M")...))
	require.Nil(t, f)
	require.Len(t, routes.Routes, 3)
	require.Equal(t, n, routes.Routes[0].Number)
	require.False(t, routes.Routes[0].Remote)
	_, f = resolve("not a name", nil)
	require.Equal(t, invalidArgument, f.Code)
	_, f = resolve("Svc", rawpeer.Methods("", "not a name"))
	require.Equal(t, invalidArgument, f.Code)
	_, f = resolve("Svc", slices.Repeat(rawpeer.Methods("", "M"), maxResolved))
	require.Nil(t, f)
	_, f = resolve("Svc", slices.Repeat(rawpeer.Methods("", "M"), maxResolved+1))
	require.Equal(t, resourceExhausted, f.Code)
}

// TestInternLimit holds a node to its share of routes.
func TestInternLimit(t *testing.T) {
	w := start(t, Options{})
	p := w.join("node")
	failed := 0
	for i := range maxInterned/maxResolved + 1 {
		var ms []control.Method
		for j := range maxResolved {
			ms = append(ms, control.Method{Name: fmt.Sprintf("M%d", j), Sig: fmt.Sprint(i)})
		}
		if f := p.Ask(t, (&control.Resolve{Service: "S", Methods: ms}).Append, control.OpRoutes, nil); f != nil {
			require.Equal(t, resourceExhausted, f.Code)
			failed++
		}
	}
	require.Equal(t, 1, failed)
	require.Equal(t, maxInterned, w.Stats().Routes)

	p = w.join("another")
	before := p.Session
	w.Controller.mu.Lock()
	w.session(before).internBy = maxInternedBy - len("SMsig")
	w.Controller.mu.Unlock()
	ask := func(sig string) *control.Failure {
		return p.Ask(t, (&control.Resolve{Service: "S", Methods: rawpeer.Methods(sig, "M")}).Append, control.OpRoutes, nil)
	}
	require.Equal(t, resourceExhausted, ask("sig+").Code)
	require.Nil(t, ask("sig"))
	require.Equal(t, resourceExhausted, ask("x").Code)
	require.Nil(t, w.join("third").Ask(t, (&control.Resolve{Service: "S", Methods: rawpeer.Methods("x", "M")}).Append, control.OpRoutes, nil), "it has a share of its own")
}

// TestInternLimitOfAll has room left for one short route of a node that has named nothing before.
func TestInternLimitOfAll(t *testing.T) {
	w := start(t, Options{})
	w.Controller.mu.Lock()
	w.routeBytes = maxRouteBytes - len("SMsig")
	w.Controller.mu.Unlock()
	p := w.join("node")
	ask := func(sig string) *control.Failure {
		return p.Ask(t, (&control.Resolve{Service: "S", Methods: rawpeer.Methods(sig, "M")}).Append, control.OpRoutes, nil)
	}
	require.Equal(t, resourceExhausted, ask("sig+").Code)
	require.Nil(t, ask("sig"))
	require.Equal(t, resourceExhausted, ask("x").Code)
	require.Nil(t, ask("sig"), "it is known")
}

func TestRemote(t *testing.T) {
	w := start(t, Options{})
	a, b := transport.Pipe()
	w.Serve(distant{b}, nil)
	far := rawpeer.New(a).Start().Join(t, "far").Register(t, "Svc", "M")
	w.peers = append(w.peers, far)
	var routes control.Routes
	w.join("near").Ask(t, (&control.Resolve{Service: "Svc", Methods: rawpeer.Methods("sig", "M")}).Append, control.OpRoutes, &routes)
	require.True(t, routes.Routes[0].Remote)
}

// distant is a link to another host.
type distant struct{ transport.Link }

func (distant) Info() transport.Info { return transport.Info{Network: "tcp", Remote: "far", UID: -1} }

func TestFind(t *testing.T) {
	w := start(t, Options{})
	a, b := w.join("a"), w.join("b")
	find := func(name string) (found control.Found) {
		require.Nil(t, a.Ask(t, (&control.Find{Node: name}).Append, control.OpFound, &found))
		return found
	}
	require.Equal(t, b.Session, find("b").Session)
	require.Zero(t, find("c").Session)
	b.Close()
	w.eventually(func(st Stats) bool { return st.Nodes == 1 }, "b is still there")
	require.Zero(t, find("b").Session)
}

// view is what a watcher makes of what it is told.
type view struct {
	nodes    map[uint32]string
	messages int
	revision uint64
}

// read takes in messages up to one that is complete.
func (v *view) read(t testing.TB, p *rawpeer.Peer, number uint64) {
	t.Helper()
	for {
		op, d := p.Answer(t, number)
		require.Equal(t, control.OpTable, op)
		var m control.Table
		require.NoError(t, m.Read(d))
		v.take(t, &m)
		if !m.More {
			return
		}
	}
}

func (v *view) take(t testing.TB, m *control.Table) {
	t.Helper()
	require.GreaterOrEqual(t, m.Revision, v.revision)
	v.revision = m.Revision
	v.messages++
	for _, n := range m.Nodes {
		text := n.Name
		for _, s := range n.Services {
			text += fmt.Sprintf(" %s%v", s.Name, s.Methods)
		}
		v.nodes[n.Session] = text
	}
	for _, n := range m.Left {
		delete(v.nodes, n)
	}
}

func watch(t testing.TB, p *rawpeer.Peer) *view {
	t.Helper()
	v := &view{nodes: map[uint32]string{}}
	v.read(t, p, p.Control(func(e *codec.Encoder) { control.AppendPlain(e, control.OpWatch) }))
	return v
}

func TestWatch(t *testing.T) {
	for _, conn := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			w := start(t, Options{})
			w.conn = conn
			a := w.join("a").Register(t, "Svc", "N", "M")
			p := w.join("watcher")
			v := watch(t, p)
			want := map[uint32]string{a.Session: "a Svc[M N]", p.Session: "watcher"}
			require.Equal(t, want, v.nodes)

			change := func(after time.Duration) {
				t.Helper()
				begin := time.Now()
				v.read(t, p, 0)
				require.Equal(t, after, time.Since(begin))
				require.Equal(t, want, v.nodes)
			}
			b := w.join("b")
			want[b.Session] = "b"
			change(0) // the first at once
			b.Register(t, "Other")
			a.Close()
			synctest.Wait()
			want[b.Session] = "b Other[]"
			delete(want, a.Session)
			change(tablePause) // what follows, together
			b.Send(frame{Header: header{Kind: transport.Drain}})
			synctest.Wait()
			want[b.Session] = "b"
			change(tablePause)
			time.Sleep(time.Second)
			p.Nothing(t, 0)
			b.Close()
			delete(want, b.Session)
			change(0)

			// Who asks again is told everything again.
			require.Equal(t, want, watch(t, p).nodes)
			w.end()
		})
	}
}

// TestD57WatchChurn lets nodes come and go while watchers begin to watch: none of them misses anything, and they get few messages.
func TestD57WatchChurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, Options{})
		var views []*view
		var watchers []*rawpeer.Peer
		begin := time.Now()
		for i := range 60 {
			p := w.join(fmt.Sprintf("node-%d", i)).Register(t, "Svc", "M")
			if i%10 == 0 {
				watchers = append(watchers, p)
				views = append(views, watch(t, p))
			} else if i%3 == 0 {
				p.Close()
			}
			time.Sleep(time.Millisecond)
		}
		time.Sleep(time.Second)
		want := watch(t, w.join("last")).nodes
		time.Sleep(time.Second)
		for i, v := range views {
			for {
				f, ok := watchers[i].Poll()
				if !ok {
					break
				}
				var d codec.Decoder
				var m control.Table
				d.Reset(f.Payload)
				require.Equal(t, control.OpTable, control.ReadOp(&d))
				require.NoError(t, m.Read(&d))
				v.take(t, &m)
			}
			require.Equal(t, want, v.nodes)
			require.LessOrEqual(t, v.messages, int(time.Since(begin)/tablePause))
			require.LessOrEqual(t, v.messages, 10)
		}
		w.end()
	})
}

// TestWatchMany reads a table that does not fit into one frame, while it changes.
func TestWatchMany(t *testing.T) {
	for _, conn := range []bool{false, true} {
		w := start(t, Options{})
		w.conn = conn
		methods := make([]string, 300)
		for i := range methods {
			methods[i] = fmt.Sprintf("Method%0100d", i)
		}
		var nodes []*rawpeer.Peer
		for i := range 20 {
			nodes = append(nodes, w.join(fmt.Sprintf("node-%d", i)).Register(t, "Svc", methods...))
		}
		p := w.join("watcher")
		v := watch(t, p)
		require.Len(t, v.nodes, 21)
		require.Greater(t, v.messages, 5)
		for _, n := range nodes[:10] {
			n.Close()
		}
		for len(v.nodes) > 11 {
			v.read(t, p, 0)
		}
		require.Contains(t, slices.Collect(maps.Values(v.nodes)), "watcher")
		w.end()
	}
}

// TestWatcherTakesNothing holds little for a watcher that does not read.
func TestWatcherTakesNothing(t *testing.T) {
	w := start(t, Options{})
	w.conn = true
	goOn, stuck := w.stall("stuck")
	stuck.Register(t, "Svc", "M")
	watch(t, stuck)
	w.conn = false
	caller := w.join("caller")
	caller.Call(caller.Route(t, "Svc", "M", "sig"), 0, 1, "")
	for i := range 200 {
		p := w.join(fmt.Sprintf("node-%d", i))
		p.Close()
	}
	w.eventually(func(st Stats) bool { return st.Nodes == 2 }, "nodes are left")
	goOn()
	for told := 0; stuck.Next(t).Kind != transport.Request; told++ {
		require.Less(t, told, 20)
	}
	stuck.Ask(t, (&control.Find{Node: "x"}).Append, control.OpFound, nil)
}

// TestProtocolErrors sends what no node may send after it has joined: its link is closed, and its calls end.
func TestProtocolErrors(t *testing.T) {
	id := transport.CallID(0, 1)
	type test struct {
		name   string
		frames []frame
	}
	tests := []test{
		{"slot too high", []frame{{Header: header{Kind: transport.Request, Call: transport.CallID(transport.MaxCalls, 1)}}}},
		{"highest slot", []frame{{Header: header{Kind: transport.Request, Call: transport.CallID(1<<transport.SlotBits-1, 1)}}}},
		{"generation 0", []frame{{Header: header{Kind: transport.Request, Call: 5}}}},
		{"served id", []frame{{Header: header{Kind: transport.Request, Call: id | transport.Served}}}},
		{"id again", []frame{{Header: header{Kind: transport.Request, Call: id}}, {Header: header{Kind: transport.Request, Call: id}}}},
		{"cancel of served", []frame{{Header: header{Kind: transport.Cancel, Call: id | transport.Served}}}},
		{"reply of own", []frame{{Header: header{Kind: transport.Reply, Call: id}}}},
		{"error of own", []frame{{Header: header{Kind: transport.Error, Call: id}}}},
		{"stop of own", []frame{{Header: header{Kind: transport.Stop, Call: id}}}},
		{"large without length", []frame{{Header: header{Kind: transport.Request, Call: id, Flags: transport.Large}}}},
		{"unknown kind", []frame{{Header: header{Kind: 99}}}},
		{"reserved kind", []frame{{Header: header{Kind: 12}}}},
		{"kind 0", []frame{{}}},
		{"empty control", []frame{{Header: header{Kind: transport.Control}}}},
		{"bytes as control", []frame{{Header: header{Kind: transport.Control}, Payload: []byte{0x92, 3, 0xdd, 0xff, 0xff, 0xff, 0xff}}}},
		{"unknown operation, cut", []frame{{Header: header{Kind: transport.Control}, Payload: []byte{0x92, 99}}}},
		{"answer", []frame{{Header: header{Kind: transport.Control}, Payload: []byte{0x91, byte(control.OpOK)}}}},
	}
	for _, k := range []transport.Kind{
		transport.Hello, transport.Challenge, transport.Proof, transport.Welcome, transport.Refuse, transport.Peer, transport.Accepted,
	} {
		tests = append(tests, test{k.String(), []frame{{Header: header{Kind: k}}}})
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			over(t, func(t *testing.T, w *world) {
				callee := w.join("callee").Register(t, "Svc", "M")
				require.EqualValues(t, 1, callee.Route(t, "Svc", "M", "sig"))
				bad := w.join("bad").Register(t, "Bad", "M")
				good := w.join("good")
				served := good.Call(good.Route(t, "Bad", "M", "sig"), 0, 1, "")
				bad.Served(t)
				bad.Send(test.frames...)
				require.Error(t, bad.Closed(t))
				require.Equal(t, reasonNodeLost, good.Failed(t, served).Reason)
				st := w.Stats()
				require.Zero(t, st.Calls+st.Serving)
			})
		})
	}
}
