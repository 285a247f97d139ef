package controller

import (
	"container/heap"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/daffi-rpc/daffi/runtime/internal/control"
	"github.com/daffi-rpc/daffi/runtime/transport"
)

// scheduler owns and fires the schedules of all nodes (SEM-12).
//
// Nodes' questions and the ends of runs change what it knows, under its lock. One goroutine does everything that is seen outside, in passes: it stores what has changed, then
// makes the calls that are due, then answers. So a run is stored before it begins, and what a node was told is stored. And since a call is made before
// a later answer, no run begins after a Cancel was answered.
//
// Its lock is never held together with another, and nothing is sent under it.
type scheduler struct {
	c     *Controller
	store Store // nil if there is none
	kick  chan struct{}
	stop  chan struct{} // closed when nothing is to be fired any more

	mu      sync.Mutex
	running bool // the goroutine was started
	stopped bool
	owners  map[string]*owner
	queue   taskQueue
	count   int // of schedules that are not over
	bytes   int
	wall    int // schedules that go by the clock on the wall
	wallAt  time.Time
	// rejoining is until when nodes of an earlier controller may be about to join; zero if there was none.
	rejoining time.Time
	past      map[control.TaskKey]*task // that are over
	ring      [maxPast]*task            // the same, by the order in which they ended
	passed    uint64
	waits     map[*session]map[uint64]*task // answers that nodes wait for, nil for those of the next pass

	// What the next pass does.
	fires   []*run
	cancels []*run
	inbox   []outcome
	answers []answer
	ended   []*task            // whose runs have ended, or who are over
	idlers  []*owner           // who may have no schedules any more
	dirty   map[*task]struct{} // to be stored
	put     map[string][]byte
	remove  map[string]struct{}
	failing error // of the last commit

	remarks remarks
}

// outcome is how a call of a run has ended.
type outcome struct {
	o     *owner
	call  uint64
	why   *control.Failure // nil if it went well
	large bool             // its results were announced, and must be refused
}

// answer goes to a node when everything before it was stored.
type answer struct {
	s      *session
	number uint64
	message
	stored bool  // it says that something was stored
	undone bool  // and none of that is in force if it was not
	task   *task // that was asked for, nil if something else was
}

// waiter is a node that waits for runs to end.
type waiter struct {
	s      *session
	number uint64
	after  uint64
}

func newScheduler(c *Controller) *scheduler {
	return &scheduler{
		c: c, store: c.opts.Store, kick: make(chan struct{}, 1), stop: make(chan struct{}),
		owners: map[string]*owner{}, past: map[control.TaskKey]*task{}, waits: map[*session]map[uint64]*task{},
		dirty: map[*task]struct{}{}, put: map[string][]byte{}, remove: map[string]struct{}{},
	}
}

// owner is a node that has made schedules, whether or not it is there.
type owner struct {
	name  string
	tasks map[string]*task // that are not over
	calls map[uint64]*run  // under way
	runs  int              // that have not ended, also those without a call under way
	taskLink
}

func (q *scheduler) owner(name string) *owner {
	o := q.owners[name]
	if o == nil {
		o = &owner{name: name, tasks: map[string]*task{}, calls: map[uint64]*run{}}
		o.taskLink.o, o.taskLink.q = o, q
		q.owners[name] = o
	}
	return o
}

// start is called with the lock held, when there is something to do. It reports false if there will not be.
func (q *scheduler) start() bool {
	if q.stopped {
		return false
	}
	if !q.running {
		q.running = true
		q.c.wg.Go(q.work)
	}
	q.wake()
	return true
}

// wake lets the goroutine look again.
func (q *scheduler) wake() {
	select {
	case q.kick <- struct{}{}:
	default:
	}
}

// halt ends the goroutine after the pass that it is in. It may be called again.
func (q *scheduler) halt() {
	q.mu.Lock()
	defer q.unlock()
	if !q.stopped {
		q.stopped = true
		close(q.stop)
	}
}

func (q *scheduler) work() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-q.stop:
			q.mu.Lock()
			q.take(time.Now())
			p := q.collect()
			q.unlock()
			p.commit(q)
			return
		case <-q.kick:
		case <-timer.C:
		}
		q.pass()
		if d, ok := q.idle(); ok {
			timer.Reset(d)
		}
	}
}

// wallEvery is how long a clock that was set goes unnoticed.
const wallEvery = time.Minute

// idle is how long there is nothing to do; ok is false if there never is.
func (q *scheduler) idle() (d time.Duration, ok bool) {
	q.mu.Lock()
	defer q.unlock()
	if len(q.queue) > 0 {
		d, ok = max(time.Until(q.queue[0].at), 0), true
	}
	if q.wall > 0 && (!ok || d > wallEvery) {
		d, ok = wallEvery, true
	}
	return d, ok
}

// passMost is how long nodes wait while ticks are counted that were missed in a long absence. The rest is for the next pass.
const passMost = 100 * time.Millisecond

// pass does what is due.
func (q *scheduler) pass() {
	now := time.Now()
	q.mu.Lock()
	q.take(now)
	q.readClock(now)
	for len(q.queue) > 0 && !q.queue[0].at.After(now) && time.Since(now) < passMost {
		q.step(q.queue[0], now)
	}
	p := q.collect()
	q.unlock()

	var b batch
	if err := p.commit(q); err != nil {
		p.refuse(q, err)
	}
	for _, r := range p.fires {
		q.fire(r, &b)
	}
	for _, a := range p.answers {
		a.send(&b)
	}
	for _, r := range p.cancels {
		q.cancelRun(r, &b)
	}
	q.tell(p.ended, &b)
	q.dismiss(&b)
	b.flush()
}

// take handles the ends of calls.
func (q *scheduler) take(now time.Time) {
	for _, e := range q.inbox {
		r := e.o.calls[e.call]
		if r == nil {
			continue
		}
		if e.large {
			q.cancels = append(q.cancels, &run{task: r.task, call: r.call})
		}
		q.end(r, e.why, now)
	}
	q.inbox = q.inbox[:0]
}

// readClock arms what goes by the clock on the wall again, now and then.
func (q *scheduler) readClock(now time.Time) {
	if q.wall == 0 || now.Sub(q.wallAt) < wallEvery {
		return
	}
	q.wallAt = now
	for _, t := range slices.Clone(q.queue) {
		if t.times.Wall() {
			q.arm(t, now)
		}
	}
}

// step does what is due for one schedule.
func (q *scheduler) step(t *task, now time.Time) {
	for _, r := range slices.Clone(t.running) {
		switch {
		case !r.deadline.IsZero() && !r.deadline.After(now):
			if r.call != 0 {
				q.cancels = append(q.cancels, &run{task: t, call: r.call})
			}
			q.end(r, r.expired(), now)
		case !r.retry.IsZero() && !r.retry.After(now):
			r.retry = time.Time{}
			q.fires = append(q.fires, r)
		}
	}
	if t.over == going && !t.paused && !t.fire.IsZero() && !t.fire.After(now) {
		q.mature(t, now)
	}
	q.arm(t, now)
}

func (r *run) expired() *control.Failure {
	f := &control.Failure{Code: deadlineExceeded, Outcome: mayHaveRun, Node: r.node, Message: "no reply within the timeout of a run; Plan.Timeout sets another"}
	if !r.calling {
		f.Outcome = notRun
	}
	return f
}

// pass is what the goroutine does without the lock.
type pass struct {
	fires, cancels []*run
	answers        []answer
	ended          []*task
	put            map[string][]byte
	remove         map[string]struct{}
}

// collect takes what has gathered. Call with the lock held.
func (q *scheduler) collect() pass {
	p := pass{fires: q.fires, cancels: q.cancels, answers: q.answers, ended: q.ended}
	q.fires, q.cancels, q.answers, q.ended = nil, nil, nil, nil
	for _, a := range p.answers {
		q.unwait(a.s, a.number)
	}
	for t := range q.dirty {
		q.keepState(t)
	}
	clear(q.dirty)
	p.put, p.remove = q.put, q.remove
	q.put, q.remove = map[string][]byte{}, map[string]struct{}{}
	return p
}

// commit stores what has changed.
func (p *pass) commit(q *scheduler) error {
	if len(p.put)+len(p.remove) == 0 {
		return nil
	}
	err := q.store.Commit(p.put, slices.Sorted(maps.Keys(p.remove)))
	q.mu.Lock()
	defer q.unlock()
	if q.failing = err; err == nil {
		return nil
	}
	q.remarks.add(func() { q.c.log.Error("schedules could not be stored", "reason", cut(err.Error())) })
	for key, value := range p.put { // what is newer stays
		_, put := q.put[key]
		_, removed := q.remove[key]
		if !put && !removed {
			q.put[key] = value
		}
	}
	for key := range p.remove {
		if _, put := q.put[key]; !put {
			q.remove[key] = struct{}{}
		}
	}
	return err
}

// refuse undoes what could not be stored, and leaves in p what does not depend on that.
func (p *pass) refuse(q *scheduler, err error) {
	why := storeFailure(err)
	inForce := *why
	inForce.Outcome, inForce.Message = mayHaveRun, "it holds until the controller ends, but "+why.Message
	now := time.Now()
	q.mu.Lock()
	defer q.unlock()
	undone := map[*task]bool{}
	for _, a := range p.answers {
		if a.stored && a.undone && a.task != nil {
			undone[a.task] = true
			if a.task.over == going { // it may have ended meanwhile
				q.finish(a.task, canceled, now)
			}
		}
	}
	for i := range p.answers {
		a := &p.answers[i]
		switch {
		case a.stored && (a.undone || undone[a.task]):
			a.message = why
		case a.stored:
			a.message = &inForce
		}
	}
	for i := range q.answers { // who has asked for the same meanwhile
		if undone[q.answers[i].task] {
			q.answers[i].message = why
		}
	}
	p.fires = slices.DeleteFunc(p.fires, func(r *run) bool {
		if q.keeps(r.task) {
			q.end(r, why, now)
			return true
		}
		return false
	})
	if len(q.ended) > 0 || len(q.fires) > 0 {
		q.wake() // that is told, and what has waited for those runs is made
	}
}

func storeFailure(err error) *control.Failure {
	return &control.Failure{Code: internal, Reason: reasonStore, Outcome: notRun, Message: "the controller could not store it: " + cut(err.Error())}
}

// send answers a node.
func (a *answer) send(b *batch) {
	a.s.enqueue(transport.Frame{Header: transport.Header{Kind: transport.Control, Call: a.number}, Payload: encode(a.message.Append)})
	b.add(a.s.link)
}

// tell answers those who wait for what has ended.
func (q *scheduler) tell(ended []*task, b *batch) {
	var answers []answer
	q.mu.Lock()
	for _, t := range ended {
		var left []waiter
		for _, w := range t.waiters {
			m := t.since(w.after)
			if len(m.Runs) == 0 && !m.Over {
				left = append(left, w)
				continue
			}
			q.unwait(w.s, w.number)
			m.Runs = slices.Clone(m.Runs)
			answers = append(answers, answer{s: w.s, number: w.number, message: &m})
		}
		t.waiters = left
	}
	q.unlock()
	for _, a := range answers {
		a.send(b)
	}
}

// await notes that a node waits for an answer; it reports false if it waits for too many.
func (q *scheduler) await(s *session, number uint64, t *task) bool {
	list := q.waits[s]
	if list == nil {
		list = map[uint64]*task{}
		q.waits[s] = list
	}
	if _, again := list[number]; again || len(list) >= q.c.opts.Limits.ScheduleAnswers {
		return false
	}
	list[number] = t
	return true
}

func (q *scheduler) unwait(s *session, number uint64) {
	delete(q.waits[s], number)
	if len(q.waits[s]) == 0 {
		delete(q.waits, s)
	}
}

// leave drops the waiters of a task.
func (t *task) leave(s *session, number uint64) {
	t.waiters = slices.DeleteFunc(t.waiters, func(w waiter) bool { return w.s == s && w.number == number })
}

// left ends what a session had here.
func (q *scheduler) left(s *session) {
	q.mu.Lock()
	defer q.unlock()
	for number, t := range q.waits[s] {
		if t != nil {
			t.leave(s, number)
		}
	}
	delete(q.waits, s)
	q.answers = slices.DeleteFunc(q.answers, func(a answer) bool { return a.s == s })
	o := q.owners[s.name]
	if o == nil {
		return
	}
	now := time.Now()
	for _, t := range o.tasks {
		if t.lease == s.number {
			q.finish(t, canceled, now)
		}
	}
	q.wake()
}

// taskQueue is a heap of schedules by when something is to be done for them.
type taskQueue []*task

func (h taskQueue) Len() int           { return len(h) }
func (h taskQueue) Less(i, j int) bool { return h[i].at.Before(h[j].at) }
func (h taskQueue) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}

func (h *taskQueue) Push(x any) {
	t := x.(*task)
	t.index = len(*h)
	*h = append(*h, t)
}

func (h *taskQueue) Pop() any {
	old := *h
	t := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	t.index = -1
	return t
}

// arm puts t where it belongs in the queue.
func (q *scheduler) arm(t *task, now time.Time) {
	at := t.wake()
	switch {
	case at.IsZero() && t.index < 0:
		return
	case at.IsZero():
		heap.Remove(&q.queue, t.index)
		return
	}
	t.at = now.Add(at.Sub(now)) // on one scale, whatever t goes by
	if t.index < 0 {
		heap.Push(&q.queue, t)
	} else {
		heap.Fix(&q.queue, t.index)
	}
}
