package daffi

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/daffi-rpc/daffi/runtime/transport"
)

// A caller may leave after the last piece of its large reply has come, before it is told.
func TestCallerLeavesAsItsLargeReplyEnds(t *testing.T) {
	s := &session{node: new(Node)}
	s.assemblies.free = assemblyBudget
	id, _, err := s.calls.add(&pending{done: make(chan struct{}, 1)}, nil)
	require.NoError(t, err)
	a := s.newAssembly(id, 100, 0)
	a.grant = func(int) {}
	require.Same(t, a, s.calls.assembly(id, a))
	s.assemblies.reserve(a)
	last, ok := a.add(&transport.Frame{Header: transport.Header{Kind: transport.Chunk, Call: id}, Payload: make([]byte, 100)})
	require.True(t, last && ok)
	require.NotNil(t, s.calls.remove(id))
	s.largeReplied(id, a)
	require.Equal(t, assemblyBudget, s.assemblies.free)
	require.True(t, s.calls.none())
}
