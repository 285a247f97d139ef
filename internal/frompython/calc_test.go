package frompython

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	daffi "github.com/daffi-rpc/daffi/runtime"
	"github.com/daffi-rpc/daffi/runtime/daffitest"
)

// TestCalc calls what the page calls.
func TestCalc(t *testing.T) {
	net, ctx := daffitest.New(t), t.Context()
	_, err := RegisterCalc(net.Node("server"), &adder{multiplier: 3})
	require.NoError(t, err)
	node := net.Node("client")
	require.NoError(t, node.WaitMethod(ctx, CalcName))
	calc := NewCalcClient(node)
	sum, err := calc.Sum(ctx, 1, 2)
	require.NoError(t, err)
	require.Equal(t, 9, sum)
	sum, err = calc.AddDoubled(ctx, 1, 2)
	require.NoError(t, err)
	require.Equal(t, 18, sum)
	primes, err := daffi.Items(calc.Primes(ctx, 12))
	require.NoError(t, err)
	require.Equal(t, []int{2, 3, 5, 7, 11}, primes)
	require.NoError(t, calc.RecordAll(ctx, slices.Values([]float64{1.5, 2.5})))
	require.NoError(t, calc.Log(ctx, "done"))
}
