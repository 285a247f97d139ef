package daffi

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/daffi-rpc/daffi/runtime/internal/control"
)

// A node remembers the methods that it was told of last, so that a controller may tell of any number, and need not say what it has forgotten.
func TestLIM66IntroductionsAreForgotten(t *testing.T) {
	s := new(session)
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
