package daffi_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	daffi "github.com/daffi-rpc/daffi/runtime"
	"github.com/daffi-rpc/daffi/runtime/daffitest"
	"github.com/daffi-rpc/daffi/testdata/golden/levels"
)

// notebook remembers what is written.
type notebook struct {
	mu    sync.Mutex
	lines []string
	hold  chan struct{} // handlers wait for it, if it is not nil
}

func (n *notebook) Write(_ context.Context, line string) error {
	n.mu.Lock()
	n.lines = append(n.lines, line)
	n.mu.Unlock()
	if n.hold != nil {
		<-n.hold
	}
	return nil
}

func (n *notebook) Shout(ctx context.Context, line string) error  { return n.Write(ctx, line) }
func (n *notebook) Answer(ctx context.Context, line string) error { return n.Write(ctx, line) }
func (n *notebook) Add(ctx context.Context, line string) error    { return n.Write(ctx, line) }

func (n *notebook) take() []string {
	synctest.Wait()
	n.mu.Lock()
	defer n.mu.Unlock()
	lines := n.lines
	n.lines = nil
	return lines
}

// TestSEM9OnewayLevelWaitsAsFarAsItSays stalls the link of the caller, then that of the provider: a directive's level tells which of them its callers wait for.
func TestSEM9OnewayLevelWaitsAsFarAsItSays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net, n := daffitest.New(t), new(notebook)
		far := func(name string) (*daffi.Node, *wire) {
			w := &wire{ctl: net.Controller}
			return connect(t, daffi.Options{Name: name, Controller: w, Compression: daffi.CompressOff, ResumeGrace: -1}), w
		}
		provider, there := far("provider")
		_, err := levels.RegisterDiary(provider, n)
		require.NoError(t, err)
		_, err = levels.RegisterLog(provider, n)
		require.NoError(t, err)
		caller, here := far("caller")
		p, own, other := levels.NewWriter(caller), levels.NewLog(caller), levels.NewAudit(caller)
		c := p.Prepare()
		do := func(a daffi.Action) func(context.Context, string) error {
			return func(ctx context.Context, _ string) error { return a.Do(ctx) }
		}
		const atOnce, stalled = 0, 5 * time.Second
		for name, test := range map[string]struct {
			call              func(context.Context, string) error
			mine, theProvider time.Duration // how long it takes while that link is stalled
		}{
			"no level":           {p.Write, stalled, atOnce},
			"none":               {p.Scribble, atOnce, atOnce},
			"accepted":           {p.Send, stalled, atOnce},
			"admitted":           {p.Record, stalled, stalled},
			"event, none":        {p.Shout, atOnce, atOnce},
			"event, admitted":    {p.Proclaim, stalled, stalled},
			"answered, admitted": {p.Answer, stalled, stalled},
			"both":               {own.Add, atOnce, atOnce},
			"another fetcher":    {other.Add, stalled, stalled},
			"posted":             {func(ctx context.Context, line string) error { return c.Record(line).Post(ctx) }, stalled, stalled},
			"WithAck wins, less": {do(c.Record("x").With(daffi.WithAck(daffi.AckNone))), atOnce, atOnce},
			"WithAck wins, more": {do(c.Scribble("x").With(daffi.WithAck(daffi.AckAdmitted))), stalled, stalled},
			"of the proxy":       {levels.NewWriter(caller, daffi.WithAck(daffi.AckAccepted)).Record, stalled, atOnce},
		} {
			require.NoError(t, test.call(t.Context(), "x"), name)
			require.NoError(t, caller.Flush(t.Context()))
			require.Equal(t, []string{"x"}, n.take(), name)
			for what, link := range map[string]struct {
				*wire
				want time.Duration
			}{"caller": {here, test.mine}, "provider": {there, test.theProvider}} {
				link.last().Stall(true)
				start := time.Now()
				timer := time.AfterFunc(stalled, func() { link.last().Stall(false) })
				require.NoError(t, test.call(t.Context(), "x"), "%s, stalled: %s", name, what)
				require.Equal(t, link.want, time.Since(start), "%s, stalled: %s", name, what)
				require.Equal(t, link.want == atOnce, timer.Stop(), "%s, stalled: %s", name, what)
				link.last().Stall(false)
				require.NoError(t, caller.Flush(t.Context()))
				require.Equal(t, []string{"x"}, n.take(), "%s, stalled: %s", name, what)
			}
		}
		require.Empty(t, caller.Held())
		require.Zero(t, daffi.Working(caller))
		require.Zero(t, net.Controller.Stats().Calls)
	})
}

// TestSEM9OnewayLevelSaysWhoIsTold has a provider that is full: only a caller that waits for its admission hears of it.
func TestSEM9OnewayLevelSaysWhoIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net, n := daffitest.New(t), &notebook{hold: make(chan struct{})}
		_, err := levels.RegisterDiary(net.NodeWith(daffi.Options{Name: "full", MaxRunning: 1, MaxQueue: 1}), n)
		require.NoError(t, err)
		caller := net.Node("caller")
		p := levels.NewWriter(caller, daffi.Retry(0))
		require.NoError(t, p.Record(t.Context(), "runs"))
		require.NoError(t, p.Record(t.Context(), "waits"))
		requireError(t, p.Record(t.Context(), "refused"), daffi.ResourceExhausted, daffi.ReasonBusy, daffi.NotRun)
		require.Empty(t, net.Controller.Stats().Lost)
		for k, call := range []func(context.Context, string) error{p.Write, p.Send, p.Scribble} {
			require.NoError(t, call(t.Context(), "lost"))
			require.NoError(t, caller.Flush(t.Context()))
			synctest.Wait()
			require.Equal(t, map[string]uint64{"busy": uint64(k + 1)}, net.Controller.Stats().Lost)
		}
		close(n.hold)
		require.Equal(t, []string{"runs", "waits"}, n.take())
	})
}
