// Package codecs has methods whose values are encoded by codecs that the annotations name: on the interface, on a method, and undone
// for one. Types under them need not follow daffi's own rules.
package codecs

import (
	"context"
	"encoding/json"
	"iter"
	"net/netip"
)

// Shape is an interface with methods, which only a codec can make something of.
type Shape interface{ Area() float64 }

// Square is a Shape.
type Square float64

// Area implements Shape.
func (s Square) Area() float64 { return float64(s * s) }

// Entry has what daffi's own encoding refuses or leaves out.
type Entry struct {
	ID    string          `json:"id"`
	Body  json.RawMessage `json:"body,omitempty"`
	Extra any             `json:"extra"`
	Next  *Entry          `json:"next,omitempty"`
	Notes []struct {
		Text string `json:"text"`
	} `json:"notes,omitempty"`
	Parent chan<- Entry `json:"-"`
}

// Blob is a named slice of bytes.
type Blob []byte

// Title is a named string.
type Title string

// Store says json for all of its methods, but for some.
//
//daffi:callback
//daffi:codec json
type Store interface {
	Get(ctx context.Context, id string) (Entry, error)
	Put(ctx context.Context, entries ...*Entry) error
	Count(ctx context.Context, by struct{ Prefix string }) (n int, perPage map[string]int, err error)
	Watch(ctx context.Context, ids []string) iter.Seq2[Entry, error]
	Merge(ctx context.Context, in iter.Seq2[Entry, error]) (int, error)
	Pipe(ctx context.Context, in iter.Seq2[any, error]) iter.Seq2[[2]any, error]
	Ping(ctx context.Context) error

	//daffi:codec raw
	Upload(ctx context.Context, part []byte) (Blob, error)
	//daffi:codec raw
	Chunks(ctx context.Context, blob Blob, in iter.Seq2[Blob, error]) iter.Seq2[[]byte, error]
	//daffi:codec text
	Resolve(ctx context.Context, name string, title Title) (netip.Addr, error)
	//daffi:codec text
	Reverse(ctx context.Context, in iter.Seq2[netip.Addr, error]) iter.Seq2[Title, error]
	//daffi:codec my-table
	Translate(ctx context.Context, text string) (string, Title, error)
	//daffi:codec my-table
	Motto(ctx context.Context) (string, error)
	//daffi:codec my-table
	Phrases(ctx context.Context, in iter.Seq2[string, error]) iter.Seq2[string, error]
	//daffi:codec shapes
	Area(ctx context.Context, shape Shape, more func(Shape) chan int) ([1]float64, error)
	//daffi:codec default
	Plain(ctx context.Context, text string, blob Blob) (string, error)
	// Log is called for every item by the fetcher.
	//
	//daffi:codec my-table
	Log(ctx context.Context, line string) error
}

// Client calls a Store.
//
//daffi:fetcher Store
//daffi:codec json
type Client interface {
	Get(ctx context.Context, id string) (Entry, error)
	Put(ctx context.Context, entries ...*Entry) error
	Count(ctx context.Context, by struct{ Prefix string }) (n int, perPage map[string]int, err error)
	Watch(ctx context.Context, ids []string) iter.Seq2[Entry, error]
	Merge(ctx context.Context, in iter.Seq[Entry]) (int, error)
	Pipe(ctx context.Context, in iter.Seq2[any, error]) iter.Seq2[[2]any, error]
	Ping(ctx context.Context) error
	//daffi:codec raw
	Upload(ctx context.Context, part []byte) (Blob, error)
	//daffi:codec raw
	Chunks(ctx context.Context, blob Blob, in iter.Seq2[Blob, error]) iter.Seq2[[]byte, error]
	//daffi:codec text
	Resolve(ctx context.Context, name string, title Title) (netip.Addr, error)
	//daffi:codec text
	Reverse(ctx context.Context, in iter.Seq2[netip.Addr, error]) iter.Seq2[Title, error]
	//daffi:codec my-table
	Translate(ctx context.Context, text string) (string, Title, error)
	//daffi:codec my-table
	Motto(ctx context.Context) (string, error)
	//daffi:codec my-table
	Phrases(ctx context.Context, in iter.Seq2[string, error]) iter.Seq2[string, error]
	//daffi:codec shapes
	Area(ctx context.Context, shape Shape, more func(Shape) chan int) ([1]float64, error)
	//daffi:codec default
	Plain(ctx context.Context, text string, blob Blob) (string, error)
	//daffi:codec my-table
	Log(ctx context.Context, line string) error
	//daffi:codec my-table
	//daffi:alias Log
	LogAll(ctx context.Context, lines iter.Seq[string]) error
}
