package limits

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestBounds(t *testing.T) {
	within := func(v int) (int, error) {
		var s Setter
		Within(&s, "X", &v, 5, 2, 9)
		return v, s.Err
	}
	for v, want := range map[int]int{0: 5, 2: 2, 9: 9} {
		got, err := within(v)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	for _, v := range []int{1, 10, -1, math.MaxInt, math.MinInt} {
		got, err := within(v)
		require.ErrorContains(t, err, "Limits.X is ")
		require.ErrorContains(t, err, "it must be from 2 to 9, or 0 for 5")
		require.Equal(t, 5, got)
	}
	open := func(v int) (int, error) {
		var s Setter
		Open(&s, "X", &v, 5, 2)
		return v, s.Err
	}
	for v, want := range map[int]int{0: 5, 2: 2, Unlimited: Unlimited, Unlimited + 1: Unlimited, math.MaxInt: Unlimited, -1: Unlimited, math.MinInt: Unlimited} {
		got, err := open(v)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	none, err := open(-1)
	require.NoError(t, err)
	require.Positive(t, 2*none, "twice as much does not overflow")
	_, err = open(1)
	require.ErrorContains(t, err, "at least 2, or 0 for 5, or negative for no limit")
	require.GreaterOrEqual(t, Unlimited, 1<<30-1)
	big := int64(math.MinInt64)
	Open(new(Setter), "X", &big, 5, 2)
	require.Equal(t, int64(Unlimited64), big)

	var s Setter
	Before(&s, "A", time.Second, "B", time.Second)
	require.NoError(t, s.Err)
	Before(&s, "A", time.Second+1, "B", time.Second)
	Before(&s, "C", 3, "D", 2)
	require.EqualError(t, s.Err, "Limits.A is 1.000000001s, and Limits.B only 1s", "the first counts")
}
