package controller

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/daffi-rpc/daffi/runtime/internal/control"
	"github.com/daffi-rpc/daffi/runtime/internal/rawpeer"
)

// TestE24Parts registers a service in parts that come and go by themselves.
func TestE24Parts(t *testing.T) {
	w := start(t, Options{})
	node, caller := w.join("node"), w.join("caller")
	part := func(number uint32, methods ...string) *control.Failure {
		q := control.Register{Service: "S", Methods: rawpeer.Methods("()()", methods...), Part: number}
		return node.Ask(t, q.Append, control.OpOK, nil)
	}
	drop := func(number uint32) {
		q := control.Unregister{Service: "S", Part: number}
		require.Nil(t, node.Ask(t, q.Append, control.OpOK, nil))
	}
	require.Nil(t, part(1, "A"))
	require.Nil(t, part(2, "B", "C"))
	require.Nil(t, part(0, "D"))
	for _, taken := range []*control.Failure{part(0, "E"), part(2, "E"), part(3, "B"), part(4, "E", "A")} {
		require.NotNil(t, taken)
		require.Equal(t, alreadyExists, taken.Code)
	}
	methods := func() (names []string) {
		if w.Stats().Services == 0 {
			return nil
		}
		all, _ := inspect(t, caller, "S")
		for _, m := range all.Methods {
			names = append(names, m.Name)
		}
		return names
	}
	require.Equal(t, []string{"A", "B", "C", "D"}, methods())
	require.Equal(t, 1, w.Stats().Services)
	drop(2)
	drop(2) // nothing
	require.Equal(t, []string{"A", "D"}, methods())
	drop(0)
	require.Equal(t, []string{"A"}, methods())
	require.Nil(t, part(5, "B"))
	drop(1)
	require.Equal(t, []string{"B"}, methods())
	drop(5)
	require.Empty(t, methods())
	require.Zero(t, w.Stats().Services)
	s := w.names["node"]
	require.Zero(t, s.methods)
	require.Zero(t, s.words)
	require.Nil(t, part(6, "B")) // and what is left when the node leaves
	require.Nil(t, part(7, "A"))
}
