// Package cache is what another team wants of a store that it does not own.
package cache

import (
	"context"
	"encoding/json"
	"iter"
	"time"

	"github.com/daffi-rpc/daffi/testdata/real/kv"
)

//go:generate go tool daffigen

// Cache has some of the methods of a [kv.Store], and names of its own for others.
//
//daffi:fetcher github.com/daffi-rpc/daffi/testdata/real/kv.Store
type Cache interface {
	kv.Hashes

	//daffi:alias Get
	//daffi:timeout 2s
	Lookup(ctx context.Context, key string) (item *kv.Item, err error)
	//daffi:alias Set
	Remember(ctx context.Context, key string, value []byte, forHowLong time.Duration) error
	// RememberJSON stores a value as JSON, which is made of it here.
	//
	//daffi:alias Set
	//daffi:map encode
	RememberJSON(ctx context.Context, key string, value any) error
	//daffi:alias Del
	Forget(ctx context.Context, keys ...string) (int64, error)
	// Fill loads items that cannot fail to come.
	//
	//daffi:alias Load
	Fill(ctx context.Context, overwrite bool, items iter.Seq[kv.Item]) (int, error)
}

func encode(_ context.Context, key string, value any) (string, []byte, time.Duration, error) {
	b, err := json.Marshal(value)
	return key, b, 0, err
}
