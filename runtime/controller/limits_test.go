package controller

import (
	"math"
	"reflect"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/daffi-rpc/daffi/runtime/internal/limits"
)

// TestLimitsOfAController: each field has a finite default, its least value and the largest of its type are taken or refused by name, and so is one that is negative.
func TestLimitsOfAController(t *testing.T) {
	var def Limits
	require.NoError(t, settleWith(&def))
	fields := reflect.TypeFor[Limits]()
	open := 0
	for i := range fields.NumField() {
		name := fields.Field(i).Name
		if name == "ProcessMemory" { // its default is the system's
			continue
		}
		settled := func(v int64) (int64, error) {
			var l Limits
			reflect.ValueOf(&l).Elem().Field(i).SetInt(v)
			err := settleWith(&l)
			return reflect.ValueOf(l).Field(i).Int(), err
		}
		usual := reflect.ValueOf(def).Field(i).Int()
		require.Positive(t, usual, name)
		got, err := settled(usual)
		require.NoError(t, err, name)
		require.Equal(t, usual, got, name)
		largest, none := int64(math.MaxInt), int64(limits.Unlimited)
		if fields.Field(i).Type.Kind() == reflect.Int64 {
			largest, none = math.MaxInt64, limits.Unlimited64
		}
		switch got, err = settled(-1); {
		case err == nil:
			open++
			require.Equal(t, none, got, name)
			got, err = settled(largest)
			require.NoError(t, err, name)
			require.Equal(t, none, got, name)
		default:
			require.ErrorContains(t, err, "Limits."+name)
			require.Equal(t, usual, got, "%s keeps its default", name)
			_, err = settled(largest)
			require.ErrorContains(t, err, "Limits."+name)
			_, err = settled(math.MinInt32)
			require.ErrorContains(t, err, "Limits."+name)
		}
	}
	require.Equal(t, 18, open, "fields without a limit, where that is asked for")

	require.PanicsWithError(t, "options of the controller: Limits.CallDepth is 33: it must be from 1 to 32, or 0 for 32", func() { New(Options{Limits: Limits{CallDepth: 33}}) })
}

func settleWith(l *Limits) error {
	return l.settle(&Options{PingInterval: time.Second})
}
