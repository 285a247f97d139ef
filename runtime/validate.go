package daffi

import (
	"fmt"
	"iter"

	"github.com/daffi-rpc/daffi/runtime/codec"
	"github.com/daffi-rpc/daffi/runtime/internal/safetext"
)

// InvalidArgumentError says what is wrong with a part of an argument, for Validate methods and handlers to return. The call fails with InvalidArgument, and errors.As finds the error
// at the caller as well, without //daffi:errors; Got is then its text.
type InvalidArgumentError struct {
	Field string // path to the part, such as Lines[2].Price
	Got   any    // nil to leave it out
	Want  string // what is wanted instead, as in "at least 1"
}

func (e *InvalidArgumentError) Error() string {
	text := e.Field
	if e.Got != nil {
		text += fmt.Sprintf(" is %v", e.Got)
	}
	return safetext.Line(text+", want "+e.Want, safetext.MaxError) // Got may be what a peer has sent, or all of it what one has answered
}

// builtin are the errors of daffi's own that keep their identity everywhere.
var builtin = ErrorPointer[InvalidArgumentError]("daffi.InvalidArgumentError", func(e *codec.Encoder, v InvalidArgumentError) {
	got := ""
	if v.Got != nil {
		got = fmt.Sprint(v.Got)
	}
	e.Array(3)
	e.String(v.Field)
	e.String(got)
	e.String(v.Want)
}, func(d *codec.Decoder) (v InvalidArgumentError) {
	d.Open()
	if d.Next() {
		v.Field = d.String()
	}
	if d.Next() {
		if got := d.String(); got != "" {
			v.Got = got
		}
	}
	if d.Next() {
		v.Want = d.String()
	}
	return v
})

// withBuiltin are the errors of a table and those.
func withBuiltin(table func() []KnownError) []KnownError {
	if table == nil {
		return []KnownError{builtin}
	}
	rows := table()
	return append(rows[:len(rows):len(rows)], builtin)
}

// Invalid is how a call fails whose argument says by its method Validate that it is not valid. It is for generated code, before the handler runs.
func (in *Incoming) Invalid(argument string, err error) error {
	e := in.failure(InvalidArgument, ReasonInvalid, NotRun, fmt.Sprintf("argument %s: %v", argument, err))
	e.cause, e.identities = err, identify(err, in.method.errors())
	in.refused = e
	return e
}

// ReceiveValid is [Receive] for items that can be asked whether they are valid. It ends with an error at the first that is not.
func ReceiveValid[T any](c *Incoming, read func(*codec.Decoder) T, validate func(T) error) iter.Seq2[T, error] {
	items := Receive(c, read)
	return func(yield func(T, error) bool) {
		var refused error
		n := 0
		for v, err := range items {
			n++
			if err == nil {
				refused = validate(v)
			}
			if refused != nil {
				break
			}
			if !yield(v, err) {
				return
			}
		}
		if refused != nil {
			var zero T
			yield(zero, &Error{Code: InvalidArgument, Reason: ReasonInvalid, Outcome: Ran, Message: fmt.Sprintf("item %d of the input: %v", n, refused), cause: refused})
		}
	}
}
