package daffi

import (
	"log/slog"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/daffi-rpc/daffi/runtime/internal/control"
)

// LIM-72: a row that fits is there, one more is left out until there is room again.
func TestLIM72TableBytes(t *testing.T) {
	row := func(session uint32, methods ...string) control.Node {
		return control.Node{Session: session, Name: "n", Services: []control.Service{{Name: "S", Methods: methods}}}
	}
	a := row(1, "A")
	n := &Node{log: slog.New(slog.DiscardHandler)}
	n.opts.Limits.TableBytes = 2 * rowSize(&a)
	s := &session{node: n}
	table := &table{coming: s, rows: map[uint32]*tableRow{}}
	table.init()
	table.apply(s, &control.Table{Nodes: []control.Node{a, row(2, "B")}})
	require.Len(t, table.rows, 2)
	require.False(t, table.short)
	table.apply(s, &control.Table{Nodes: []control.Node{row(3, "C")}})
	require.Len(t, table.rows, 2)
	require.True(t, table.short)
	table.apply(s, &control.Table{Nodes: []control.Node{row(2, "B", "C")}}) // has grown
	require.Len(t, table.rows, 1)
	table.apply(s, &control.Table{Left: []uint32{1}})
	require.Zero(t, table.bytes)
	table.apply(s, &control.Table{Nodes: []control.Node{row(3, "C"), row(4, "D")}})
	require.Len(t, table.rows, 2)
}

// LIM-71: with long signatures fewer methods are remembered, the latest.
func TestLIM71MaxTaught(t *testing.T) {
	n := &Node{}
	s := &session{node: n}
	m := &control.Introduce{Number: control.Introduced, Service: "S", Method: "M", Sig: strings.Repeat("x", 32<<10-2)}
	require.NoError(t, s.learn(m))
	require.Empty(t, s.unserved, "nobody has asked for it")
	n.services.catchers.Store(&[]*Registration{})
	const fit = maxTaught / (32 << 10)
	for range fit {
		m.Number++
		require.NoError(t, s.learn(m))
	}
	require.Len(t, s.unserved, fit)
	first := uint32(control.Introduced + 1)
	require.NotNil(t, s.unserved[first])
	m.Number++
	require.NoError(t, s.learn(m))
	require.Len(t, s.unserved, fit)
	require.Nil(t, s.unserved[first])
	require.NotNil(t, s.unserved[m.Number])
	require.Equal(t, maxTaught, s.taught)
}
