package controller

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/daffi-rpc/daffi/runtime/internal/control"
	"github.com/daffi-rpc/daffi/runtime/internal/rawpeer"
)

// TestPolicyOfANumberThatIsGivenAgain has a node guess the number of a method that it may call. That number is another method's later, which it may not call.
func TestPolicyOfANumberThatIsGivenAgain(t *testing.T) {
	w := start(t, Options{Policy: policyFile(t, "allow server serve *\nallow friend call *\nallow guest call Shop.Open")})
	friend, guest := w.join("friend"), w.join("guest")
	number := friend.Route(t, "Shop", "Open", "sig")
	require.Equal(t, reasonNoProvider, guest.Failed(t, guest.Call(number, 1, 1, "\x90")).Reason)
	friend.Close()
	w.eventually(func(st Stats) bool { return st.Routes == 0 }, "it is forgotten")

	w.mu.Lock()
	next := w.routes.next
	w.routes.next = manyRoutes
	w.mu.Unlock()
	w.join("server").Register(t, "Shop", "Secret")
	w.mu.Lock()
	w.routes.next = next
	w.mu.Unlock()
	require.Equal(t, "Shop.Secret", w.route(number).String(), "it has the number")
	require.Equal(t, permissionDenied, guest.Failed(t, guest.Call(number, 1, 2, "\x90")).Code)
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
