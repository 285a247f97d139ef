package daffi

import (
	"math"
	"reflect"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/daffi-rpc/daffi/runtime/internal/limits"
	"github.com/daffi-rpc/daffi/runtime/transport"
)

// TestLimitsOfANode: each field has a finite default, its least value and the largest of its type are taken or refused by name, and so is one that is negative.
func TestLimitsOfANode(t *testing.T) {
	var def Limits
	require.NoError(t, def.settle(defaultRunning, transport.MaxMessage, false))
	fields := reflect.TypeFor[Limits]()
	open := 0
	for i := range fields.NumField() {
		name := fields.Field(i).Name
		settled := func(v int64) (int64, error) {
			var l Limits
			reflect.ValueOf(&l).Elem().Field(i).SetInt(v)
			err := l.settle(defaultRunning, transport.MaxMessage, false)
			return reflect.ValueOf(l).Field(i).Int(), err
		}
		usual := reflect.ValueOf(def).Field(i).Int()
		require.Positive(t, usual, name)
		got, err := settled(usual)
		require.NoError(t, err, name)
		require.Equal(t, usual, got, name)
		largest := int64(math.MaxInt)
		if fields.Field(i).Type.Kind() == reflect.Int64 {
			largest = math.MaxInt64
		}
		switch got, err = settled(-1); {
		case err == nil:
			open++
			require.EqualValues(t, limits.Unlimited, got, name)
			got, err = settled(largest)
			require.NoError(t, err, name)
			require.EqualValues(t, limits.Unlimited, got, name)
		default:
			require.ErrorContains(t, err, "Limits."+name)
			require.Equal(t, usual, got, "%s keeps its default", name)
			_, err = settled(largest)
			require.ErrorContains(t, err, "Limits."+name)
			_, err = settled(math.MinInt32)
			require.ErrorContains(t, err, "Limits."+name)
		}
	}
	require.Equal(t, 14, open, "fields without a limit, where that is asked for")

	_, err := Connect(t.Context(), Options{Limits: Limits{CallDepth: 33}})
	require.ErrorContains(t, err, "Options.Limits.CallDepth is 33: it must be from 1 to 32")
	require.Equal(t, InvalidArgument, CodeOf(err))
}

// TestLIM24LargestRetries: whatever may be saved up, a tenth of it is there from the beginning, and more is earned.
func TestLIM24LargestRetries(t *testing.T) {
	for _, most := range []int{1, 19, 1 << 20, limits.Unlimited / 80, limits.Unlimited / 15, limits.Unlimited / 9, limits.Unlimited - 1, limits.Unlimited, math.MaxInt, -1} {
		l := Limits{Retries: most}
		require.NoError(t, l.settle(defaultRunning, transport.MaxMessage, false))
		var r retryBudget
		r.init(&l)
		was := r.left.Load()
		require.GreaterOrEqual(t, was, min(int64(l.Retries), math.MaxInt64/1000)*retryCost/10, most)
		require.True(t, r.spend(), most)
		for range 10 {
			r.earn()
		}
		if l.Retries < limits.Unlimited {
			require.Equal(t, min(was, r.most), r.left.Load(), most)
		}
	}
}
