package daffi_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	daffi "github.com/daffi-rpc/daffi/runtime"
	"github.com/daffi-rpc/daffi/runtime/codec"
	"github.com/daffi-rpc/daffi/runtime/internal/testkit"
	"github.com/daffi-rpc/daffi/runtime/transport"
)

// ends counts the frames that end calls of the nodes that join by it.
type ends struct {
	daffi.Controller
	mu sync.Mutex
	of map[uint64]int // by call id
}

func (e *ends) Attach() (transport.Link, error) {
	l, err := e.Controller.Attach()
	return endsLink{l, e}, err
}

type endsLink struct {
	transport.Link
	ends *ends
}

func (l endsLink) Start(h transport.Handler) { l.Link.Start(endsHandler{h, l.ends}) }

type endsHandler struct {
	transport.Handler
	ends *ends
}

func (h endsHandler) HandleFrame(f *transport.Frame) error {
	if f.Kind == transport.Reply || f.Kind == transport.Error {
		h.ends.mu.Lock()
		h.ends.of[f.Call]++
		h.ends.mu.Unlock()
	}
	return h.Handler.HandleFrame(f)
}

// gate is a method of the server that is called without generated code, and the call.
func gate[R any](ctx context.Context, k *kit, fn func(context.Context, struct{}) (R, error), opts ...daffi.ServeOption) error {
	reg, err := daffi.Handle(k.server, "Gate.Pass", fn, opts...)
	if err != nil {
		return err
	}
	defer reg.Close()
	_, err = daffi.Invoke(ctx, k.client, "Gate.Pass")
	return err
}

// Wherever a call fails on its way, its caller has one answer, in time, and nothing of it is left at either node.
func TestT10EveryStepEndsACall(t *testing.T) {
	denied := &daffi.Error{Code: daffi.PermissionDenied, Message: "not you"}
	refuses := func(context.Context, *daffi.Interception, func(context.Context) error) error { return denied }
	refusesAfter := func(ctx context.Context, _ *daffi.Interception, next func(context.Context) error) error {
		return errors.Join(next(ctx), denied)
	}
	nothing := func(context.Context, struct{}) (struct{}, error) { return struct{}{}, nil }
	for name, step := range map[string]struct {
		call func(ctx context.Context, k *kit) error
		code daffi.Code
		was  daffi.Outcome
		came int // frames that end calls; -1: one or none
	}{
		"ended before": {func(ctx context.Context, k *kit) error {
			ctx, cancel := context.WithCancel(ctx)
			cancel()
			return k.p.Add(ctx, 1)
		}, daffi.Canceled, daffi.NotRun, 0},
		"cannot be encoded": {func(ctx context.Context, k *kit) error {
			return k.p.Prepare().Add(1).With(daffi.Mapped(func(context.Context, *codec.Encoder) error {
				return errors.New("no arguments")
			})).Do(ctx)
		}, daffi.Unknown, daffi.NotRun, 0},
		"too large": {func(ctx context.Context, k *kit) error {
			_, err := k.p.Echo(ctx, make([]byte, 5<<20))
			return err
		}, daffi.ResourceExhausted, daffi.NotRun, 0},
		"no such node": {func(ctx context.Context, k *kit) error {
			return k.p.Prepare().Add(1).With(daffi.To("nobody")).Do(ctx)
		}, daffi.Unavailable, daffi.NotRun, 0},
		"no such service": {func(ctx context.Context, k *kit) error {
			_, err := daffi.Invoke(ctx, k.client, "Nothing.Such")
			return err
		}, daffi.Unavailable, daffi.NotRun, 0},
		"no such method": {func(ctx context.Context, k *kit) error {
			_, err := daffi.Invoke(ctx, k.client, "Kit.NoSuch")
			return err
		}, daffi.Unimplemented, daffi.NotRun, 0},
		"cannot be decoded": {func(ctx context.Context, k *kit) error {
			return k.p.Prepare().Add(1).With(daffi.Mapped(func(_ context.Context, e *codec.Encoder) error {
				e.Array(1)
				e.String("no number")
				return nil
			})).Do(ctx)
		}, daffi.InvalidArgument, daffi.NotRun, 1},
		"panics": {func(ctx context.Context, k *kit) error {
			_, err := k.p.Fail(ctx, "panic")
			return err
		}, daffi.Internal, daffi.Ran, 1},
		"leaves its goroutine": {func(ctx context.Context, k *kit) error {
			_, err := k.p.Fail(ctx, "goexit")
			return err
		}, daffi.Internal, daffi.Ran, 1},
		"fails": {func(ctx context.Context, k *kit) error {
			_, err := k.p.Fail(ctx, "coded")
			return err
		}, daffi.NotFound, daffi.Ran, 1},
		"has too large a result": {func(ctx context.Context, k *kit) error {
			_, err := k.p.Fail(ctx, "huge")
			return err
		}, daffi.ResourceExhausted, daffi.Ran, 1},
		"is cancelled": {func(ctx context.Context, k *kit) error {
			ctx, cancel := context.WithCancel(ctx)
			time.AfterFunc(time.Second, cancel)
			return k.p.Block(ctx)
		}, daffi.Canceled, daffi.MayHaveRun, 0},
		"loses its node": {func(ctx context.Context, k *kit) error {
			time.AfterFunc(time.Second, func() { k.server.Close() })
			return k.p.Block(ctx)
		}, daffi.Unavailable, daffi.MayHaveRun, 1},
		"loses its controller": {func(ctx context.Context, k *kit) error {
			time.AfterFunc(time.Second, func() { k.net.Controller.Close() })
			return k.p.Block(ctx)
		}, daffi.Unavailable, daffi.MayHaveRun, -1}, // the callee's link may end first, of which the caller is told
		"is closed itself": {func(ctx context.Context, k *kit) error {
			time.AfterFunc(time.Second, func() { k.client.Close() })
			return k.p.Block(ctx)
		}, daffi.Unavailable, daffi.MayHaveRun, 0},
		"fails in a stream": {func(ctx context.Context, k *kit) error {
			_, err := daffi.Items(k.p.Count(ctx, 3, "panic"))
			return err
		}, daffi.Internal, daffi.Ran, 1},
		"has an argument of another type": {func(ctx context.Context, k *kit) error {
			_, err := daffi.Invoke(ctx, k.client, "Kit.Add", "one")
			return err
		}, daffi.InvalidArgument, daffi.NotRun, 0},
		"finds no room": {func(ctx context.Context, k *kit) error {
			inside, free, first := make(chan struct{}), make(chan struct{}), make(chan error, 1)
			reg, err := daffi.Handle(k.server, "Gate.Pass", func(context.Context, struct{}) (struct{}, error) {
				close(inside)
				<-free
				return struct{}{}, nil
			}, daffi.Workers(1), daffi.Queue(0))
			if err != nil {
				return err
			}
			defer reg.Close()
			pass := func() error { _, err := daffi.Invoke(ctx, k.client, "Gate.Pass"); return err }
			go func() { first <- pass() }()
			<-inside
			err = pass()
			close(free)
			return errors.Join(<-first, err)
		}, daffi.ResourceExhausted, daffi.NotRun, 4},
		"is refused by an interceptor of its own": {func(ctx context.Context, k *kit) error {
			return k.p.Prepare().Add(1).With(daffi.Intercept(refuses)).Do(ctx)
		}, daffi.PermissionDenied, daffi.NotRun, 0},
		"is refused by the callee's interceptor": {func(ctx context.Context, k *kit) error {
			return gate(ctx, k, nothing, daffi.InterceptHandlers(refuses))
		}, daffi.PermissionDenied, daffi.NotRun, 1},
		"is refused by the callee's interceptor afterwards": {func(ctx context.Context, k *kit) error {
			return gate(ctx, k, nothing, daffi.InterceptHandlers(refusesAfter))
		}, daffi.PermissionDenied, daffi.Ran, 1},
		"is not valid": {func(ctx context.Context, k *kit) error {
			serve := func(_ context.Context, _ any, in *daffi.Incoming) error {
				if err := in.Args().Close(); err != nil {
					return err
				}
				return in.Invalid("order", errors.New("it is empty"))
			}
			service := daffi.Service[any]{Name: "Shop", Handlers: []daffi.Handler[any]{{Name: "Place", Sig: "()()", Serve: serve}}}
			if _, err := daffi.Register[any](k.server, &service, 1); err != nil {
				return err
			}
			_, err := daffi.Invoke(ctx, k.client, "Shop.Place")
			return err
		}, daffi.InvalidArgument, daffi.NotRun, 1},
		"has a result that cannot be encoded": {func(ctx context.Context, k *kit) error {
			return gate(ctx, k, func(context.Context, struct{}) (any, error) { return make(chan int), nil })
		}, daffi.Internal, daffi.Ran, 1},
		"has a bad input": {func(ctx context.Context, k *kit) error {
			return testkit.NewMany(k.client).AddEach(ctx, func(yield func(int, error) bool) { yield(-1, nil) })
		}, daffi.Unknown, daffi.Ran, 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				k := newKit(t)
				came := &ends{Controller: k.net.Controller, of: map[uint64]int{}}
				client, err := daffi.Connect(t.Context(), daffi.Options{Name: "caller", Controller: came})
				require.NoError(t, err)
				defer client.Close()
				k.client, k.p = client, testkit.NewKit(client)
				require.NoError(t, k.p.Add(t.Context(), 1))
				start := time.Now()
				err = step.call(t.Context(), k)
				require.Equal(t, step.code, daffi.CodeOf(err), "%v", err)
				require.Equal(t, step.was, daffi.OutcomeOf(err), "%v", err)
				require.LessOrEqual(t, time.Since(start), 1250*time.Millisecond)
				synctest.Wait()
				for id, n := range came.of {
					require.Equal(t, 1, n, "frames that end the call %#x", id)
				}
				if want := 1 + step.came; want > 0 {
					require.Len(t, came.of, want, "with that of the first call")
				} else {
					require.LessOrEqual(t, len(came.of), 2)
				}
				for _, n := range []*daffi.Node{k.server, k.client} {
					require.Regexp(t, "^(no session)?$", n.Held())
				}
			})
		})
	}
}
