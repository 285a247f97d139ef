package daffi

import (
	"context"
	"fmt"

	"github.com/daffi-rpc/daffi/internal/signature"
	"github.com/daffi-rpc/daffi/runtime/codec"
)

// Msg is a message that has come.
type Msg[T any] struct {
	Kind  string
	From  string // the name of the node that has sent it
	Value T
}

// messages is the service of all kinds of messages.
const messages = reservedPrefix + "msg"

// EncodedBy sends a message by the codec of that name, which is one of Options.Codecs, or raw for a []byte, text for a string, json for a string or []byte that is JSON. It is for
// [SendMsg].
func EncodedBy(codec string) CallOption { return CallOption{func(o *callOptions) { o.codec = codec }} }

// DecodedBy takes messages that are [EncodedBy] the codec of that name, and no others. It is for [HandleMsg].
func DecodedBy(codec string) ServeOption {
	return ServeOption{func(o *serveOptions) { o.codec = codec }}
}

// HandleMsg takes the messages of a kind that [SendMsg] sends. A kind is a name, or several with dots between; a node handles each once, and of several nodes that do one gets a message.
// T is what [Handle] takes, or with [DecodedBy] what the codec takes. An error of fn is logged, and counted as a lost one-way call.
func HandleMsg[T any](r Registrar, kind string, fn func(ctx context.Context, m Msg[T]) error, opts ...ServeOption) (*Registration, error) {
	var so serveOptions
	for _, opt := range opts {
		opt.apply(&so)
	}
	service, name, err := splitMethod(messages + "." + kind)
	if err != nil || so.override {
		return nil, wrongKind(kind, fmt.Errorf("it is not a name, or Override was given, which is for Handle"))
	}
	if fn == nil {
		return nil, wrongKind(kind, fmt.Errorf("the function is nil"))
	}
	s, err := messageShape[T](so.codec)
	if err != nil {
		return nil, wrongKind(kind, err)
	}
	return registerOne(r.registrar(), service, one{name: name, sig: methodSig(s.sig, nil), serve: &message[T]{kind, s, fn}, oneway: true}, opts)
}

// SendMsg sends a message to a node that handles its kind, and waits as [Call.Post] does, at the level of [WithAck]. No such node is Unavailable/no_provider, one that handles the kind
// with another type or codec FailedPrecondition/schema.
func SendMsg[T any](ctx context.Context, c Caller, kind string, v T, opts ...CallOption) error {
	x := (*extra)(nil).with(opts)
	service, name, err := splitMethod(messages + "." + kind)
	if err != nil {
		return wrongKind(kind, fmt.Errorf("it is not a name"))
	}
	s, err := messageShape[T](x.codec)
	if err != nil {
		return wrongKind(kind, err)
	}
	b := c.caller().messages.binding(c.caller(), service, name, methodSig(s.sig, nil))
	return NewAction(b, 0, func(e *codec.Encoder) { e.Array(1); s.write(e, v) }).With(opts...).Post(ctx)
}

func wrongKind(kind string, err error) *Error {
	return &Error{Code: InvalidArgument, Outcome: NotRun, Message: fmt.Sprintf("messages of kind %q: %v", kind, err), cause: err}
}

// message dispatches to a function for messages.
type message[T any] struct {
	kind string
	in   shape[T]
	fn   func(context.Context, Msg[T]) error
}

func (h *message[T]) errors(int) func() []KnownError { return nil }

func (h *message[T]) serve(ctx context.Context, _ int, c *Incoming) error {
	v, err := readOne(c, &h.in)
	if err != nil {
		return err
	}
	c.Results(0)
	return h.fn(ctx, Msg[T]{Kind: h.kind, From: c.peer.name, Value: v})
}

// messageShape is how messages of T travel, by a codec if it has a name.
func messageShape[T any](name string) (shape[T], error) {
	if name == "" {
		s, err := shapeOf[T]()
		if err == nil && s.sig == nil {
			err = fmt.Errorf("struct{} is no message")
		}
		return s, err
	}
	s := shape[T]{sig: &signature.Type{Kind: signature.Codec, Name: name},
		write: func(e *codec.Encoder, v T) { codec.WriteWith(e, name, v) }, read: func(d *codec.Decoder) T { return codec.ReadWith[T](d, name) }}
	var v T
	switch any(&v).(type) {
	case *[]byte:
		switch name {
		case "raw":
			return shapeAs[T](s, codec.WriteRaw[[]byte], codec.ReadRaw[[]byte]), nil
		case "json":
			return shapeAs[T](s, func(e *codec.Encoder, v []byte) { codec.WriteBy(e, jsonText{}, v) }, func(d *codec.Decoder) []byte { return codec.ReadBy[[]byte](d, jsonText{}) }), nil
		}
	case *string:
		switch name {
		case "text":
			return shapeAs[T](s, codec.WriteTextString[string], codec.ReadTextString[string]), nil
		case "json":
			return shapeAs[T](s, func(e *codec.Encoder, v string) { codec.WriteBy(e, jsonText{}, []byte(v)) }, func(d *codec.Decoder) string { return string(codec.ReadBy[[]byte](d, jsonText{})) }), nil
		}
	}
	switch name {
	case "raw", "text", "json":
		return s, fmt.Errorf("the codec %s does not take a %s: raw is for []byte, text for string, json for either", name, typeName[T]())
	}
	return s, nil
}

// shapeAs is s with functions for T, which is E.
func shapeAs[T, E any](s shape[T], write func(*codec.Encoder, E), read func(*codec.Decoder) E) shape[T] {
	s.write = func(e *codec.Encoder, v T) { write(e, any(v).(E)) }
	s.read = func(d *codec.Decoder) T { return any(read(d)).(T) }
	return s
}

// jsonText carries what is JSON already.
type jsonText struct{}

func (jsonText) ID() byte                                  { return 3 }
func (jsonText) Name() string                              { return "json" }
func (jsonText) Marshal(dst []byte, v any) ([]byte, error) { return append(dst, v.([]byte)...), nil }

func (jsonText) Unmarshal(data []byte, v any) error {
	*v.(*[]byte) = append([]byte(nil), data...)
	return nil
}
