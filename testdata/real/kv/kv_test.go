package kv

import (
	"context"
	"testing"
	"time"

	"pgregory.net/rapid"

	daffi "github.com/daffi-rpc/daffi/runtime"
	"github.com/daffi-rpc/daffi/testdata/real/both"
)

// prepared has some keys, one of which expires.
func prepared() Store {
	m, ctx := NewMemory(both.Clock()), context.Background()
	both.Must(m, m.Set(ctx, "a", []byte("17"), time.Hour))
	both.Must(m, m.Set(ctx, "b/1", []byte("x"), 0))
	both.Must(m.ZAdd(ctx, "a", Z{1, "one"}, Z{2, "two"}, Z{2, "zwei"}))
	return m
}

func TestStore(t *testing.T) {
	both.Run(t, both.Subject[Store, Store]{
		Service:  StoreName,
		New:      prepared,
		Register: RegisterStore,
		Proxy:    func(c daffi.Caller) Store { return NewStore(c) },
		Direct:   func(s Store) Store { return s },
		Errors:   both.Is(ErrNotFound, ErrWrongType, ErrConflict),
		Values: []func(*both.Values){
			both.Of(rapid.OneOf(rapid.SampledFrom([]string{"a", "b", "b/1"}), rapid.String())),
			both.Of(rapid.OneOf(rapid.Just([]byte("17")), rapid.Just([]byte(nil)), rapid.SliceOf(rapid.Byte()))),
			both.Of(rapid.SampledFrom([]time.Duration{KeepTTL, 0, 3 * time.Second, time.Hour})),
			both.Of(rapid.SampledFrom([]Mode{Always, IfNew, IfOld})),
		},
		Args: map[string]func(*rapid.T) []any{
			"Scan": func(t *rapid.T) []any {
				return []any{rapid.Uint64Range(0, 3).Draw(t, "cursor"), rapid.SampledFrom([]string{"*", "b*", "[", "a"}).Draw(t, "match")}
			},
		},
	})
}
