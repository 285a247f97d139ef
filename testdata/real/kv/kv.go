// Package kv is a key-value store in the shape of go-redis and badger.
package kv

import (
	"context"
	"errors"
	"iter"
	"time"
)

//go:generate go tool daffigen

// What a Store fails with.
var (
	ErrNotFound  = errors.New("kv: key not found")
	ErrWrongType = errors.New("kv: the key holds another kind of value")
	ErrConflict  = errors.New("kv: the key has changed")
)

// KeepTTL as an expiration leaves the one that the key has.
const KeepTTL time.Duration = -1

// Item is a key with what belongs to it.
type Item struct {
	Key       string
	Value     []byte
	Version   uint64
	UserMeta  byte
	ExpiresAt *time.Time // nil for ever
}

// SetArgs are the options of SetArgs.
type SetArgs struct {
	Mode     Mode          `json:"mode,omitempty"`
	TTL      time.Duration `json:"ttl,omitempty"`
	Get      bool          `json:"get,omitempty"` // return the old value
	UserMeta byte
}

// Mode says when a value is set.
type Mode string

// The modes.
const (
	Always Mode = ""
	IfNew  Mode = "NX"
	IfOld  Mode = "XX"
)

// Z is a member of a sorted set.
type Z struct {
	Score  float64
	Member string
}

// ZRangeBy selects members of a sorted set.
type ZRangeBy struct {
	Min, Max      float64
	Offset, Count int64
}

// IteratorOptions are what badger's are.
type IteratorOptions struct {
	Prefix         []byte
	Reverse        bool
	PrefetchValues bool
}

// Op is one write of a batch: exactly one of its fields is set.
type Op struct {
	Set    *Item
	Delete *string
	CAS    *struct {
		Item
		Expect uint64
	}
}

// Reader reads.
type Reader interface {
	Get(ctx context.Context, key string) (*Item, error)
	MGet(ctx context.Context, keys ...string) ([]*Item, error)
	Exists(ctx context.Context, keys ...string) (n int64, err error)
	TTL(ctx context.Context, key string) (time.Duration, error)
	// Scan is one step of going through all keys: begin with cursor 0, go on with next until that is 0.
	Scan(ctx context.Context, cursor uint64, match string, count int64) (keys []string, next uint64, err error)
	Iterate(ctx context.Context, opts IteratorOptions) iter.Seq2[Item, error]
}

// Writer writes.
type Writer interface {
	Set(ctx context.Context, key string, value []byte, expiration time.Duration) error
	SetArgs(ctx context.Context, key string, value []byte, a SetArgs) (old []byte, done bool, err error)
	Del(ctx context.Context, keys ...string) (int64, error)
	IncrBy(ctx context.Context, key string, value int64) (int64, error)
	Write(ctx context.Context, batch []Op) (versions []uint64, err error)
	// Load sets what items yields, all of it or nothing.
	Load(ctx context.Context, overwrite bool, items iter.Seq2[Item, error]) (loaded int, err error)
}

// Store is a store of bytes, hashes and sorted sets.
//
//daffi:callback
//daffi:fetcher
type Store interface {
	Reader
	Writer
	Hashes

	ZAdd(ctx context.Context, key string, members ...Z) (added int64, err error)
	ZRangeByScore(ctx context.Context, key string, by *ZRangeBy) ([]Z, error)
	ZScores(ctx context.Context, key string) (map[string]float64, error)
}

// Hashes are maps of fields.
type Hashes interface {
	HSet(ctx context.Context, key string, fields map[string]any) (added int, _ error)
	HGetAll(ctx context.Context, key string) (map[string]any, error)
	HMGet(ctx context.Context, key string, fields ...string) ([]any, error)
}
