package controller

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/daffi-rpc/daffi/internal/policy"
	"github.com/daffi-rpc/daffi/runtime/codec"
	"github.com/daffi-rpc/daffi/runtime/internal/control"
	"github.com/daffi-rpc/daffi/runtime/transport"
)

// taskLink is the link of a session that no node is behind: that of an owner's scheduled calls. To the controller's tables such a session is one like any other, so a
// scheduled call is routed, counted and ended like one that a node makes. What is sent to it are the ends of those calls, which go to the scheduler.
//
// The session is not in the table of nodes: it has no name there, nobody is told of it, and nobody can call it.
type taskLink struct {
	q    *scheduler
	o    *owner
	s    *session // nil while there is none; of the scheduler's goroutine
	gens []uint64 // by slot
	free []uint32 // slots
}

// Enqueue implements [transport.Link].
func (l *taskLink) Enqueue(f transport.Frame) error {
	e := outcome{o: l.o, call: f.Call, large: f.Kind == transport.Reply && f.Flags&transport.Large != 0}
	switch f.Kind {
	case transport.Reply, transport.Accepted:
	case transport.Error:
		e.why = readFailure(f.Payload)
	default: // a call without streams is told nothing else that matters
		release(&f)
		return nil
	}
	release(&f)
	l.q.mu.Lock()
	l.q.inbox = append(l.q.inbox, e)
	l.q.unlock()
	l.q.wake()
	return nil
}

func release(f *transport.Frame) {
	if f.Buf != nil {
		f.Buf.Release()
	}
}

func readFailure(payload []byte) *control.Failure {
	var d codec.Decoder
	var why control.Failure
	d.Reset(payload)
	if err := why.ReadFrom(&d); err != nil {
		return &control.Failure{Code: internal, Reason: reasonProtocol, Outcome: mayHaveRun, Message: "an error that cannot be read: " + err.Error()}
	}
	return &why
}

// The rest of [transport.Link] has nothing to do: what is enqueued has arrived.

func (l *taskLink) Start(transport.Handler)         {}
func (l *taskLink) EnqueueSource(transport.Source)  {}
func (l *taskLink) Flush()                          {}
func (l *taskLink) FlushHere() transport.Work       { return nil }
func (l *taskLink) FlushSoon()                      {}
func (l *taskLink) Attend(transport.Attendant) bool { return false }
func (l *taskLink) Room() <-chan struct{}           { return nil }
func (l *taskLink) SetMaxPayload(int)               {}
func (l *taskLink) Silence() time.Duration          { return 0 }
func (l *taskLink) Awake(time.Duration)             {}
func (l *taskLink) Info() transport.Info {
	return transport.Info{Network: "memory", Local: true, UID: -1}
}
func (l *taskLink) Close(error)                 {}
func (l *taskLink) Finish(error, time.Duration) {}
func (l *taskLink) Wait()                       {}

// session returns the session of an owner's calls.
func (o *owner) session(c *Controller) *session {
	if o.s != nil {
		return o.s
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.lastNumber == math.MaxUint32 {
		return nil
	}
	c.lastNumber++
	o.s = &session{c: c, link: &o.taskLink, name: o.name, nameHash: transport.NameHash(o.name), number: c.lastNumber, fires: true}
	o.s.set(joined)
	return o.s
}

// dismiss ends the sessions of owners that have no schedules any more.
func (q *scheduler) dismiss(b *batch) {
	var sessions []*session
	q.mu.Lock()
	for _, o := range q.idlers {
		if len(o.tasks) == 0 && o.runs == 0 && q.owners[o.name] == o {
			delete(q.owners, o.name)
			if o.s != nil {
				sessions = append(sessions, o.s)
			}
		}
	}
	q.idlers = q.idlers[:0]
	q.unlock()
	for _, s := range sessions {
		s.set(gone)
		s.endCalls(b)
		q.c.mu.Lock()
		q.c.unrefer(s)
		q.c.mu.Unlock()
	}
}

// open takes an id for a call. Call with the lock held.
func (o *owner) open(r *run) uint64 {
	var slot uint32
	if n := len(o.free); n > 0 {
		slot, o.free = o.free[n-1], o.free[:n-1]
	} else {
		slot = uint32(len(o.gens))
		o.gens = append(o.gens, 0)
	}
	o.gens[slot]++
	r.call = transport.CallID(slot, o.gens[slot])
	o.calls[r.call] = r
	return r.call
}

// ended gives the slot of a call free.
func (o *owner) ended(call uint64) {
	delete(o.calls, call)
	o.free = append(o.free, transport.SlotOf(call))
}

// fire makes the call of a run.
func (q *scheduler) fire(r *run, b *batch) {
	q.mu.Lock()
	if r.over != going || !r.stillRuns() {
		if r.stillRuns() {
			q.end(r, &control.Failure{Code: codeCanceled, Outcome: notRun, Message: "the schedule has ended"}, time.Now())
			q.wake() // to tell it
		}
		q.unlock()
		return
	}
	o := q.owner(r.Owner)
	r.calling = true
	f := transport.Frame{Payload: r.message(), Header: transport.Header{
		Kind: transport.Request, Flags: transport.Meta, Mode: transport.Tagged, Call: o.open(r),
	}}
	if !r.deadline.IsZero() {
		f.Arg = uint64(max(time.Until(r.deadline), 1))
	}
	q.unlock()

	s := o.session(q.c)
	node, why := q.call(s, r, &f)
	if s != nil {
		b.take(&s.touched)
	}
	q.mu.Lock()
	defer q.unlock()
	if node != "" {
		r.node = node
	}
	if why != nil {
		q.inbox = append(q.inbox, outcome{o: o, call: f.Call, why: why})
		q.wake()
	}
}

// call routes the request of a run, as [session.request] does with those of nodes, and returns the node that it has gone to, or why it has not.
func (q *scheduler) call(s *session, r *run, f *transport.Frame) (node string, why *control.Failure) {
	if s == nil {
		return "", &control.Failure{Code: resourceExhausted, Reason: reasonLimit, Outcome: notRun, Message: "the controller has no session numbers left"}
	}
	if why = s.authorize(r.service, r.method, policy.Schedule); why != nil {
		return "", why
	}
	if f.Route, why = q.routeOf(s, r.task); why != nil {
		return "", why
	}
	switch {
	case r.keyed:
		f.Mode |= transport.Keyed
		f.Header.Peer = r.key
	case r.to != "":
		if f.Header.Peer = s.find(r.to).Session; f.Header.Peer == 0 {
			return "", &control.Failure{Code: unavailable, Reason: reasonNoProvider, Outcome: notRun, Method: r.String(), Message: fmt.Sprintf("no node is named %q", r.to)}
		}
	}
	if ok, err := s.claim(f, true); !ok {
		return "", &control.Failure{Code: internal, Reason: reasonProtocol, Outcome: notRun, Message: fmt.Sprint("the scheduler's call was refused: ", err)}
	}
	to, id, why := s.place(f, 0)
	if why != nil {
		s.finish(f.Call)
		return why.Node, why
	}
	s.touched.add(to.link)
	s.routed(f.Call, to, id, 0)
	return to.name, nil
}

// routeOf is the route of a schedule; one that is older than the controller is named and compared anew.
func (q *scheduler) routeOf(s *session, t *task) (uint32, *control.Failure) {
	if t.route != 0 {
		return t.route, nil
	}
	c := q.c
	c.mu.Lock()
	defer c.mu.Unlock()
	r := c.intern(s, routeKey{methodKey{t.service, t.method}, t.print})
	if r == nil {
		return 0, tooManyRoutes()
	}
	if _, known := r.signature(); !known {
		if !s.charge(len(t.text)) {
			return 0, tooManyRoutes()
		}
		r.cost += len(t.text)
		r.text = t.text
	}
	if why := s.settle([]*route{r}, (*route).unsettled); why != nil {
		return 0, why
	}
	r.call()
	if t.choice != "" {
		if r = s.viewOf(r, t.choice); r == nil {
			return 0, tooManyRoutes()
		}
	}
	t.route = r.number
	return t.route, nil
}

// viewOf is the view of r with the choice of that key, or nil if there are too many. Call with the controller's lock held.
func (s *session) viewOf(r *route, key string) *route {
	if v := r.views[key]; v != nil {
		if !s.refer(v) {
			return nil
		}
		return v
	}
	var d codec.Decoder
	d.Reset([]byte(key))
	return s.internView(r, control.ReadChoice(&d), key)
}

// The words by which a call tells what it is a run of, in its metadata. Nodes believe them of sessions that say in their introduction that they fire schedules.
const (
	taskWord = "daffi-task"
	tickWord = "daffi-tick"
	dueWord  = "daffi-due"
)

// message is the tag, the metadata and the arguments of a run. Its key is the same for one tick, and for no other.
func (r *run) message() []byte {
	var e codec.Encoder
	e.Reset(make([]byte, 0, 256+len(r.metadata)+len(r.args)))
	const keyed = 16
	e.Raw([]byte{r.attempt | keyed})
	key := sha256.Sum256(fmt.Appendf(nil, "%s/%s/%d/%d", r.Owner, r.ID, r.times.Anchor.UnixNano(), r.no))
	e.Raw(key[:16])
	e.Raw([]byte{0, 0})
	front := e.Len()
	var d codec.Decoder
	d.Reset(r.metadata)
	n := 0
	if len(r.metadata) > 0 {
		n = d.Map(2)
	}
	e.Map(n + 3)
	for _, word := range [][2]string{{taskWord, r.ID}, {tickWord, fmt.Sprint(r.no)}, {dueWord, fmt.Sprint(r.due.UnixNano())}} {
		e.String(word[0])
		e.String(word[1])
	}
	for range n {
		e.String(d.String())
		e.String(d.String())
	}
	b := e.Bytes()
	binary.LittleEndian.PutUint16(b[front-2:], uint16(len(b)-front))
	return append(b, r.args...)
}

// checkMetadata refuses metadata for which a run has no room beside its own words (LIM-9).
func checkMetadata(b []byte) error {
	const most, keys, own = 8 << 10, 64, 256
	if len(b) == 0 {
		return nil
	}
	if len(b) > most-own {
		return fmt.Errorf("metadata of %d bytes: that of a schedule has at most %d", len(b), most-own)
	}
	var d codec.Decoder
	d.Reset(b)
	n := d.Map(2)
	for range n {
		if d.Err() != nil {
			break
		}
		switch word, _ := d.String(), d.String(); word {
		case taskWord, tickWord, dueWord:
			return fmt.Errorf("metadata under %s, which is what the controller says of a run", word)
		}
	}
	switch {
	case d.Err() != nil || d.More():
		return errors.New("metadata that cannot be read")
	case n > keys-3:
		return fmt.Errorf("%d keys of metadata: a schedule has at most %d", n, keys-3)
	}
	return nil
}

// stillRuns reports whether a run has not been ended meanwhile.
func (r *run) stillRuns() bool {
	for _, other := range r.running {
		if other == r {
			return true
		}
	}
	return false
}

// cancelRun ends the call of a run at the callee.
func (q *scheduler) cancelRun(r *run, b *batch) {
	q.mu.Lock()
	o := q.owners[r.Owner]
	q.unlock()
	if o == nil || o.s == nil {
		return
	}
	s := o.s
	s.cancel(&transport.Frame{Header: transport.Header{Kind: transport.Cancel, Call: r.call}})
	b.take(&s.touched)
}
