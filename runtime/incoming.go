package daffi

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"time"

	"github.com/daffi-rpc/daffi/runtime/codec"
	"github.com/daffi-rpc/daffi/runtime/internal/safetext"
	"github.com/daffi-rpc/daffi/runtime/transport"
)

// Incoming is one call at the callee, as generated code sees it. It must not be used after Serve has returned.
type Incoming struct {
	args codec.Decoder
	out  codec.Encoder

	node    *Node
	session *session
	id      uint64
	mode    transport.Mode
	flags   transport.Flags
	method  *servedMethod
	peer    *peer
	payload *transport.Buffer
	asm     *assembly // of a large request: its room is given back when the arguments were read
	results *transport.Buffer
	ctx     *callCtx
	recv    *receiver
	send    *sender
	skip    int           // of the payload: the tag, which was read
	turn    *turn         // that it holds while it runs, or waits for; nil for none
	seq     uint64        // by when it began to wait
	batched bool          // its reply is sent with those of others
	refused *Error        // what Invalid has made
	item    chan struct{} // closed when an item of it gets its turn; nil while it waits for none
	seen    *Interception // by the interceptors; nil where there are none
	weight  int           // that its arguments are counted with
}

// release ends the use of in. Calls with streams are left to the collector, since a handler may have kept their sequences.
func (in *Incoming) release() {
	if in.payload != nil {
		in.payload.Release()
	}
	if in.asm != nil {
		in.asm.drop()
	}
	if in.results != nil {
		in.results.Release()
	}
	if in.recv != nil || in.send != nil {
		in.payload, in.asm, in.results = nil, nil, nil
		return
	}
	pool := &in.node.incomings
	*in = Incoming{}
	pool.Put(in)
}

// plain reports whether in has arguments and results only, and waits for no turn.
func (in *Incoming) plain() bool {
	return in.mode&(transport.Input|transport.Output|transport.Each) == 0 && in.turn == nil && in.flags&transport.Large == 0
}

// Args opens the argument array.
func (in *Incoming) Args() *codec.Decoder {
	if in.asm != nil || in.args.Left() > smallArgs {
		in.args.OnClose((*argsRead)(in))
	}
	in.args.Open()
	return &in.args
}

// Results starts an array of n results.
func (in *Incoming) Results(n int) *codec.Encoder { in.out.Array(n); return &in.out }

// serve serves one call and returns another that may run now.
func (n *Node) serve(in *Incoming) (next *Incoming) {
	ctx, p, t, reg := in.ctx, in.peer, in.turn, in.method.reg
	ended := true
	defer func() {
		next = n.admission.leave(ctx, p, t, reg)
		if ended && next != nil { // the handler has ended this goroutine
			n.runner.run(next)
		}
	}()
	in.serve()
	ended = false
	return nil
}

// serve runs the handler and ends the call, also when the handler ends its goroutine.
func (in *Incoming) serve() {
	exited := true
	defer func() {
		if exited {
			in.node.admission.ends(in.turn)
			in.complete(in.panicked("the handler has called runtime.Goexit"))
		}
	}()
	err := in.handle()
	exited = false
	in.node.admission.ends(in.turn)
	in.complete(err)
}

// complete sends the terminal frame and lets go of everything.
func (in *Incoming) complete(err error) {
	s, id, ctx, recv, send := in.session, in.id, in.ctx, in.recv, in.send
	in.weigh(0) // before the caller can make its next call
	ended := false
	if in.mode&transport.Oneway != 0 {
		if err != nil {
			in.node.lose(LostCall{Method: in.method.full, Caller: in.peer.name, Node: in.node.opts.Name, Err: err})
		}
	} else {
		ended = in.finish(err)
	}
	ctx.cancel(context.Canceled)
	if recv != nil {
		recv.close()
	}
	if !ended && send == nil {
		s.served.update(id, func(c *servedCall) { c.ctx, c.recv = nil, nil })
	}
	in.release()
}

// handle runs the handler, as far as it is to run.
func (in *Incoming) handle() error {
	start := time.Now()
	if in.ctx.errAt(start) != nil {
		return in.late()
	}
	args := in.payload.B[in.skip:]
	if in.flags&transport.Meta != 0 {
		var md map[string]string
		var err error
		if md, args, err = splitMetadata(args, &in.node.opts.Limits); err != nil {
			return in.decodeError(err)
		}
		in.ctx.setMetadata(md)
	}
	if in.flags&transport.Zstd != 0 {
		raw, err := in.node.decompress(args, in.node.opts.MaxMessage, in.unpacks)
		if err != nil {
			return in.decodeError(err)
		}
		in.payload.Release()
		in.payload, args = raw, raw.B
	} else if large(in) {
		if err := in.weigh(len(args)); err != nil {
			return err
		}
	}
	in.results = transport.NewBuffer(int(max(in.method.hint.Load(), 256)))
	in.out.Reset(in.results.B)
	if in.mode&transport.Each != 0 {
		return in.serveEach()
	}
	in.args.Reset(args)
	lend(&in.args, in.payload)
	err := in.call()
	in.method.pace.note(time.Since(start))
	return err
}

// late is the end of a call whose context has ended before its handler could start.
func (in *Incoming) late() error {
	if err := in.ctx.Err(); err != context.DeadlineExceeded {
		return err // cancelled: nobody will see it
	}
	return in.failure(DeadlineExceeded, "", NotRun, "the deadline had passed before the handler could start")
}

// call runs the handler once. What it returns for the caller is an *Error with the method set.
func (in *Incoming) call() (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = in.panicked(r)
		}
	}()
	if in.method.interceptors != nil {
		return in.intercepted()
	}
	return in.handler(in.ctx)
}

// handler runs the user's method. What it returns is what call does.
func (in *Incoming) handler(ctx context.Context) error {
	err := in.method.service.serve(ctx, in.method.index, in)
	switch {
	case in.args.Err() != nil:
		return in.decodeError(in.args.Err())
	case err != nil && err == error(in.refused):
		return err
	case err != nil:
		return in.failed(err)
	case in.out.Err() != nil:
		return in.failure(Internal, ReasonEncode, Ran, in.out.Err().Error())
	}
	return nil
}

// failed is how the call fails by what its handler returned.
func (in *Incoming) failed(err error) *Error {
	e := handlerError(err, in.method.full, in.node.opts.Name)
	e.identities = identify(err, in.method.errors())
	return e
}

// own makes e, which is of no call yet, the call's.
func (in *Incoming) own(e *Error) *Error {
	e.Node, e.Method = in.node.opts.Name, in.method.full
	return e
}

// failure is how the call fails here, other than by the handler's own error.
func (in *Incoming) failure(code Code, reason Reason, outcome Outcome, message string) *Error {
	return &Error{Code: code, Reason: reason, Outcome: outcome, Message: message, Node: in.node.opts.Name, Method: in.method.full}
}

// decodeError is how a call fails whose arguments cannot be read, or find no room. What a codec of the user's has panicked with is for this node's log.
func (in *Incoming) decodeError(err error) *Error {
	if e, ok := errors.AsType[*Error](err); ok && e.Reason == ReasonBusy { // see weigh
		return in.own(e)
	}
	if p, ok := errors.AsType[*codec.PanicError](err); ok {
		in.node.log.Error("codec panicked", "codec", p.Codec, "method", in.method.full, "caller", in.peer.name, "panic", fmt.Sprint(p.Value), "stack", safetext.Block(p.Stack))
	}
	return in.failure(InvalidArgument, ReasonDecode, NotRun, err.Error())
}

// panicked logs a panic with its text and stack under an id, and tells the caller the id and nothing else: the rest may speak of what the caller must not know.
func (in *Incoming) panicked(r any) error {
	var x [4]byte
	rand.Read(x[:])
	id := hex.EncodeToString(x[:])
	in.node.log.Error("handler panicked", "id", id, "method", in.method.full, "caller", in.peer.name, "panic", safetext.Sprint(r), "stack", safetext.Block(debug.Stack()))
	return in.failure(Internal, ReasonPanic, Ran, fmt.Sprintf("handler panicked (id %s)", id))
}

// serveEach runs the handler for every item of an item stream, in order, until one fails.
func (in *Incoming) serveEach() error {
	ran := false
	for {
		b, ok, err := in.recv.next(in.ctx.Done(), in.ctx.Err)
		if !ok {
			if err != nil {
				return in.failed(err)
			}
			in.out.Reset(in.out.Bytes())
			return nil
		}
		in.asm = b.asm
		err = in.recv.each(&b, &in.args, func() error {
			in.out.Reset(in.out.Bytes())
			err := in.callItem()
			in.weigh(0)
			if e, ok := err.(*Error); ok && ran && e.Outcome == NotRun {
				e.Outcome = Ran // an earlier item has
			}
			ran = true
			return err
		})
		if e, ok := err.(*Error); ok && e.Method == "" { // not the handler's: the frame could not be read
			return in.failed(err)
		}
		if err != nil {
			return err
		}
	}
}

// callItem is call for one item, which takes the turn of a serial method for itself.
func (in *Incoming) callItem() error {
	if t := in.method.turn; t != nil {
		if err := in.node.admission.takeTurn(in); err != nil {
			return err
		}
		defer in.node.admission.passTurn(t, in.ctx)
	}
	return in.call()
}

// finish sends the terminal frame, if somebody still waits for it. It reports whether the call is out of the table.
func (in *Incoming) finish(err error) (ended bool) {
	s := in.session
	f := transport.Frame{Header: transport.Header{Kind: transport.Reply, Call: in.id}}
	if err == nil {
		var sent bool
		if f, sent, err = in.reply(f); sent {
			return false
		}
	}
	if err != nil {
		e, ok := err.(*Error)
		if !ok {
			e = in.failed(err)
		}
		if md := in.replyMetadata(); md != nil {
			x := *e
			x.metadata = md.values
			e = &x
		}
		f.Kind, f.Flags, f.Payload, f.Buf = transport.Error, 0, appendFailure(e), nil
	}
	if in.recv != nil || in.send != nil {
		f.Flags |= transport.Bulk
	}
	if in.send != nil { // it follows the last item
		last, id := f, in.id
		in.send.finish(&last, func() { s.served.remove(id) })
		return false
	}
	was, others := s.served.finish(in.id)
	if was.id == 0 {
		f.Release()
		return true // cancelled
	}
	if s.link.Enqueue(f) != nil {
		s.link.Close(transport.ErrFull)
		return true
	}
	if in.batched {
		return true
	}
	if others {
		runtime.Gosched() // let others who are about to reply join this write
	}
	s.link.Flush()
	return true
}

// reply puts the results into f, or announces and sends them by itself if they are large.
func (in *Incoming) reply(f transport.Frame) (_ transport.Frame, sent bool, _ error) {
	md := in.replyMetadata()
	if in.send != nil || in.out.Len() == 0 {
		if md != nil {
			f.Flags, f.Payload = transport.Meta, md.wire
		}
		return f, false, nil
	}
	s := in.session
	in.results.B = in.out.Bytes()
	size := len(in.results.B)
	if limit := min(in.node.opts.MaxMessage, s.limit); size > limit {
		return f, false, in.failure(ResourceExhausted, ReasonReplyTooLarge, Ran, fmt.Sprintf(
			"results of %d bytes are over the limit of %d; return them as a stream, or raise Options.MaxMessage of both nodes and the controller", size, limit))
	}
	in.method.hint.Store(hint(size))
	buf := in.results
	in.results = nil
	if s.compresses(in.flags&transport.Zstd != 0) {
		if packed, ok := in.node.compress(buf.B, &in.method.worth); ok {
			buf.Release()
			buf = packed
			f.Flags |= transport.Zstd
		}
	}
	if md != nil {
		bare := buf
		buf = wrap(new(tag), md, bare)
		bare.Release()
		f.Flags |= transport.Meta
	}
	if len(buf.B) > transport.BulkThreshold {
		f.Flags |= transport.Bulk
	}
	if len(buf.B) <= transport.MaxPayload {
		f.Payload, f.Buf = buf.B, buf
		return f, false, nil
	}
	defer buf.Release()
	id := in.id
	large := newLarge(s.link, id, buf, func() { s.served.remove(id) })
	if !s.served.update(id, func(c *servedCall) { c.reply = large }) {
		large.close() // cancelled
		return f, true, nil
	}
	if err := large.announce(f.Header); err != nil {
		s.link.Close(err)
		return f, true, nil
	}
	s.link.Flush()
	return f, true, nil
}
