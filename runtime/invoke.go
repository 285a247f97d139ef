package daffi

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"

	"github.com/daffi-rpc/daffi/runtime/codec"
	"github.com/daffi-rpc/daffi/runtime/internal/control"
	"github.com/daffi-rpc/daffi/runtime/transport"
)

// prepare encodes the arguments. It never keeps enc: that is what lets the argument closure of a plain call live on the stack.
func (b *Binding) prepare(ctx context.Context, m int, x *extra, enc func(*codec.Encoder)) (*pending, error) {
	method := &b.methods[m]
	if ctx.Err() != nil { // not sent: NotRun, instead of a race between the reply and ctx
		return nil, notSent(ctx, method.full)
	}
	if x.wrongly() {
		return nil, &Error{Code: InvalidArgument, Reason: ReasonShape, Outcome: NotRun, Method: method.full, Message: x.wrong}
	}
	p := b.node.newPending()
	p.req = transport.NewBuffer(int(max(method.hint.Load(), 256)))
	p.enc.Reset(p.req.B)
	switch {
	case x.maps():
		if err := x.write(ctx, b.client, &p.enc); err != nil {
			p.release()
			if b.client.dynamic != nil {
				return nil, notRun(err, method.full)
			}
			return nil, notMapped(err, method.full)
		}
		if ctx.Err() != nil {
			p.release()
			return nil, notSent(ctx, method.full)
		}
	case enc == nil:
		p.enc.Array(0)
	default:
		enc(&p.enc)
	}
	p.req.B = p.enc.Bytes()
	size := len(p.req.B)
	if err := p.enc.Err(); err != nil {
		p.release()
		return nil, &Error{Code: InvalidArgument, Reason: ReasonEncode, Outcome: NotRun, Method: method.full, Message: err.Error(), cause: err}
	}
	if size > b.node.opts.MaxMessage {
		p.release()
		return nil, tooLarge(size, b.node.opts.MaxMessage, method.full)
	}
	method.hint.Store(hint(size))
	return p, nil
}

// attempt sends p once and waits for its end.
func (b *Binding) attempt(ctx context.Context, p *pending, m int, x *extra, mode transport.Mode, deadline time.Time, own bool) *Error {
	s, id, err := b.dispatch(ctx, p, m, x, mode, deadline, own)
	if err != nil {
		return err
	}
	return b.await(ctx, s, id, p, m, deadline, own)
}

// await waits for the end of a call that was sent.
func (b *Binding) await(ctx context.Context, s *session, id uint64, p *pending, m int, deadline time.Time, own bool) (err *Error) {
	var timeout <-chan time.Time
	switch {
	case own && p.stream != nil: // its end is not for the expiry to tell: producer and reader go on until they are cancelled
		timer := time.NewTimer(time.Until(deadline))
		defer timer.Stop()
		timeout = timer.C
	case own:
		s.expireAt(deadline)
	}
	if p.alone {
		p.ctx = ctx
		s.link.Attend(p)
	}
	gone := ctx.Done()
	if gone == nil && timeout == nil { // nothing to choose from, which is a good deal cheaper
		<-p.done
		return b.ended(s, id, p, m)
	}
	select {
	case <-p.done:
		return b.ended(s, id, p, m)
	case <-gone:
		err = contextError(ctx, b.methods[m].full)
	case <-timeout:
		err = b.timedOut(m)
	}
	if s.calls.remove(id) == nil { // it ends at this moment
		<-p.done
		return b.ended(s, id, p, m)
	}
	p.why = err
	s.cancel(id, p)
	return err
}

// ended is how a call ended that is out of the table.
func (b *Binding) ended(s *session, id uint64, p *pending, m int) *Error {
	if p.err != errExpired {
		return b.outcome(p, m)
	}
	p.err, p.why = nil, b.timedOut(m)
	s.cancel(id, p)
	return p.why
}

// dispatch sends p by the session that there is, or by the next one. A session that has ended and does not know yet takes nothing: then p
// waits for the next one as well.
func (b *Binding) dispatch(ctx context.Context, p *pending, m int, x *extra, mode transport.Mode, deadline time.Time, own bool) (*session, uint64, *Error) {
	for {
		s := b.node.current.Load()
		if s == nil {
			ctx, cancel := until(ctx, deadline, own)
			next, err := b.node.session(ctx)
			cancel()
			if err != nil {
				return nil, 0, notRun(err, b.methods[m].full)
			}
			s = next
		}
		id, e := b.send(ctx, s, p, m, x, mode, deadline, own)
		if e == nil || e.Code != Unavailable || e.Reason != ReasonLinkLost {
			return s, id, e
		}
		<-s.ended // at once: its link is closed
	}
}

// until is ctx with a deadline that daffi has set.
func until(ctx context.Context, deadline time.Time, own bool) (context.Context, context.CancelFunc) {
	if !own {
		return ctx, func() {}
	}
	return context.WithDeadline(ctx, deadline)
}

// errPassed is the error of a call whose deadline had passed before it was sent.
var errPassed = &Error{Code: DeadlineExceeded, Outcome: NotRun, Message: "the deadline had passed before the call was sent", cause: context.DeadlineExceeded}

// timedOut is the error of a deadline that daffi set.
func (b *Binding) timedOut(m int) *Error {
	return &Error{Code: DeadlineExceeded, Method: b.methods[m].full, cause: context.DeadlineExceeded,
		Message: "no reply within the default deadline; a context with a deadline, //daffi:timeout or Options.Timeout sets another"}
}

// outcome is how a call ended.
func (b *Binding) outcome(p *pending, m int) *Error {
	if p.err == nil {
		return b.headed(p, m)
	}
	p.into.add(p.err.metadata)
	e := *p.err
	e.Method = b.methods[m].full
	came := e.identities
	e.recall(b.errors(m))
	if b.client.forwards {
		e.identities = came
	}
	p.err, p.large = nil, nil
	if b.client.dynamic != nil {
		b.client.dynamic.failed(&e)
	}
	return &e
}

// cancel tells the callee that nobody waits for the call any more. p must have been removed from the table.
func (s *session) cancel(id uint64, p *pending) {
	if p.stream != nil {
		p.stream.cancel()
		return
	}
	h := transport.Header{Kind: transport.Cancel, Call: id, Flags: p.lane()}
	if p.large != nil {
		p.large.close()
		p.large = nil
	}
	s.sendCancel(h, p.why)
}

// send enqueues the request and flushes. With an error nothing was sent.
func (b *Binding) send(ctx context.Context, s *session, p *pending, m int, x *extra, mode transport.Mode, deadline time.Time, own bool) (uint64, *Error) {
	id, first, err := b.enqueue(ctx, s, p, m, x, mode, deadline, own)
	if err != nil {
		return 0, err
	}
	s.depart(first)
	if p.stream != nil {
		s.link.Attend(nil)
	}
	return id, nil
}

// depart flushes what callers have enqueued. first says that no other call was under way, so that there is nobody to wait for.
func (s *session) depart(first bool) {
	switch {
	case first:
		s.link.Flush()
	case s.gathering.CompareAndSwap(false, true):
		runtime.Gosched() // let others who are about to send join this write, and leave it to this goroutine
		s.gathering.Store(false)
		s.link.Flush()
	}
}

// enqueue enqueues the request, which [session.depart] must follow. With an error nothing was enqueued. first reports that no other call is under way.
//
// A call that has a sink and whose session ends meanwhile counts as enqueued: its sink was told.
func (b *Binding) enqueue(ctx context.Context, s *session, p *pending, m int, x *extra, mode transport.Mode, deadline time.Time, own bool) (id uint64, first bool, _ *Error) {
	method := &b.methods[m]
	route, err := b.route(ctx, s, m, deadline, own)
	if err != nil {
		return 0, false, notRun(err, method.full)
	}
	h := transport.Header{Kind: transport.Request, Mode: mode, Route: route.Number}
	if h.Depth, p.tag.turns = nesting(ctx, mode&transport.Oneway != 0); int(h.Depth) > b.node.opts.Limits.CallDepth {
		return 0, false, tooDeep(method.full, b.node.opts.Limits.CallDepth)
	}
	if p.peer != 0 {
		h.Peer = p.peer
	} else if names := x.names(); len(names) > 0 {
		if h.Peer, err = s.seek(ctx, p, names, deadline, own); err != nil {
			return 0, false, notRun(err, method.full)
		}
	} else if key, ok := p.key(x); ok {
		h.Peer = key
		h.Mode |= transport.Keyed
	}
	if len(p.req.B) > s.limit {
		return 0, false, tooLarge(len(p.req.B), s.limit, method.full)
	}
	buf := p.req
	if s.compresses(route.Remote) {
		if p.pack(b.node, &method.worth); p.packed != nil {
			buf = p.packed
			h.Flags |= transport.Zstd
		}
	}
	md := outgoing(ctx)
	if md != nil {
		if err := md.check(&b.node.opts.Limits); err != nil {
			return 0, false, &Error{Code: InvalidArgument, Reason: ReasonTooLarge, Outcome: NotRun, Method: method.full, Message: err.Error()}
		}
		if p.into = md.into; p.into != nil && mode&transport.Oneway == 0 {
			p.tag.replies = true
		}
		if md.wire == nil {
			md = nil
		} else {
			h.Flags |= transport.Meta
		}
	}
	if tagged := !p.tag.empty(); tagged || md != nil {
		if tagged {
			h.Mode |= transport.Tagged
		}
		buf = p.wrap(md, buf)
		defer buf.Release()
	}
	var open func(id uint64) error
	p.due = time.Time{}
	if own && p.stream == nil {
		p.due = deadline
	}
	if st := p.stream; st != nil {
		open = func(id uint64) error { return st.open(s, id, &method.worth, route.Remote) }
	}
	if h.Call, first, err = s.calls.add(p, open); err != nil {
		if errors.Is(err, transport.ErrFull) {
			return 0, false, &Error{Code: ResourceExhausted, Reason: ReasonBusy, Outcome: NotRun, Method: method.full, Message: fmt.Sprintf("%d calls are under way on this node already", transport.MaxCalls)}
		}
		return 0, false, notRun(err, method.full)
	}
	if p.stream != nil {
		h.Mode |= p.stream.opening()
	}
	if p.at != nil {
		p.at.Store(transport.SlotOf(h.Call) + 1)
	}
	for {
		var ok bool
		if h.Arg, ok = remaining(deadline); !ok {
			err = errPassed
			break
		}
		if err = s.enqueueRequest(h, p, buf); !errors.Is(err, transport.ErrFull) {
			break
		}
		if p.hasty {
			err = errQueueFull
			break
		}
		if err = s.awaitRoom(ctx, deadline); err != nil {
			break
		}
	}
	if err != nil {
		if s.calls.remove(h.Call) == nil { // the session has ended meanwhile, and says so
			if p.sink != nil {
				return h.Call, false, nil
			}
			<-p.done
			p.err = nil
		}
		if p.large != nil {
			p.large.close()
			p.large = nil
		}
		return 0, false, notRun(err, method.full)
	}
	if p.stream != nil && len(buf.B) <= transport.MaxPayload {
		p.stream.start()
	}
	p.alone = first && p.stream == nil && p.sink == nil && (h.Arg == 0 || h.Arg > uint64(attendFrom))
	if s.alone.Load() != p.alone {
		s.alone.Store(p.alone)
	}
	return h.Call, first, nil
}

// enqueueRequest enqueues the request, whole or announced.
func (s *session) enqueueRequest(h transport.Header, p *pending, buf *transport.Buffer) error {
	p.bulk = len(buf.B) > transport.BulkThreshold
	h.Flags |= p.lane()
	if len(buf.B) <= transport.MaxPayload {
		return s.link.Enqueue(transport.Frame{Header: h, Payload: buf.B, Buf: buf.Retain()})
	}
	var after func()
	if p.stream != nil {
		after = p.stream.start
	}
	if p.large == nil { // else there was no room for it
		large := newLarge(s.link, h.Call, buf, after)
		if !s.calls.setLarge(h.Call, large) {
			large.close()
			return transport.ErrClosed
		}
	}
	return p.large.announce(h)
}

var errQueueFull = &Error{Code: ResourceExhausted, Reason: ReasonBusy, Outcome: NotRun, Message: "the node's own queue is full: the link takes no more for the moment"}

// awaitRoom waits until the link may take another request.
func (s *session) awaitRoom(ctx context.Context, deadline time.Time) error {
	var timeout <-chan time.Time
	if !deadline.IsZero() {
		t := time.NewTimer(time.Until(deadline))
		defer t.Stop()
		timeout = t.C
	}
	s.link.FlushSoon()
	select {
	case <-s.link.Room():
		return nil
	case <-ctx.Done():
		return contextError(ctx, "")
	case <-timeout:
		return errPassed
	}
}

// find is the session number of the node of that name, 0 if there is none. What was found before may be stale: a unary call that meets
// a stale number is sent again, a stream asks anew.
func (s *session) find(ctx context.Context, name string, anew bool, deadline time.Time, own bool) (uint32, error) {
	if v, ok := s.finding.Load(name); ok && !anew {
		return v.(uint32), nil
	}
	ctx, cancel := until(ctx, deadline, own)
	defer cancel()
	q := control.Find{Node: name}
	_, d, err := s.exchange(ctx, q.Append)
	if err != nil {
		return 0, err
	}
	var a control.Found
	if err := a.Read(d); err != nil {
		return 0, &Error{Code: Internal, Reason: ReasonProtocol, Message: "the controller's answer to a question for a node cannot be read: " + err.Error(), cause: err}
	}
	if a.Session != 0 {
		s.finding.Store(name, a.Session)
	}
	return a.Session, nil
}
