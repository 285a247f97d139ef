package daffi_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	daffi "github.com/daffi-rpc/daffi/runtime"
	"github.com/daffi-rpc/daffi/runtime/daffitest"
	"github.com/daffi-rpc/daffi/runtime/internal/testkit"
	"github.com/daffi-rpc/daffi/runtime/transport"
)

// leg is a node of a chain: what it is called with, it calls the next with.
type leg struct {
	testkit.Impl
	next string        // empty at the end
	work time.Duration // before it calls

	began chan string // gets the node's name when Block begins
	ended chan ending // gets how its context ended
}

// ending is how the context of a handler ended.
type ending struct {
	node       string
	err, cause error
}

func (s *leg) proxy(ctx context.Context) *testkit.KitProxy {
	return testkit.NewKit(daffi.NodeFrom(ctx), daffi.To(s.next))
}

// Echo adds the node's name, who called it and how deep.
func (s *leg) Echo(ctx context.Context, b []byte) ([]byte, error) {
	info, _ := daffi.CallFrom(ctx)
	b = fmt.Appendf(b, "%s>%s:%d ", info.Caller, daffi.NodeFrom(ctx).Name(), info.Depth)
	time.Sleep(s.work)
	if s.next == "" {
		return b, ctx.Err()
	}
	return s.proxy(ctx).Echo(ctx, b)
}

func (s *leg) Who(ctx context.Context) (string, time.Duration, error) {
	time.Sleep(s.work)
	if s.next == "" {
		return s.Impl.Who(ctx)
	}
	return s.proxy(ctx).Who(ctx)
}

func (s *leg) Meta(ctx context.Context) (map[string]string, error) {
	if s.next == "" {
		return s.Impl.Meta(ctx)
	}
	return s.proxy(ctx).Meta(ctx)
}

func (s *leg) Fail(ctx context.Context, how string) (string, error) {
	if s.next == "" {
		return s.Impl.Fail(ctx, how)
	}
	return s.proxy(ctx).Fail(ctx, how)
}

func (s *leg) Block(ctx context.Context) error {
	s.began <- daffi.NodeFrom(ctx).Name()
	var err error
	if s.next == "" {
		<-ctx.Done()
		err = ctx.Err()
	} else {
		err = s.proxy(ctx).Block(ctx)
		<-ctx.Done()
	}
	s.ended <- ending{daffi.NodeFrom(ctx).Name(), ctx.Err(), context.Cause(ctx)}
	return err
}

// pipeline is nodes of which each calls the next, and one that calls the first.
type pipeline struct {
	*testkit.KitProxy // of the first
	client            *daffi.Node
	nodes             map[string]*daffi.Node
	stages            []*leg
}

func newPipeline(t *testing.T, n int, work time.Duration) *pipeline {
	net := daffitest.New(t)
	p := &pipeline{client: net.Node("client"), nodes: map[string]*daffi.Node{}}
	began, ended := make(chan string, n), make(chan ending, n)
	for i := range n {
		s := &leg{work: work, began: began, ended: ended}
		if i < n-1 {
			s.next = fmt.Sprint("node-", i+1)
		}
		name := fmt.Sprint("node-", i)
		node := net.Node(name)
		_, err := testkit.RegisterKit(node, s)
		require.NoError(t, err)
		p.nodes[name], p.stages = node, append(p.stages, s)
	}
	p.KitProxy = testkit.NewKit(p.client, daffi.To("node-0"))
	return p
}

// TestD38PipelineOfNine: nine nodes each call the next, and what the last has made comes back to the first.
func TestD38PipelineOfNine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPipeline(t, 9, 0)
		want := "client>node-0:0 "
		for i := 1; i < 9; i++ {
			want += fmt.Sprintf("node-%d>node-%d:%d ", i-1, i, i)
		}
		got, err := p.Echo(t.Context(), nil)
		require.NoError(t, err)
		require.Equal(t, want, string(got))
		var all sync.WaitGroup
		for range 100 {
			all.Go(func() {
				got, err := p.Echo(t.Context(), nil)
				assert.NoError(t, err)
				assert.Equal(t, want, string(got))
			})
		}
		all.Wait()
		var futures []*daffi.Future[[]byte]
		for range 100 {
			futures = append(futures, p.Prepare().Echo(nil).Go(t.Context()))
		}
		for _, f := range futures {
			got, err := f.Wait(t.Context())
			require.NoError(t, err)
			require.Equal(t, want, string(got))
		}
		_, err = p.Fail(t.Context(), "coded")
		require.Equal(t, daffi.NotFound, daffi.CodeOf(err))
		require.Equal(t, daffi.Ran, daffi.OutcomeOf(err))
		require.ErrorContains(t, err, "no item 7")
		require.ErrorContains(t, err, "Kit.Fail at node-8")
	})
}

// TestD38DeadlineAlongAChain (SEM-5): it counts for the whole chain, and ends all of it.
func TestD38DeadlineAlongAChain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPipeline(t, 9, time.Second)
		caller, left, err := p.Who(within(t, 20*time.Second))
		require.NoError(t, err)
		require.Equal(t, "node-7", caller)
		require.Equal(t, 11*time.Second, left, "each of nine has taken one")

		_, left, err = p.Who(t.Context())
		require.NoError(t, err)
		require.Equal(t, 21*time.Second, left, "the default one counts for all as well")

		start := time.Now()
		_, _, err = p.Who(within(t, 4500*time.Millisecond))
		require.Equal(t, daffi.DeadlineExceeded, daffi.CodeOf(err))
		require.Equal(t, 4500*time.Millisecond, time.Since(start))
		time.Sleep(time.Minute)
		for name, n := range p.nodes {
			require.Empty(t, n.Held(), name)
		}
	})
}

// TestD38TraceAlongAChain: a trace passes on by itself, other metadata does not; what a handler gives its calls takes precedence.
func TestD38TraceAlongAChain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPipeline(t, 3, 0)
		md, err := p.Meta(t.Context())
		require.NoError(t, err)
		require.Empty(t, md)
		trace := map[string]string{"traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "tracestate": "a=b"}
		ctx := daffi.WithMetadata(daffi.WithMetadata(t.Context(), trace), map[string]string{"tenant": "x"})
		md, err = p.Meta(ctx)
		require.NoError(t, err)
		require.Equal(t, trace, md)
		md, err = p.Meta(daffi.WithMetadata(t.Context(), map[string]string{"tenant": "x"}))
		require.NoError(t, err)
		require.Empty(t, md)

		var seen []map[string]string
		_, err = daffi.Handle(p.client, "Relay.Tell", func(ctx context.Context, own string) (string, error) {
			seen = append(seen, daffi.MetadataFrom(ctx))
			if own != "" {
				ctx = daffi.WithMetadata(ctx, map[string]string{"traceparent": own, "tenant": "y"})
			}
			md, err := testkit.NewKit(daffi.NodeFrom(ctx), daffi.To("node-2")).Meta(ctx)
			return fmt.Sprint(md), err
		})
		require.NoError(t, err)
		for own, want := range map[string]string{
			"":    fmt.Sprint(trace),
			"own": "map[tenant:y traceparent:own tracestate:a=b]",
		} {
			got, err := daffi.Invoke(ctx, p.nodes["node-0"], "Relay.Tell", own)
			require.NoError(t, err)
			require.Equal(t, want, got)
		}
		for _, md := range seen {
			require.Equal(t, "x", md["tenant"], "the handler itself sees all of it")
		}
	})
}

// TestD38CauseAlongAChain (SEM-7): why a call has ended at its caller is the cause of the contexts of all handlers below it.
func TestD38CauseAlongAChain(t *testing.T) {
	left := errors.New("the user has left")
	for name, c := range map[string]struct {
		end     func(p *pipeline, cancel context.CancelCauseFunc)
		reason  daffi.Reason
		message string
		node    string
		err     error
		own     bool // node-0's own end is another
	}{
		"cancelled":              {end: func(_ *pipeline, cancel context.CancelCauseFunc) { cancel(nil) }, message: "context canceled", node: "client", err: context.Canceled},
		"cancelled with a cause": {end: func(_ *pipeline, cancel context.CancelCauseFunc) { cancel(left) }, message: "the user has left", node: "client", err: context.Canceled},
		"with a long cause": {end: func(_ *pipeline, cancel context.CancelCauseFunc) { cancel(errors.New(strings.Repeat("x", 1000))) },
			message: strings.Repeat("x", 64) + " … " + strings.Repeat("x", 64), node: "client", err: context.Canceled},
		"caller gone": {end: func(p *pipeline, _ context.CancelCauseFunc) { p.client.Close() }, reason: daffi.ReasonNodeLost, message: "the node that made the call is gone",
			node: "client", err: context.Canceled},
		"middle gone": {end: func(p *pipeline, _ context.CancelCauseFunc) { p.nodes["node-0"].Close() }, reason: daffi.ReasonNodeLost, message: "the node that made the call is gone",
			node: "node-0", err: context.Canceled, own: true},
		"deadline": {end: func(*pipeline, context.CancelCauseFunc) { time.Sleep(time.Minute) }, err: context.DeadlineExceeded},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPipeline(t, 3, 0)
				ctx, cancel := context.WithCancelCause(within(t, 30*time.Second))
				defer cancel(nil)
				called := make(chan error, 1)
				go func() { called <- p.Block(ctx) }()
				for range 3 {
					<-p.stages[0].began
				}
				c.end(p, cancel)
				require.Error(t, <-called)
				for range 3 {
					e := <-p.stages[0].ended
					require.Equal(t, c.err, e.err, e.node)
					if c.err == context.DeadlineExceeded {
						require.Equal(t, c.err, e.cause)
						continue
					}
					if e.node == "node-0" && c.own {
						requireError(t, e.cause, daffi.Canceled, daffi.ReasonClosed, daffi.MayHaveRun)
						continue
					}
					cause := requireError(t, e.cause, daffi.Canceled, c.reason, daffi.MayHaveRun)
					require.ErrorIs(t, cause, context.Canceled)
					require.Equal(t, []string{c.node, c.message}, []string{cause.Node, cause.Message}, "%s: %v", e.node, cause)
				}
				synctest.Wait()
			})
		})
	}
}

// TestD71CallsComeBack: A calls B, which calls A back while A waits, and again; A calls itself; a stream runs inside a stream.
func TestD71CallsComeBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := daffitest.New(t)
		nodes := map[string]*daffi.Node{"a": net.Node("a"), "b": net.Node("b")}
		for name, other := range map[string]string{"a": "b", "b": "a"} {
			_, err := testkit.RegisterKit(nodes[name], &back{other: other})
			require.NoError(t, err)
		}
		begun := time.Now()
		for _, way := range []string{"a", "b"} { // A→B→A→B, and A→A
			p := testkit.NewKit(nodes["a"], daffi.To(way))
			n, err := p.Nest(t.Context(), 3)
			require.NoError(t, err)
			require.Equal(t, 4, n)
			var got []int
			for v, err := range p.Count(t.Context(), 3, "") {
				require.NoError(t, err)
				got = append(got, v)
			}
			require.Equal(t, []int{0, 1, 2}, got)
		}
		require.Zero(t, time.Since(begun))
	})
}

// back calls the other node, which calls it.
type back struct {
	testkit.Impl
	other string
}

func (b *back) Nest(ctx context.Context, depth int) (int, error) {
	if depth == 0 {
		return 1, nil
	}
	n, err := testkit.NewKit(daffi.NodeFrom(ctx), daffi.To(b.other)).Nest(ctx, depth-1)
	return n + 1, err
}

// Count takes what it yields from a stream of the other's, as deep as it gets before the depth is three.
func (b *back) Count(ctx context.Context, n int, fail string) iter.Seq2[int, error] {
	if info, _ := daffi.CallFrom(ctx); info.Depth == 3 {
		return b.Impl.Count(ctx, n, fail)
	}
	return testkit.NewKit(daffi.NodeFrom(ctx), daffi.To(b.other)).Count(ctx, n, fail)
}

// TestLIM20Depth at the limit and one past it, for every shape. Where a chain goes makes no difference.
func TestLIM20Depth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := daffitest.New(t)
		server, client := net.Node("server"), net.Node("client")
		var try func(ctx context.Context, p *testkit.KitProxy) error
		type result struct {
			depth int
			err   error
		}
		results := make(chan result, 10)
		_, err := testkit.RegisterKit(server, &deep{try: func(ctx context.Context) {
			info, _ := daffi.CallFrom(ctx)
			results <- result{info.Depth, try(ctx, testkit.NewKit(daffi.NodeFrom(ctx)))}
		}})
		require.NoError(t, err)
		p := testkit.NewKit(client)
		for name, call := range map[string]func(ctx context.Context, p *testkit.KitProxy) error{
			"unary":  func(ctx context.Context, p *testkit.KitProxy) error { return p.Add(ctx, 1) },
			"post":   func(ctx context.Context, p *testkit.KitProxy) error { return p.Prepare().Add(1).Post(ctx) },
			"oneway": func(ctx context.Context, p *testkit.KitProxy) error { return p.Note(ctx, "") },
			"output": func(ctx context.Context, p *testkit.KitProxy) error { return drain(p.Count(ctx, 1, "")) },
			"input":  func(ctx context.Context, p *testkit.KitProxy) error { _, err := p.Sum(ctx, 0, numbers(1)); return err },
		} {
			try = call
			_, err = p.Nest(t.Context(), transport.MaxDepth-1)
			require.NoError(t, err)
			r := <-results
			require.Equal(t, transport.MaxDepth-1, r.depth)
			require.NoError(t, r.err, "%s at the depth of %d", name, transport.MaxDepth)

			_, err = p.Nest(t.Context(), transport.MaxDepth)
			require.NoError(t, err)
			r = <-results
			require.Equal(t, transport.MaxDepth, r.depth)
			requireError(t, r.err, daffi.ResourceExhausted, daffi.ReasonDepth, daffi.NotRun)
		}
		synctest.Wait()
	})
}

// deep does something at the end of a nest.
type deep struct {
	testkit.Impl
	try func(ctx context.Context)
}

func (d *deep) Nest(ctx context.Context, depth int) (int, error) {
	if depth == 0 {
		d.try(ctx)
		return 1, nil
	}
	return d.Impl.Nest(ctx, depth)
}

// TestSEM7CauseOfStreams: a handler knows whether its consumer has left or something has gone wrong.
func TestSEM7CauseOfStreams(t *testing.T) {
	bubble(t, func(t *testing.T, k *kit) {
		causes := make(chan error, 1)
		_, err := testkit.RegisterKit(k.client, &watched{causes: causes})
		require.NoError(t, err)
		p := testkit.NewKit(k.server, daffi.To("client"))
		for range p.Count(t.Context(), 1000, "") {
			break
		}
		e := requireError(t, <-causes, daffi.Canceled, "", daffi.MayHaveRun)
		require.Equal(t, []string{"server", "the caller has left the sequence"}, []string{e.Node, e.Message})

		ctx, cancel := context.WithCancelCause(t.Context())
		defer cancel(nil)
		for _, err := range p.Count(ctx, 1000, "") {
			cancel(errors.New("enough"))
			if err != nil {
				require.ErrorContains(t, err, "enough")
			}
		}
		e = requireError(t, <-causes, daffi.Canceled, "", daffi.MayHaveRun)
		require.Equal(t, []string{"server", "enough"}, []string{e.Node, e.Message})
	})
}

// watched tells with what cause its context has ended, as one sees it that is derived from it.
type watched struct {
	testkit.Impl
	causes chan error
}

func (w *watched) Count(ctx context.Context, n int, _ string) iter.Seq2[int, error] {
	return func(yield func(int, error) bool) {
		ctx, cancel := context.WithTimeout(ctx, time.Hour)
		defer cancel()
		for i := range n {
			if !yield(i, nil) {
				break
			}
			time.Sleep(time.Millisecond)
		}
		<-ctx.Done()
		w.causes <- context.Cause(ctx)
	}
}

// TestSEM7CauseOfOneways: nobody cancels one, but the node that closes.
func TestSEM7CauseOfOneways(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPipeline(t, 1, 0)
		require.NoError(t, p.Prepare().Block().Post(t.Context()))
		<-p.stages[0].began
		p.nodes["node-0"].Close()
		e := <-p.stages[0].ended
		require.Equal(t, context.Canceled, e.err)
		requireError(t, e.cause, daffi.Canceled, daffi.ReasonDraining, daffi.NotRun)
	})
}
