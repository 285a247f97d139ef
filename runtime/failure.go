package daffi

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/daffi-rpc/daffi/runtime/codec"
	"github.com/daffi-rpc/daffi/runtime/internal/control"
	"github.com/daffi-rpc/daffi/runtime/internal/safetext"
)

// contextError is how a call ends whose context has; Outcome is for the caller to set.
func contextError(ctx context.Context, method string) *Error {
	err := context.Cause(ctx)
	e := &Error{Code: CodeOf(err), Method: method, Message: err.Error(), cause: err}
	if e.Code == Unknown { // a cause of the user's own
		e.Code = CodeOf(ctx.Err())
		e.cause = errors.Join(ctx.Err(), err)
	}
	return e
}

// notSent is how a call ends whose context has ended before it was sent.
func notSent(ctx context.Context, method string) *Error {
	e := contextError(ctx, method)
	e.Outcome = NotRun
	return e
}

// tooDeep is the error of calls within calls over LIM-20.
func tooDeep(method string, most int) *Error {
	return &Error{Code: ResourceExhausted, Reason: ReasonDepth, Outcome: NotRun, Method: method, Message: fmt.Sprintf(
		"calls are nested deeper than %d", most)}
}

// errorOf is the error in the payload of an Error frame.
func errorOf(f *control.Failure) *Error {
	outcome := Outcome(f.Outcome)
	if outcome > Ran { // of a later version
		outcome = MayHaveRun
	}
	return &Error{Code: Code(f.Code), Reason: Reason(safetext.Cut(f.Reason, safetext.MaxLog)), Outcome: outcome, Message: safetext.Cut(f.Message, safetext.MaxError),
		Node: safetext.Cut(f.Node, safetext.MaxLog), Method: safetext.Cut(f.Method, safetext.MaxError), identities: f.Identities, metadata: f.Metadata}
}

// readFailure reads the payload of an Error frame; what cannot be read is an error of its own.
func readFailure(payload []byte) *Error {
	var d codec.Decoder
	var f control.Failure
	d.Reset(payload)
	if err := f.ReadFrom(&d); err != nil {
		return &Error{Code: Internal, Reason: ReasonProtocol, Message: "an error that cannot be read: " + err.Error(), cause: err}
	}
	return errorOf(&f)
}

// appendFailure is the payload of an Error frame.
func appendFailure(e *Error) []byte {
	f := control.Failure{Code: uint8(e.Code), Reason: safetext.Cut(string(e.Reason), safetext.MaxLog), Outcome: uint8(e.Outcome),
		Message: safetext.Cut(told(e.Message, e), safetext.MaxError), Node: e.Node, Method: e.Method, Identities: e.identities, Metadata: e.metadata}
	var enc codec.Encoder
	enc.Reset(make([]byte, 0, 128+len(f.Message)))
	f.AppendTo(&enc)
	return enc.Bytes()
}

// told is text, in which err or a part of its tree was put into words, without what errors of daffi's own in it say of this machine: addresses, files, what the system has said.
func told(text string, err error) string {
	switch x := err.(type) {
	case *Error:
		if x.local != "" {
			text = strings.ReplaceAll(text, x.local, "…")
		}
		return told(text, x.cause)
	case interface{ Unwrap() error }:
		return told(text, x.Unwrap())
	case interface{ Unwrap() []error }:
		for _, err := range x.Unwrap() {
			text = told(text, err)
		}
	}
	return text
}

// handlerError is what the caller is told when a handler has returned err.
func handlerError(err error, method, node string) *Error {
	e, ok := errors.AsType[*Error](err)
	switch {
	case !ok:
		return &Error{Code: CodeOf(err), Outcome: Ran, Message: told(err.Error(), err), Node: node, Method: method, cause: err}
	case e.Method == "": // made by the handler, or by daffi for this call
		x := *e
		x.Outcome, x.Node, x.Method = Ran, node, method
		if err != error(e) {
			x.Message = told(strings.TrimSpace(err.Error()), err)
		}
		return &x
	}
	// A call that the handler made has failed: the code is worth handing on, its reason and outcome speak of the other call.
	return &Error{Code: e.Code, Outcome: Ran, Message: told(err.Error(), err), Node: node, Method: method, cause: err}
}

// notMapped is how a call ends whose arguments could not be made (//daffi:map).
func notMapped(err error, method string) *Error {
	return &Error{Code: CodeOf(err), Outcome: NotRun, Method: method, Message: "nothing was sent: " + err.Error(), cause: err}
}

func tooLarge(size, limit int, method string) *Error {
	return &Error{Code: ResourceExhausted, Reason: ReasonTooLarge, Outcome: NotRun, Method: method, Message: fmt.Sprintf(
		"arguments of %d bytes are over the limit of %d; send them as a stream, or raise Options.MaxMessage of both nodes and the controller", size, limit)}
}

func tooLargeItem(size int64, limit int) *Error {
	return &Error{Code: ResourceExhausted, Reason: ReasonTooLarge, Outcome: Ran, Message: fmt.Sprintf(
		"an item of %d bytes is over the limit of %d; send it in pieces, or raise Options.MaxMessage of both nodes and the controller", size, limit)}
}
