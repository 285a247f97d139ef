package daffi

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/daffi-rpc/daffi/runtime/internal/control"
	"github.com/daffi-rpc/daffi/runtime/transport"
)

// Bounds of calls to every provider (LIM-25).
const (
	maxFanOut     = 64  // copies of an event that are under way at a time, by default
	maxSnapshots  = 64  // questions for providers that a session has under way
	targetAnswers = 128 // frames of the controller's answer: the longest names of all providers that it tells of
	namedFailures = 3   // that the error spells out
)

// targets are the providers of a method at one moment, without the node itself. Their numbers mean something to that session alone.
type targets struct {
	s        *session
	route    control.Route
	sessions []uint32
	names    []string // of their nodes, if they were wanted
}

// targets asks the controller. No provider is an error; then t has the session and the route nevertheless.
func (b *Binding) targets(ctx context.Context, m int, deadline time.Time, own, names bool) (t targets, e *Error) {
	ctx, cancel := until(ctx, deadline, own)
	defer cancel()
	for attempt := 1; ; attempt++ {
		var err error
		t = targets{} // what a session has told of before it ended means nothing to the next
		if t.s, err = b.node.session(ctx); err != nil {
			return t, notRun(err, b.methods[m].full)
		}
		if t.route, err = b.route(ctx, t.s, m, deadline, own); err == nil {
			err = t.s.targets(ctx, &t, names)
		}
		if err == nil {
			return t, nil
		}
		switch e = notRun(err, b.methods[m].full); {
		case e.Code == Unavailable && e.Reason == ReasonLinkLost:
			<-t.s.ended // at once: its link is closed
		case e.Reason == ReasonStaleRoute && attempt < maxAttempts:
			b.routes.Store(nil)
		default:
			return t, e
		}
	}
}

// targets is one question, whose answer may come in several frames. A few are under way at a time: an answer may be long.
func (s *session) targets(ctx context.Context, t *targets, names bool) error {
	select {
	case s.snapshots <- struct{}{}:
		defer func() { <-s.snapshots }()
	case <-ctx.Done():
		return notSent(ctx, "")
	}
	q, err := s.ask((&control.Targets{Route: t.route.Number, Named: names}).Append, targetAnswers)
	if err != nil {
		return err
	}
	defer q.forget()
	for more := true; more; {
		var a control.Sessions
		op, d, err := q.answer(ctx)
		if err != nil {
			return err
		}
		if err := a.Read(d); err != nil || op != control.OpSessions || len(a.Numbers) == 0 {
			return &Error{Code: Internal, Reason: ReasonProtocol, Message: fmt.Sprintf("the controller's answer to a question for providers cannot be used: %v", err)}
		}
		if names && len(a.Names) != len(a.Numbers) {
			return &Error{Code: Unimplemented, Message: "the controller does not tell the names of providers: it is of an earlier version"}
		}
		t.sessions, t.names = append(t.sessions, a.Numbers...), append(t.names, a.Names...)
		more = q.more
	}
	return nil
}

// each calls do for every index below n, on at most that many goroutines, and returns when all calls have.
func each(n, most int, do func(i int)) {
	var next atomic.Int64
	work := func() {
		for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
			do(i)
		}
	}
	var others sync.WaitGroup
	for range min(n, most) - 1 {
		others.Go(work)
	}
	work()
	others.Wait()
}

// copyTo sends a copy of the request p, which others share, to one target and waits for its end.
func (b *Binding) copyTo(ctx context.Context, t *targets, i int, shared *pending, m int, mode transport.Mode, deadline time.Time, own bool) *Error {
	p := b.node.newPending()
	defer p.release()
	p.peer, p.req, p.tried = t.sessions[i], shared.req.Retain(), true
	if shared.packed != nil {
		p.packed = shared.packed.Retain()
	}
	for {
		if ctx.Err() != nil { // also while earlier ones were under way
			return notSent(ctx, b.methods[m].full)
		}
		id, e := b.send(ctx, t.s, p, m, nil, mode, deadline, own)
		if e == nil {
			e = b.await(ctx, t.s, id, p, m, deadline, own)
		}
		if e == nil {
			return nil
		}
		if e.Outcome != NotRun || e.Reason != ReasonBusy || p.tag.attempt+1 == maxAttempts || !hold(ctx, deadline) {
			return e
		}
		p.tag.attempt++
	}
}

// event sends p, which it releases, to every provider and waits until all copies are accepted.
func (b *Binding) event(ctx context.Context, p *pending, m int, x *extra) error {
	defer p.release()
	if b.intercepts(x) {
		c := &Interception{Shape: ShapeEvent}
		c.in.add(len(p.req.B))
		return b.intercept(ctx, m, x.clone(), c, func(ctx context.Context) error { return b.tell(ctx, p, m) })
	}
	return b.tell(ctx, p, m)
}

// tell is event without interceptors. The caller releases p.
func (b *Binding) tell(ctx context.Context, p *pending, m int) error {
	deadline, own := b.deadline(ctx, m, false)
	t, e := b.targets(ctx, m, deadline, own, false)
	if e != nil {
		return e
	}
	if t.s.compresses(t.route.Remote) {
		p.pack(b.node, &b.methods[m].worth)
	}
	ends := make([]*Error, len(t.sessions))
	each(len(ends), b.node.opts.Limits.EventCopies, func(i int) { ends[i] = b.copyTo(ctx, &t, i, p, m, transport.Oneway, deadline, own) })
	return eventError(b.methods[m].full, ends)
}

// eventError is nil if all copies were accepted. NotRun it says only if none was and none can have been.
func eventError(method string, ends []*Error) error {
	var f failures
	for _, end := range ends {
		if end == nil {
			f.good++
			continue
		}
		f.all = append(f.all, end)
	}
	if len(f.all) == 0 {
		return nil
	}
	e := f.summary("%d of %d providers have not accepted the event%s")
	e.Method = method
	return e
}
