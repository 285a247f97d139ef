package controller

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/daffi-rpc/daffi/runtime/controller/internal/schedule"
	"github.com/daffi-rpc/daffi/runtime/internal/control"
	"github.com/daffi-rpc/daffi/runtime/internal/rawpeer"
	"github.com/daffi-rpc/daffi/runtime/transport"
)

type fullStore struct{}

func (fullStore) Load(func(string, []byte) error) error    { return nil }
func (fullStore) Commit(map[string][]byte, []string) error { return errors.New("no space left") }

func unstored(t *testing.T, id string) *task {
	times, err := schedule.New(control.Plan{Timing: control.Cron, Expression: "@daily"}, time.Now())
	require.NoError(t, err)
	return &task{TaskKey: control.TaskKey{Owner: "owner", ID: id}, times: times, index: -1, work: work{args: make([]byte, 100)}}
}

// TestSEM12UnstoredEndsOnce: a schedule that has ended before it turns out that it could not be stored does not end again, so what is counted stays right.
func TestSEM12UnstoredEndsOnce(t *testing.T) {
	c := New(Options{Store: fullStore{}})
	defer c.Close()
	q := c.schedules
	now := time.Now()
	stays, ends := unstored(t, "stays"), unstored(t, "ends")
	q.mu.Lock()
	q.insert(stays, now)
	q.insert(ends, now)
	q.finish(ends, completed, now)
	q.mu.Unlock()
	p := pass{answers: []answer{{message: &control.Scheduled{}, stored: true, undone: true, task: ends}}}
	p.refuse(q, errors.New("no space left"))
	require.Equal(t, []int{1, 1, 100}, []int{q.count, q.wall, q.bytes})
	require.IsType(t, &control.Failure{}, p.answers[0].message)
}

// TestSEM12UnstoredIsBounded: what is to be removed from a store that takes nothing does not grow with each attempt.
func TestSEM12UnstoredIsBounded(t *testing.T) {
	c := New(Options{Store: fullStore{}})
	defer c.Close()
	q := c.schedules
	c.mu.Lock()
	s := &session{c: c, link: &operator{}, name: "owner", number: 7}
	r := c.intern(s, routeKey{methodKey{"S", "M"}, "print"})
	r.call()
	c.mu.Unlock()
	q.mu.Lock()
	q.failing = errors.New("no space left")
	for n := range maxUnstored - 1 {
		q.remove[fmt.Sprint(n)] = struct{}{}
	}
	q.running = true // and nobody looks
	q.mu.Unlock()
	ask := func(id string) *control.Failure {
		return q.add(s, 1, &control.Schedule{ID: id, Route: r.number, Plan: control.Plan{Timing: control.Every, Interval: time.Hour}})
	}
	require.Nil(t, ask("one"), "it is tried again")
	q.remove["one more"] = struct{}{}
	why := ask("two")
	require.NotNil(t, why)
	require.Equal(t, reasonStore, why.Reason)
}

// TestScheduleOfAMethodThatNobodyCalls: a method whose signature nobody has said has a number that can be guessed. A schedule of it would be stored without one, and a controller that is started
// with that store does not take it.
func TestScheduleOfAMethodThatNobodyCalls(t *testing.T) {
	store := records{}
	w := start(t, Options{Store: store})
	p := w.join("p")
	sig := long("A", 200)
	q := control.Resolve{Service: "S", Methods: rawpeer.Methods(sig, "M")}
	require.Nil(t, p.Ask(t, q.Append, control.OpMissing, nil))
	schedule := func(number uint32) *control.Failure {
		m := control.Schedule{ID: "one", Route: number, Plan: control.Plan{Timing: control.Every, Interval: time.Hour}}
		return p.Ask(t, m.Append, control.OpScheduled, nil)
	}
	why := schedule(1)
	require.NotNil(t, why)
	require.Equal(t, reasonStaleRoute, why.Reason)
	require.Equal(t, notRun, why.Outcome)
	require.EqualValues(t, 1, p.Route(t, "S", "M", sig))
	require.Nil(t, schedule(1))
	p.Close()
	require.NoError(t, w.Close())
	require.NotPanics(t, func() { require.NoError(t, New(Options{Store: store}).Close()) })
}

// TestLIM28Instants: what a schedule keeps beside its arguments counts, or is not kept, and the node that it names is one that there can be.
func TestLIM28Instants(t *testing.T) {
	w := start(t, Options{})
	p := w.join("p")
	many := make([]int64, control.MaxInstants)
	for i := range many {
		many[i] = time.Now().Add(time.Hour).UnixNano() + int64(i)
	}
	q := control.Schedule{ID: "at", Route: p.Route(t, "S", "M", "sig"), Plan: control.Plan{Timing: control.At, Instants: many}}
	ask := func() *control.Failure { return p.Ask(t, q.Append, control.OpScheduled, nil) }
	held := func() int {
		w.schedules.mu.Lock()
		defer w.schedules.mu.Unlock()
		return w.schedules.bytes
	}
	require.Nil(t, ask())
	require.Equal(t, 8*len(many), held())
	q.ID, q.Plan = "every", control.Plan{Timing: control.Every, Interval: time.Hour, Instants: make([]int64, 20_000), Expression: strings.Repeat("x", 10_000), Zone: strings.Repeat("x", 10_000)}
	require.Nil(t, ask())
	require.Equal(t, 8*len(many), held())
	kept := w.schedules.find(control.TaskKey{Owner: "p", ID: "every"}).times.Plan
	require.Equal(t, control.Plan{Timing: control.Every, Interval: time.Hour}, kept)
	q.ID, q.To = "to", strings.Repeat("x", transport.MaxName+1)
	require.Equal(t, invalidArgument, ask().Code)
	q.To = q.To[1:]
	require.Nil(t, ask())
	for _, id := range []string{"at", "every"} {
		_, err := w.CancelTask("p", id)
		require.NoError(t, err)
	}
	require.Zero(t, held())
}

// TestD21TasksInPages: every schedule is on one page, in order, however many there are.
func TestD21TasksInPages(t *testing.T) {
	c := New(Options{})
	defer c.Close()
	q := c.schedules
	var want []string
	q.mu.Lock()
	for n := range 5000 {
		id := fmt.Sprintf("%04d", n)
		want = append(want, id)
		q.insert(unstored(t, id), time.Now())
	}
	q.mu.Unlock()
	var got []string
	pages := 0
	for m := (control.Tasks{}); ; pages++ {
		page := q.list(nil, &m)
		for _, row := range page.Tasks {
			got = append(got, row.ID)
		}
		if !page.More {
			break
		}
		m.After = control.TaskKey{Owner: "owner", ID: got[len(got)-1]}
	}
	require.Equal(t, want, got)
	require.Greater(t, pages, 10)
}
