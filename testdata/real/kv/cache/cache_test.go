package cache

import (
	"context"
	"iter"
	"testing"
	"time"

	"pgregory.net/rapid"

	daffi "github.com/daffi-rpc/daffi/runtime"
	"github.com/daffi-rpc/daffi/testdata/real/both"
	"github.com/daffi-rpc/daffi/testdata/real/kv"
)

// local is a Cache of a store in the same process.
type local struct {
	kv.Hashes
	s kv.Store
}

func (l local) Lookup(ctx context.Context, key string) (*kv.Item, error) { return l.s.Get(ctx, key) }

func (l local) Remember(ctx context.Context, key string, value []byte, forHowLong time.Duration) error {
	return l.s.Set(ctx, key, value, forHowLong)
}

func (l local) RememberJSON(ctx context.Context, key string, value any) error {
	key, b, forHowLong, err := encode(ctx, key, value)
	if err != nil {
		return err
	}
	return l.s.Set(ctx, key, b, forHowLong)
}

func (l local) Forget(ctx context.Context, keys ...string) (int64, error) {
	return l.s.Del(ctx, keys...)
}

func (l local) Fill(ctx context.Context, overwrite bool, items iter.Seq[kv.Item]) (int, error) {
	return l.s.Load(ctx, overwrite, daffi.NoError(items))
}

func TestCache(t *testing.T) {
	both.Run(t, both.Subject[kv.Hashes, Cache]{
		Service: kv.StoreName,
		New:     func() kv.Hashes { return kv.NewMemory(both.Clock()) },
		Register: func(r daffi.Registrar, s kv.Hashes, opts ...daffi.ServeOption) (*daffi.Registration, error) {
			return kv.RegisterStore(r, s.(kv.Store), opts...)
		},
		Proxy:  func(c daffi.Caller) Cache { return NewCache(c) },
		Direct: func(s kv.Hashes) Cache { return local{s, s.(kv.Store)} },
		Errors: both.Is(kv.ErrNotFound, kv.ErrWrongType, kv.ErrConflict),
		Values: []func(*both.Values){both.Of(rapid.SampledFrom([]string{"a", "b"}))},
	})
}
