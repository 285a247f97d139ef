package daffi

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/daffi-rpc/daffi/runtime/internal/control"
	"github.com/daffi-rpc/daffi/runtime/transport"
)

// Bounds of a call to every provider (LIM-25).
const (
	maxFanOut     = 64 // copies that are under way at a time
	targetAnswers = 64 // frames of the controller's answer
	namedFailures = 3  // that the error spells out
)

// targets are the providers of a method at one moment, without the node itself. Their numbers mean something to that session alone.
type targets struct {
	s        *session
	route    control.Route
	sessions []uint32
}

// targets asks the controller. No provider is an error.
func (b *Binding) targets(ctx context.Context, m int, deadline time.Time, own bool) (t targets, e *Error) {
	ctx, cancel := until(ctx, deadline, own)
	defer cancel()
	for attempt := 1; ; attempt++ {
		var err error
		if t.s, err = b.node.session(ctx); err != nil {
			return t, notRun(err, b.methods[m].full)
		}
		if t.route, err = b.route(ctx, t.s, m, deadline, own); err == nil {
			t.sessions, err = t.s.targets(ctx, t.route.Number)
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

// targets is one question, whose answer may come in several frames.
func (s *session) targets(ctx context.Context, route uint32) (sessions []uint32, err error) {
	q, err := s.ask((&control.Targets{Route: route}).Append, targetAnswers)
	if err != nil {
		return nil, err
	}
	defer q.forget()
	for more := true; more; {
		var a control.Sessions
		op, d, err := q.answer(ctx)
		if err != nil {
			return nil, err
		}
		if err := a.Read(d); err != nil || op != control.OpSessions || len(a.Numbers) == 0 {
			return nil, &Error{Code: Internal, Reason: ReasonProtocol, Message: fmt.Sprintf("the controller's answer to a question for providers cannot be used: %v", err)}
		}
		sessions = append(sessions, a.Numbers...)
		more = q.more
	}
	return sessions, nil
}

// each calls do for every index below n, on a bounded number of goroutines, and returns when all calls have.
func each(n int, do func(i int)) {
	var next atomic.Int64
	work := func() {
		for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
			do(i)
		}
	}
	var others sync.WaitGroup
	for range min(n, maxFanOut) - 1 {
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
	t, e := b.targets(ctx, m, deadline, own)
	if e != nil {
		return e
	}
	if t.s.compresses(t.route.Remote) {
		p.pack(b.node, &b.methods[m].worth)
	}
	ends := make([]*Error, len(t.sessions))
	each(len(ends), func(i int) { ends[i] = b.copyTo(ctx, &t, i, p, m, transport.Oneway, deadline, own) })
	return eventError(b.methods[m].full, ends)
}

// eventError is nil if all copies were accepted. NotRun it says only if none was and none can have been.
func eventError(method string, ends []*Error) error {
	var e *Error
	var causes []error
	var text strings.Builder
	for _, end := range ends {
		if end == nil {
			continue
		}
		switch {
		case e == nil:
			e = &Error{Code: end.Code, Reason: end.Reason, Outcome: NotRun, Method: method}
		case e.Code != end.Code || e.Reason != end.Reason:
			e.Code, e.Reason = Unavailable, ""
		}
		if end.Outcome != NotRun {
			e.Outcome = MayHaveRun
		}
		if len(causes) < namedFailures {
			text.WriteString("; ")
			text.WriteString(end.Error())
		}
		causes = append(causes, end)
	}
	if e == nil {
		return nil
	}
	if len(causes) < len(ends) {
		e.Outcome = MayHaveRun
	}
	if more := len(causes) - namedFailures; more > 0 {
		fmt.Fprintf(&text, "; and %d more", more)
	}
	e.Message = fmt.Sprintf("%d of %d providers have not accepted the event%s", len(causes), len(ends), text.String())
	e.cause = errors.Join(causes...)
	return e
}
