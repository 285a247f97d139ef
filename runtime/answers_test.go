package daffi_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	daffi "github.com/daffi-rpc/daffi/runtime"
	"github.com/daffi-rpc/daffi/runtime/codec"
	"github.com/daffi-rpc/daffi/runtime/internal/testkit"
)

// Wherever a call fails on its way, its caller has one answer, in time, and nothing of it is left at either node.
func TestT10EveryStepAnswers(t *testing.T) {
	for name, step := range map[string]struct {
		call func(ctx context.Context, k *kit) error
		code daffi.Code
		was  daffi.Outcome
	}{
		"ended before": {func(ctx context.Context, k *kit) error {
			ctx, cancel := context.WithCancel(ctx)
			cancel()
			return k.p.Add(ctx, 1)
		}, daffi.Canceled, daffi.NotRun},
		"cannot be encoded": {func(ctx context.Context, k *kit) error {
			return k.p.Prepare().Add(1).With(daffi.Mapped(func(context.Context, *codec.Encoder) error {
				return errors.New("no arguments")
			})).Do(ctx)
		}, daffi.Unknown, daffi.NotRun},
		"too large": {func(ctx context.Context, k *kit) error {
			_, err := k.p.Echo(ctx, make([]byte, 5<<20))
			return err
		}, daffi.ResourceExhausted, daffi.NotRun},
		"no such node": {func(ctx context.Context, k *kit) error {
			return k.p.Prepare().Add(1).With(daffi.To("nobody")).Do(ctx)
		}, daffi.Unavailable, daffi.NotRun},
		"no such service": {func(ctx context.Context, k *kit) error {
			_, err := daffi.Invoke(ctx, k.client, "Nothing.Such")
			return err
		}, daffi.Unavailable, daffi.NotRun},
		"no such method": {func(ctx context.Context, k *kit) error {
			_, err := daffi.Invoke(ctx, k.client, "Kit.NoSuch")
			return err
		}, daffi.Unimplemented, daffi.NotRun},
		"cannot be decoded": {func(ctx context.Context, k *kit) error {
			return k.p.Prepare().Add(1).With(daffi.Mapped(func(_ context.Context, e *codec.Encoder) error {
				e.Array(1)
				e.String("no number")
				return nil
			})).Do(ctx)
		}, daffi.InvalidArgument, daffi.NotRun},
		"panics": {func(ctx context.Context, k *kit) error {
			_, err := k.p.Fail(ctx, "panic")
			return err
		}, daffi.Internal, daffi.Ran},
		"leaves its goroutine": {func(ctx context.Context, k *kit) error {
			_, err := k.p.Fail(ctx, "goexit")
			return err
		}, daffi.Internal, daffi.Ran},
		"fails": {func(ctx context.Context, k *kit) error {
			_, err := k.p.Fail(ctx, "coded")
			return err
		}, daffi.NotFound, daffi.Ran},
		"has too large a result": {func(ctx context.Context, k *kit) error {
			_, err := k.p.Fail(ctx, "huge")
			return err
		}, daffi.ResourceExhausted, daffi.Ran},
		"is cancelled": {func(ctx context.Context, k *kit) error {
			ctx, cancel := context.WithCancel(ctx)
			time.AfterFunc(time.Second, cancel)
			return k.p.Block(ctx)
		}, daffi.Canceled, daffi.MayHaveRun},
		"loses its node": {func(ctx context.Context, k *kit) error {
			time.AfterFunc(time.Second, func() { k.server.Close() })
			return k.p.Block(ctx)
		}, daffi.Unavailable, daffi.MayHaveRun},
		"loses its controller": {func(ctx context.Context, k *kit) error {
			time.AfterFunc(time.Second, func() { k.net.Controller.Close() })
			return k.p.Block(ctx)
		}, daffi.Unavailable, daffi.MayHaveRun},
		"is closed itself": {func(ctx context.Context, k *kit) error {
			time.AfterFunc(time.Second, func() { k.client.Close() })
			return k.p.Block(ctx)
		}, daffi.Unavailable, daffi.MayHaveRun},
		"fails in a stream": {func(ctx context.Context, k *kit) error {
			_, err := daffi.Items(k.p.Count(ctx, 3, "panic"))
			return err
		}, daffi.Internal, daffi.Ran},
		"has a bad input": {func(ctx context.Context, k *kit) error {
			return testkit.NewMany(k.client).AddEach(ctx, func(yield func(int, error) bool) { yield(-1, nil) })
		}, daffi.Unknown, daffi.Ran},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				k := newKit(t)
				require.NoError(t, k.p.Add(t.Context(), 1))
				start := time.Now()
				err := step.call(t.Context(), k)
				require.Equal(t, step.code, daffi.CodeOf(err), "%v", err)
				require.Equal(t, step.was, daffi.OutcomeOf(err), "%v", err)
				require.LessOrEqual(t, time.Since(start), 1250*time.Millisecond)
				synctest.Wait()
				for _, n := range []*daffi.Node{k.server, k.client} {
					require.Regexp(t, "^(no session)?$", n.Held())
				}
			})
		})
	}
}
