package conformance

import (
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	daffi "github.com/daffi-rpc/daffi/runtime"
)

// planned calls run at their instants, wherever a provider is.
func planned(t *testing.T, w *world) {
	const tasks, instants = 50, 5
	_, d := w.desk("server")
	p := NewDesk(w.node("client"))
	at := time.Now().Add(50 * time.Millisecond)
	var wg sync.WaitGroup
	for i := range tasks {
		wg.Go(func() {
			var times []time.Time
			for j := range instants {
				times = append(times, at.Add(time.Duration(j)*10*time.Millisecond))
			}
			if _, err := p.Prepare().Put(i).Schedule(t.Context(), daffi.At(times...)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	// A schedule that comes so late that several of its instants have passed runs once for them, and never more often than it should.
	for end := time.Now().Add(patience); len(slices.Compact(d.sorted())) < tasks && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
	}
	require.Equal(t, slices.Collect(numbersBelow(tasks)), slices.Compact(d.sorted()))
	require.LessOrEqual(t, len(d.sorted()), tasks*instants)
}

// taskList has what was scheduled, and cancelling has its three outcomes.
func taskList(t *testing.T, w *world) {
	_, d := w.desk("server")
	owner, other := w.node("owner"), w.node("other")
	p := NewDesk(owner)
	often, err := p.Prepare().Put(7).Schedule(t.Context(), daffi.Every(10*time.Millisecond).WithID("often"))
	require.NoError(t, err)
	once, err := p.Prepare().Where().Schedule(t.Context(), daffi.Once(time.Hour))
	require.NoError(t, err)
	again, err := p.Prepare().Put(7).Schedule(t.Context(), daffi.Every(10*time.Millisecond).WithID("often"))
	require.NoError(t, err)
	require.Equal(t, often.ID(), again.ID(), "the same one")
	_, err = p.Prepare().Put(8).Schedule(t.Context(), daffi.Every(10*time.Millisecond).WithID("often"))
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
