// Package conformance has scenarios that every way of connecting nodes must pass: in memory, over a unix socket and over TCP, with the controller in a process that
// calls and with one that runs alone. They are those by which the systems were tested whose users daffi wants, and the services here are what they call.
package conformance

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"
)

//go:generate go tool daffigen

// Parcel has a field of each kind that arguments are made of.
type Parcel struct {
	Count   int
	Small   int8
	Size    uint64
	Weight  float64
	Fragile bool
	Label   string
	Content []byte
	Tags    []string
	Stock   map[string]int
	Places  [2][2]int
	Sent    time.Time
	Travel  time.Duration
	Inner   *Parcel
}

// ErrSoldOut is found by errors.Is at the caller.
var ErrSoldOut = errors.New("sold out")

// ErrShort is found by errors.As at the caller.
type ErrShort struct{ Wanted, Left int }

func (e ErrShort) Error() string { return fmt.Sprintf("%d wanted, %d left", e.Wanted, e.Left) }

// Desk is a service with something of everything.
//
//daffi:callback
//daffi:fetcher
type Desk interface {
	// Where is the name of the node that serves.
	Where(ctx context.Context) (string, error)
	// Echo returns what it is given.
	Echo(ctx context.Context, n int, text string, parcels []Parcel, byName map[string]Parcel) (int, string, []Parcel, map[string]Parcel, error)
	// Buy fails in the way that is asked for.
	Buy(ctx context.Context, how string) (string, error)
	// Block waits for the end of its context, or for that of the test if it is stubborn.
	Block(ctx context.Context, stubborn bool) error
	// Work waits until the test lets it end.
	Work(ctx context.Context) error
	// Pass is handed on to the named nodes, one after the other, and returns who has had it and how much time the last one had.
	Pass(ctx context.Context, via []string) (trail []string, left time.Duration, err error)
	// Put is remembered.
	Put(ctx context.Context, n int) error
	// Note is remembered, and not answered.
	//
	//daffi:oneway
	Note(ctx context.Context, n int) error
	// Kept is what was remembered, in order.
	Kept(ctx context.Context) ([]int, error)
	// Count yields the numbers below n, times by, and fails at the end if it is told how.
	Count(ctx context.Context, n, by int, fail string) iter.Seq2[int, error]
	// Say uses a codec that only some have.
	//
	//daffi:codec phrases
	Say(ctx context.Context, text string) (string, error)
}

// Feeder streams to a Desk.
//
//daffi:fetcher Desk
type Feeder interface {
	// PutAll is one Put for each number.
	//
	//daffi:alias Put
	PutAll(ctx context.Context, numbers iter.Seq2[int, error]) error
}
