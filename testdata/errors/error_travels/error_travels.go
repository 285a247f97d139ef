// Package errortravels breaks a rule.
package errortravels

import (
	"context"
	"errors"
	"sync"
)

// Errors that cannot travel. Those called Err… are left out by default, without a word.
type (
	ErrSealed  struct{ text string }
	ErrLocked  struct{ Mu sync.Mutex }
	ErrKeyed   struct{ By map[*int]string }
	ErrDone    struct{ Inner struct{ Done chan int } }
	ErrTimeout interface {
		error
		Timeout() bool
	}
	ErrOf[T any] struct{ V T }
	ErrWrapped   struct {
		error
		Code int
	}
	ErrOuter   struct{ *Wrapper }
	Wrapper    struct{ ErrWrapped }
	ErrUnknown struct{ V missing }
)

func (e ErrSealed) Error() string  { return e.text }
func (e *ErrLocked) Error() string { return "" }
func (e ErrKeyed) Error() string   { return "" }
func (e ErrDone) Error() string    { return "" }
func (e ErrOf[T]) Error() string   { return "" }
func (e ErrUnknown) Error() string { return "" }

type maker struct{}

func (maker) make() error { return errors.New("made") }

// ErrMade has a type that only its initializer tells.
var ErrMade = maker{}.make()

//daffi:callback
type Shop interface {
	Default(ctx context.Context) error
	//daffi:errors ErrSealed // want "//daffi:errors: ErrSealed: ErrSealed has no exported fields, so nothing of it would travel; export them, or use another type \[DF072\]"
	Sealed(ctx context.Context) error
	//daffi:errors *ErrLocked // want "ErrLocked.Mu: a struct with a lock must not be copied; put what travels into a struct of its own \[DF072\]"
	Locked(ctx context.Context) error
	//daffi:errors ErrKeyed // want "ErrKeyed.By: \*int cannot be a map key on the wire; use .* \[DF072\]"
	Keyed(ctx context.Context) error
	//daffi:errors ErrDone // want "ErrDone.Inner.Done: channels cannot travel; .* \[DF072\]"
	Done(ctx context.Context) error
	//daffi:errors ErrTimeout // want "ErrTimeout: it is an interface; name the types that are in it \[DF072\]"
	Timeout(ctx context.Context) error
	//daffi:errors ErrOf // want "ErrOf: it is generic; name a type without type parameters, such as one defined as an instance of it \[DF072\]"
	Generic(ctx context.Context) error
	//daffi:errors ErrWrapped // want "ErrWrapped: its Error is that of its embedded error, which does not travel; write one for the whole \[DF072\]"
	Wrapped(ctx context.Context) error
	//daffi:errors ErrOuter // want "ErrOuter: its Error is that of its embedded error, which does not travel"
	Outer(ctx context.Context) error
	//daffi:errors ErrMade // want "ErrMade: its type cannot be told from its declaration; give it one, as in var ErrMade error = … \[DF072\]"
	Made(ctx context.Context) error
	//daffi:errors ErrUnknown // want "ErrUnknown.V: its type is not known; make it compile, then run daffigen again \[DF072\]"
	Unknown(ctx context.Context) error
}
