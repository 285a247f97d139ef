package daffi

import (
	"context"
	"time"

	"github.com/daffi-rpc/daffi/runtime/internal/control"
)

// WaitReady returns when every method of the client has a provider that takes its calls: one that understands the signature, does not drain, is another node
// than this where the method is an event, and is one of those that the binding's options leave. All have one at the same moment, at once if they have.
// It ends with ctx, and goes on over the loss of a link. What the controller's policy does not let the node call is not waited for, unless that is everything: then the error
// says so. It is for generated code.
func (b *Binding) WaitReady(ctx context.Context) error {
	for attempt := 1; ; {
		s, err := b.node.session(ctx)
		if err == nil {
			err = b.awaitAt(ctx, s)
		}
		if err == nil {
			return nil
		}
		e := notRun(err, "")
		switch {
		case e.Code == Unavailable && e.Reason == ReasonLinkLost && s != nil:
			<-s.ended // at once: its link is closed
		case e.Reason == ReasonStaleRoute && attempt < maxAttempts:
			attempt++
			b.routes.Store(nil)
		default:
			return waitError(e, "providers of "+b.service)
		}
	}
}

// awaitAt waits at one session's controller.
func (b *Binding) awaitAt(ctx context.Context, s *session) error {
	var q control.Await
	var denied error
	for m := range b.client.Methods {
		r, err := b.route(ctx, s, m, time.Time{}, false)
		if e, ok := err.(*Error); ok && e.Reason == ReasonPolicy {
			denied = err
			continue
		}
		if err != nil {
			return err
		}
		if b.client.Methods[m].Event && !b.choice.Self {
			q.Others = append(q.Others, r.Number)
		} else {
			q.Routes = append(q.Routes, r.Number)
		}
	}
	if denied != nil && len(q.Routes)+len(q.Others) == 0 {
		return denied
	}
	if b.ext != nil {
		q.Nodes = b.ext.to
	}
	return s.await(ctx, &q)
}

// await asks, and takes the question back when ctx ends.
func (s *session) await(ctx context.Context, m *control.Await) error {
	q, err := s.ask(m.Append, 1)
	if err != nil {
		return err
	}
	_, _, err = q.answer(ctx)
	if ctx.Err() != nil {
		s.tell((&control.Forget{Number: q.id}).Append)
	}
	return err
}
