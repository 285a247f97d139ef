package controller

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/daffi-rpc/daffi/runtime/internal/control"
	"github.com/daffi-rpc/daffi/runtime/internal/rawpeer"
)

// policyFile writes a policy.
func policyFile(tb testing.TB, text string) string {
	tb.Helper()
	file := filepath.Join(tb.TempDir(), "policy")
	require.NoError(tb, os.WriteFile(file, []byte(text), 0o600))
	return file
}

func TestPolicyOptions(t *testing.T) {
	_, err := Listen(t.Context(), Options{Addr: "tcp://127.0.0.1:0", PolicyDryRun: true})
	require.ErrorIs(t, err, errBadOption)
	require.ErrorContains(t, err, "PolicyDryRun without a Policy")
	_, err = Listen(t.Context(), Options{Addr: "tcp://127.0.0.1:0", Policy: filepath.Join(t.TempDir(), "none")})
	require.ErrorIs(t, err, os.ErrNotExist)
	_, err = Listen(t.Context(), Options{Addr: "tcp://127.0.0.1:0", Policy: policyFile(t, "allow all")})
	require.ErrorContains(t, err, "policy:1: a rule has 2 words")
	require.Panics(t, func() { New(Options{Policy: policyFile(t, "")}) })
}

// TestPolicyPartOfAService resolves a service of which a node may call one method.
func TestPolicyPartOfAService(t *testing.T) {
	w := start(t, Options{Policy: policyFile(t, "allow server serve Shop.*\nallow caller call Shop.Buy")})
	server, caller := w.join("server").Register(t, "Shop", "Buy", "Sell"), w.join("caller")
	var routes control.Routes
	require.Nil(t, caller.Ask(t, (&control.Resolve{Service: "Shop", Methods: rawpeer.Methods("sig", "Sell", "Buy", "Steal")}).Append, control.OpRoutes, &routes))
	require.Len(t, routes.Routes, 3)
	require.EqualValues(t, control.NoRoute, routes.Routes[0].Number)
	require.EqualValues(t, control.NoRoute, routes.Routes[2].Number)
	id := caller.Call(routes.Routes[1].Number, 1, 1, "\x90")
	server.Reply(server.Served(t).Call, "\x90")
	require.Equal(t, id, caller.Next(t).Call)
	for i, number := range []uint32{control.NoRoute, routes.Routes[1].Number + 1} {
		f := caller.Failed(t, caller.Call(number, 1, uint64(i+2), "\x90"))
		require.Equal(t, permissionDenied, f.Code)
		require.Equal(t, reasonPolicy, f.Reason)
		require.Equal(t, notRun, f.Outcome)
		require.Equal(t, `the controller's policy does not let node "caller" call this method`, f.Message)
	}
	why := caller.TryRegister(t, "Shop", rawpeer.Methods("sig", "Buy"))
	require.Equal(t, permissionDenied, why.Code)
	require.Equal(t, `the controller's policy does not let node "caller" serve Shop.Buy`, why.Message)
}
