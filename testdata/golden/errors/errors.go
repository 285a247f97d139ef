// Package errors has errors that keep their identity across the wire, declared in every way in which their types are to be found, and beside
// them what looks like such errors and is none.
package errors

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"strconv"
	"time"
)

// Variables that are errors.
var (
	ErrSoldOut         = errors.New("sold out")
	ErrMade            = made("made")
	_, ErrSecond       = pair()
	ErrLiteral         = func() error { return errors.New("literal") }()
	ErrProblem         = &Problem{What: "pointer"}
	ErrStatus          = Status("value")
	ErrForeign         = io.ErrUnexpectedEOF
	ErrAlias           = ErrSoldOut
	ErrA, ErrB         = errors.New("a"), fmt.Errorf("b: %w", ErrA)
	ErrTyped     error = Status("typed")
	ErrNil       error
)

// Variables that are none, or of which only running them would tell.
var (
	ErrCount   = 3
	ErrList    = []error{ErrA}
	ErrDynamic = factory{}.new("dynamic")
	ErrGeneric = generic("x")
	errHidden  = errors.New("unexported")
)

func made(text string) error { return &Problem{What: text} }

func pair() (int, *Problem) { return 2, &Problem{What: "second"} }

func generic[T any](T) error { return errHidden }

type factory struct{}

func (factory) new(text string) error { return errors.New(text) }

// Problem is an error as a pointer, and not called as one.
type Problem struct{ What string }

func (p *Problem) Error() string { return p.What }

// Status is an error as a value.
type Status string

func (s Status) Error() string { return string(s) }

// ErrLimit is an error as a value and as a pointer.
type ErrLimit struct {
	Max  int
	Unit string
}

func (e ErrLimit) Error() string { return strconv.Itoa(e.Max) + " " + e.Unit }

// ErrQuota is an error as a pointer, with more errors in it.
type ErrQuota struct {
	User   string
	Since  time.Time
	Limits []ErrLimit
	Err    error
}

func (e *ErrQuota) Error() string { return e.User + " is over quota" }

func (e *ErrQuota) Unwrap() error { return e.Err }

// ErrCode is an error that is a number.
type ErrCode int

func (e ErrCode) Error() string { return strconv.Itoa(int(e)) }

// ErrSealed encodes itself.
type ErrSealed struct{ text string }

func (e ErrSealed) Error() string { return e.text }

// MarshalText refuses what is not to leave the process.
func (e ErrSealed) MarshalText() ([]byte, error) {
	if e.text == "secret" {
		return nil, errHidden
	}
	return []byte(e.text), nil
}

// UnmarshalText reads what MarshalText wrote.
func (e *ErrSealed) UnmarshalText(text []byte) error {
	e.text = string(text)
	return nil
}

// Types that are no errors, or cannot travel.
type (
	ErrHandler   func() error
	ErrTimeout   interface{ Timeout() bool }
	ErrOf[T any] struct{ V T }
	ErrEmptied   struct{ hidden int }
	ErrPlain     struct{ X int }
)

func (e ErrHandler) Error() string { return "func" }
func (e ErrOf[T]) Error() string   { return "generic" }
func (e ErrEmptied) Error() string { return strconv.Itoa(e.hidden) }

// Shop fails in every shape.
//
//daffi:callback
//daffi:fetcher
type Shop interface {
	Unary(ctx context.Context, n int) (int, error)
	Act(ctx context.Context) error
	Take(ctx context.Context, n int) error
	Down(ctx context.Context, n int) iter.Seq2[int, error]
	Up(ctx context.Context, in iter.Seq2[int, error]) (int, error)
	Both(ctx context.Context, in iter.Seq2[int, error]) iter.Seq2[int, error]
	// Chosen has errors of its own.
	//
	//daffi:errors ErrSoldOut, *ErrQuota Status *Problem,io.EOF, *io/fs.PathError io/fs.ErrNotExist errHidden
	Chosen(ctx context.Context) error
	//daffi:errors none
	None(ctx context.Context) error
}

// Each calls Take for every item, and Chosen with the same errors as the callback.
//
//daffi:fetcher Shop
type Each interface {
	//daffi:alias Take
	TakeEach(ctx context.Context, in iter.Seq[int]) error
	Chosen(ctx context.Context) error
	//daffi:errors ErrSoldOut
	Act(ctx context.Context) error
}

// Few has an interface's own choice.
//
//daffi:callback
//daffi:fetcher
//daffi:errors ErrCode, ErrA
type Few interface {
	Fail(ctx context.Context) error
	//daffi:errors none // nothing at all
	None(ctx context.Context) error
}

// Bare has none, and a method that has one.
//
//daffi:callback
//daffi:fetcher
//daffi:errors none
type Bare interface {
	Fail(ctx context.Context) error
	//daffi:errors ErrA
	Some(ctx context.Context) error
	//daffi:errors none
	None(ctx context.Context) error
}
