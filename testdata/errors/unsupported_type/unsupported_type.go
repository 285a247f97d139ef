// Package unsupportedtype breaks a rule.
package unsupportedtype

import (
	"context"
	"fmt"
	"io"
	"iter"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"
)

// Order has something deep inside that cannot travel.
type Order struct {
	ID    string
	Lines []Line
}

// Line is part of an Order.
type Line struct {
	Price func() int
}

// Guarded must not be copied.
type Guarded struct {
	N  int
	mu sync.Mutex
}

// Stamp would travel as a time.
type Stamp struct {
	time.Time
	Name string
}

// Locked encodes itself, but must be copied for it.
type Locked struct{ mu [1]sync.Mutex }

func (l *Locked) MarshalText() ([]byte, error) { return nil, nil }
func (l *Locked) UnmarshalText([]byte) error   { return nil }

// Uncopied is one that vet does not let be copied.
type Uncopied struct {
	_  noCopy
	ID string
}

type noCopy struct{}

func (*noCopy) Lock()   {}
func (*noCopy) Unlock() {}

// Outer has a lock further inside.
type Outer struct {
	N     int
	state Guarded
}

type base struct{ ID string }

// Hidden leaves base behind.
type Hidden struct {
	base
	N int
}

type closed struct{ n int }

type list []list

type grow[T any] struct{ Next *grow[[]T] }

//daffi:callback
type C interface {
	Place(ctx context.Context, o Order) error                  // want "C.Place: Order.Lines\[\].Price: func values cannot travel; use another type, or leave the field out with the tag `daffi:\"-\"` \[DF030\]"
	Again(ctx context.Context, o *Order) (Order, error)        // explained above, once
	Chan(ctx context.Context, c chan int) error                // want "C.Chan: c chan int: channels cannot travel; make the method take or return an iter.Seq2 of the values \[DF030\]"
	Func(ctx context.Context, f func()) error                  // want "C.Func: f func\(\): func values cannot travel; make options a struct, and a func that is called with values an iter.Seq2 of them \[DF030\]"
	Reader(ctx context.Context) (r io.Reader, err error)       // want "C.Reader: r io.Reader: readers and writers cannot travel; make the method take or return an iter.Seq2\[\[\]byte, error\] of the chunks \[DF030\]"
	Unnamed(context.Context, chan int) (fmt.Stringer, error)   // want "C.Unnamed: argument 1 chan int: channels cannot travel" "C.Unnamed: result 1 fmt.Stringer: interface values cannot travel"
	Unsafe(ctx context.Context, p unsafe.Pointer) error        // want "C.Unsafe: p unsafe.Pointer: Pointer means nothing in another process; use an integer or a value \[DF030\]"
	Uintptr(ctx context.Context, p []uintptr) error            // want "C.Uintptr: p\[\]: uintptr means nothing in another process"
	Uncopied(ctx context.Context, u *Uncopied) error           // want "C.Uncopied: u._: a struct with a lock must not be copied"
	Mutex(ctx context.Context, m *Guarded) error               // want "C.Mutex: m.mu: a struct with a lock must not be copied; put what travels into a struct of its own \[DF030\]"
	Base(ctx context.Context, h Hidden) error                  // want "C.Base: Hidden.base: the fields of an embedded unexported type would be left behind; name the field, or leave it out with the tag `daffi:\"-\"` \[DF030\]"
	Closed(ctx context.Context, c closed) error                // want "C.Closed: closed: closed has no exported fields, so nothing of it would travel; export them, or use another type \[DF030\]"
	Closing(ctx context.Context, c *closed) error              // explained above, once
	List(ctx context.Context, l list) error                    // want "C.List: list\[\]: a type that contains itself must do so through a struct; wrap it in one \[DF030\]"
	Grow(ctx context.Context, g grow[int]) error               // want "C.Grow: grow\[int\].*…: instantiation cycle; make it compile .* \[DF002\]"
	Stamp(ctx context.Context, s Stamp) error                  // want "C.Stamp: Stamp: it has AppendBinary from its embedded Time, which would leave Name behind; name the embedded field, or write AppendBinary and UnmarshalBinary for the whole \[DF030\]"
	Locked(ctx context.Context, l []Locked) error              // want "C.Locked: l\[\]: a struct with a lock must not be copied; put what travels into a struct of its own \[DF030\]"
	Deep(ctx context.Context, o Outer) error                   // want "C.Deep: Outer.state: a struct with a lock must not be copied"
	Stream(ctx context.Context) iter.Seq2[fmt.Stringer, error] // want "C.Stream: its results fmt.Stringer: interface values cannot travel, but for error and any; use a struct, or one method for each type \[DF030\]"
	Location(ctx context.Context, l *time.Location) error      // want "C.Location: l \*time.Location: time.Location has no exported fields, so nothing of it would travel; use another type \[DF030\]"
	Atomic(ctx context.Context, n *atomic.Int64) error         // want "C.Atomic: n \*atomic.Int64: locks and atomics must not be copied; send the value that it holds or guards \[DF030\]"
}
