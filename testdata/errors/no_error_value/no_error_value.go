// Package noerrorvalue breaks a rule.
package noerrorvalue

import (
	"context"
	"errors"
	"strconv"
)

// What is named, and is no error or is one in another form.
var (
	ErrSoldOut = errors.New("sold out")
	ErrCount   = 3
	ErrValue   = Limit{}
)

// ErrMax is a constant.
const ErrMax = 3

// Limit is an error as a pointer.
type Limit struct{ Max int }

func (l *Limit) Error() string { return strconv.Itoa(l.Max) }

// Item is none.
type Item struct{ Name string }

func fail() error { return ErrSoldOut }

//daffi:callback
//daffi:errors *Limit ErrSoldOut
type Shop interface {
	//daffi:errors Limit // want "//daffi:errors: Limit: its Error has a pointer as receiver, so only pointers to it are errors; write \*Limit \[DF071\]"
	Pointer(ctx context.Context) error
	//daffi:errors Item // want "Item: it has no method Error\(\) string; write one, or name another type \[DF071\]"
	NoError(ctx context.Context) error
	//daffi:errors *ErrSoldOut // want "\*ErrSoldOut: it is a variable; write ErrSoldOut \[DF071\]"
	Star(ctx context.Context) error
	//daffi:errors ErrCount // want "ErrCount: its type cannot be told from its declaration; give it one, as in var ErrCount error = … \[DF072\]"
	Count(ctx context.Context) error
	//daffi:errors ErrValue // want "ErrValue: it is a Limit, which is no error; give Limit a method Error\(\) string, or name another \[DF071\]"
	Value(ctx context.Context) error
	//daffi:errors ErrMax fail // want "ErrMax: it is neither a variable nor a type; name one that is an error \[DF071\]" "fail: it is neither a variable nor a type; name one that is an error \[DF071\]"
	Constant(ctx context.Context) error
}

var _ = fail
