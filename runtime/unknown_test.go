package daffi_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	daffi "github.com/daffi-rpc/daffi/runtime"
	"github.com/daffi-rpc/daffi/runtime/codec"
	"github.com/daffi-rpc/daffi/runtime/daffitest"
	"github.com/daffi-rpc/daffi/runtime/internal/testkit"
)

// answering handles unknown methods by saying who does.
func answering(t *testing.T, n *daffi.Node, prefix, mark string) *daffi.Registration {
	t.Helper()
	reg, err := daffi.HandleUnknown(n, prefix, func(_ context.Context, c *daffi.RawCall) error { return c.Reply(mark + " " + c.Method()) })
	require.NoError(t, err)
	return reg
}

// asks calls a method that returns a string.
func asks(t *testing.T, n *daffi.Node, service, method string) (string, error) {
	t.Helper()
	return called(n, service, method, "()(string)", nil, codec.ReadString).Do(t.Context())
}

// TestE16HandleUnknown registers prefixes and methods in every order: explicit ones come first, then longer prefixes, on one node and on several.
func TestE16HandleUnknown(t *testing.T) {
	steps := []func(*testing.T, *daffi.Node){
		func(t *testing.T, n *daffi.Node) { answering(t, n, "", "all") },
		func(t *testing.T, n *daffi.Node) { answering(t, n, "head", "head") },
		func(t *testing.T, n *daffi.Node) { answering(t, n, "head.nested.*", "nested") },
		func(t *testing.T, n *daffi.Node) {
			_, err := daffi.Handle(n, "head.nested.Known", func(context.Context, struct{}) (string, error) { return "known", nil })
			require.NoError(t, err)
		},
	}
	for i := range 24 {
		order := []int{0, 1, 2, 3}
		k := i
		for j := 3; j > 0; j-- { // the i-th permutation
			order[j], order[k%(j+1)] = order[k%(j+1)], order[j]
			k /= j + 1
		}
		for _, nodes := range []int{1, 4} {
			t.Run(fmt.Sprint(order, nodes), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					net := daffitest.New(t)
					client := net.Node("client")
					var all []*daffi.Node
					for i := range nodes {
						all = append(all, net.Node(fmt.Sprintf("n%d", i)))
					}
					for _, s := range order {
						steps[s](t, all[s%nodes])
					}
					for _, c := range [][3]string{
						{"head.nested", "Known", "known"}, {"head.nested", "Other", "nested head.nested.Other"}, {"head.nested.deep", "X", "nested head.nested.deep.X"},
						{"head", "Run", "head head.Run"}, {"head.nest", "X", "head head.nest.X"}, {"header", "X", "all header.X"}, {"A", "B", "all A.B"},
					} {
						for range 2 {
							got, err := asks(t, client, c[0], c[1])
							require.NoError(t, err)
							require.Equal(t, c[2], got)
						}
					}
				})
			})
		}
	}
}

// TestE16RawCall shows what a handler of unknown methods sees, and what it can do.
func TestE16RawCall(t *testing.T) {
	bubble(t, func(t *testing.T, k *kit) {
		var in *daffi.RawCall
		var how func(*daffi.RawCall) error
		seen := make(chan []any, 1)
		_, err := daffi.HandleUnknown(k.server, "Raw", func(ctx context.Context, c *daffi.RawCall) error {
			in = c
			args, err := c.Args()
			if err != nil {
				return err
			}
			info, ok := daffi.CallFrom(ctx)
			if !ok || info.Method != c.Method() || info.Caller != "client" {
				return errors.New("wrong context")
			}
			seen <- append([]any{c.Method(), c.Signature(), c.Oneway(), string(c.Payload())}, args...)
			return how(c)
		})
		require.NoError(t, err)
		call := called(k.client, "Raw", "Do", "(string,[]int)(int)", func(e *codec.Encoder) {
			e.Array(2)
			e.String("x")
			codec.WriteSlice(e, []int{1, 2}, codec.WriteInt)
		}, codec.ReadInt)

		how = func(c *daffi.RawCall) error { return c.Reply(5) }
		v, err := call.Do(t.Context())
		require.NoError(t, err)
		require.Equal(t, 5, v)
		require.Equal(t, []any{"Raw.Do", "(string,[]int)(int)", false, "\x92\xa1x\x92\x01\x02", "x", []any{1, 2}}, <-seen)
		require.NotNil(t, in)

		how = func(c *daffi.RawCall) error { return c.ReplyRaw([]byte{0x91, 7}) }
		v, err = call.Do(t.Context())
		require.NoError(t, err)
		require.Equal(t, 7, v)
		<-seen

		how = func(c *daffi.RawCall) error { return nil }
		v, err = call.Do(t.Context())
		require.NoError(t, err)
		require.Zero(t, v)
		<-seen

		how = func(c *daffi.RawCall) error {
			for _, err := range []error{c.Reply("text"), c.Reply(), c.Reply(1, 2), c.ReplyRaw([]byte("nonsense")), c.ReplyRaw(nil)} {
				if daffi.CodeOf(err) != daffi.Internal {
					return fmt.Errorf("wrong results: %w", err)
				}
			}
			if err := c.Reply(1); err != nil {
				return err
			}
			return c.Reply(2)
		}
		_, err = call.Do(t.Context())
		requireError(t, err, daffi.Internal, daffi.ReasonEncode, daffi.Ran)
		require.ErrorContains(t, err, "its results are to be (int): the call was replied to before")
		<-seen

		how = func(c *daffi.RawCall) error { return &daffi.Error{Code: daffi.NotFound, Message: "nothing here"} }
		_, err = call.Do(t.Context())
		requireError(t, err, daffi.NotFound, "", daffi.Ran)
		<-seen

		how = func(c *daffi.RawCall) error { return nil }
		require.NoError(t, call.Post(t.Context()))
		synctest.Wait()
		require.Equal(t, true, (<-seen)[2])

		how = func(c *daffi.RawCall) error { panic("boom") }
		_, err = call.Do(t.Context())
		requireError(t, err, daffi.Internal, daffi.ReasonPanic, daffi.Ran)
		<-seen
		how = func(c *daffi.RawCall) error { return c.Reply(1) }
		_, err = call.With(daffi.To("server")).Do(t.Context())
		require.NoError(t, err)
		<-seen
		_, err = call.With(daffi.To("client")).Do(t.Context())
		requireError(t, err, daffi.Unavailable, daffi.ReasonNoProvider, daffi.NotRun)
		_, err = call.With(daffi.HashKey("k")).Do(t.Context())
		require.NoError(t, err)
		<-seen
	})
}

// TestE16LargeRawCall takes and gives what does not fit into a frame.
func TestE16LargeRawCall(t *testing.T) {
	bubble(t, func(t *testing.T, k *kit) {
		_, err := daffi.HandleUnknown(k.server, "Raw", func(ctx context.Context, c *daffi.RawCall) error { return c.ReplyRaw(c.Payload()) })
		require.NoError(t, err)
		big := make([]byte, 1<<20)
		big[len(big)-1] = 1
		got, err := called(k.client, "Raw", "Echo", "(bytes)(bytes)", func(e *codec.Encoder) { e.Array(1); e.Blob(big) }, codec.ReadBlob).Do(t.Context())
		require.NoError(t, err)
		require.Equal(t, big, got)
	})
}

// TestE16Forward is a gateway: a node at two controllers gives one the services of the other.
func TestE16Forward(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inner, outer := daffitest.New(t), daffitest.New(t)
		impl := new(testkit.Impl)
		_, err := testkit.RegisterKit(inner.Node("server"), impl)
		require.NoError(t, err)
		inside, outside := inner.Node("gateway"), outer.Node("gateway")
		_, err = daffi.HandleUnknown(outside, "", func(ctx context.Context, c *daffi.RawCall) error { return c.Forward(ctx, inside) })
		require.NoError(t, err)
		p := testkit.NewKit(outer.Node("client"))
		got, err := p.Echo(t.Context(), []byte("through"))
		require.NoError(t, err)
		require.Equal(t, "through", string(got))
		big, err := p.Echo(t.Context(), make([]byte, 1<<20))
		require.NoError(t, err)
		require.Len(t, big, 1<<20)
		caller, _, err := p.Who(t.Context())
		require.NoError(t, err)
		require.Equal(t, "gateway", caller)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		require.Equal(t, daffi.DeadlineExceeded, daffi.CodeOf(p.Block(ctx)))
		_, err = p.Fail(t.Context(), "coded")
		requireError(t, err, daffi.NotFound, "no_such_item", daffi.Ran)
		require.Equal(t, "server", asError(t, err).Node)
		require.NoError(t, p.Prepare().Add(5).Post(t.Context()))
		synctest.Wait()
		total, err := p.Total(t.Context())
		require.NoError(t, err)
		require.Equal(t, 5, total)
		for _, err := range p.Count(t.Context(), 3, "") { // streams are not taken
			requireError(t, err, daffi.Unavailable, daffi.ReasonNoProvider, daffi.NotRun)
		}
		_, err = asks(t, outer.Node("other"), "No", "Such")
		requireError(t, err, daffi.Unavailable, daffi.ReasonNoProvider, daffi.NotRun)
	})
}

// TestE16ForwardInCircles ends at the bound of calls within calls.
func TestE16ForwardInCircles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := daffitest.New(t)
		a := net.Node("a")
		var times atomic.Int64
		_, err := daffi.HandleUnknown(a, "", func(ctx context.Context, c *daffi.RawCall) error { times.Add(1); return c.Forward(ctx, a) })
		require.NoError(t, err)
		_, err = asks(t, net.Node("client"), "No", "Such")
		require.Equal(t, daffi.ResourceExhausted, daffi.CodeOf(err))
		require.Equal(t, daffi.ReasonDepth, asError(t, err).Reason)
		require.Less(t, times.Load(), int64(100))
	})
}

// TestT13WildcardsAreNoProviders looks for a method that only a prefix takes.
func TestT13WildcardsAreNoProviders(t *testing.T) {
	bubble(t, func(t *testing.T, k *kit) {
		answering(t, k.server, "", "all")
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		err := k.client.WaitMethod(ctx, "No.Such")
		requireError(t, err, daffi.DeadlineExceeded, "", daffi.NotRun)
		_, err = k.client.Describe(t.Context(), "No")
		requireError(t, err, daffi.NotFound, daffi.ReasonNoProvider, daffi.NotRun)
		_, err = daffi.Invoke(t.Context(), k.client, "No.Such")
		requireError(t, err, daffi.Unavailable, daffi.ReasonNoProvider, daffi.NotRun)

		// Another signature is no reason for a prefix.
		_, err = called(k.client, "Kit", "Echo", "(string)(string)", func(e *codec.Encoder) { e.Array(1); e.String("") }, codec.ReadString).Do(t.Context())
		requireError(t, err, daffi.FailedPrecondition, daffi.ReasonSchema, daffi.NotRun)
		got, err := asks(t, k.client, "Kit", "Nope")
		require.NoError(t, err)
		require.Equal(t, "all Kit.Nope", got)
		_, err = asks(t, k.client, "daffi.msg", "nope")
		requireError(t, err, daffi.Unavailable, daffi.ReasonNoProvider, daffi.NotRun)
	})
}

// TestE17UnhandledCallsAreAnswered calls what nobody serves, in every way.
func TestE17UnhandledCallsAreAnswered(t *testing.T) {
	bubble(t, func(t *testing.T, k *kit) {
		none := called(k.client, "No", "Such", "()(string)", nil, codec.ReadString)
		_, err := none.Do(t.Context())
		requireError(t, err, daffi.Unavailable, daffi.ReasonNoProvider, daffi.NotRun)
		requireError(t, none.Post(t.Context()), daffi.Unavailable, daffi.ReasonNoProvider, daffi.NotRun)
		nope := called(k.client, "Kit", "Nope", "()(string)", nil, codec.ReadString)
		_, err = nope.Do(t.Context())
		requireError(t, err, daffi.Unimplemented, "", daffi.NotRun)
		requireError(t, nope.Post(t.Context()), daffi.Unimplemented, "", daffi.NotRun)

		reg := answering(t, k.server, "Kit", "kit")
		_, err = nope.Do(t.Context())
		require.NoError(t, err)
		require.NoError(t, reg.Close())
		require.NoError(t, reg.Close())
		_, err = nope.Do(t.Context())
		requireError(t, err, daffi.Unimplemented, "", daffi.NotRun)
	})
}

func TestE16HandleUnknownRefuses(t *testing.T) {
	bubble(t, func(t *testing.T, k *kit) {
		fn := func(context.Context, *daffi.RawCall) error { return nil }
		for _, prefix := range []string{"daffi", "daffi.*", "daffi.msg"} {
			_, err := daffi.HandleUnknown(k.server, prefix, fn)
			requireError(t, err, daffi.InvalidArgument, "", daffi.NotRun)
		}
		_, err := daffi.HandleUnknown(k.server, "a b", fn)
		requireError(t, err, daffi.InvalidArgument, "", daffi.NotRun)
		_, err = daffi.HandleUnknown(k.server, "a", nil)
		requireError(t, err, daffi.InvalidArgument, "", daffi.NotRun)
		_, err = daffi.HandleUnknown(k.server, "a", fn, daffi.Override())
		requireError(t, err, daffi.InvalidArgument, "", daffi.NotRun)
		reg, err := daffi.HandleUnknown(k.server, "a", fn)
		require.NoError(t, err)
		require.Equal(t, "a", reg.Service())
		_, err = daffi.HandleUnknown(k.server, "a.*", fn)
		requireError(t, err, daffi.AlreadyExists, "", daffi.NotRun)
		require.ErrorContains(t, err, `unknown methods of the prefix "a" are handled on this node already`)
		require.NoError(t, reg.Close())
		for i := range 256 {
			_, err := daffi.HandleUnknown(k.server, fmt.Sprint("p", i), fn)
			require.NoError(t, err)
		}
		_, err = daffi.HandleUnknown(k.server, "one", fn)
		requireError(t, err, daffi.ResourceExhausted, "limit", daffi.NotRun)
	})
}

// TestE16NodesComeAndGo has prefixes at nodes that differ in labels, leave and come back.
func TestE16NodesComeAndGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := daffitest.New(t)
		client := net.Node("client")
		a, b := net.NodeWith(daffi.Options{Name: "a", Labels: map[string]string{"zone": "x"}}), net.NodeWith(daffi.Options{Name: "b", Labels: map[string]string{"zone": "y"}})
		answering(t, a, "s", "a")
		answering(t, b, "s", "b")
		seen := map[string]int{}
		for range 200 {
			got, err := asks(t, client, "s", "M")
			require.NoError(t, err)
			seen[got]++
		}
		require.Len(t, seen, 2)
		for range 20 {
			got, err := called(client, "s", "M", "()(string)", nil, codec.ReadString).With(daffi.Where("zone", "y")).Do(t.Context())
			require.NoError(t, err)
			require.Equal(t, "b s.M", got)
		}
		require.NoError(t, a.Shutdown(t.Context()))
		for range 20 {
			got, err := asks(t, client, "s", "M")
			require.NoError(t, err)
			require.Equal(t, "b s.M", got)
		}
		reg, err := daffi.Handle(client, "s.M", func(context.Context, struct{}) (string, error) { return "served", nil })
		require.NoError(t, err)
		got, err := asks(t, client, "s", "M")
		require.NoError(t, err)
		require.Equal(t, "served", got)
		require.NoError(t, reg.Close())
		require.NoError(t, b.Close())
		synctest.Wait() // The controller has seen that b is gone: a call that meets it on its way there may have run.
		_, err = asks(t, client, "s", "M")
		requireError(t, err, daffi.Unavailable, daffi.ReasonNoProvider, daffi.NotRun)
	})
}

// TestE24UnknownUnderLoad lets a prefix and a method of it come and go while it is called: every call is answered.
func TestE24UnknownUnderLoad(t *testing.T) {
	net := daffitest.New(t)
	server, client := net.Node("server"), net.Node("client")
	var stop atomic.Bool
	var wg sync.WaitGroup
	var taken, explicit, refused atomic.Int64
	call := called(client, "s", "M", "()(string)", nil, codec.ReadString)
	for range 8 {
		wg.Go(func() {
			for !stop.Load() {
				got, err := call.Do(t.Context())
				var e *daffi.Error
				switch {
				case err == nil && got == "all s.M":
					taken.Add(1)
				case err == nil && got == "served":
					explicit.Add(1)
				case errors.As(err, &e) && e.Outcome == daffi.NotRun && (e.Code == daffi.Unimplemented || e.Reason == daffi.ReasonNoProvider || e.Reason == daffi.ReasonDraining):
					refused.Add(1)
				default:
					t.Errorf("%q, %v", got, err)
				}
			}
		})
	}
	for i := 0; i < 200 || i < 20000 && taken.Load()+explicit.Load() == 0; i++ { // on a busy machine the callers may take long to begin
		all := answering(t, server, "s", "all")
		one, err := daffi.Handle(server, "s.M", func(context.Context, struct{}) (string, error) { return "served", nil })
		require.NoError(t, err)
		require.NoError(t, one.Close())
		require.NoError(t, all.Close())
	}
	stop.Store(true)
	wg.Wait()
	t.Logf("%d taken, %d served, %d refused", taken.Load(), explicit.Load(), refused.Load())
	require.NotZero(t, taken.Load()+explicit.Load())
}

// TestE16PrefixThatNamesAMethod handles a prefix that is the full name of a method below another prefix.
func TestE16PrefixThatNamesAMethod(t *testing.T) {
	bubble(t, func(t *testing.T, k *kit) {
		answering(t, k.server, "head", "head")
		answering(t, k.server, "head.Run", "run")
		for call, want := range map[[2]string]string{{"head", "Run"}: "head head.Run", {"head.Run", "X"}: "run head.Run.X"} {
			got, err := asks(t, k.client, call[0], call[1])
			require.NoError(t, err)
			require.Equal(t, want, got)
		}
	})
}

// TestE16ForwardElsewhere tries another node where the first fails: a call that may have run is never one that has not.
func TestE16ForwardElsewhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inner, empty, outer := daffitest.New(t), daffitest.New(t), daffitest.New(t)
		ran := 0
		_, err := daffi.Handle(inner.Node("server"), "A.Do", func(context.Context, struct{}) (string, error) {
			ran++
			return "", errors.New("failed")
		})
		require.NoError(t, err)
		inside, nobody := inner.Node("gateway"), empty.Node("gateway")
		var order []*daffi.Node
		_, err = daffi.HandleUnknown(outer.Node("gateway"), "A", func(ctx context.Context, c *daffi.RawCall) (err error) {
			for _, n := range order {
				if err = c.Forward(ctx, n); err == nil {
					return nil
				}
			}
			return err
		})
		require.NoError(t, err)
		client := outer.Node("client")

		order = []*daffi.Node{nobody, nobody}
		_, err = asks(t, client, "A", "Do")
		requireError(t, err, daffi.Unavailable, daffi.ReasonNoProvider, daffi.NotRun)
		order = []*daffi.Node{nobody, inside}
		_, err = asks(t, client, "A", "Do")
		requireError(t, err, daffi.Unknown, "", daffi.Ran)
		require.Equal(t, 1, ran)
		order = []*daffi.Node{inside, nobody}
		_, err = asks(t, client, "A", "Do")
		requireError(t, err, daffi.Unavailable, daffi.ReasonNoProvider, daffi.Ran)
		require.Equal(t, 2, ran)
	})
}

// TestE16ForwardKeepsIdentity has errors.Is and errors.As hold behind a gateway that knows nothing of the error.
func TestE16ForwardKeepsIdentity(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inner, outer := daffitest.New(t), daffitest.New(t)
		errEmpty := errors.New("the shelf is empty")
		table := func() []daffi.KnownError { return []daffi.KnownError{daffi.Sentinel("shop.ErrEmpty", errEmpty)} }
		var fails error
		service := daffi.Service[any]{Name: "Shop", Errors: table, Handlers: []daffi.Handler[any]{{Name: "Take", Sig: "()()",
			Serve: func(_ context.Context, _ any, in *daffi.Incoming) error { return errors.Join(in.Args().Close(), fails) }}}}
		_, err := daffi.Register[any](inner.Node("server"), &service, 1)
		require.NoError(t, err)
		inside := inner.Node("gateway")
		_, err = daffi.HandleUnknown(outer.Node("gateway"), "", func(ctx context.Context, c *daffi.RawCall) error { return c.Forward(ctx, inside) })
		require.NoError(t, err)
		b := daffi.Bind(outer.Node("client"), &daffi.Client{Service: "Shop", Errors: table, Methods: []daffi.Method{{Name: "Take", Sig: "()()"}}})
		for _, fails = range []error{fmt.Errorf("take: %w", errEmpty), &daffi.InvalidArgumentError{Field: "Count", Want: "at least 1"}} {
			err = daffi.NewAction(b, 0, nil).Do(t.Context())
			var wrong *daffi.InvalidArgumentError
			require.True(t, errors.Is(err, errEmpty) || errors.As(err, &wrong), "%v", err)
			require.Equal(t, daffi.Ran, daffi.OutcomeOf(err))
		}
	})
}

// TestE16ForwardLongSignature forwards a call whose signature is named by its fingerprint (SEM-2).
func TestE16ForwardLongSignature(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inner, outer := daffitest.New(t), daffitest.New(t)
		sig := "({" + strings.Repeat("x", 100) + " int})(string)"
		serve := daffi.Service[any]{Name: "Long", Handlers: []daffi.Handler[any]{{Name: "Do", Sig: sig,
			Serve: func(_ context.Context, _ any, in *daffi.Incoming) error {
				in.Results(1).String("done")
				return in.Args().Close()
			}}}}
		_, err := daffi.Register[any](inner.Node("server"), &serve, 1)
		require.NoError(t, err)
		inside := inner.Node("gateway")
		_, err = daffi.HandleUnknown(outer.Node("gateway"), "", func(ctx context.Context, c *daffi.RawCall) error { return c.Forward(ctx, inside) })
		require.NoError(t, err)
		got, err := called(outer.Node("client"), "Long", "Do", sig, func(e *codec.Encoder) { e.Array(1); e.Nil() }, codec.ReadString).Do(t.Context())
		require.NoError(t, err)
		require.Equal(t, "done", got)
	})
}

// TestE16RawCallOfARogue looks at arguments that are none, or do not end.
func TestE16RawCallOfARogue(t *testing.T) {
	bubble(t, func(t *testing.T, k *kit) {
		_, err := daffi.HandleUnknown(k.server, "Raw", func(_ context.Context, c *daffi.RawCall) error {
			args, err := c.Args()
			if err != nil {
				return err
			}
			return c.Reply(fmt.Sprint(args...))
		})
		require.NoError(t, err)
		for name, raw := range map[string]string{
			"no array": "\xa1x", "too short": "\x92\x01", "too long": "\xdd\xff\xff\xff\xff", "behind it": "\x91\xc0\x01", "deep": "\x91" + strings.Repeat("\x91", 100) + "\xc0", "nothing": "",
		} {
			_, err := called(k.client, "Raw", "Do", "(any)(string)", func(e *codec.Encoder) { e.Raw([]byte(raw)) }, codec.ReadString).Do(t.Context())
			require.Error(t, err, name)
			require.Equal(t, daffi.InvalidArgument, daffi.CodeOf(err), name)
		}
		got, err := called(k.client, "Raw", "Do", "(any)(string)", nil, codec.ReadString).Do(t.Context())
		require.NoError(t, err)
		require.Equal(t, "<nil>", got)
	})
}

// TestD44UnknownMethodsOnSchedule schedules what only a prefix takes.
func TestD44UnknownMethodsOnSchedule(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := daffitest.New(t)
		var got []string
		handle := func(name string) *daffi.Registration {
			reg, err := daffi.HandleUnknown(net.Node(name), "Raw", func(ctx context.Context, c *daffi.RawCall) error {
				info, _ := daffi.CallFrom(ctx)
				args, err := c.Args()
				got = append(got, fmt.Sprint(name, info.Tick, args))
				return err
			})
			require.NoError(t, err)
			return reg
		}
		first := handle("first")
		b := daffi.Bind(net.Node("client"), &daffi.Client{Service: "Raw", Methods: []daffi.Method{{Name: "Do", Sig: "(int)()"}}})
		task, err := daffi.NewAction(b, 0, func(e *codec.Encoder) { e.Array(1); e.Int(7) }).Schedule(t.Context(), daffi.Every(time.Second))
		require.NoError(t, err)
		time.Sleep(1500 * time.Millisecond)
		require.NoError(t, first.Close())
		time.Sleep(time.Second) // nobody is there for the second tick
		handle("second")
		time.Sleep(time.Second)
		synctest.Wait()
		require.Equal(t, []string{"first1 [7]", "second3 [7]"}, got)
		info, err := task.Info(t.Context())
		require.NoError(t, err)
		require.Equal(t, 2, info.Runs)
		require.NoError(t, info.Last.Err)
	})
}

// TestE16ForwardIsNoFailureOfTheNode has a gateway hand on that its calls reach nobody: it is chosen for what it serves itself all the same (LIM-42).
func TestE16ForwardIsNoFailureOfTheNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		empty, outer := daffitest.New(t), daffitest.New(t)
		nobody, gateway := empty.Node("gateway"), outer.Node("gateway")
		for _, n := range []*daffi.Node{gateway, outer.Node("other")} {
			_, err := daffi.Handle(n, "S.X", func(ctx context.Context, _ struct{}) (string, error) { return daffi.NodeFrom(ctx).Name(), nil })
			require.NoError(t, err)
		}
		_, err := daffi.HandleUnknown(gateway, "", func(ctx context.Context, c *daffi.RawCall) error { return c.Forward(ctx, nobody) })
		require.NoError(t, err)
		client := outer.Node("client")
		for range 6 {
			_, err := asks(t, client, "No", "Such")
			requireError(t, err, daffi.Unavailable, daffi.ReasonNoProvider, daffi.NotRun)
		}
		got := map[string]int{}
		for range 100 {
			name, err := asks(t, client, "S", "X")
			require.NoError(t, err)
			got[name]++
		}
		require.NotZero(t, got["gateway"])
	})
}
