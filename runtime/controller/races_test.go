package controller

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/daffi-rpc/daffi/runtime/internal/control"
	"github.com/daffi-rpc/daffi/runtime/internal/rawpeer"
	"github.com/daffi-rpc/daffi/runtime/transport"
)

// TestPolicyOfANumberThatIsGivenAgain has a node guess the number of a method that it may call. That number is another method's later, which it may not call.
func TestPolicyOfANumberThatIsGivenAgain(t *testing.T) {
	w := start(t, Options{Policy: policyFile(t, "allow server serve *\nallow friend call *\nallow guest call Shop.Open")})
	w.routes.many = 1
	friend, guest := w.join("friend"), w.join("guest")
	number := friend.Route(t, "Shop", "Open", "sig")
	require.Equal(t, reasonNoProvider, guest.Failed(t, guest.Call(number, 1, 1, "\x90")).Reason)
	friend.Close()
	w.eventually(func(st Stats) bool { return st.Routes == 0 }, "it is forgotten")

	w.join("server").Register(t, "Shop", "Secret")
	require.Equal(t, "Shop.Secret", w.route(number).String(), "it has the number")
	require.Equal(t, permissionDenied, guest.Failed(t, guest.Call(number, 1, 2, "\x90")).Code)
}

// TestIntroductionsAreNotGivenAgain has a route forgotten, and its number given to another, while calls of it wait for a node that takes what nobody serves. What tells that node of the other
// overtakes them.
func TestIntroductionsAreNotGivenAgain(t *testing.T) {
	w := start(t, Options{})
	w.routes.many = 1
	node := w.join("node")
	require.Nil(t, caught(t, node, "x"))
	told := func() uint32 {
		_, d := node.Answer(t, 0)
		var m control.Introduce
		require.NoError(t, m.Read(d))
		f := node.Served(t)
		require.Equal(t, m.Number, f.Route)
		return m.Number
	}
	first := w.join("first")
	number := first.Route(t, "x", "Harmless", "()()")
	first.Call(number, 1, 1, "\x90")
	before := told()
	w.mu.Lock()
	w.session(node.Session).untell(0) // as after many others
	w.mu.Unlock()
	first.Close()
	w.eventually(func(st Stats) bool { return st.Routes == 0 }, "it is forgotten")
	node.Expect(t, transport.Cancel)
	node.Expect(t, transport.Peer)

	other := w.join("other")
	require.Equal(t, number, other.Route(t, "x", "Harmful", "()()"), "it has the number")
	other.Call(number, 1, 1, "\x90")
	require.NotEqual(t, before, told())
}

// TestLostCallOfANumberThatIsGivenAgain has a one-way call lost whose caller has left, and whose number is another method's by then.
func TestLostCallOfANumberThatIsGivenAgain(t *testing.T) {
	w := start(t, Options{})
	w.routes.many = 1
	node, caller := w.join("node"), w.join("caller")
	require.Nil(t, caught(t, node, "x"))
	number := caller.Route(t, "x", "Posted", "()()")
	caller.Send(frame{Header: header{Kind: transport.Request, Call: transport.CallID(1, 1), Route: number, Mode: transport.Oneway}, Payload: []byte("\x90")})
	caller.Expect(t, transport.Accepted)
	w.mu.Lock()
	w.session(node.Session).untell(0) // as after many others
	w.mu.Unlock()
	caller.Close()
	w.eventually(func(st Stats) bool { return st.Routes == 0 }, "it is forgotten")
	require.Equal(t, number, w.join("other").Route(t, "x", "Other", "()()"))
	node.Close()
	w.eventually(func(st Stats) bool { return st.Lost[reasonNodeLost] == 1 }, "it is lost")
	require.Equal(t, map[string]uint64{"x.Posted": 1}, w.Stats().LostMethods)
}

// TestIntroductionsComeRound has 2³¹ routes come between two that a node is told of under one number.
func TestIntroductionsComeRound(t *testing.T) {
	w := start(t, Options{})
	node, caller := w.join("node"), w.join("caller")
	require.Nil(t, caught(t, node, "x"))
	call := func(slot uint32, method string) (number uint32) {
		caller.Call(caller.Route(t, "x", method, "()()"), slot, 1, "\x90")
		_, d := node.Answer(t, 0)
		var m control.Introduce
		require.NoError(t, m.Read(d))
		require.Equal(t, method, m.Method)
		require.Equal(t, m.Number, node.Served(t).Route)
		return m.Number
	}
	call(1, "First")
	number := call(2, "Second")
	call(3, "Third")
	w.mu.Lock()
	w.routes.added = uint64(number&^control.Introduced) + 1<<31 - 1
	w.mu.Unlock()
	require.Equal(t, number, call(4, "Last"))
	s := w.session(node.Session)
	require.Len(t, s.introduced, 3)
	require.Len(t, s.toldOf, 3)
	require.Equal(t, number, s.toldOf[2].number)
	caller.Call(caller.Route(t, "x", "Third", "()()"), 5, 1, "\x90")
	node.Served(t)
}

// TestSettleForgotten has signatures compared of which one is forgotten meanwhile, and its place taken by another.
func TestSettleForgotten(t *testing.T) {
	w := start(t, Options{})
	server, caller := w.join("server"), w.join("caller")
	require.Nil(t, server.Serve(t, "Shop", "(int)", "Buy"))
	require.NotZero(t, caller.Route(t, "Shop", "Buy", "(int,int)"))
	at := func(sig string) *route {
		w.mu.Lock()
		defer w.mu.Unlock()
		return w.routeIndex[routeKey{methodKey{"Shop", "Buy"}, sig}]
	}
	from, old := at("(int,int)"), at("(int)")
	server.Close()
	w.eventually(func(st Stats) bool { return st.Routes == 1 }, "it is forgotten")
	other := w.join("other")
	require.NotZero(t, other.Route(t, "Shop", "Buy", "(string)"))
	now := at("(string)")
	require.Equal(t, old.index, now.index)
	w.mu.Lock()
	defer w.mu.Unlock()
	pair{from, old}.settle(true)
	require.False(t, from.known.has(now.index))
	require.False(t, from.reaches(now), "what was found out of another")
}

// TestPartsWithoutMethods bounds them: they take memory of the controller like others.
func TestPartsWithoutMethods(t *testing.T) {
	w := start(t, Options{Limits: Limits{Methods: 3}})
	p := w.join("server")
	ask := func(part uint32, methods ...string) *control.Failure {
		return p.Ask(t, (&control.Register{Service: "S", Part: part, Methods: rawpeer.Methods("sig", methods...)}).Append, control.OpOK, nil)
	}
	for part := range uint32(3) {
		require.Nil(t, ask(part))
	}
	require.Equal(t, resourceExhausted, ask(3).Code)
	require.Nil(t, p.Ask(t, (&control.Unregister{Service: "S", Part: 1}).Append, control.OpOK, nil))
	require.Nil(t, ask(3, "A"))
	require.Equal(t, resourceExhausted, ask(4).Code)
}

// TestTableOfWhatIsHidden looks at as much of the table at a time where the node may see nothing as where it sees all: meanwhile nobody can join.
func TestTableOfWhatIsHidden(t *testing.T) {
	w := start(t, Options{Policy: policyFile(t, "allow server-* serve *\nallow monitor watch *\nallow guest call Shop.Open")})
	names := make([]string, 200)
	for i := range names {
		names[i] = fmt.Sprintf("M%03d%s", i, strings.Repeat("x", 100))
	}
	for i := range 8 {
		w.join(fmt.Sprint("server-", i)).Register(t, "Hidden", names...)
	}
	messages := func(p *rawpeer.Peer) (n, nodes int) {
		number := p.Control(plainly(control.OpWatch))
		for m := (control.Table{More: true}); m.More; n++ {
			m = control.Table{}
			_, d := p.Answer(t, number)
			require.NoError(t, m.Read(d))
			nodes += len(m.Nodes)
		}
		return n, nodes
	}
	all, nodes := messages(w.join("monitor"))
	require.Equal(t, 9, nodes)
	require.Greater(t, all, 3)
	hidden, nodes := messages(w.join("guest"))
	require.Equal(t, 1, nodes, "itself")
	require.GreaterOrEqual(t, hidden, all)
}

// SEM-15: a dead session holds nothing, though its name is released a moment after others were told that it has left: who comes in that moment waits for it, whoever it is.
func TestSEM15NameAboutToBeReleased(t *testing.T) {
	c := New(Options{})
	defer c.Close()
	holder := &session{c: c, name: "n", identity: "process"}
	holder.set(joined)
	c.names["n"] = holder
	ask := func() (s *session, why *transport.RefusePayload) {
		s = &session{c: c, name: "n", identity: "user 1"}
		c.mu.Lock()
		defer c.mu.Unlock()
		return s, c.askName(s)
	}
	_, why := ask()
	require.NotNil(t, why)
	require.Equal(t, permissionDenied, why.Code)

	holder.set(gone)
	s, why := ask()
	require.Nil(t, why)
	require.True(t, s.is(awaitName))
	s.patience.Stop()
	c.mu.Lock()
	c.forgetWaiting(s)
	delete(c.names, "n")
	c.mu.Unlock()
}
