package daffi

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/daffi-rpc/daffi/runtime/internal/control"
	"github.com/daffi-rpc/daffi/runtime/internal/safetext"
)

// Code classifies an error. The names and meanings are those of the canonical gRPC codes. The zero Code is Unknown; there is
// none for success.
type Code uint8

// The codes. Their numbers are part of the wire format.
const (
	Unknown Code = iota
	Canceled
	InvalidArgument
	DeadlineExceeded
	NotFound
	AlreadyExists
	PermissionDenied
	ResourceExhausted
	FailedPrecondition
	Aborted
	OutOfRange
	Unimplemented
	Internal
	Unavailable
	DataLoss
	Unauthenticated
)

var codeNames = [...]string{
	Unknown:            "unknown",
	Canceled:           "canceled",
	InvalidArgument:    "invalid_argument",
	DeadlineExceeded:   "deadline_exceeded",
	NotFound:           "not_found",
	AlreadyExists:      "already_exists",
	PermissionDenied:   "permission_denied",
	ResourceExhausted:  "resource_exhausted",
	FailedPrecondition: "failed_precondition",
	Aborted:            "aborted",
	OutOfRange:         "out_of_range",
	Unimplemented:      "unimplemented",
	Internal:           "internal",
	Unavailable:        "unavailable",
	DataLoss:           "data_loss",
	Unauthenticated:    "unauthenticated",
}

func (c Code) String() string {
	if int(c) < len(codeNames) {
		return codeNames[c]
	}
	return "code(" + strconv.Itoa(int(c)) + ")"
}

// Reason narrows a Code. The constants are all that daffi itself uses; a handler's own *Error may carry another.
type Reason string

const (
	ReasonNoProvider    Reason = "no_provider"     // no node offers the method
	ReasonSchema        Reason = "schema"          // caller and provider disagree about the method's signature
	ReasonBusy          Reason = "busy"            // a bounded queue is full
	ReasonOverloaded    Reason = "overloaded"      // the controller runs short of memory
	ReasonTooLarge      Reason = "too_large"       // the request is over the message limit
	ReasonReplyTooLarge Reason = "reply_too_large" // the result is over the message limit
	ReasonInvalid       Reason = "invalid"         // an argument says of itself that it is not valid
	ReasonDecode        Reason = "decode"          // arguments or results could not be read
	ReasonEncode        Reason = "encode"          // arguments or results could not be written
	ReasonNodeLost      Reason = "node_lost"       // the provider's process or its link is gone
	ReasonLinkLost      Reason = "link_lost"       // the caller's own link to the controller is gone
	ReasonDraining      Reason = "draining"        // the provider is shutting down
	ReasonStaleRoute    Reason = "stale_route"     // the controller does not know the route; the caller resolves it again by itself
	ReasonPanic         Reason = "panic"           // the handler panicked
	ReasonDepth         Reason = "depth"           // calls within calls are nested too deep
	ReasonProtocol      Reason = "protocol"        // the peer broke the wire format
	ReasonReentrant     Reason = "reentrant"       // a handler called back into the serial service whose turn it has
	ReasonShape         Reason = "shape"           // this way of calling does not fit the method's shape
	ReasonConsumed      Reason = "consumed"        // a sequence was ranged over twice
	ReasonClosed        Reason = "closed"          // the node was closed
	ReasonNameTaken     Reason = "name_taken"      // another node of that name has joined
	ReasonQuorum        Reason = "quorum"          // fewer nodes than the quorum of a broadcast answered well
	ReasonLimit         Reason = "limit"           // something else is over a limit that the message names
	ReasonNoTask        Reason = "no_task"         // no schedule of that id is known
	ReasonStore         Reason = "store"           // the controller's store has failed
	ReasonPolicy        Reason = "policy"          // the controller's policy does not let the node do it
)

// Outcome says whether a handler ran for the call that failed. The zero Outcome is the honest default.
type Outcome uint8

// The outcomes. Their numbers are part of the wire format.
const (
	// MayHaveRun: the request was handed to a connection and no answer came.
	MayHaveRun Outcome = iota
	// NotRun: no handler ran and none will; it is safe to call again.
	NotRun
	// Ran: the handler returned, panicked, or its result could not be sent.
	Ran
)

var outcomeNames = [...]string{MayHaveRun: "may_have_run", NotRun: "not_run", Ran: "ran"}

func (o Outcome) String() string {
	if int(o) < len(outcomeNames) {
		return outcomeNames[o]
	}
	return "outcome(" + strconv.Itoa(int(o)) + ")"
}

// Error is what every failed call returns; find it with errors.As.
//
// A handler may return one to choose Code, Reason and Message; Outcome, Node and Method are then filled in by daffi.
type Error struct {
	Code    Code
	Reason  Reason
	Outcome Outcome
	Message string // of a handler's error its text, as the handler has it, cut at 1 KiB: bytes that may be anything, so quote it where it is shown
	Node    string // the node that failed the call, empty where the error was made at the caller; of a broadcast, the node that the entry is of
	Method  string // "Service.Method", empty where no call is involved

	cause      error
	local      string             // the part of Message that speaks of this machine and its controller, which no other node is told
	identities []control.Identity // on their way: to be sent, or as they came
	metadata   map[string]string  // the same of the callee's metadata
}

// Error is one line: method, node, code and reason, message. What others may have written is quoted as a Go string, and cut at 1 KiB, where it has newlines or other characters
// that are not to be shown (LIM-68); the fields have it as it came.
func (e *Error) Error() string {
	var b strings.Builder
	if e.Method != "" {
		b.WriteString(safetext.Line(e.Method, safetext.MaxError))
		if e.Node != "" {
			b.WriteString(" at ")
			b.WriteString(safetext.Line(e.Node, safetext.MaxLog))
		}
		b.WriteString(": ")
	}
	b.WriteString(e.Code.String())
	if e.Reason != "" {
		b.WriteByte('/')
		b.WriteString(safetext.Line(string(e.Reason), safetext.MaxLog))
	}
	if e.Message != "" {
		b.WriteString(": ")
		if safetext.Printable(e.Message) { // where a peer has written it, it was cut when it came
			b.WriteString(e.Message)
		} else {
			b.WriteString(safetext.Line(e.Message, safetext.MaxError))
		}
	}
	return b.String()
}

// Format shows what Error gives, whatever the verb: values of errors and metadata came with e that may be secret.
func (e *Error) Format(f fmt.State, verb rune) {
	if e == nil {
		safetext.Format(f, verb, "<nil>")
		return
	}
	safetext.Format(f, verb, e.Error())
}

// Unwrap gives the local cause: a context's error, an encoder's. Of an error that came over the wire it gives the errors that keep their identity
// (//daffi:errors), and one with Code Canceled or DeadlineExceeded matches the context error of that name.
func (e *Error) Unwrap() error {
	if e.cause != nil {
		return e.cause
	}
	switch e.Code {
	case Canceled:
		return context.Canceled
	case DeadlineExceeded:
		return context.DeadlineExceeded
	}
	return nil
}

// Is reports whether target is an *Error of the same Code and Reason, so that errors.Is(err, ErrStreamConsumed) holds for the
// copy that names the method.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Code == e.Code && t.Reason == e.Reason && t.Reason != ""
}

// CodeOf answers for any error: the Code of the first *Error in its tree, InvalidArgument for an *InvalidArgumentError, that of a context error, else Unknown.
func CodeOf(err error) Code {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Code
	}
	if _, ok := errors.AsType[*InvalidArgumentError](err); ok {
		return InvalidArgument
	}
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return DeadlineExceeded
	case errors.Is(err, context.Canceled):
		return Canceled
	}
	return Unknown
}

// OutcomeOf is the Outcome of the first *Error in err's tree, else MayHaveRun.
func OutcomeOf(err error) Outcome {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Outcome
	}
	return MayHaveRun
}

// ErrStreamConsumed is the error of a sequence that is ranged over a second time.
var ErrStreamConsumed error = &Error{Code: FailedPrecondition, Reason: ReasonConsumed, Outcome: NotRun, Message: "the sequence was ranged over before; prepare or call again for a new one"}
