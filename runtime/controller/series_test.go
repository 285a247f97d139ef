package controller

import (
	"fmt"
	"log/slog"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/daffi-rpc/daffi/internal/policy"
	"github.com/daffi-rpc/daffi/runtime/internal/control"
	"github.com/daffi-rpc/daffi/runtime/internal/testkit"
	"github.com/daffi-rpc/daffi/runtime/transport"
)

// ACC-70: whatever names, reasons and addresses peers make up, what is counted apart stays within its bounds, and nothing is lost from the sums.
func TestACC70SeriesAreBounded(t *testing.T) {
	c := New(Options{MaxAuthFailures: 1})
	defer c.Close()
	n := testkit.Full(6_000, 1_000_000)
	nodes := make([]*session, 1+n/1000) // one may not name so many methods
	for i := range nodes {
		nodes[i] = &session{c: c, name: fmt.Sprint("weak", i), number: uint32(i + 1)}
	}
	for i := range n {
		name := fmt.Sprint("m", i)
		c.access.note(denial{"weak", policy.Call, "Svc." + name}, 1)

		v := c.gate.enter(&transport.Info{Network: "tcp", Remote: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), 1).String()}, func(error) {})
		require.NotNil(t, v)
		v.fail()
		v.leave()
		c.gate.note(slog.New(slog.DiscardHandler), slog.LevelWarn, name)

		c.mu.Lock()
		r := c.intern(nodes[i/1000], routeKey{methodKey{"Svc", name}, "()()"})
		c.mu.Unlock()
		require.NotNil(t, r)
		c.lose(lostReason(encode((&control.Failure{Code: internal, Reason: name, Message: name}).AppendTo)), r)
	}
	require.Len(t, c.access.said, maxDenials)
	require.EqualValues(t, n, c.Stats().Denied)
	require.Len(t, c.gate.suspects, maxSuspects)
	require.Len(t, c.gate.recorded, maxSuspects)
	require.Empty(t, c.gate.of)
	require.EqualValues(t, n, c.Stats().Failed)
	require.Equal(t, map[string]uint64{"other": uint64(n)}, c.Stats().Lost)
	require.Len(t, c.Stats().LostMethods, maxLost+1)
	sum := uint64(0)
	for _, lost := range c.Stats().LostMethods {
		sum += lost
	}
	require.EqualValues(t, n, sum)
}
