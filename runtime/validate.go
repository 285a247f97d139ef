package daffi

import (
	"fmt"
	"iter"

	"github.com/daffi-rpc/daffi/runtime/codec"
)

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
