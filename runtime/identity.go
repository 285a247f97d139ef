package daffi

import (
	"context"
	"errors"

	"github.com/daffi-rpc/daffi/runtime/codec"
	"github.com/daffi-rpc/daffi/runtime/internal/control"
)

// KnownError is an error that keeps its identity on its way to another node: what errors.Is and errors.As find there is what they find here. Both
// sides have it in a table under the same name; [Sentinel], [ErrorValue] and [ErrorPointer] make one. A name on the wire only ever
// chooses a row of the table that the reader's own generated code has.
type KnownError struct {
	name     string
	sentinel error // nil of a type
	write    func(e *codec.Encoder, err error) bool
	read     func(d *codec.Decoder) error
}

// Sentinel is a variable. A caller gets the value that its own program has in it.
func Sentinel(name string, err error) KnownError { return KnownError{name: name, sentinel: err} }

// ErrorValue is a type whose Error method has a value as receiver, so that a T and a *T are errors. Both are found as either.
func ErrorValue[T error](name string, write func(*codec.Encoder, T), read func(*codec.Decoder) T) KnownError {
	return KnownError{
		name: name,
		write: func(e *codec.Encoder, err error) bool {
			v, ok := err.(T)
			if !ok && !as(err, &v) {
				p, ok := any(err).(*T)
				if !ok && !as(err, &p) || p == nil {
					return false
				}
				v = *p
			}
			write(e, v)
			return true
		},
		read: func(d *codec.Decoder) error { return valueError[T]{read(d)} },
	}
}

// ErrorPointer is a type whose Error method has a pointer as receiver.
func ErrorPointer[T any, P interface {
	*T
	error
}](name string, write func(*codec.Encoder, T), read func(*codec.Decoder) T) KnownError {
	return KnownError{
		name: name,
		write: func(e *codec.Encoder, err error) bool {
			p, ok := err.(P)
			if !ok && !as(err, &p) || p == nil {
				return false
			}
			write(e, *p)
			return true
		},
		read: func(d *codec.Decoder) error {
			v := read(d)
			return P(&v)
		},
	}
}

// NoErrors is the table of a method that has none, where its service has one.
func NoErrors() []KnownError { return nil }

// as asks the As method of err itself, if it has one.
func as(err error, target any) bool {
	x, ok := err.(interface{ As(any) bool })
	return ok && x.As(target)
}

// valueError has errors.As find a *T beside the T.
type valueError[T error] struct{ v T }

func (e valueError[T]) Error() string { return e.v.Error() }
func (e valueError[T]) Unwrap() error { return e.v }

func (e valueError[T]) As(target any) bool {
	p, ok := target.(**T)
	if ok {
		*p = &e.v
	}
	return ok
}

// identify finds what err's tree has of the table, in the order in which errors.Is and errors.As meet it. What is over LIM-26 or cannot be
// written is left out.
func identify(err error, table func() []KnownError) []control.Identity {
	if err == nil {
		return nil
	}
	f := finder{table: withBuiltin(table)}
	f.walk(err)
	return f.found
}

type finder struct {
	table []KnownError
	found []control.Identity
}

func (f *finder) walk(err error) {
	if len(f.found) == control.MaxIdentities {
		return
	}
	f.look(err)
	switch x := err.(type) {
	case interface{ Unwrap() error }:
		if err := x.Unwrap(); err != nil {
			f.walk(err)
		}
	case interface{ Unwrap() []error }:
		for _, err := range x.Unwrap() {
			if err != nil {
				f.walk(err)
			}
		}
	}
}

// look finds err itself, without what it wraps. One that is a variable is that, under all its names, and nothing else: the value that the reader
// has in it counts.
func (f *finder) look(err error) {
	variable := false
	for i := range f.table {
		k := &f.table[i]
		if k.sentinel == nil {
			continue
		}
		if same(err, k.sentinel) {
			f.add(k, nil)
			variable = true
		} else if x, ok := err.(interface{ Is(error) bool }); ok && x.Is(k.sentinel) {
			f.add(k, nil)
		}
	}
	for i := range f.table {
		k := &f.table[i]
		if variable || k.write == nil {
			continue
		}
		var e codec.Encoder
		if k.write(&e, err) && e.Err() == nil {
			f.add(k, e.Bytes())
		}
	}
}

// add adds an identity, once.
func (f *finder) add(k *KnownError, value []byte) {
	f.found = control.AddIdentity(f.found, control.Identity{Name: k.name, Value: value})
}

// same is err == target, false for values that cannot be compared.
func same(err, target error) (equal bool) {
	defer func() { _ = recover() }() // what a comparison panics with is nothing else
	return err == target
}

// recall makes what came with e over the wire part of its tree, as far as the table knows it. e must not be shared yet.
func (e *Error) recall(table func() []KnownError) {
	came := e.identities
	e.identities = nil
	if len(came) == 0 {
		return
	}
	known := withBuiltin(table)
	var found []error
	for _, c := range came {
		for i := range known {
			if known[i].name != c.Name {
				continue
			}
			if err := known[i].recall(c.Value); err != nil {
				found = append(found, err)
			}
			break
		}
	}
	switch e.Code {
	case Canceled:
		found = append(found, context.Canceled)
	case DeadlineExceeded:
		found = append(found, context.DeadlineExceeded)
	}
	switch len(found) {
	case 0:
	case 1:
		e.cause = found[0]
	default:
		e.cause = errors.Join(found...)
	}
}

// recall is the error that was sent as value, nil if that cannot be read.
func (k *KnownError) recall(value []byte) error {
	if k.read == nil {
		return k.sentinel
	}
	var d codec.Decoder
	d.Reset(value)
	err := k.read(&d)
	if d.Close() != nil {
		return nil
	}
	return err
}
