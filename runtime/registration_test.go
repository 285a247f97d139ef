package daffi_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	daffi "github.com/daffi-rpc/daffi/runtime"
	"github.com/daffi-rpc/daffi/runtime/daffitest"
	"github.com/daffi-rpc/daffi/runtime/internal/testkit"
)

// Nothing is global: controllers and nodes of one process know nothing of each other, not even under equal names.
func TestD1TwoControllersInOneProcess(t *testing.T) {
	var clients []*daffi.Node
	for i := range 2 {
		net, impl := daffitest.New(t), new(testkit.Impl)
		_, err := testkit.RegisterKit(net.Node("server"), impl)
		require.NoError(t, err)
		require.NoError(t, impl.Add(t.Context(), i+1))
		clients = append(clients, net.Node("client"))
	}
	for i, client := range clients {
		total, err := testkit.NewKit(client).Total(t.Context())
		require.NoError(t, err)
		require.Equal(t, i+1, total)
		peers, err := client.Peers(t.Context())
		require.NoError(t, err)
		require.Len(t, peers, 2)
	}
}

// What is registered is a value that is there already, made as its type wants it; so nothing is ever offered that cannot be called.
func TestD25D27AValueIsRegistered(t *testing.T) {
	net := daffitest.New(t)
	server := net.Node("server")
	_, err := testkit.RegisterKit(server, nil)
	requireError(t, err, daffi.InvalidArgument, "", daffi.NotRun)
	notes := make(chan string, 1)
	_, err = testkit.RegisterKit(server, &testkit.Impl{Notes: notes})
	require.NoError(t, err)
	client := net.Node("client")
	require.NoError(t, client.WaitMethod(t.Context(), testkit.KitName))
	require.NoError(t, testkit.NewKit(client).Note(t.Context(), "made with an argument"))
	require.Equal(t, "made with an argument", <-notes)
}

// A node serves an interface once under one name, and as often as it likes under others.
func TestD28NamedInstances(t *testing.T) {
	net := daffitest.New(t)
	server, one, two := net.Node("server"), new(testkit.Impl), new(testkit.Impl)
	_, err := testkit.RegisterKit(server, one)
	require.NoError(t, err)
	_, err = testkit.RegisterKit(server, two)
	requireError(t, err, daffi.AlreadyExists, "", daffi.NotRun)
	_, err = testkit.RegisterKit(server, two, daffi.As("kit-eu"))
	require.NoError(t, err)
	client := net.Node("client")
	require.NoError(t, client.WaitMethod(t.Context(), "kit-eu.Add"))
	require.NoError(t, client.WaitMethod(t.Context(), testkit.KitName))
}
