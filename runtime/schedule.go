package daffi

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/daffi-rpc/daffi/runtime/codec"
	"github.com/daffi-rpc/daffi/runtime/internal/control"
)

// Schedule gives the call to the controller, which makes it by itself whenever the plan says, until that ends or the task is cancelled (SEM-12). Each run is an ordinary call, at most once, to a
// provider that is there at that moment, or to the node named by [To]; results are dropped. Arguments and the metadata of ctx are read now and kept, at most 48 KiB of them (LIM-28).
//
// It returns when the controller has taken it over. The schedule then goes on without this node. It is lost with the controller, unless that has a store: then it is on disk when
// Schedule returns, and goes on when the controller is there again.
func (c Call[R]) Schedule(ctx context.Context, p Plan) (*Task, error) {
	return c.b.schedule(ctx, c.m, c.x, c.enc, p)
}

// Schedule gives the call to the controller, which makes it by itself whenever the plan says; see [Call.Schedule].
func (a Action) Schedule(ctx context.Context, p Plan) (*Task, error) {
	return a.b.schedule(ctx, a.m, a.x, a.enc, p)
}

// schedule makes a schedule of a call.
func (b *Binding) schedule(ctx context.Context, m int, x *extra, enc func(*codec.Encoder), p Plan) (*Task, error) {
	full := b.methods[m].full
	invalid := func(reason Reason, format string, args ...any) error {
		return &Error{Code: InvalidArgument, Reason: reason, Outcome: NotRun, Method: full, Message: fmt.Sprintf(format, args...)}
	}
	switch {
	case p.err != nil:
		return nil, invalid("", "%v", p.err)
	case p.p.Timing == 0:
		return nil, invalid("", "a Plan that says nothing: begin with Every, At, Once or Cron")
	case x.hasInput():
		return nil, invalid(ReasonShape, "a call with an input sequence cannot be scheduled: let the handler find what it needs")
	case x.delayed():
		return nil, invalid(ReasonShape, "a call with After cannot be scheduled: the plan says when it is made, as Once does")
	case x.hedges():
		return nil, b.unhedgeable(m, "a run of a schedule is one call of the controller's")
	case x != nil && len(x.to) > 1:
		return nil, invalid(ReasonShape, "a schedule for several nodes: name one with To, or choose them by their labels with Where")
	case b.client.Methods[m].Event && x.anyone():
		return nil, invalid(ReasonShape, "an event cannot be scheduled for all that serve it: name one with To, or schedule a method that sends it")
	}
	q := control.Schedule{ID: p.id, To: x.node(), Plan: p.p}
	if q.ID == "" {
		q.ID = newTaskID()
	}
	if q.Plan.Timeout == 0 {
		q.Plan.Timeout = b.runTimeout(m)
	}
	if md := outgoing(ctx); md != nil && md.values != nil {
		if err := md.check(&b.node.opts.Limits); err != nil {
			return nil, invalid(ReasonTooLarge, "%v", err)
		}
		q.Metadata = md.wire[2:]
	}
	call, err := b.prepare(ctx, m, x, enc)
	if err != nil {
		return nil, err
	}
	q.Args = append([]byte(nil), call.req.B...)
	q.Key, q.Keyed = call.key(x)
	call.release()
	if n := len(q.Args) + len(q.Metadata); n > control.MaxScheduleBytes {
		return nil, &Error{Code: ResourceExhausted, Reason: ReasonTooLarge, Outcome: NotRun, Method: full, Message: fmt.Sprintf(
			"arguments and metadata of %d bytes: a schedule keeps at most %d; let the handler find what is larger", n, control.MaxScheduleBytes)}
	}
	deadline, own := b.deadline(ctx, m, false)
	ctx, cancel := until(ctx, deadline, own)
	defer cancel()
	t := &Task{node: b.node, key: control.TaskKey{Owner: b.node.opts.Name, ID: q.ID}, method: full, to: q.To}
	for {
		s, over, err := b.declareUntil(ctx, m, &q)
		if err != nil {
			return nil, err
		}
		if !q.Plan.WhileConnected || over {
			return t, nil
		}
		again := q
		b.node.leases.add(q.ID, &lease{at: s, declare: func(ctx context.Context, s *session) (over bool, err error) { return b.declare(ctx, s, m, &again) }})
		if now := b.node.current.Load(); now == s || now == nil {
			return t, nil
		}
		b.node.leases.drop(q.ID) // the next session may have made its schedules again without this one
	}
}

// runTimeout is the deadline of a run where its plan has none.
func (b *Binding) runTimeout(m int) time.Duration {
	d := b.client.Methods[m].Timeout
	if d == 0 {
		d = b.node.opts.Timeout
	}
	return min(max(d, 0), control.MaxInterval)
}

// declareUntil asks for a schedule until a controller has answered. Its id lets the controller recognise what it was asked before.
func (b *Binding) declareUntil(ctx context.Context, m int, q *control.Schedule) (s *session, over bool, err error) {
	unsure := false // the controller may have it
	for {
		s, err := b.node.session(ctx)
		if err != nil {
			return nil, false, scheduleError(err, b.methods[m].full, unsure)
		}
		over, err := b.declare(ctx, s, m, q)
		if err == nil {
			return s, over, nil
		}
		e := scheduleError(err, b.methods[m].full, unsure)
		if e.Code != Unavailable || e.Reason != ReasonLinkLost || ctx.Err() != nil {
			return nil, false, e
		}
		unsure = true
		<-s.ended
	}
}

// declare asks for a schedule once, or again where the controller does not know the route.
func (b *Binding) declare(ctx context.Context, s *session, m int, q *control.Schedule) (over bool, err error) {
	for attempt := 1; ; attempt++ {
		route, err := b.route(ctx, s, m, time.Time{}, false)
		if err != nil {
			return false, err
		}
		q.Route = route.Number
		var a control.Scheduled
		err = s.askTask(ctx, q.Append, &a, control.OpScheduled)
		if e, ok := err.(*Error); ok && e.Reason == ReasonStaleRoute && attempt < maxAttempts {
			b.routes.Store(nil)
			continue
		}
		return a.Over, err
	}
}

// scheduleError is err for a method, with what is known of whether the controller has the schedule.
func scheduleError(err error, method string, unsure bool) *Error {
	e := notRun(err, method)
	if CodeOf(err) == Canceled || CodeOf(err) == DeadlineExceeded {
		unsure = true
	}
	if unsure {
		e.Outcome = MayHaveRun
	}
	return e
}

// reader is an answer of the controller.
type reader interface{ Read(*codec.Decoder) error }

// askTask asks the controller about schedules.
func (s *session) askTask(ctx context.Context, write func(*codec.Encoder), into reader, want control.Op) error {
	op, d, err := s.exchange(ctx, write)
	if err != nil {
		return err
	}
	if err := into.Read(d); err != nil || op != want {
		return badAnswer("a question about schedules", err)
	}
	return nil
}

func newTaskID() string {
	var b [16]byte
	rand.Read(b[:])
	return hex.EncodeToString(b[:])
}

// leases are the schedules that live as long as this node is connected, by id.
type leases struct {
	mu  sync.Mutex
	all map[string]*lease
}

// lease is one of them. What is not constant is guarded by the lock of leases.
type lease struct {
	declare func(context.Context, *session) (over bool, err error)
	at      *session      // where it was made last
	making  chan struct{} // closed when that has ended which makes it again; nil if nothing does
}

func (l *leases) add(id string, one *lease) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.all == nil {
		l.all = map[string]*lease{}
	}
	l.all[id] = one
}

// drop forgets one. If it is being made again, the channel is closed when that is over.
func (l *leases) drop(id string) (making <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	one := l.all[id]
	delete(l.all, id)
	if one == nil {
		return nil
	}
	return one.making
}

// over forgets one that has ended at the controller, unless that is about an earlier session.
func (l *leases) over(id string, s *session) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if one := l.all[id]; one != nil && one.at == s {
		delete(l.all, id)
	}
}

// begin returns one to be made again, nil if it was dropped.
func (l *leases) begin(id string) *lease {
	l.mu.Lock()
	defer l.mu.Unlock()
	one := l.all[id]
	if one != nil {
		one.making = make(chan struct{})
	}
	return one
}

func (l *leases) made(one *lease, s *session) {
	l.mu.Lock()
	defer l.mu.Unlock()
	close(one.making)
	one.making, one.at = nil, s
}

// redeclare makes them again at a new session. One that cannot be made is logged, and tried again with the session after it.
func (n *Node) redeclare(ctx context.Context, s *session) {
	n.leases.mu.Lock()
	ids := slices.Collect(maps.Keys(n.leases.all))
	n.leases.mu.Unlock()
	for _, id := range ids {
		one := n.leases.begin(id)
		if one == nil {
			continue
		}
		each, cancel := context.WithTimeout(ctx, handshakeTimeout)
		over, err := one.declare(each, s)
		cancel()
		n.leases.made(one, s)
		if err != nil {
			n.log.Warn("schedule not made again", "task", id, "error", err)
		} else if over {
			n.leases.over(id, s)
		}
	}
}
