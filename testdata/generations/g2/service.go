// Package g2 is generated code of the second generation, and stays as it is.
package g2

import (
	"context"
	"fmt"
	"iter"
	"time"

	"github.com/daffi-rpc/daffi/testdata/generations/shape"
)

// Service has a method for each thing that generated code does.
//
//daffi:callback name=generation.Service
//daffi:errors shape.ErrGone, *shape.Lost
type Service interface {
	// Echo returns what it gets.
	Echo(ctx context.Context, item shape.Item) (shape.Item, error)
	Several(ctx context.Context, name string, numbers ...int) (sum int, text string, err error)
	Fail(ctx context.Context, how string) error
	Range(ctx context.Context, n int) iter.Seq2[shape.Point, error]
	Sum(ctx context.Context, start int64, points iter.Seq2[shape.Point, error]) (int64, error)
	Chat(ctx context.Context, said iter.Seq2[string, error]) iter.Seq2[string, error]
	//daffi:serial
	//daffi:alias OldAdd
	Add(ctx context.Context, line string) error
	Lines(ctx context.Context) ([]string, error)
	//daffi:event
	Ring(ctx context.Context, bell string) error
	//daffi:codec json
	Document(ctx context.Context, doc map[string]any) (map[string]any, error)
	//daffi:codec raw
	Bytes(ctx context.Context, data []byte) ([]byte, error)
	//daffi:codec text
	Text(ctx context.Context, text string) (string, error)
	// Place and PlaceAll take what says of itself whether it is valid.
	Place(ctx context.Context, order shape.Order, again *shape.Order) error
	PlaceAll(ctx context.Context, orders iter.Seq2[shape.Order, error]) (int, error)
	Below() Below
	//daffi:local
	Close() error
}

// Below is below Service.
//
//daffi:callback name=generation.Below
//daffi:fetcher
type Below interface {
	Where(ctx context.Context) (string, error)
}

// Client calls it.
//
//daffi:fetcher Service
//daffi:errors shape.ErrGone, *shape.Lost
type Client interface {
	//daffi:idempotent
	//daffi:timeout 5s
	Echo(ctx context.Context, item shape.Item) (shape.Item, error)
	//daffi:key name
	Several(ctx context.Context, name string, numbers ...int) (sum int, text string, err error)
	Fail(ctx context.Context, how string) error
	Range(ctx context.Context, n int) iter.Seq2[shape.Point, error]
	Sum(ctx context.Context, start int64, points iter.Seq[shape.Point]) (int64, error)
	Chat(ctx context.Context, said iter.Seq2[string, error]) iter.Seq2[string, error]
	//daffi:alias Add
	AddAll(ctx context.Context, lines iter.Seq[string]) error
	//daffi:alias OldAdd
	//daffi:oneway
	Note(ctx context.Context, line string) error
	//daffi:alias Add
	//daffi:oneway none
	Scribble(ctx context.Context, line string) error
	//daffi:alias Add
	//daffi:oneway admitted
	Record(ctx context.Context, line string) error
	//daffi:alias Add
	//daffi:map lineOf
	AddNumber(ctx context.Context, n int, unit time.Duration) error
	Lines(ctx context.Context) ([]string, error)
	//daffi:event
	Ring(ctx context.Context, bell string) error
	//daffi:codec json
	Document(ctx context.Context, doc map[string]any) (map[string]any, error)
	//daffi:codec raw
	Bytes(ctx context.Context, data []byte) ([]byte, error)
	//daffi:codec text
	Text(ctx context.Context, text string) (string, error)
	Place(ctx context.Context, order shape.Order, again *shape.Order) error
	PlaceAll(ctx context.Context, orders iter.Seq[shape.Order]) (int, error)
	Below() Below
}

func lineOf(_ context.Context, n int, unit time.Duration) (string, error) {
	return fmt.Sprint(time.Duration(n) * unit), nil
}

// Note is written and read by itself.
//
//daffi:message
type Note struct {
	Text string
	At   time.Time
}
