package conformance

import (
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	daffi "github.com/daffi-rpc/daffi/runtime"
)

// planned calls run at their instants, wherever a provider is: a task that the controller has in time at least once, since instants that were missed are one run, and no
// task more often than it has instants.
func planned(t *testing.T, w *world) {
	const tasks, instants = 50, 5
	_, d := w.desk("server")
	p := NewDesk(w.node("client"))
	at := time.Now().Add(300 * time.Millisecond)
	var times []time.Time
	for j := range instants {
		times = append(times, at.Add(time.Duration(j)*10*time.Millisecond))
	}
	inTime, all := make(chan int, tasks), make(chan *daffi.Task, tasks)
	var wg sync.WaitGroup
	for i := range tasks {
		wg.Go(func() {
			task, err := p.Prepare().Put(i).Schedule(t.Context(), daffi.At(times...))
			if err == nil {
				all <- task
			}
			switch {
			case time.Now().After(at): // on a machine that is this slow either is right
			case err != nil:
				t.Error(err)
			default:
				inTime <- i
			}
		})
	}
	wg.Wait()
	close(inTime)
	close(all)
	var want []int
	for i := range inTime {
		want = append(want, i)
	}
	ran := func() map[int]int {
		runs := map[int]int{}
		for _, i := range d.sorted() {
			runs[i]++
		}
		return runs
	}
	missing := func(i int) bool { return ran()[i] == 0 }
	for end := time.Now().Add(patience); slices.ContainsFunc(want, missing) && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
	}
	for _, i := range want {
		require.NotZero(t, ran()[i], "task %d", i)
	}
	for i, runs := range ran() {
		require.LessOrEqual(t, runs, instants, "task %d", i)
	}
	for task := range all { // or what is left of it would run in the next scenario
		require.NoError(t, ignore(task.Cancel(t.Context())))
	}
}

// taskList has what was scheduled, and cancelling has its three outcomes.
func taskList(t *testing.T, w *world) {
	_, d := w.desk("server")
	owner, other := w.node("owner"), w.node("other")
	p := NewDesk(owner)
	often, err := p.Prepare().Put(1007).Schedule(t.Context(), daffi.Every(10*time.Millisecond).WithID("often"))
	require.NoError(t, err)
	once, err := p.Prepare().Where().Schedule(t.Context(), daffi.Once(time.Hour))
	require.NoError(t, err)
	again, err := p.Prepare().Put(1007).Schedule(t.Context(), daffi.Every(10*time.Millisecond).WithID("often"))
	require.NoError(t, err)
	require.Equal(t, often.ID(), again.ID(), "the same one")
	_, err = p.Prepare().Put(1008).Schedule(t.Context(), daffi.Every(10*time.Millisecond).WithID("often"))
	requireError(t, err, daffi.AlreadyExists, "", daffi.NotRun)

	runs := 0
	for run, err := range often.Events(t.Context()) {
		require.NoError(t, err)
		require.NoError(t, run.Err)
		require.Equal(t, "server", run.Node)
		if runs++; runs == 3 {
			break
		}
	}

	require.Equal(t, map[string]string{often.ID(): "Desk.Put", once.ID(): "Desk.Where"}, listed(t, owner))
	require.Empty(t, listed(t, other), "they are another's")
	_, err = other.Task("often").Cancel(t.Context())
	require.Error(t, err, "they are another's")

	ended, err := often.Cancel(t.Context())
	require.NoError(t, err)
	require.True(t, ended)
	ended, err = owner.CancelTask(t.Context(), often.ID())
	require.NoError(t, err)
	require.False(t, ended, "it is over")
	_, err = owner.CancelTask(t.Context(), "never-heard-of")
	require.ErrorIs(t, err, daffi.ErrNoTask)
	require.Equal(t, map[string]string{once.ID(): "Desk.Where"}, listed(t, owner))
	require.NoError(t, ignore(once.Cancel(t.Context())))

	after := len(d.sorted())
	time.Sleep(30 * time.Millisecond)
	require.LessOrEqual(t, len(d.sorted()), after+1, "only one that was running already")
}

func ignore(_ bool, err error) error { return err }

func listed(t *testing.T, n *daffi.Node) map[string]string {
	t.Helper()
	tasks, err := n.Tasks(t.Context(), daffi.TaskFilter{})
	require.NoError(t, err)
	out := map[string]string{}
	for _, task := range tasks {
		require.Equal(t, n.Name(), task.Owner)
		out[task.ID] = task.Method
	}
	return out
}

// unknownTask is one of a method that nobody serves: its runs have not run.
func unknownTask(t *testing.T, w *world) {
	p := NewDesk(w.node("client"))
	task, err := p.Prepare().Put(1).Schedule(t.Context(), daffi.Every(10*time.Millisecond))
	if err != nil { // refused at once
		require.Equal(t, daffi.NotRun, daffi.OutcomeOf(err), "%v", err)
		return
	}
	for run, err := range task.Events(t.Context()) {
		require.NoError(t, err)
		require.Equal(t, daffi.NotRun, daffi.OutcomeOf(run.Err), "%v", run.Err)
		break
	}
	ended, err := task.Cancel(t.Context())
	require.NoError(t, err)
	require.True(t, ended)
}
