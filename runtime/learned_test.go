package daffi

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/daffi-rpc/daffi/runtime/internal/control"
)

// A node remembers the methods that it was told of last, so that a controller may tell of any number, and need not say what it has forgotten.
func TestLIM66IntroductionsAreForgotten(t *testing.T) {
	s := &session{node: new(Node)}
	s.node.services.catchers.Store(&[]*Registration{})
	tell := func(i int) {
		require.NoError(t, s.learn(&control.Introduce{Number: control.Introduced + uint32(i), Service: "S", Method: "M"}))
	}
	for i := range 2 * maxIntroduced {
		tell(i)
	}
	tell(5) // again
	for i := range 2 * maxIntroduced {
		require.Equal(t, i != 0, s.unserved[control.Introduced+uint32(i)] != nil, i)
	}
	for i := range 2*maxIntroduced - 1 {
		tell(2*maxIntroduced + i)
	}
	require.NotNil(t, s.unserved[control.Introduced+5])
	require.Nil(t, s.unserved[control.Introduced+6])
	require.Len(t, s.unserved, 2*maxIntroduced)
	tell(0)
	require.Nil(t, s.unserved[control.Introduced+5])
}

// LIM-11: who leaves and joins anew under its name finds the handlers that run for it counted.
func TestLIM11CallersByName(t *testing.T) {
	var a admission
	first := a.meets("caller", false)
	first.running = 3
	a.parts(first)
	again := a.meets("caller", false)
	require.Same(t, first, again)
	require.NotSame(t, first, a.meets("caller", true), "its schedules are another caller")
	require.NotSame(t, first, a.meets("other", false))
	require.Same(t, first, a.meets("caller", false), "over another link")
	a.parts(first)
	a.parts(first)
	require.Len(t, a.callers, 3)
	first.running = 0
	a.mu.Lock()
	a.forgetCaller(first)
	a.mu.Unlock()
	require.Len(t, a.callers, 2)
	require.NotSame(t, first, a.meets("caller", false))
}
