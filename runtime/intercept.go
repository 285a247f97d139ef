package daffi

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync/atomic"

	"github.com/daffi-rpc/daffi/runtime/codec"
	"github.com/daffi-rpc/daffi/runtime/transport"
)

// An Interceptor runs around calls: of the node that makes them ([Options.Interceptors], [Intercept]) or of the one that serves them
// ([Options.ServeInterceptors], [InterceptHandlers]). It is the same for all shapes: around a stream it runs from the opening to the end, around an item stream
// once at the caller, and at the callee for every item. Of several, the first is the outermost; those of a node are outside those of a proxy or a registration.
//
// It calls next once, with ctx or with one derived from it, on the goroutine that it was called on, and returns what next has returned or another error. Where it does
// not call next, it returns an error, and the call has not run: the error says NotRun. A nil error after next has failed does not undo the failure. A panic is
// a panic of the handler, or of who has called; a panic of the handler is one inside next at the callee, and passes by.
//
// A call that was not made, as its arguments could not be encoded or its context had ended, is not seen, and neither is one that the callee has refused before its turn to run.
// Interceptors run at the same time for calls that do. Where there are none, they cost nothing.
type Interceptor func(ctx context.Context, c *Interception, next func(context.Context) error) error

// Interception is a call as its interceptors see it. It is theirs until they return.
type Interception struct {
	Method string // "Service.Method"
	// Peer is, at the callee, the name of the node that called, and at the caller that of the node that [To] names, empty for any.
	Peer  string
	Side  Side
	Shape Shape
	// Attempt is how often the call was sent before. At the caller it is 0 before next, and after it how often the call was sent again.
	Attempt int
	Depth   int // of calls within calls: 0 for one that no handler has made
	// In is what goes to the handler: arguments, and the items of an input sequence. Out is what comes from it: results, and the items of an output
	// sequence. Both are complete when next has returned nil, but for an input that the handler has not read to its end.
	In, Out Traffic

	in, out counter
}

// Metadata is what travels with the call. At the callee that is [MetadataFrom]; at the caller it is what ctx was given by [WithMetadata], to which an interceptor
// adds by deriving the context of next. The map is a copy.
func (c *Interception) Metadata(ctx context.Context) map[string]string {
	if c.Side == AtCallee {
		return MetadataFrom(ctx)
	}
	if m := outgoing(ctx); m != nil && m.values != nil {
		return maps.Clone(m.values)
	}
	return map[string]string{}
}

// Traffic counts messages of one direction.
type Traffic struct {
	Messages int // the arguments or the results, and every item
	Bytes    int // encoded; of a message of a unary call that was compressed, as it was compressed
}

// counter is a Traffic that is counted: an input sequence is sent on a goroutine that may outlive its call.
type counter struct{ messages, bytes atomic.Int64 }

func (c *counter) add(bytes int) {
	c.messages.Add(1)
	c.bytes.Add(int64(bytes))
}

func (c *counter) traffic() Traffic {
	return Traffic{Messages: int(c.messages.Load()), Bytes: int(c.bytes.Load())}
}

// Side says where an interceptor runs.
type Side uint8

const (
	AtCaller Side = iota // around the whole call, with its repetitions (SEM-6)
	AtCallee             // around the handler
)

func (s Side) String() string {
	switch s {
	case AtCaller:
		return "caller"
	case AtCallee:
		return "callee"
	}
	return "unknown"
}

// Shape says what a call consists of.
type Shape uint8

const (
	ShapeUnary       Shape = iota // arguments and results
	ShapeOneway                   // arguments; nobody waits for its end. At the caller next returns when it is accepted
	ShapeEvent                    // at the caller: one-way to every provider, all copies in one interception. At the callee it is one-way
	ShapeInput                    // a client stream
	ShapeOutput                   // a server stream
	ShapeInputOutput              // a bidirectional stream
	ShapeItems                    // at the caller: an item stream, all of it
	ShapeItem                     // at the callee: one item of it
	ShapeBroadcast                // at the caller: a broadcast of whatever shape, until all copies are sent. What becomes of them comes later
)

var shapeNames = [...]string{ShapeUnary: "unary", ShapeOneway: "oneway", ShapeEvent: "event", ShapeInput: "input", ShapeOutput: "output",
	ShapeInputOutput: "input and output", ShapeItems: "items", ShapeItem: "item", ShapeBroadcast: "broadcast"}

func (s Shape) String() string {
	if int(s) < len(shapeNames) {
		return shapeNames[s]
	}
	return "unknown"
}

// Intercept adds interceptors to a call, or to all calls of a proxy, inside those that are there.
func Intercept(list ...Interceptor) CallOption {
	return CallOption{func(o *callOptions) { o.interceptors = slices.Concat(o.interceptors, list) }}
}

// InterceptHandlers adds interceptors around the handlers of a registration, and of the services below it, inside those that are there.
func InterceptHandlers(list ...Interceptor) ServeOption {
	return ServeOption{func(o *serveOptions) { o.interceptors = slices.Concat(o.interceptors, list) }}
}

// around are the interceptors of a registration at n, nil for none.
func (o *serveOptions) around(n *Node) []Interceptor {
	return slices.Concat(n.opts.ServeInterceptors, o.interceptors)
}

// chain is a call within its interceptors.
type chain struct {
	c     *Interception
	list  []Interceptor
	do    func(context.Context) error // the call itself
	begun bool                        // do was called
	err   error                       // what it has returned
}

// run runs the interceptors from the i-th on, and the call.
func (h *chain) run(ctx context.Context, i int) error {
	if i == len(h.list) {
		h.begun = true
		h.err = h.do(ctx)
		h.c.In, h.c.Out = h.c.in.traffic(), h.c.out.traffic()
		return h.err
	}
	var called atomic.Bool
	var inner error              // what next has returned
	ended := make(chan struct{}) // closed when it has
	err := h.list[i](ctx, h.c, func(ctx context.Context) error {
		if called.Swap(true) {
			return &Error{Code: FailedPrecondition, Message: "an interceptor has called next a second time, or after it had returned"}
		}
		defer close(ended)
		inner = h.run(ctx, i+1)
		return inner
	})
	if !called.Swap(true) {
		if err == nil {
			err = &Error{Code: Internal, Message: "an interceptor has returned without an error and has not called next, so there is no result"}
		}
		return err
	}
	<-ended // where it runs on another goroutine against the rules: it uses what is reused after the call
	if err == nil {
		err = inner
	}
	return err
}

// outcome is what became of the handler of a call that an interceptor has failed.
func (h *chain) outcome() Outcome {
	switch {
	case !h.begun:
		return NotRun
	case h.err != nil:
		return OutcomeOf(h.err)
	case h.c.Shape == ShapeOneway || h.c.Shape == ShapeEvent || h.c.Shape == ShapeBroadcast:
		return MayHaveRun
	}
	return Ran
}

// intercepts reports whether calls with x have interceptors.
func (b *Binding) intercepts(x *extra) bool {
	return len(b.node.opts.Interceptors) > 0 || x != nil && len(x.interceptors) > 0
}

// intercept runs do within the interceptors of a call that is about to be made. Of what they return, what is not an error of a call becomes one of this.
func (b *Binding) intercept(ctx context.Context, m int, x *extra, c *Interception, do func(context.Context) error) error {
	h := chain{c: c, list: b.node.opts.Interceptors, do: do}
	if x != nil {
		h.list = slices.Concat(h.list, x.interceptors)
	}
	depth, _ := nesting(ctx, true)
	c.Method, c.Peer, c.Side, c.Depth = b.methods[m].full, x.node(), AtCaller, int(depth)
	err := h.run(ctx, 0)
	if err == nil || err == h.err {
		return err
	}
	e, ok := errors.AsType[*Error](err)
	switch {
	case ok && error(e) == h.err: // what has failed is said with other words
		return err
	case ok && (e.Method == "" || e.Method == c.Method):
		made := *e
		if err != error(e) {
			made.Message, made.cause = err.Error(), err
		}
		e = &made
	default: // of another call too the code is worth handing on; its reason and outcome speak of that one
		e = &Error{Code: CodeOf(err), Message: err.Error(), cause: err}
	}
	e.Method, e.Outcome = c.Method, h.outcome()
	return e
}

// interceptPending is intercept for a call that is encoded. After an error p is released.
func (b *Binding) interceptPending(ctx context.Context, p *pending, m int, x *extra, c *Interception, do func(context.Context) error) error {
	c.in.add(len(p.req.B))
	p.attempts = &c.Attempt
	failed, done := false, false
	defer func() {
		if !failed && !done { // also after a panic
			p.release()
		}
	}()
	err := b.intercept(ctx, m, x, c, func(ctx context.Context) error {
		failed = true // until it has returned, also by a panic
		err := do(ctx)
		if failed = err != nil; !failed && p.reply != nil {
			c.out.add(len(p.reply.B))
		}
		return err
	})
	done = err == nil
	return err
}

// countedArgs is enc, whose bytes are counted as one message.
func countedArgs(t *counter, enc func(*codec.Encoder)) func(*codec.Encoder) {
	if enc == nil {
		enc = func(e *codec.Encoder) { e.Array(0) }
	}
	return func(e *codec.Encoder) {
		enc(e)
		t.add(e.Len())
	}
}

// countedItems is read, which counts what it reads: it is called at the beginning of an item.
func countedItems[T any](t *counter, read func(*codec.Decoder) T) func(*codec.Decoder) T {
	return func(d *codec.Decoder) T {
		t.add(d.Left())
		return read(d)
	}
}

// countedWrite is write, which counts what it writes.
func countedWrite[T any](t *counter, write func(*codec.Encoder, T)) func(*codec.Encoder, T) {
	return func(e *codec.Encoder, v T) {
		before := e.Len()
		write(e, v)
		t.add(e.Len() - before)
	}
}

// counted is an input whose items are counted.
func (in Input) counted(t *counter) Input {
	run := in.run
	in.run = func(ctx context.Context, send func(func(*codec.Encoder)) bool) error {
		return run(ctx, func(write func(*codec.Encoder)) bool {
			return send(func(e *codec.Encoder) {
				before := e.Len()
				write(e)
				t.add(e.Len() - before)
			})
		})
	}
	return in
}

// intercepted runs the handler within the interceptors of its method.
func (in *Incoming) intercepted() error {
	c := &Interception{Method: in.method.full, Peer: in.peer.name, Side: AtCallee, Depth: int(in.ctx.depth)}
	switch whole := transport.Input | transport.Output; {
	case in.mode&transport.Each != 0:
		c.Shape = ShapeItem
	case in.mode&whole == whole:
		c.Shape = ShapeInputOutput
	case in.mode&transport.Input != 0:
		c.Shape = ShapeInput
	case in.mode&transport.Output != 0:
		c.Shape = ShapeOutput
	case in.mode&transport.Oneway != 0:
		c.Shape = ShapeOneway
	}
	if t := in.ctx.tag; t != nil {
		c.Attempt = int(t.attempt)
	}
	c.in.add(in.args.Left())
	in.seen = c
	defer func() { in.seen = nil }()
	h := chain{c: c, list: in.method.interceptors, do: func(ctx context.Context) error {
		err := in.handler(ctx)
		if err == nil && in.send == nil {
			c.out.add(in.out.Len())
		}
		return err
	}}
	err := h.run(in.ctx, 0)
	if err == nil || err == h.err {
		return err
	}
	if inner, ok := h.err.(*Error); ok && errors.Is(err, h.err) { // what has failed is said with other words
		e := *inner
		e.Message, e.cause = err.Error(), err
		return &e
	}
	e := in.failed(err)
	e.Outcome = h.outcome()
	return e
}
