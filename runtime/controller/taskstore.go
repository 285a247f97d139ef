package controller

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/daffi-rpc/daffi/internal/signature"
	"github.com/daffi-rpc/daffi/runtime/codec"
	"github.com/daffi-rpc/daffi/runtime/controller/internal/schedule"
	"github.com/daffi-rpc/daffi/runtime/internal/control"
)

// A Store keeps the schedules of one controller, as records that it does not look into. Its methods are called by one goroutine at a time.
type Store interface {
	// Load calls f with every record, in any order, before anything else is done. It returns f's error.
	Load(f func(key string, value []byte) error) error
	// Commit puts records and removes others, all or nothing. When it has returned they are safe from the end of the process.
	Commit(put map[string][]byte, remove []string) error
}

// What is kept, by the first word of a key. Each record begins with the version of its form.
//
//	spec/OWNER/ID    what was asked for
//	state/OWNER/ID   how far it is, with the runs that were begun and have not ended
//	run/OWNER/ID/N   a run that has ended, in the slot N
//	past/N           a schedule that is over, in the slot N
const storeForm = 1

var errStore = errors.New("the store of schedules cannot be used")

// keeps reports whether t outlives the controller.
func (q *scheduler) keeps(t *task) bool { return q.store != nil && t.lease == 0 }

func (q *scheduler) keep(key string, fill func(e *codec.Encoder)) {
	delete(q.remove, key)
	q.put[key] = encode(func(e *codec.Encoder) {
		e.Uint8(storeForm)
		fill(e)
	})
}

func (t *task) place() string { return t.Owner + "/" + t.ID }

// keepSpec stores what was asked for.
func (q *scheduler) keepSpec(t *task) {
	if !q.keeps(t) {
		return
	}
	q.keep("spec/"+t.place(), func(e *codec.Encoder) {
		e.Array(3)
		e.Int64(t.times.Anchor.UnixNano())
		t.work.appendTo(e)
		t.times.Plan.AppendTo(e)
	})
	q.keepState(t)
}

func (w *work) appendTo(e *codec.Encoder) {
	e.Array(10)
	e.String(w.service)
	e.String(w.method)
	e.String(w.print)
	e.String(w.text)
	e.Blob([]byte(w.choice))
	e.String(w.to)
	e.Bool(w.keyed)
	e.Uint32(w.key)
	e.Blob(w.metadata)
	e.Blob(w.args)
}

func readWork(d *codec.Decoder) (w work) {
	if d.Array(1) != 10 {
		d.Fail(errors.New("another number of fields"))
	}
	w.service, w.method, w.print, w.text = d.String(), d.String(), d.String(), d.String()
	w.choice, w.to = string(d.Blob()), d.String()
	w.keyed, w.key = d.Bool(), d.Uint32()
	w.metadata, w.args = d.Blob(), d.Blob()
	return w
}

// keepState stores how far a schedule is.
func (q *scheduler) keepState(t *task) {
	if !q.keeps(t) || t.over != going {
		return
	}
	q.keep("state/"+t.place(), func(e *codec.Encoder) {
		e.Array(11)
		for _, n := range []uint64{t.tick, t.begun, t.ended, t.missed, t.unsaid, t.skipped, t.failed} {
			e.Uint64(n)
		}
		e.Bool(t.paused)
		e.Int64(t.last.UnixNano())
		next := int64(0)
		if t.times.Timing == control.Delay && !t.next.IsZero() {
			next = t.next.UnixNano()
		}
		e.Int64(next)
		codec.WriteSlice(e, t.running, func(e *codec.Encoder, r *run) {
			control.AppendRun(e, control.Run{Tick: r.no, Due: r.due.UnixNano(), Start: r.start.UnixNano(), Missed: r.missed, Forced: r.forced})
		})
	})
}

// keepRun stores a run that has ended, in place of an old one.
func (q *scheduler) keepRun(t *task, rec control.Run) {
	if !q.keeps(t) || t.over != going {
		return
	}
	q.keep(t.runKey(t.ended-1), func(e *codec.Encoder) {
		e.Array(2)
		e.Uint64(t.ended)
		control.AppendRun(e, rec)
	})
}

func (t *task) runKey(n uint64) string {
	return "run/" + t.place() + "/" + strconv.FormatUint(n%maxHistory, 10)
}

// keepPast stores that a schedule is over.
func (q *scheduler) keepPast(t *task, slot int) {
	if !q.keeps(t) {
		return
	}
	q.keep("past/"+strconv.Itoa(slot), func(e *codec.Encoder) {
		e.Array(7)
		e.Uint64(q.passed)
		e.String(t.Owner)
		e.String(t.ID)
		e.String(t.service)
		e.String(t.method)
		e.Uint8(uint8(t.over))
		e.Blob(t.digest[:])
	})
}

// forget removes what was stored of a schedule.
func (q *scheduler) forget(t *task) {
	if !q.keeps(t) {
		return
	}
	drop := func(key string) {
		delete(q.put, key)
		q.remove[key] = struct{}{}
	}
	drop("spec/" + t.place())
	drop("state/" + t.place())
	for n := range min(t.ended, maxHistory) {
		drop(t.runKey(n))
	}
}

// loading is what is gathered while a store is read.
type loading struct {
	now    time.Time
	tasks  map[control.TaskKey]*task
	states map[control.TaskKey][]byte
	runs   map[control.TaskKey][]numbered
	past   []pastRecord
}

type numbered struct {
	n uint64
	control.Run
}

type pastRecord struct {
	n    uint64
	slot int
	*task
}

// load takes up what the store has kept.
func (q *scheduler) load() error {
	if q.store == nil {
		return nil
	}
	l := loading{now: time.Now(), tasks: map[control.TaskKey]*task{}, states: map[control.TaskKey][]byte{}, runs: map[control.TaskKey][]numbered{}}
	err := q.store.Load(func(key string, value []byte) error {
		if err := l.record(key, value); err != nil {
			return fmt.Errorf("the record %q is damaged: %w", cut(key), err)
		}
		return nil
	})
	if err == nil {
		err = q.takeUp(&l)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", errStore, err)
	}
	return nil
}

// record reads one record.
func (l *loading) record(key string, value []byte) error {
	kind, rest, _ := strings.Cut(key, "/")
	var d codec.Decoder
	d.Reset(value)
	if form := d.Uint8(); d.Err() == nil && form != storeForm {
		return fmt.Errorf("it has the form %d, and this program knows %d", form, storeForm)
	}
	switch kind {
	case "spec":
		return l.spec(rest, &d)
	case "state":
		k, err := keyOf(rest)
		l.states[k] = slices.Clone(value)
		return err
	case "run":
		return l.run(rest, &d)
	case "past":
		return l.over(rest, &d)
	}
	return errors.New("it is of an unknown kind")
}

func keyOf(place string) (k control.TaskKey, err error) {
	k.Owner, k.ID, _ = strings.Cut(place, "/")
	if k.Owner == "" || !validTaskID(k.ID) {
		err = errors.New("its key names no schedule")
	}
	return k, err
}

// complete is the error of a record that was read, or is not what it must be.
func complete(d *codec.Decoder) error {
	if d.Err() == nil && d.More() {
		return errors.New("there is more in it than there must be")
	}
	return d.Err()
}

func (l *loading) spec(place string, d *codec.Decoder) error {
	k, err := keyOf(place)
	if err != nil {
		return err
	}
	if d.Array(1) != 3 {
		return errors.New("another number of fields")
	}
	anchor := l.wall(d.Int64())
	w := readWork(d)
	plan := control.ReadPlan(d)
	if err := complete(d); err != nil {
		return err
	}
	if signature.Fingerprint(w.text) != w.print {
		return errors.New("the signature does not belong to its fingerprint")
	}
	times, err := schedule.New(plan, anchor)
	if err != nil {
		return err
	}
	t := &task{TaskKey: k, work: w, times: times, index: -1}
	t.digest = t.content()
	l.tasks[k] = t
	return nil
}

// wall is a stored moment on the scale of this process, so that a clock that is set from now on does not matter.
func (l *loading) wall(ns int64) time.Time { return l.now.Add(time.Unix(0, ns).Sub(l.now)) }

func (l *loading) run(place string, d *codec.Decoder) error {
	i := strings.LastIndexByte(place, '/')
	k, err := keyOf(place[:max(i, 0)])
	if err != nil {
		return err
	}
	if d.Array(1) != 2 {
		return errors.New("another number of fields")
	}
	r := numbered{n: d.Uint64(), Run: control.ReadRun(d)}
	l.runs[k] = append(l.runs[k], r)
	return complete(d)
}

func (l *loading) over(place string, d *codec.Decoder) error {
	slot, err := strconv.Atoi(place)
	if err != nil || slot < 0 || slot >= maxPast {
		return errors.New("its key is no slot")
	}
	if d.Array(1) != 7 {
		return errors.New("another number of fields")
	}
	r := pastRecord{n: d.Uint64(), slot: slot, task: &task{index: -1}}
	r.Owner, r.ID, r.service, r.method = d.String(), d.String(), d.String(), d.String()
	r.task.over = ending(d.Uint8())
	copy(r.digest[:], d.Blob())
	r.times = &schedule.Times{}
	l.past = append(l.past, r)
	return complete(d)
}

// state reads how far a schedule was.
func (t *task) state(l *loading, value []byte) (open []control.Run, err error) {
	var d codec.Decoder
	d.Reset(value)
	d.Uint8()
	if d.Array(1) != 11 {
		return nil, errors.New("another number of fields")
	}
	for _, n := range []*uint64{&t.tick, &t.begun, &t.ended, &t.missed, &t.unsaid, &t.skipped, &t.failed} {
		*n = d.Uint64()
	}
	t.paused = d.Bool()
	t.last = l.wall(d.Int64())
	if next := d.Int64(); next != 0 {
		t.next = l.wall(next)
	}
	open = codec.ReadSlice(&d, 8, control.ReadRun)
	return open, complete(&d)
}

// takeUp makes schedules of what was read. A run that was begun and has not ended may have run, and is not made again.
func (q *scheduler) takeUp(l *loading) error {
	q.mu.Lock()
	defer q.unlock()
	slices.SortFunc(l.past, func(a, b pastRecord) int { return int(a.n) - int(b.n) })
	for _, r := range l.past {
		q.ring[r.slot], q.past[r.TaskKey], q.passed = r.task, r.task, max(q.passed, r.n)
	}
	for k, t := range l.tasks {
		value, ok := l.states[k]
		if !ok {
			return fmt.Errorf("the record %q is there, and no state of it", "spec/"+t.place())
		}
		open, err := t.state(l, value)
		if err != nil {
			return fmt.Errorf("the record %q is damaged: %w", "state/"+t.place(), err)
		}
		delete(q.past, k)
		q.resume(t, open, l)
	}
	q.rejoining = l.now.Add(rejoinGrace)
	if len(q.queue) > 0 || len(q.put) > 0 {
		q.start()
	}
	return nil
}

// resume lets a schedule go on.
func (q *scheduler) resume(t *task, open []control.Run, l *loading) {
	runs := l.runs[t.TaskKey]
	slices.SortFunc(runs, func(a, b numbered) int { return int(a.n) - int(b.n) })
	for _, r := range runs {
		t.history = append(t.history, r.Run)
	}
	if n := len(t.history); uint64(n) > t.ended {
		t.ended = uint64(n)
	}
	q.insert(t, l.now)
	for _, r := range open {
		r.Failed = []control.Failure{{Code: unavailable, Reason: reasonClosed, Outcome: mayHaveRun, Method: t.String(), Message: "the controller ended while it ran"}}
		q.record(t, r)
	}
	if t.next.IsZero() {
		t.plan(l.now)
	} else { // what is left of a pause between two runs
		t.delay()
	}
	q.settle(t, l.now)
	q.arm(t, l.now)
}
