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
	"github.com/daffi-rpc/daffi/runtime/codec"
	"github.com/daffi-rpc/daffi/runtime/daffitest"
	"github.com/daffi-rpc/daffi/runtime/internal/testkit"
	"github.com/daffi-rpc/daffi/testdata/golden/events"
)

// diary is what interceptors have written down.
type diary struct {
	mu    sync.Mutex
	lines []string
}

func (d *diary) write(format string, args ...any) {
	d.mu.Lock()
	d.lines = append(d.lines, fmt.Sprintf(format, args...))
	d.mu.Unlock()
}

// take returns what was written since it was called last.
func (d *diary) take() []string {
	synctest.Wait()
	d.mu.Lock()
	defer d.mu.Unlock()
	lines := d.lines
	d.lines = nil
	return lines
}

// around is an interceptor that writes when it is entered and left.
func (d *diary) around(name string) daffi.Interceptor {
	return func(ctx context.Context, c *daffi.Interception, next func(context.Context) error) error {
		d.write("%s: %s", name, c.Method)
		err := next(ctx)
		d.write("%s ends: %v", name, daffi.CodeOf(err))
		return err
	}
}

// watch is an interceptor that writes all that it sees of a call when it has ended.
func (d *diary) watch() daffi.Interceptor {
	return func(ctx context.Context, c *daffi.Interception, next func(context.Context) error) error {
		err := next(ctx)
		how := "ok"
		if err != nil {
			how = fmt.Sprint(daffi.CodeOf(err), " ", daffi.OutcomeOf(err))
		}
		d.write("%v %v %s peer=%q depth=%d in=%v out=%v: %s", c.Side, c.Shape, c.Method, c.Peer, c.Depth, c.In, c.Out, how)
		return err
	}
}

// interceptedKit is a kit whose nodes have interceptors.
func interceptedKit(t *testing.T, caller, callee []daffi.Interceptor) *kit {
	t.Helper()
	k := &kit{net: daffitest.New(t), impl: new(testkit.Impl)}
	k.server = k.net.NodeWith(daffi.Options{Name: "server", ServeInterceptors: callee})
	k.client = k.net.NodeWith(daffi.Options{Name: "client", Interceptors: caller})
	_, err := testkit.RegisterKit(k.server, k.impl)
	require.NoError(t, err)
	k.p = testkit.NewKit(k.client)
	return k
}

func TestE10InterceptorsRunInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := new(diary)
		net := daffitest.New(t)
		server := net.NodeWith(daffi.Options{Name: "server", ServeInterceptors: []daffi.Interceptor{d.around("serving node 1"), d.around("serving node 2")}})
		client := net.NodeWith(daffi.Options{Name: "client", Interceptors: []daffi.Interceptor{d.around("node")}})
		_, err := testkit.RegisterKit(server, new(testkit.Impl), daffi.InterceptHandlers(d.around("registration 1")), daffi.InterceptHandlers(d.around("registration 2")))
		require.NoError(t, err)
		p := testkit.NewKit(client, daffi.Intercept(d.around("proxy")))
		_, err = p.Prepare().Fail("coded").With(daffi.Intercept(d.around("call"))).Do(t.Context())
		requireError(t, err, daffi.NotFound, "no_such_item", daffi.Ran)
		order := []string{"node", "proxy", "call", "serving node 1", "serving node 2", "registration 1", "registration 2"}
		var want []string
		for _, name := range order {
			want = append(want, name+": Kit.Fail")
		}
		for i := len(order) - 1; i >= 0; i-- {
			want = append(want, order[i]+" ends: not_found")
		}
		require.Equal(t, want, d.take())

		require.NoError(t, p.Add(t.Context(), 1), "the call's interceptor was of that call alone")
		require.NotContains(t, strings.Join(d.take(), " "), "call:")
		_, err = testkit.NewKit(server).Echo(t.Context(), nil)
		require.NoError(t, err)
		require.NotContains(t, strings.Join(d.take(), " "), "proxy", "nor was the proxy's of another")
	})
}

func TestE10InterceptorsSeeEveryShape(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := new(diary)
		k := interceptedKit(t, []daffi.Interceptor{d.watch()}, []daffi.Interceptor{d.watch()})
		ctx := t.Context()
		to := testkit.NewKit(k.client, daffi.To("server"))
		for name, c := range map[string]struct {
			do   func() error
			want []string // of the callee, of the caller
		}{
			"unary": {do: func() error { _, err := k.p.Echo(ctx, []byte("abc")); return err },
				want: []string{`callee unary Kit.Echo peer="client" depth=0 in={1 6} out={1 6}: ok`, `caller unary Kit.Echo peer="" depth=0 in={1 6} out={1 6}: ok`}},
			"to a node": {do: func() error { return to.Add(ctx, 1) },
				want: []string{`callee unary Kit.Add peer="client" depth=0 in={1 2} out={1 0}: ok`, `caller unary Kit.Add peer="server" depth=0 in={1 2} out={0 0}: ok`}},
			"fails": {do: func() error { return k.p.Add(ctx, -1) },
				want: []string{`callee unary Kit.Add peer="client" depth=0 in={1 2} out={0 0}: unknown ran`, `caller unary Kit.Add peer="" depth=0 in={1 2} out={0 0}: unknown ran`}},
			"panics": {do: func() error { _, err := k.p.Fail(ctx, "panic"); return err },
				want: []string{`caller unary Kit.Fail peer="" depth=0 in={1 7} out={0 0}: internal ran`}},
			"oneway": {do: func() error { return k.p.Note(ctx, "a") },
				want: []string{`caller oneway Kit.Note peer="" depth=0 in={1 3} out={0 0}: ok`, `callee oneway Kit.Note peer="client" depth=0 in={1 3} out={1 0}: ok`}},
			"post": {do: func() error { return k.p.Prepare().Add(1).Post(ctx) },
				want: []string{`caller oneway Kit.Add peer="" depth=0 in={1 2} out={0 0}: ok`, `callee oneway Kit.Add peer="client" depth=0 in={1 2} out={1 0}: ok`}},
			"output": {do: func() error { return drain(k.p.Count(ctx, 3, "")) },
				want: []string{`callee output Kit.Count peer="client" depth=0 in={1 3} out={3 3}: ok`, `caller output Kit.Count peer="" depth=0 in={1 3} out={3 3}: ok`}},
			"output that fails": {do: func() error { return drain(k.p.Count(ctx, 1, "no")) },
				want: []string{`callee output Kit.Count peer="client" depth=0 in={1 5} out={1 1}: unknown ran`, `caller output Kit.Count peer="" depth=0 in={1 5} out={1 1}: unknown ran`}},
			"input": {do: func() error { _, err := k.p.Sum(ctx, 0, numbers(10)); return err },
				want: []string{`callee input Kit.Sum peer="client" depth=0 in={11 12} out={1 2}: ok`, `caller input Kit.Sum peer="" depth=0 in={11 12} out={1 2}: ok`}},
			"both": {do: func() error { return drain(k.p.Chat(ctx, daffi.NoError(repeat("hi", 2)))) },
				want: []string{`callee input and output Kit.Chat peer="client" depth=0 in={3 7} out={2 14}: ok`, `caller input and output Kit.Chat peer="" depth=0 in={3 7} out={2 14}: ok`}},
			"items": {do: func() error { return testkit.NewMany(k.client).AddEach(ctx, numbers(2)) },
				want: []string{`callee item Kit.Add peer="client" depth=0 in={1 2} out={1 0}: ok`, `callee item Kit.Add peer="client" depth=0 in={1 2} out={1 0}: ok`,
					`caller items Kit.Add peer="" depth=0 in={3 3} out={0 0}: ok`}},
		} {
			t.Log(name)
			err := c.do()
			require.Equal(t, strings.Contains(name, "fails") || strings.Contains(name, "panics"), err != nil, "%v", err)
			lines := d.take()
			if strings.HasPrefix(c.want[0], "caller oneway") && len(lines) == 2 && strings.HasPrefix(lines[0], "callee") {
				lines[0], lines[1] = lines[1], lines[0] // they do not wait for each other
			}
			require.Equal(t, c.want, lines)
		}
		_, err := k.p.Nest(ctx, 1)
		require.NoError(t, err)
		require.Equal(t, []string{`callee unary Kit.Nest peer="server" depth=1 in={1 2} out={1 2}: ok`, `callee unary Kit.Nest peer="client" depth=0 in={1 2} out={1 2}: ok`,
			`caller unary Kit.Nest peer="" depth=0 in={1 2} out={1 2}: ok`}, d.take())
	})
}

func drain[T any](seq iter.Seq2[T, error]) (err error) {
	for _, e := range seq {
		err = e
	}
	return err
}

func TestE10InterceptorsSeeEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := new(diary)
		net := daffitest.New(t)
		for _, name := range []string{"one", "two"} {
			_, err := events.RegisterBoard(net.NodeWith(daffi.Options{Name: name, ServeInterceptors: []daffi.Interceptor{d.watch()}}), new(board))
			require.NoError(t, err)
		}
		for _, opts := range [][]daffi.CallOption{nil, {daffi.Intercept(d.watch())}} {
			client := daffi.Options{Name: fmt.Sprint("client-", len(opts))}
			if opts == nil {
				client.Interceptors = []daffi.Interceptor{d.watch()}
			}
			p := events.NewTown(net.NodeWith(client)).Prepare()
			for _, call := range []func(context.Context) error{p.Pin("x").With(opts...).Do, p.Pin("x").With(opts...).Post} {
				require.NoError(t, call(t.Context()))
				lines := d.take()
				require.Len(t, lines, 3)
				require.Contains(t, lines, `caller event Board.Pin peer="" depth=0 in={1 3} out={0 0}: ok`)
				require.Contains(t, lines, fmt.Sprintf(`callee oneway Board.Pin peer="%s" depth=0 in={1 3} out={1 0}: ok`, client.Name))
			}
		}
	})
}

// An interceptor that does not call next ends the call, which has not run; one that has no error to say why is a mistake.
func TestE10InterceptorsRefuse(t *testing.T) {
	refuse := func(err error) daffi.Interceptor {
		return func(context.Context, *daffi.Interception, func(context.Context) error) error { return err }
	}
	denied := &daffi.Error{Code: daffi.PermissionDenied, Reason: "no_ticket", Message: "not without a ticket"}
	for name, c := range map[string]struct {
		err    error
		code   daffi.Code
		reason daffi.Reason
	}{
		"an error of daffi's": {denied, daffi.PermissionDenied, "no_ticket"},
		"a plain error":       {errors.New("no"), daffi.Unknown, ""},
		"a wrapped error":     {fmt.Errorf("checked: %w", denied), daffi.PermissionDenied, "no_ticket"},
		"nothing":             {nil, daffi.Internal, ""},
	} {
		t.Run(name, func(t *testing.T) {
			for _, side := range []daffi.Side{daffi.AtCaller, daffi.AtCallee} {
				synctest.Test(t, func(t *testing.T) {
					list := []daffi.Interceptor{refuse(c.err)}
					k := interceptedKit(t, list, nil)
					if side == daffi.AtCallee {
						k = interceptedKit(t, nil, list)
					}
					calls := map[string]func() error{
						"unary":  func() error { return k.p.Add(t.Context(), 1) },
						"result": func() error { _, err := k.p.Echo(t.Context(), nil); return err },
						"output": func() error { return drain(k.p.Count(t.Context(), 3, "")) },
						"input":  func() error { _, err := k.p.Sum(t.Context(), 0, numbers(10)); return err },
						"both":   func() error { return drain(k.p.Chat(t.Context(), daffi.NoError(repeat("hi", 2)))) },
						"items":  func() error { return testkit.NewMany(k.client).AddEach(t.Context(), numbers(2)) },
					}
					if side == daffi.AtCaller {
						calls["post"] = func() error { return k.p.Prepare().Add(1).Post(t.Context()) }
					}
					for shape, call := range calls {
						e := requireError(t, call(), c.code, c.reason, daffi.NotRun)
						require.NotEmpty(t, e.Method, shape)
						if side == daffi.AtCaller && c.err != nil {
							require.ErrorContains(t, e, c.err.Error())
						}
					}
					synctest.Wait()
					require.Empty(t, k.server.Held()+k.client.Held())
					total, err := testkit.NewKit(k.server).Total(t.Context())
					if side == daffi.AtCaller {
						require.NoError(t, err)
						require.Zero(t, total)
					}
				})
			}
		})
	}
}

// What next has returned can be said with other words, but not undone.
func TestE10InterceptorsChangeErrors(t *testing.T) {
	for _, side := range []daffi.Side{daffi.AtCaller, daffi.AtCallee} {
		synctest.Test(t, func(t *testing.T) {
			var change func(error) error
			list := []daffi.Interceptor{func(ctx context.Context, _ *daffi.Interception, next func(context.Context) error) error {
				return change(next(ctx))
			}}
			k := interceptedKit(t, list, nil)
			if side == daffi.AtCallee {
				k = interceptedKit(t, nil, list)
			}
			change = func(error) error { return nil }
			_, err := k.p.Fail(t.Context(), "coded")
			requireError(t, err, daffi.NotFound, "no_such_item", daffi.Ran)

			change = func(err error) error { return fmt.Errorf("in other words: %w", err) }
			_, err = k.p.Fail(t.Context(), "coded")
			requireError(t, err, daffi.NotFound, "no_such_item", daffi.Ran)
			require.ErrorContains(t, err, "in other words: ")
			require.ErrorContains(t, err, "no item 7")

			change = func(error) error { return &daffi.Error{Code: daffi.OutOfRange, Reason: "far", Message: "out"} }
			_, err = k.p.Fail(t.Context(), "")
			requireError(t, err, daffi.OutOfRange, "far", daffi.Ran)
			change = func(err error) error { return errors.New("plain") }
			err = drain(k.p.Count(t.Context(), 1, ""))
			requireError(t, err, daffi.Unknown, "", daffi.Ran)
			if side == daffi.AtCaller {
				err = k.p.Note(t.Context(), "")
				requireError(t, err, daffi.Unknown, "", daffi.MayHaveRun)
			}
			synctest.Wait()
			require.Empty(t, k.server.Held()+k.client.Held())
		})
	}
}

func TestE10InterceptorsThatBreakTheRules(t *testing.T) {
	twice := func(ctx context.Context, _ *daffi.Interception, next func(context.Context) error) error {
		if err := next(ctx); err != nil {
			return err
		}
		return next(ctx)
	}
	elsewhere := func(ctx context.Context, _ *daffi.Interception, next func(context.Context) error) error {
		begun := make(chan struct{})
		go func() {
			close(begun)
			next(ctx)
		}()
		<-begun
		time.Sleep(time.Millisecond)
		return nil
	}
	for _, side := range []daffi.Side{daffi.AtCaller, daffi.AtCallee} {
		synctest.Test(t, func(t *testing.T) {
			made := func(list ...daffi.Interceptor) *kit {
				if side == daffi.AtCallee {
					return interceptedKit(t, nil, list)
				}
				return interceptedKit(t, list, nil)
			}
			k := made(twice)
			e := requireError(t, k.p.Add(t.Context(), 5), daffi.FailedPrecondition, "", daffi.Ran)
			require.Contains(t, e.Message, "a second time")

			k = made(elsewhere)
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			start := time.Now()
			require.Equal(t, daffi.DeadlineExceeded, daffi.CodeOf(k.p.Block(ctx)), "it is waited for")
			require.Equal(t, time.Second, time.Since(start))
			synctest.Wait()
			require.Empty(t, k.server.Held()+k.client.Held())
		})
	}
}

// A call that an interceptor makes itself says nothing of the one that it is around: with the outcome of its own call, one that has run would pass for one that has not.
func TestE10InterceptorsThatCallThemselves(t *testing.T) {
	for _, side := range []daffi.Side{daffi.AtCaller, daffi.AtCallee} {
		for _, after := range []bool{true, false} {
			synctest.Test(t, func(t *testing.T) {
				var audit func(ctx context.Context) error
				list := []daffi.Interceptor{func(ctx context.Context, c *daffi.Interception, next func(context.Context) error) error {
					if after {
						if err := next(ctx); err != nil {
							return err
						}
					}
					return audit(ctx)
				}}
				k := interceptedKit(t, list, nil)
				if side == daffi.AtCallee {
					k = interceptedKit(t, nil, list)
				}
				other := k.net.Node("other")
				want := daffi.NotRun
				if after {
					want = daffi.Ran
				}
				audit = func(ctx context.Context) error {
					_, err := daffi.Invoke(ctx, other, "Nothing.Such")
					return fmt.Errorf("audit: %w", err)
				}
				e := requireError(t, k.p.Add(t.Context(), 1), daffi.Unavailable, "", want)
				require.Equal(t, "Kit.Add", e.Method)
				require.ErrorContains(t, e, "audit: ")
				audit = func(ctx context.Context) error {
					_, err := testkit.NewKit(k.server).Fail(ctx, "coded")
					return err
				}
				if side == daffi.AtCaller { // at the callee it is around the call that it makes, too
					e = requireError(t, k.p.Add(t.Context(), 1), daffi.NotFound, "", want)
					require.Equal(t, "Kit.Add", e.Method)
				}
			})
		}
	}
}

// What calls next when the interceptor has returned would use what other calls have got meanwhile.
func TestE10NextIsRefusedAfterTheInterceptor(t *testing.T) {
	for _, side := range []daffi.Side{daffi.AtCaller, daffi.AtCallee} {
		synctest.Test(t, func(t *testing.T) {
			late := make(chan error, 1)
			list := []daffi.Interceptor{func(ctx context.Context, _ *daffi.Interception, next func(context.Context) error) error {
				go func() {
					time.Sleep(time.Second)
					late <- next(ctx)
				}()
				return errors.New("too slow")
			}}
			k := interceptedKit(t, list, nil)
			if side == daffi.AtCallee {
				k = interceptedKit(t, nil, list)
			}
			requireError(t, k.p.Add(t.Context(), 5), daffi.Unknown, "", daffi.NotRun)
			require.Equal(t, daffi.FailedPrecondition, daffi.CodeOf(<-late))
			synctest.Wait()
			total, err := k.impl.Total(t.Context())
			require.NoError(t, err)
			require.Zero(t, total)
			require.Empty(t, k.server.Held()+k.client.Held())
		})
	}
}

func TestE10InterceptorsPanic(t *testing.T) {
	for _, after := range []bool{false, true} {
		boom := func(ctx context.Context, _ *daffi.Interception, next func(context.Context) error) error {
			if after {
				next(ctx)
			}
			panic("boom")
		}
		synctest.Test(t, func(t *testing.T) {
			k := interceptedKit(t, nil, []daffi.Interceptor{boom})
			e := requireError(t, k.p.Add(t.Context(), 1), daffi.Internal, daffi.ReasonPanic, daffi.Ran)
			require.Regexp(t, `^handler panicked \(id [0-9a-f]{8}\)$`, e.Message)
			requireError(t, drain(k.p.Count(t.Context(), 3, "")), daffi.Internal, daffi.ReasonPanic, daffi.Ran)
			synctest.Wait()
			require.Empty(t, k.server.Held()+k.client.Held())

			k = interceptedKit(t, []daffi.Interceptor{boom}, nil)
			require.PanicsWithValue(t, "boom", func() { k.p.Echo(t.Context(), nil) })
			require.PanicsWithValue(t, "boom", func() { drain(k.p.Count(t.Context(), 3, "")) })
			require.PanicsWithValue(t, "boom", func() { k.p.Sum(t.Context(), 0, numbers(3)) })
			synctest.Wait()
			require.Empty(t, k.server.Held()+k.client.Held())
		})
	}
	synctest.Test(t, func(t *testing.T) { // what is around a loop that panics sees it pass
		d := new(diary)
		k := interceptedKit(t, []daffi.Interceptor{d.around("caller")}, nil)
		require.PanicsWithValue(t, "loop", func() {
			for range k.p.Count(t.Context(), 3, "") {
				panic("loop")
			}
		})
		require.Equal(t, []string{"caller: Kit.Count"}, d.take())
		for range k.p.Count(t.Context(), 3, "") {
			break
		}
		require.Equal(t, []string{"caller: Kit.Count", "caller ends: unknown"}, d.take(), "leaving is no failure")
		require.Empty(t, k.server.Held()+k.client.Held())
	})
}

// The context that is given to next is the call's: its deadline, its cancel and its metadata.
func TestE10InterceptorsChangeTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		type key struct{}
		seen := make(chan string, 10)
		k := interceptedKit(t, []daffi.Interceptor{func(ctx context.Context, c *daffi.Interception, next func(context.Context) error) error {
			assert.Equal(t, map[string]string{"tenant": "a"}, c.Metadata(ctx))
			ctx, cancel := context.WithTimeout(daffi.WithMetadata(ctx, map[string]string{"ticket": "7"}), time.Second)
			defer cancel()
			return next(ctx)
		}}, []daffi.Interceptor{func(ctx context.Context, c *daffi.Interception, next func(context.Context) error) error {
			seen <- c.Metadata(ctx)["ticket"]
			return next(context.WithValue(ctx, key{}, "value"))
		}, func(ctx context.Context, c *daffi.Interception, next func(context.Context) error) error {
			seen <- ctx.Value(key{}).(string)
			info, ok := daffi.CallFrom(ctx)
			assert.True(t, ok)
			assert.Equal(t, daffi.CallInfo{Method: c.Method, Caller: c.Peer}, info)
			return next(ctx)
		}})
		ctx := daffi.WithMetadata(t.Context(), map[string]string{"tenant": "a"})
		md, err := k.p.Meta(ctx)
		require.NoError(t, err)
		require.Equal(t, map[string]string{"tenant": "a", "ticket": "7"}, md)
		require.Equal(t, "7", <-seen)
		require.Equal(t, "value", <-seen)
		_, left, err := k.p.Who(ctx)
		require.NoError(t, err)
		require.Equal(t, time.Second, left)
		start := time.Now()
		require.Equal(t, daffi.DeadlineExceeded, daffi.CodeOf(k.p.Block(ctx)))
		require.Equal(t, time.Second, time.Since(start))
		synctest.Wait()
	})
}

// Attempts are counted where a call is sent again, and each is one of its own at the callee.
func TestE10InterceptorsSeeAttempts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		attempts := make(chan int, 10)
		refuse := 2
		k := interceptedKit(t, []daffi.Interceptor{func(ctx context.Context, c *daffi.Interception, next func(context.Context) error) error {
			assert.Zero(t, c.Attempt)
			err := next(ctx)
			attempts <- 100 + c.Attempt
			return err
		}}, []daffi.Interceptor{func(ctx context.Context, c *daffi.Interception, next func(context.Context) error) error {
			attempts <- c.Attempt
			if refuse--; refuse >= 0 {
				return &daffi.Error{Code: daffi.ResourceExhausted, Reason: daffi.ReasonBusy, Message: "later"}
			}
			return next(ctx)
		}})
		require.NoError(t, k.p.Add(t.Context(), 1), "busy, so it is sent again")
		refuse = 9
		requireError(t, k.p.Add(t.Context(), 1), daffi.ResourceExhausted, daffi.ReasonBusy, daffi.NotRun)
		close(attempts)
		var got []int
		for a := range attempts {
			got = append(got, a)
		}
		require.Equal(t, []int{0, 1, 2, 102, 0, 1, 2, 102}, got)
	})
}

func TestE10InterceptorsOfHandle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := new(diary)
		k := interceptedKit(t, nil, []daffi.Interceptor{d.around("node")})
		_, err := daffi.Handle(k.server, "Tea.Brew", func(_ context.Context, s string) (string, error) { return s, nil }, daffi.InterceptHandlers(d.watch()))
		require.NoError(t, err)
		b := daffi.Bind(k.client, &daffi.Client{Service: "Tea", Methods: []daffi.Method{{Name: "Brew", Sig: "(string)(string)"}}})
		require.NoError(t, daffi.NewAction(b, 0, func(e *codec.Encoder) { e.Array(1); e.String("green") }).Do(t.Context()))
		require.Equal(t, []string{"node: Tea.Brew", `callee unary Tea.Brew peer="client" depth=0 in={1 7} out={1 7}: ok`, "node ends: unknown"}, d.take())
	})
}

func TestE10NamesOfSidesAndShapes(t *testing.T) {
	require.Equal(t, "caller callee unknown", fmt.Sprint(daffi.AtCaller, daffi.AtCallee, daffi.Side(9)))
	require.Equal(t, "unary item unknown", fmt.Sprint(daffi.ShapeUnary, daffi.ShapeItem, daffi.Shape(99)))
}

// The error of another call that an interceptor makes says nothing of whether this one has run.
func TestE10InterceptorFailsByACallOfItsOwn(t *testing.T) {
	choirBubble(t, 2, func(t *testing.T, c *choir) {
		other := c.p.Prepare().Add(1).With(daffi.To("nobody"))
		errMine := errors.New("mine")
		bad := func(before bool) daffi.CallOption {
			return daffi.Intercept(func(ctx context.Context, _ *daffi.Interception, next func(context.Context) error) error {
				if !before {
					if err := next(ctx); err != nil {
						return err
					}
				}
				return fmt.Errorf("%w: %w", errMine, other.Do(ctx))
			})
		}
		for _, before := range []bool{true, false} {
			calls, ran, sent := c.p.Prepare(), daffi.Ran, daffi.MayHaveRun
			if before {
				ran, sent = daffi.NotRun, daffi.NotRun
			}
			_, unary := calls.Echo(nil).With(bad(before)).Do(t.Context())
			_, stream := daffi.Items(calls.Count(1, "").With(bad(before)).Do(t.Context()))
			_, cast := daffi.Collect(calls.Echo(nil).With(bad(before)).Broadcast(t.Context()))
			for err, want := range map[error]daffi.Outcome{unary: ran, stream: ran, cast: sent} {
				require.ErrorIs(t, err, errMine)
				e := requireError(t, err, daffi.Unavailable, "", want)
				require.Regexp(t, `^Kit\.(Echo|Count)$`, e.Method)
			}
		}

		// In other words, it keeps what it says.
		words := daffi.Intercept(func(ctx context.Context, _ *daffi.Interception, next func(context.Context) error) error {
			return fmt.Errorf("%w: %w", errMine, next(ctx))
		})
		_, err := daffi.Collect(c.p.Prepare().Echo(nil).With(words, daffi.Quorum(3)).Broadcast(t.Context()))
		require.ErrorIs(t, err, errMine)
		requireError(t, err, daffi.Unavailable, daffi.ReasonQuorum, daffi.NotRun)
	})
}
