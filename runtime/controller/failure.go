package controller

import (
	"fmt"

	"github.com/daffi-rpc/daffi/runtime/codec"
	"github.com/daffi-rpc/daffi/runtime/internal/control"
	"github.com/daffi-rpc/daffi/runtime/internal/safetext"
	"github.com/daffi-rpc/daffi/runtime/transport"
)

// Codes, reasons and outcomes that the controller itself gives; the numbers and words are those of package daffi.
const (
	codeCanceled       uint8 = 1
	invalidArgument    uint8 = 2
	deadlineExceeded   uint8 = 3
	notFound           uint8 = 4
	alreadyExists      uint8 = 5
	permissionDenied   uint8 = 6
	resourceExhausted  uint8 = 7
	failedPrecondition uint8 = 8
	unimplemented      uint8 = 11
	internal           uint8 = 12
	unavailable        uint8 = 13
	unauthenticated    uint8 = 15

	reasonNoProvider = "no_provider"
	reasonSchema     = "schema"
	reasonBusy       = "busy"
	reasonOverloaded = "overloaded"
	reasonNodeLost   = "node_lost"
	reasonDraining   = "draining"
	reasonPanic      = "panic"
	reasonStaleRoute = "stale_route"
	reasonDepth      = "depth"
	reasonProtocol   = "protocol"
	reasonShape      = "shape"
	reasonClosed     = "closed"
	reasonNotResumed = "not_resumed"
	reasonNameTaken  = "name_taken"
	reasonLimit      = "limit"
	reasonNoTask     = "no_task"
	reasonStore      = "store"
	reasonPolicy     = "policy"

	mayHaveRun uint8 = 0
	notRun     uint8 = 1
	ran        uint8 = 2
)

// protocolError says what a peer did that closes its link.
func protocolError(format string, args ...any) error {
	return fmt.Errorf("%w: %s", transport.ErrProtocol, fmt.Sprintf(format, args...))
}

// cut is a text that a peer may have had a hand in, on one line of bounded length.
func cut(s string) string { return safetext.Line(s, safetext.MaxLog) }

// encode returns what fill appends.
func encode(fill func(e *codec.Encoder)) []byte {
	var e codec.Encoder
	e.Reset(make([]byte, 0, 256))
	fill(&e)
	return e.Bytes()
}

// errorFrame ends a call at its caller. It travels in the bulk lane if frames of the call did, so that it does not overtake them.
func errorFrame(call uint64, f *control.Failure, bulk bool) transport.Frame {
	h := transport.Header{Kind: transport.Error, Call: call}
	if bulk {
		h.Flags = transport.Bulk
	}
	return transport.Frame{Header: h, Payload: encode(f.AppendTo)}
}
