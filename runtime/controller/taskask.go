package controller

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/daffi-rpc/daffi/internal/policy"
	"github.com/daffi-rpc/daffi/runtime/codec"
	"github.com/daffi-rpc/daffi/runtime/controller/internal/schedule"
	"github.com/daffi-rpc/daffi/runtime/internal/control"
	"github.com/daffi-rpc/daffi/runtime/internal/safetext"
	"github.com/daffi-rpc/daffi/runtime/transport"
)

// onTasks takes the control messages about schedules.
func (s *session) onTasks(op control.Op, number uint64, d *codec.Decoder) error {
	var why *control.Failure
	switch op {
	case control.OpSchedule:
		var m control.Schedule
		if err := m.Read(d); err != nil {
			return malformed(op, err)
		}
		why = s.c.schedules.add(s, number, &m)
	case control.OpTasks:
		var m control.Tasks
		if err := m.Read(d); err != nil {
			return malformed(op, err)
		}
		list := s.c.schedules.list(s, &m)
		s.say(number, list.Append)
	case control.OpTaskControl:
		var m control.TaskControl
		if err := m.Read(d); err != nil {
			return malformed(op, err)
		}
		why = s.c.schedules.control(s, number, &m)
	case control.OpAwaitRuns:
		var m control.AwaitRuns
		if err := m.Read(d); err != nil {
			return malformed(op, err)
		}
		why = s.c.schedules.awaitRuns(s, number, &m)
	default:
		return protocolError("control message %d, which a node does not send", op)
	}
	if why != nil {
		s.answer(number, why)
	}
	return nil
}

// reply answers a node after the next pass, unless it waits for too many answers. Call with the lock held.
func (q *scheduler) reply(number uint64, a answer) *control.Failure {
	if !q.await(a.s, number, nil) {
		return q.tooManyWaits()
	}
	a.number = number
	q.answers = append(q.answers, a)
	return nil
}

func (q *scheduler) tooManyWaits() *control.Failure {
	return &control.Failure{Code: resourceExhausted, Reason: reasonBusy, Outcome: notRun, Message: fmt.Sprintf("the node waits for %d answers about schedules already", q.c.opts.Limits.ScheduleAnswers)}
}

// add makes a schedule.
func (q *scheduler) add(s *session, number uint64, m *control.Schedule) *control.Failure {
	r := q.c.route(m.Route)
	if r == nil {
		return s.noRoute(m.Route)
	}
	if why := s.mayUse(r, policy.Schedule); why != nil {
		return why
	}
	invalid := func(err error) *control.Failure {
		return &control.Failure{Code: invalidArgument, Outcome: notRun, Method: r.String(), Message: cut(err.Error())}
	}
	now := time.Now()
	times, err := schedule.New(m.Plan, now)
	if p, least := &m.Plan, s.c.opts.Limits.ScheduleInterval; err == nil && p.Interval < least && (p.Timing == control.Every || p.Timing == control.Delay) {
		err = fmt.Errorf("an interval of %v is too short: the controller takes at least %v", p.Interval, least)
	}
	if err == nil {
		err = checkMetadata(m.Metadata)
	}
	if err == nil && m.To != "" {
		err = transport.ValidName(m.To)
	}
	if err == nil && !validTaskID(m.ID) {
		err = fmt.Errorf("the id %q of a schedule: it has 1 to %d letters, digits, dots, - and _", safetext.Cut(m.ID, safetext.MaxLog), control.MaxTaskID)
	}
	if err == nil && len(m.Args)+len(m.Metadata) > s.c.opts.Limits.ScheduleSize {
		err = fmt.Errorf("arguments and metadata of %d bytes: a schedule keeps at most %d", len(m.Args)+len(m.Metadata), s.c.opts.Limits.ScheduleSize)
	}
	if err != nil {
		return invalid(err)
	}
	t := &task{TaskKey: control.TaskKey{Owner: s.name, ID: m.ID}, times: times, index: -1,
		work: work{service: r.service, method: r.method, print: r.print, to: m.To, keyed: m.Keyed, key: m.Key, metadata: m.Metadata, args: m.Args}}
	if m.Plan.WhileConnected {
		t.lease = s.number
	}
	if r.base != nil {
		t.choice, r = r.choice.Key(), r.base
	}
	q.c.mu.Lock()
	unasked := r.unasked() // the node has guessed the number: what is stored must have a signature
	t.text, _ = r.signature()
	q.c.mu.Unlock()
	if unasked {
		return unknownRoute(m.Route)
	}
	t.digest = t.content()
	t.last = times.Begin()
	t.plan(now)

	q.mu.Lock()
	defer q.unlock()
	old := q.find(t.TaskKey)
	switch {
	case old != nil && old.digest == t.digest && (old.over == going && old.lease == t.lease || old.over == completed):
		q.wake()
		return q.reply(number, answer{s: s, message: &control.Scheduled{Over: old.over != going}, stored: q.keeps(old), task: old})
	case old != nil && old.over == going:
		return &control.Failure{Code: alreadyExists, Outcome: notRun, Method: t.String(), Message: fmt.Sprintf(
			"node %q has a schedule %q already, with another plan, method or arguments: cancel it first", t.Owner, t.ID)}
	case t.next.IsZero():
		return invalid(fmt.Errorf("the plan %q has no tick: its instants, or its end, have passed", times.String()))
	}
	if why := q.full(t); why != nil {
		return why
	}
	if q.failing != nil && q.keeps(t) && len(q.remove) >= maxUnstored {
		q.wake() // to try again
		return storeFailure(q.failing)
	}
	if !q.start() {
		return &control.Failure{Code: unavailable, Reason: reasonClosed, Outcome: notRun, Message: "the controller shuts down"}
	}
	if why := q.reply(number, answer{s: s, message: &control.Scheduled{}, stored: q.keeps(t), undone: true, task: t}); why != nil {
		return why
	}
	delete(q.past, t.TaskKey)
	q.insert(t, now)
	q.keepSpec(t)
	return nil
}

// insert puts a schedule into the tables. Call with the lock held.
func (q *scheduler) insert(t *task, now time.Time) {
	q.owner(t.Owner).tasks[t.ID] = t
	q.count++
	q.bytes += t.size()
	if t.times.Wall() {
		q.wall++
	}
	q.arm(t, now)
}

// full says which limit stands against one more schedule.
func (q *scheduler) full(t *task) *control.Failure {
	f := &control.Failure{Code: resourceExhausted, Reason: reasonLimit, Outcome: notRun, Method: t.String()}
	switch o := q.owners[t.Owner]; {
	case o != nil && len(o.tasks) >= q.c.opts.MaxSchedules:
		f.Message = fmt.Sprintf("node %q has %d schedules, as many as it may", t.Owner, len(o.tasks))
	case q.count >= q.c.opts.Limits.Schedules:
		f.Message = fmt.Sprintf("the controller has %d schedules, as many as it may", q.count)
	case q.bytes+t.size() > q.c.opts.Limits.ScheduleBytes:
		f.Message = fmt.Sprintf("the arguments and instants of all schedules take %d bytes, of at most %d", q.bytes, q.c.opts.Limits.ScheduleBytes)
	default:
		return nil
	}
	return f
}

func validTaskID(id string) bool {
	if id == "" || len(id) > control.MaxTaskID {
		return false
	}
	for i := range len(id) {
		switch c := id[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '.', c == '-', c == '_':
		default:
			return false
		}
	}
	return true
}

// content tells what was asked for apart from everything else that may be asked for under the same id.
func (t *task) content() (digest [16]byte) {
	w := t.work
	w.text = ""
	sum := sha256.Sum256(encode(func(e *codec.Encoder) {
		w.appendTo(e)
		t.times.Plan.AppendTo(e)
	}))
	copy(digest[:], sum[:])
	return digest
}

// list answers with a page of the schedules that a node may know of, or of all if s is nil.
func (q *scheduler) list(s *session, m *control.Tasks) *control.TaskList {
	q.mu.Lock()
	defer q.unlock()
	const most = pageBytes/128 + 2 // more than fit, by the least that a row takes
	var all []*task
	var before control.TaskKey // what all that matter are before, if there is a name in it
	sort := func() { slices.SortFunc(all, func(a, b *task) int { return compareKeys(a.TaskKey, b.TaskKey) }) }
	wanted := func(t *task) {
		if m.Owner != "" && t.Owner != m.Owner || compareKeys(t.TaskKey, m.After) <= 0 || before.Owner != "" && compareKeys(t.TaskKey, before) > 0 ||
			m.Method != "" && t.String() != m.Method || s != nil && !t.visible(s) {
			return
		}
		if all = append(all, t); len(all) == 2*most { // all of them are not sorted for each page
			sort()
			all, before = all[:most], all[most-1].TaskKey
		}
	}
	for _, o := range q.owners {
		for _, t := range o.tasks {
			wanted(t)
		}
	}
	if m.Over {
		for t := range maps.Values(q.past) {
			wanted(t)
		}
	}
	sort()
	answer := &control.TaskList{}
	for size := 0; len(all) > 0; all = all[1:] {
		row := all[0].row(q.store != nil)
		if size += row.Size(); size > pageBytes && len(answer.Tasks) > 0 {
			answer.More = true
			break
		}
		answer.Tasks = append(answer.Tasks, row)
	}
	return answer
}

func compareKeys(a, b control.TaskKey) int {
	return cmp.Or(cmp.Compare(a.Owner, b.Owner), cmp.Compare(a.ID, b.ID))
}

// visible reports whether a node may know of a schedule: it is its own, or of a method of which it may know.
func (t *task) visible(s *session) bool {
	return t.Owner == s.name || allows(s.c.access.enforced(), s.name, t.service, t.method, knowing...)
}

// owned is a schedule for who may change it, and see its runs: whoever has made it. Others see at most that it is there. Call with the lock held.
func (q *scheduler) owned(s *session, k control.TaskKey) (*task, *control.Failure) {
	t := q.find(k)
	if k.Owner != s.name {
		if t == nil || !t.visible(s) {
			return nil, noTask(k)
		}
		return nil, notYours(k.ID, k.Owner)
	}
	if t == nil {
		for name, o := range q.owners {
			if other := o.tasks[k.ID]; other != nil && other.visible(s) {
				return nil, notYours(k.ID, name)
			}
		}
		return nil, noTask(k)
	}
	return t, nil
}

func noTask(k control.TaskKey) *control.Failure {
	return &control.Failure{Code: notFound, Reason: reasonNoTask, Outcome: notRun, Message: fmt.Sprintf("node %q has no schedule %q, and of those that are over only the last %d are remembered", k.Owner, safetext.Cut(k.ID, safetext.MaxLog), maxPast)}
}

func notYours(id, owner string) *control.Failure {
	return &control.Failure{Code: permissionDenied, Outcome: notRun, Message: fmt.Sprintf("the schedule %q is that of node %q, which alone may do this", safetext.Cut(id, safetext.MaxLog), owner)}
}

// mayAct says why a node may not do something with a schedule of its own that leads to runs. To look at it, to pause and to end it the node needs no permission.
func (q *scheduler) mayAct(s *session, m *control.TaskControl) *control.Failure {
	if m.Action != control.TaskRun && m.Action != control.TaskResume {
		return nil
	}
	q.mu.Lock()
	t, why := q.owned(s, m.TaskKey)
	q.unlock()
	if why != nil {
		return why
	}
	return s.authorize(t.service, t.method, policy.Schedule)
}

// control does something with a schedule.
func (q *scheduler) control(s *session, number uint64, m *control.TaskControl) *control.Failure {
	if why := q.mayAct(s, m); why != nil {
		return why
	}
	q.mu.Lock()
	defer q.unlock()
	t, why := q.owned(s, m.TaskKey)
	if why == nil && len(q.waits[s]) >= q.c.opts.Limits.ScheduleAnswers {
		why = q.tooManyWaits()
	}
	if why != nil {
		return why
	}
	done, why := q.act(t, m.Action)
	if why != nil {
		return why
	}
	q.start()
	return q.reply(number, answer{s: s, message: &control.TaskState{Done: done, Task: t.row(q.store != nil)}, stored: m.Action != control.TaskInfo && q.keeps(t), undone: m.Action == control.TaskRun})
}

// act changes a schedule; done is false if it was over before. Call with the lock held.
func (q *scheduler) act(t *task, action control.TaskAction) (done bool, why *control.Failure) {
	now := time.Now()
	done = t.over == going
	if action > control.TaskRun {
		return false, &control.Failure{Code: unimplemented, Outcome: notRun, Message: fmt.Sprintf("the action %d is not known: the node is of a later version", action)}
	}
	if done && (action == control.TaskCancel || action == control.TaskCancelAll) {
		q.finish(t, canceled, now)
	}
	if action == control.TaskCancelAll {
		q.cancelRuns(t, now)
	}
	if t.over != going || action == control.TaskInfo {
		return done, nil
	}
	q.dirty[t] = struct{}{}
	switch action {
	case control.TaskPause:
		t.paused = true
		if !t.queued.IsZero() {
			t.queued = time.Time{}
			t.miss(1)
		}
	case control.TaskResume:
		t.paused = false
	case control.TaskRun:
		if n := len(t.running); n > 0 && (t.times.Overlap != control.AllowOverlap || n >= q.c.opts.Limits.ScheduleOverlap) {
			return false, &control.Failure{Code: resourceExhausted, Reason: reasonBusy, Outcome: notRun, Method: t.String(), Message: "a run goes on"}
		}
		q.begin(t, now, now, true)
		t.plan(now) // it may be the last
	}
	q.arm(t, now)
	return done, nil
}

// cancelRuns ends the runs of a schedule that is over.
func (q *scheduler) cancelRuns(t *task, now time.Time) {
	for _, r := range slices.Clone(t.running) {
		if r.call != 0 {
			q.cancels = append(q.cancels, &run{task: t, call: r.call})
		}
		q.end(r, &control.Failure{Code: codeCanceled, Outcome: r.sent(), Node: r.node, Message: "the run was cancelled"}, now)
	}
}

// sent is what is known of a run that has not ended.
func (r *run) sent() uint8 {
	if r.call != 0 {
		return mayHaveRun
	}
	return notRun
}

// awaitRuns answers with the runs that have ended, when there are some.
func (q *scheduler) awaitRuns(s *session, number uint64, m *control.AwaitRuns) *control.Failure {
	q.mu.Lock()
	defer q.unlock()
	t, why := q.owned(s, m.TaskKey)
	if why != nil {
		return why
	}
	after := min(m.After, t.ended)
	runs := t.since(after)
	if len(runs.Runs) > 0 || runs.Over || m.Now {
		runs.Runs = slices.Clone(runs.Runs)
		q.start()
		return q.reply(number, answer{s: s, message: &runs})
	}
	if !q.await(s, number, t) {
		return q.tooManyWaits()
	}
	t.waiters = append(t.waiters, waiter{s: s, number: number, after: after})
	return nil
}

// forgetWaiter drops what nobody waits for any more.
func (q *scheduler) forgetWaiter(s *session, number uint64) {
	q.mu.Lock()
	defer q.unlock()
	if t := q.waits[s][number]; t != nil {
		t.leave(s, number)
		q.unwait(s, number)
	}
}
