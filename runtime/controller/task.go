package controller

import (
	"math/rand/v2"
	"time"

	"github.com/daffi-rpc/daffi/runtime/controller/internal/schedule"
	"github.com/daffi-rpc/daffi/runtime/internal/control"
	"github.com/daffi-rpc/daffi/runtime/internal/safetext"
)

// Bounds of schedules that are not options.
const (
	maxTasks       = 1 << 16                // of all owners, by default
	maxTaskBytes   = 64 << 20               // of their arguments, metadata and instants, by default (LIM-28)
	maxPast        = 1000                   // that are over and remembered
	maxHistory     = 100                    // runs of one schedule that are remembered
	maxUnstored    = 4096                   // records that are to be removed, from which on a store that fails is given no new schedules
	maxPastHistory = 16                     // the same once it is over
	maxTaskWaits   = 256                    // answers that one node waits for, by default (LIM-29)
	missedGrace    = time.Second            // a tick that is later was missed
	runAttempts    = 3                      // of one tick, as long as no handler has run
	runPause       = 100 * time.Millisecond // the longest between two of them
	rejoinGrace    = 5 * time.Second        // for nodes to come back to a controller that has taken up its store (LIM-18)
)

// task is a schedule. The scheduler's lock guards it.
type task struct {
	control.TaskKey
	work
	times  *schedule.Times
	digest [16]byte // of everything that was asked for
	lease  uint32   // the session that it ends with, 0 for none
	route  uint32   // 0 until the first run after a restart

	last   time.Time // the tick that was handled last, or what all ticks are after
	next   time.Time // the tick that comes; zero for none
	fire   time.Time // when, with jitter
	queued time.Time // the tick that waits for the run to end; zero for none

	tick    uint64 // of the run that was begun last
	begun   uint64 // runs, without those for which no handler ran
	ended   uint64 // all runs
	missed  uint64
	unsaid  uint64 // of those, what the next run tells of
	skipped uint64
	failed  uint64 // runs in a row
	paused  bool
	over    ending

	running []*run
	history []control.Run // the last ones, in order
	waiters []waiter

	at    time.Time // when something is to be done
	index int       // in the queue, -1 if it is not in there
}

// work is what a schedule calls.
type work struct {
	service, method, print, text string
	choice                       string // key of a choice among providers; empty for none
	to                           string
	keyed                        bool
	key                          uint32
	metadata, args               []byte
}

func (w *work) String() string { return w.service + "." + w.method }

// ending is why a schedule is over.
type ending uint8

const (
	going     ending = 0
	completed ending = 1 // its plan has no more ticks
	canceled  ending = 2 // also because its owner has left
	broken    ending = 3 // too many runs have failed
)

// run is one run of a schedule, from its decision to its end.
type run struct {
	*task
	no       uint64 // tick
	due      time.Time
	start    time.Time
	deadline time.Time // zero for none
	retry    time.Time // when it is sent again, zero if it is under way
	attempt  uint8
	missed   uint64
	forced   bool
	calling  bool   // the request was made
	node     string // where it went
	call     uint64 // 0 while nothing is under way
}

// plan works out the next tick.
func (t *task) plan(now time.Time) {
	was := t.next
	t.next = time.Time{}
	if t.over == going && (t.times.Limit == 0 || t.begun < t.times.Limit) {
		if next, ok := t.nextTick(now); ok {
			t.next = next
		}
	}
	if !t.next.Equal(was) {
		t.delay()
	}
}

// delay works out when the next tick is handled.
func (t *task) delay() {
	if t.fire = t.next; t.times.Jitter > 0 && !t.next.IsZero() {
		most := t.times.Jitter
		if after, ok := t.times.Next(t.next); ok && t.times.Timing != control.Delay {
			most = min(most, after.Sub(t.next)-1)
		}
		t.fire = t.next.Add(rand.N(most + 1))
	}
}

func (t *task) nextTick(now time.Time) (time.Time, bool) {
	if t.times.Timing != control.Delay || t.last.Equal(t.times.Begin()) {
		return t.times.Next(t.last)
	}
	if len(t.running) > 0 {
		return time.Time{}, false
	}
	next := now.Add(t.times.Interval)
	return next, t.times.Until == 0 || next.UnixNano() <= t.times.Until
}

// wake is when something is to be done for t, zero for never.
func (t *task) wake() (at time.Time) {
	sooner := func(w time.Time) {
		if !w.IsZero() && (at.IsZero() || w.Before(at)) {
			at = w
		}
	}
	if t.over == going && !t.paused {
		sooner(t.fire)
	}
	for _, r := range t.running {
		sooner(r.deadline)
		sooner(r.retry)
	}
	return at
}

// mature handles the ticks that are due.
func (q *scheduler) mature(t *task, now time.Time) {
	due, before := t.times.Latest(t.next, now)
	t.last = due
	q.dirty[t] = struct{}{}
	t.miss(before)
	late := now.Sub(due)
	if t.fire.After(t.next) {
		late = now.Sub(t.fire)
	}
	t.next, t.fire = time.Time{}, time.Time{}
	switch {
	case t.times.Misfire == control.SkipMissed && late > missedGrace:
		t.miss(1)
	case len(t.running) == 0 || t.times.Overlap == control.AllowOverlap && len(t.running) < q.c.opts.Limits.ScheduleOverlap:
		q.begin(t, due, now, false)
	case t.times.Overlap == control.QueueOverlap && t.queued.IsZero():
		t.queued = due
	default:
		t.skipped++
	}
	t.plan(now)
	q.settle(t, now)
}

func (t *task) miss(n uint64) {
	t.missed += n
	t.unsaid += n
}

// begin decides on a run. It is sent when that was stored.
func (q *scheduler) begin(t *task, due, now time.Time, forced bool) {
	t.tick++
	t.begun++
	q.dirty[t] = struct{}{}
	r := &run{task: t, no: t.tick, due: due, start: now, missed: t.unsaid, forced: forced}
	t.unsaid = 0
	if t.times.Timeout > 0 {
		r.deadline = now.Add(t.times.Timeout)
	}
	t.running = append(t.running, r)
	q.owner(t.Owner).runs++
	q.fires = append(q.fires, r)
}

// end notes how a run has ended, or lets it be sent again.
func (q *scheduler) end(r *run, why *control.Failure, now time.Time) {
	t := r.task
	o := q.owner(t.Owner)
	if r.call != 0 {
		o.ended(r.call)
		r.call = 0
	}
	if r.again(why, now, q.rejoining) {
		q.arm(t, now)
		return
	}
	for i := range t.running {
		if t.running[i] == r {
			t.running = append(t.running[:i], t.running[i+1:]...)
			break
		}
	}
	if o.runs--; o.runs == 0 {
		q.idlers = append(q.idlers, o)
	}
	rec := control.Run{Tick: r.no, Due: r.due.UnixNano(), Start: r.start.UnixNano(), Duration: now.Sub(r.start), Node: r.node, Missed: r.missed, Forced: r.forced}
	if why != nil {
		f := *why
		f.Message, f.Method, f.Identities = safetext.Cut(f.Message, safetext.MaxLog), t.String(), nil
		rec.Failed = []control.Failure{f}
		attrs := []any{"task", t.ID, "owner", t.Owner, "method", t.String(), "tick", r.no, "node", f.Node, "code", f.Code, "reason", f.Reason, "outcome", f.Outcome, "why", ownWords(r.node, &f)}
		q.remarks.add(func() { q.c.log.Warn("scheduled call failed", attrs...) })
	}
	q.record(t, rec)
	switch {
	case why == nil:
		t.failed = 0
	case why.Outcome == notRun:
		t.begun--
	default:
		if t.failed++; t.times.StopOnError > 0 && t.failed >= t.times.StopOnError && t.over == going {
			q.finish(t, broken, now)
		}
	}
	if !t.queued.IsZero() && len(t.running) == 0 {
		if due := t.queued; t.over == going && (t.times.Limit == 0 || t.begun < t.times.Limit) {
			t.queued = time.Time{}
			q.begin(t, due, now, false)
		}
	}
	t.plan(now)
	q.settle(t, now)
	t.trim()
	q.arm(t, now)
}

// again reports whether a run that no handler has seen is worth another attempt, and says when. Until a moment after the controller's start it only has to wait for its
// provider to join again.
func (r *run) again(why *control.Failure, now, rejoining time.Time) bool {
	if why == nil || why.Outcome != notRun || r.over != going {
		return false
	}
	retry := now.Add(runPause/10 + rand.N(runPause-runPause/10))
	if !r.deadline.IsZero() && !retry.Before(r.deadline) {
		return false
	}
	switch why.Reason {
	case reasonNoProvider:
		if !now.Before(rejoining) {
			return false
		}
	case reasonBusy, reasonOverloaded, reasonDraining, reasonNodeLost, reasonStaleRoute:
		if r.attempt++; r.attempt >= runAttempts {
			return false
		}
	default:
		return false
	}
	r.retry = retry
	return true
}

// record remembers a run that has ended.
func (q *scheduler) record(t *task, rec control.Run) {
	most := maxHistory
	if t.over != going {
		most = maxPastHistory
	}
	t.history = append(t.history, rec)
	if n := len(t.history) - most; n > 0 {
		t.history = append(t.history[:0], t.history[n:]...)
	}
	t.ended++
	q.dirty[t] = struct{}{}
	q.ended = append(q.ended, t)
	q.keepRun(t, rec)
}

// settle ends a schedule that has no more ticks.
func (q *scheduler) settle(t *task, now time.Time) {
	if t.over == going && t.next.IsZero() && len(t.running) == 0 && t.queued.IsZero() {
		q.finish(t, completed, now)
	}
}

// finish ends a schedule; runs that were begun go on.
func (q *scheduler) finish(t *task, why ending, now time.Time) {
	t.over, t.next, t.fire, t.queued = why, time.Time{}, time.Time{}, time.Time{}
	o := q.owner(t.Owner)
	if o.tasks[t.ID] == t {
		delete(o.tasks, t.ID)
	}
	q.count--
	q.bytes -= t.size()
	if t.times.Wall() {
		q.wall--
	}
	q.ended = append(q.ended, t)
	q.idlers = append(q.idlers, o)
	q.forget(t)
	if n := len(t.history) - maxPastHistory; n > 0 {
		t.history = append([]control.Run(nil), t.history[n:]...)
	}
	q.remember(t)
	t.trim()
	q.arm(t, now)
}

// trim lets go of what a schedule that is over does not need any more.
func (t *task) trim() {
	if t.over != going && len(t.running) == 0 {
		t.args, t.metadata = nil, nil
	}
}

// size is what counts of a schedule towards that of all (LIM-28).
func (t *task) size() int { return len(t.args) + len(t.metadata) + 8*len(t.times.Instants) }

// remember puts t among those that are over, of which the oldest is forgotten.
func (q *scheduler) remember(t *task) {
	slot := int(q.passed % maxPast)
	q.passed++
	if old := q.ring[slot]; old != nil && q.past[old.TaskKey] == old {
		delete(q.past, old.TaskKey)
	}
	q.ring[slot] = t
	q.past[t.TaskKey] = t
	q.keepPast(t, slot)
}

// find returns the schedule of that name, which may be over, or nil.
func (q *scheduler) find(k control.TaskKey) *task {
	if o := q.owners[k.Owner]; o != nil && o.tasks[k.ID] != nil {
		return o.tasks[k.ID]
	}
	return q.past[k]
}

// row is what nodes are told of t.
func (t *task) row(durable bool) control.Task {
	row := control.Task{
		Owner: t.Owner, ID: t.ID, Method: t.String(), To: t.to, Plan: t.times.String(), Runs: t.begun, Missed: t.missed, Skipped: t.skipped,
		Running: uint64(len(t.running)), Paused: t.paused, Durable: durable && t.lease == 0, Over: t.over != going,
	}
	if !t.next.IsZero() {
		row.Next = t.next.UnixNano()
	}
	if n := len(t.history); n > 0 {
		row.Last = t.history[n-1:]
	}
	return row
}

// since is what has ended after a number of runs.
func (t *task) since(after uint64) control.Runs {
	const page = 64
	if after > t.ended {
		after = t.ended
	}
	first := t.ended - uint64(len(t.history))
	m := control.Runs{}
	if after < first {
		m.Lost, after = first-after, first
	}
	m.Runs = t.history[after-first:]
	m.Runs = m.Runs[:min(len(m.Runs), page)]
	m.Last = after + uint64(len(m.Runs))
	m.Over = t.over != going && len(t.running) == 0 && m.Last == t.ended
	return m
}

// ownWords is the text of a failure that no node has had a hand in; that of a handler is for who has made the schedule, and not for the log.
func ownWords(node string, f *control.Failure) string {
	if node != "" {
		return ""
	}
	return f.Message
}
