package daffi

import (
	"context"
	"time"

	"github.com/daffi-rpc/daffi/runtime/codec"
)

// What generated code calls is in this file, and besides in it [Register], [Bind], [Below], [Sub], [Feed], [FeedErr], [FeedMapped], [NoError],
// [Sentinel], [ErrorValue], [ErrorPointer], [NoErrors], [Receive], [ReceiveValid], [Send], [Binding.WaitReady], [AckNone], [AckAdmitted] and the methods of [Incoming] beside what they do. It is kept compatible:
// old generated code compiles against a new runtime, within the window that the constants below state.

// Generated code names the constant of its generation, so that it fails to compile, with the cure in the name, against a runtime that
// does not take it: one that is older, or one that is so much newer that the generation has gone. A constant is removed no earlier than in
// the second minor release after the one whose daffigen writes the next generation.
const (
	//lint:ignore ST1003 its name is all that the compiler shows, so it must be read as a sentence
	Generation1_IfUndefined_GoGetDaffiLatest_ThenGoGenerate = true

	// Generation2: proxies wait for providers, arguments are asked whether they are valid, one-way methods have levels.
	//lint:ignore ST1003 see above
	Generation2_IfUndefined_GoGetDaffiLatest_ThenGoGenerate = true
)

// Client describes a fetcher to [Bind].
type Client struct {
	Service string // the callback's name on the wire
	Methods []Method
	Errors  func() []KnownError // the errors that keep their identity; called when a call has failed

	dynamic  *dynamicMethod // without generated code: the only method
	forwards bool           // errors go on to somebody else, with the identities that came with them
}

// Method is one row of a [Client].
type Method struct {
	Name       string              // of the callback's method, without the service
	Sig        string              // canonical wire signature
	Oneway     bool                // no reply is awaited
	Ack        Ack                 // how far it must have come where nobody waits for its end
	Event      bool                // with Oneway: to every provider
	Idempotent bool                // may run more than once
	EachItem   bool                // an item stream: every item of the input is one invocation
	Timeout    time.Duration       // deadline when ctx has none; 0 is the node's default, for a stream none
	Errors     func() []KnownError // instead of the client's
}

// Service describes a callback to [Register]. T is the annotated interface.
type Service[T any] struct {
	Name     string
	Doc      string // the interface's comment
	Serial   bool   // its methods share one turn
	Handlers []Handler[T]
	Subs     []Sub[T]
	Errors   func() []KnownError // the errors that keep their identity; called when a call has failed
}

// Handler is one row of a [Service].
type Handler[T any] struct {
	Name    string   // without the service
	Aliases []string // older names that it answers to
	Sig     string   // canonical wire signature
	Params  []string // names of the arguments, the input sequence last; nil if the source has none
	Results []string // names of the results; nil if the source has none
	Doc     string   // the method's comment
	// Serve reads the arguments from c, calls impl, writes the results to c. An error of its own is returned as it is.
	Serve  func(ctx context.Context, impl T, c *Incoming) error
	Oneway bool
	Serial bool                // it has a turn of its own
	Stream bool                // it has an input sequence, an output sequence, or both
	Errors func() []KnownError // instead of the service's
}

// NewCall prepares a call with results. m is an index into the client's methods. enc writes the argument array and is nil where
// there are no arguments; it is not kept by [Call.Do].
func NewCall[R any](b *Binding, m int, enc func(*codec.Encoder), dec func(*codec.Decoder) R) Call[R] {
	return Call[R]{b: b, x: b.ext, enc: enc, dec: dec, m: m}
}

// NewAction prepares a call whose only result is an error.
func NewAction(b *Binding, m int, enc func(*codec.Encoder)) Action {
	return Action{b: b, x: b.ext, enc: enc, m: m}
}

// NewStream prepares a call whose result is a sequence. dec reads one item.
func NewStream[T any](b *Binding, m int, enc func(*codec.Encoder), dec func(*codec.Decoder) T) Stream[T] {
	return Stream[T]{b: b, x: b.ext, enc: enc, dec: dec, m: m}
}

// NewFeedCall is [NewCall] with an input sequence.
func NewFeedCall[R any](b *Binding, m int, enc func(*codec.Encoder), in Input, dec func(*codec.Decoder) R) Call[R] {
	return Call[R]{b: b, x: b.ext.feed(in), enc: enc, dec: dec, m: m}
}

// NewFeedAction is [NewAction] with an input sequence.
func NewFeedAction(b *Binding, m int, enc func(*codec.Encoder), in Input) Action {
	return Action{b: b, x: b.ext.feed(in), enc: enc, m: m}
}

// NewFeedStream is [NewStream] with an input sequence.
func NewFeedStream[T any](b *Binding, m int, enc func(*codec.Encoder), in Input, dec func(*codec.Decoder) T) Stream[T] {
	return Stream[T]{b: b, x: b.ext.feed(in), enc: enc, dec: dec, m: m}
}

// Mapped has fn write the argument array when the call runs, once for each run, with its context. After an error of fn nothing is sent. It is for
// generated code: fn must write what the method's signature says.
func Mapped(fn func(ctx context.Context, e *codec.Encoder) error) CallOption {
	return CallOption{func(o *callOptions) { o.mapped = fn }}
}
