package daffi

import (
	"errors"

	"github.com/daffi-rpc/daffi/runtime/codec"
	"github.com/daffi-rpc/daffi/runtime/internal/control"
	"github.com/daffi-rpc/daffi/runtime/internal/safetext"
	"github.com/daffi-rpc/daffi/runtime/transport"
)

// maxCause bounds the text of a cause: a node may cancel all its calls at once.
const maxCause = 128

var (
	errCallGone = &Error{Code: Canceled, Outcome: Ran, Message: "the caller has cancelled the call or is gone"}
	errLeftLoop = &Error{Code: Canceled, Message: "the caller has left the sequence"}
)

// causeOf is why as the cause of a handler's context, which has the code of one, whatever has happened.
func causeOf(why *Error) *Error {
	e := *why
	if e.Code != DeadlineExceeded {
		e.Code, e.cause = Canceled, nil
	}
	return &e
}

// appendCause is the payload of a Cancel for a call that ends with why, which may be nil. What a cause further up was is handed on as it came.
func (n *Node) appendCause(why *Error) []byte {
	if why == nil {
		return nil
	}
	f := control.Failure{Code: uint8(why.Code), Reason: string(why.Reason), Message: told(why.Message, why), Node: n.opts.Name}
	if first, ok := errors.AsType[*Error](why.cause); ok && first.Node != "" {
		f.Code, f.Reason, f.Message, f.Node = uint8(first.Code), string(first.Reason), told(first.Message, first), first.Node
	}
	f.Reason, f.Message = safetext.Cut(f.Reason, maxCause), safetext.Cut(f.Message, maxCause)
	var e codec.Encoder
	f.AppendTo(&e)
	return e.Bytes()
}

// readCause is what the payload of a Cancel says.
func readCause(payload []byte) *Error {
	if len(payload) == 0 {
		return errCallGone
	}
	return causeOf(readFailure(payload))
}

// sendCancel tells the callee that a call is over, and why, if there is room for that.
func (s *session) sendCancel(h transport.Header, why *Error) {
	if payload := s.node.appendCause(why); payload != nil {
		if s.link.Enqueue(transport.Frame{Header: h, Payload: payload}) == nil {
			s.link.FlushSoon()
			return
		}
	}
	s.send(transport.Frame{Header: h})
}
