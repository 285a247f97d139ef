package daffi_test

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	daffi "github.com/daffi-rpc/daffi/runtime"
	"github.com/daffi-rpc/daffi/runtime/controller"
	"github.com/daffi-rpc/daffi/runtime/internal/testkit"
	"github.com/daffi-rpc/daffi/runtime/transport"
)

// shelf is a store in memory, which can be told to fail.
type shelf struct {
	mu      sync.Mutex
	records map[string][]byte
	full    error
	commits int
}

func (s *shelf) Load(f func(string, []byte) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for key, value := range s.records {
		if err := f(key, value); err != nil {
			return err
		}
	}
	return nil
}

func (s *shelf) Commit(put map[string][]byte, remove []string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.full != nil {
		return s.full
	}
	s.commits++
	if s.records == nil {
		s.records = map[string][]byte{}
	}
	maps.Copy(s.records, put)
	for _, key := range remove {
		delete(s.records, key)
	}
	return nil
}

func (s *shelf) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.full = err
}

// copied is what a process that ends at this moment leaves.
func (s *shelf) copied() *shelf {
	s.mu.Lock()
	defer s.mu.Unlock()
	return &shelf{records: maps.Clone(s.records)}
}

// site is nodes that find one controller after the other.
type site struct {
	t       *testing.T
	mu      sync.Mutex
	current *controller.Controller
	owner   *daffi.Node
	*timetable
	calls testkit.KitCalls
}

func (s *site) Attach() (transport.Link, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.current == nil {
		return nil, errors.New("no controller")
	}
	return s.current.Attach()
}

// open lets a controller with that store begin.
func (s *site) open(store controller.Store) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.current = controller.New(controller.Options{Store: store})
}

func (s *site) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	require.NoError(s.t, s.current.Close())
	s.current = nil
}

func onSite(t *testing.T, store controller.Store, f func(t *testing.T, s *site)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := &site{t: t, timetable: &timetable{start: time.Now()}}
		s.open(store)
		s.owner = daffi.New(daffi.Options{Name: "owner", Controller: s})
		server := daffi.New(daffi.Options{Name: "server", Controller: s})
		_, err := testkit.RegisterKit(server, s.timetable)
		require.NoError(t, err)
		for _, n := range []*daffi.Node{s.owner, server} {
			require.NoError(t, n.Join(t.Context()))
			defer n.Close()
		}
		defer func() { s.close() }()
		s.calls = testkit.NewKit(s.owner).Prepare()
		f(t, s)
	})
}

// TestSEM12SurvivesTheController: plan, rhythm, pause, history and what is over.
func TestSEM12SurvivesTheController(t *testing.T) {
	store := new(shelf)
	onSite(t, store, func(t *testing.T, s *site) {
		ctx := daffi.WithMetadata(t.Context(), map[string]string{"colour": "red"})
		make := func(id string, p daffi.Plan) *daffi.Task {
			task, err := s.calls.Note(id).With(daffi.To("server")).Schedule(ctx, p.WithID(id))
			require.NoError(t, err)
			return task
		}
		tasks := map[string]*daffi.Task{
			"once-made-up": make("once-made-up", daffi.Every(10*time.Second)),
			"skipped":      make("skipped", daffi.Every(10*time.Second).Misfire(daffi.SkipMissed)),
			"paused":       make("paused", daffi.Every(10*time.Second)),
			"limited":      make("limited", daffi.Every(10*time.Second).Limit(3)),
			"cron":         make("cron", daffi.Cron("* * * * *").Misfire(daffi.SkipMissed)),
		}
		gone := make("gone", daffi.Once(0))
		require.NoError(t, tasks["paused"].Pause(t.Context()))
		_, err := s.calls.Note("lease").Schedule(ctx, daffi.Every(10*time.Second).WithID("lease").WhileConnected())
		require.NoError(t, err)
		pass(25 * time.Second)
		before, err := tasks["limited"].History(t.Context())
		require.NoError(t, err)
		require.Len(t, before, 2)
		s.close()
		pass(30 * time.Second) // three ticks are missed
		s.open(store)
		pass(10 * time.Second)
		lines := map[string][]time.Duration{}
		for _, r := range s.all() {
			lines[r.line] = append(lines[r.line], r.at.Round(2*time.Second))
			require.Equal(t, map[string]string{"colour": "red"}, r.meta)
		}
		require.Equal(t, milliseconds(10_000, 20_000, 56_000, 60_000), lines["once-made-up"][:4])
		require.Equal(t, milliseconds(10_000, 20_000, 60_000), lines["skipped"])
		require.Empty(t, lines["paused"])
		require.Len(t, lines["limited"], 3)
		require.Equal(t, milliseconds(60_000), lines["cron"])
		require.Len(t, lines["gone"], 1)
		require.GreaterOrEqual(t, len(lines["lease"]), 2, "the owner makes it again")

		history, err := tasks["limited"].History(t.Context())
		require.NoError(t, err)
		require.Len(t, history, 3)
		require.Equal(t, before, history[1:], "what was before is remembered")
		info, err := tasks["paused"].Info(t.Context())
		require.NoError(t, err)
		require.True(t, info.Paused && info.Durable)
		done, err := gone.Cancel(t.Context())
		require.NoError(t, err)
		require.False(t, done)
		require.NoError(t, tasks["paused"].RunNow(t.Context()))
		for _, task := range tasks {
			_, err := task.Cancel(t.Context())
			require.NoError(t, err)
		}
		pass(time.Second)
		kept := slices.Sorted(maps.Keys(store.copied().records))
		require.Len(t, kept, 6, "of each that is over one record: %v", kept)
	})
}

// TestSEM12NoProviderAfterRestart: the tick that was missed is tried at once, and reported.
func TestSEM12RunUnderWayIsNotRepeated(t *testing.T) {
	store := new(shelf)
	onSite(t, store, func(t *testing.T, s *site) {
		task, err := s.calls.Add(60_000).Schedule(t.Context(), daffi.Every(10*time.Second).Limit(1).Timeout(time.Hour))
		require.NoError(t, err)
		pass(11 * time.Second)
		left := store.copied()
		s.close()
		s.open(left)
		pass(time.Minute)
		require.Len(t, s.times(), 1, "it is not known what has become of it")
		history, err := task.History(t.Context())
		require.NoError(t, err)
		require.Len(t, history, 1)
		require.Equal(t, 1, history[0].Tick)
		requireError(t, history[0].Err, daffi.Unavailable, daffi.ReasonClosed, daffi.MayHaveRun)
	})
}

// TestSEM12IntentComesFirst: a controller that ends at any moment leaves a store in which each tick that has reached a handler is.
func TestSEM12IntentComesFirst(t *testing.T) {
	store := new(shelf)
	onSite(t, store, func(t *testing.T, s *site) {
		task, err := s.calls.Note("x").Schedule(t.Context(), daffi.Every(time.Second).WithID("x"))
		require.NoError(t, err)
		pass(5500 * time.Millisecond)
		require.Len(t, s.times(), 5)
		left := store.copied() // also of what has ended
		s.close()
		s.open(left)
		pass(time.Second)
		for i, r := range s.all() {
			require.Equal(t, i+1, r.Tick)
		}
		_, err = task.Cancel(t.Context())
		require.NoError(t, err)
	})
}

func TestSEM12StoreFails(t *testing.T) {
	store := new(shelf)
	onSite(t, store, func(t *testing.T, s *site) {
		task, err := s.calls.Note("x").Schedule(t.Context(), daffi.Every(time.Second))
		require.NoError(t, err)
		pass(1500 * time.Millisecond)
		store.fail(errors.New("no space left"))
		_, err = s.calls.Note("other").Schedule(t.Context(), daffi.Every(time.Second).WithID("other"))
		require.ErrorContains(t, requireError(t, err, daffi.Internal, daffi.ReasonStore, daffi.NotRun), "no space left")
		pass(3 * time.Second)
		require.Len(t, s.times(), 1, "what cannot be written down is not run")
		info, err := task.Info(t.Context())
		require.NoError(t, err)
		requireError(t, info.Last.Err, daffi.Internal, daffi.ReasonStore, daffi.NotRun)
		requireError(t, task.Pause(t.Context()), daffi.Internal, daffi.ReasonStore, daffi.MayHaveRun)
		store.fail(nil)
		require.NoError(t, task.Resume(t.Context()))
		pass(2 * time.Second)
		require.GreaterOrEqual(t, len(s.times()), 2)
		_, err = s.calls.Note("other").Schedule(t.Context(), daffi.Every(time.Second).WithID("other"))
		require.NoError(t, err, "nothing is left of it")
	})
}

// TestD48WhileConnectedComesBack with the node, at a controller that has never heard of it (ACC-2).
func TestD48WhileConnectedComesBack(t *testing.T) {
	onSite(t, nil, func(t *testing.T, s *site) {
		lease, err := s.calls.Note("lease").Schedule(t.Context(), daffi.Every(time.Second).WhileConnected())
		require.NoError(t, err)
		plain, err := s.calls.Note("plain").Schedule(t.Context(), daffi.Every(time.Second))
		require.NoError(t, err)
		ended, err := s.calls.Note("ended").Schedule(t.Context(), daffi.Every(time.Second).WhileConnected())
		require.NoError(t, err)
		_, err = ended.Cancel(t.Context())
		require.NoError(t, err)
		pass(1500 * time.Millisecond)
		s.close()
		s.open(nil)
		pass(4 * time.Second)
		lines := map[string]int{}
		for _, r := range s.all() {
			lines[r.line]++
		}
		require.Greater(t, lines["lease"], 2)
		require.Equal(t, 1, lines["plain"], "it has ended with the controller")
		require.Zero(t, lines["ended"])
		_, err = plain.Cancel(t.Context())
		require.ErrorIs(t, err, daffi.ErrNoTask)
		done, err := lease.Cancel(t.Context())
		require.NoError(t, err)
		require.True(t, done)
	})
}

// TestD47EventsGoOn over a restart of the controller with a store.
func TestD47EventsGoOn(t *testing.T) {
	store := new(shelf)
	onSite(t, store, func(t *testing.T, s *site) {
		task, err := s.calls.Note("x").Schedule(t.Context(), daffi.Every(time.Second).Limit(6))
		require.NoError(t, err)
		go func() {
			time.Sleep(2500 * time.Millisecond)
			s.close()
			s.open(store)
		}()
		var ticks []int
		for r, err := range task.Events(t.Context()) {
			require.NoError(t, err)
			ticks = append(ticks, r.Tick)
		}
		require.Equal(t, []int{1, 2, 3, 4, 5, 6}, ticks[:len(ticks):len(ticks)][:6])
	})
}

func TestD22OperatorMay(t *testing.T) {
	scheduledAt(t, controller.Options{Store: new(shelf)}, func(t *testing.T, k *station) {
		task := k.note(daffi.Every(time.Second).WithID("b"))
		_, err := testkit.NewKit(k.server).Prepare().Fail("plain").Schedule(t.Context(), daffi.Every(time.Second).WithID("a"))
		require.NoError(t, err)
		c := k.net.Controller
		require.NoError(t, c.PauseTask("owner", "b"))
		pass(1500 * time.Millisecond)
		list := c.Tasks()
		require.Len(t, list, 2)
		require.Equal(t, "server", list[1].Owner)
		require.Equal(t, "a plain error", list[1].LastError)
		require.True(t, list[0].Paused && list[0].Durable)
		require.Equal(t, 0, list[0].Runs)
		require.NoError(t, c.RunTask("owner", "b"))
		require.NoError(t, c.ResumeTask("owner", "b"))
		done, err := c.CancelTask("owner", "b")
		require.NoError(t, err)
		require.True(t, done)
		done, err = task.Cancel(t.Context())
		require.NoError(t, err)
		require.False(t, done)
		_, err = c.CancelTask("owner", "nonsense")
		require.ErrorIs(t, err, controller.ErrNoTask)
	})
}

// TestACC32Schedules runs many schedules beside each other: each tick on time and once, none after its schedule was cancelled.
func TestACC32Schedules(t *testing.T) {
	const tasks, period = 100, 100 * time.Millisecond
	scheduled(t, func(t *testing.T, k *station) {
		var all []*daffi.Task
		for i := range tasks {
			all = append(all, k.note(daffi.Every(period).WithID(fmt.Sprint("t", i))))
		}
		pass(10*time.Second + period/2)
		for _, task := range all {
			done, err := task.Cancel(t.Context())
			require.NoError(t, err)
			require.True(t, done)
		}
		n := len(k.times())
		require.Equal(t, tasks*100, n)
		seen := map[string]bool{}
		for _, r := range k.all() {
			key := fmt.Sprint(r.Task, " ", r.Tick)
			require.False(t, seen[key], key)
			seen[key] = true
			require.Equal(t, k.start.Add(r.at), r.Due)
		}
		pass(time.Second)
		require.Len(t, k.times(), n)
	})
}

// TestACC32OnTime measures the same at full size, with real time.
func TestACC32OnTime(t *testing.T) {
	testkit.OnlyNight(t)
	const tasks, period, length = 1000, 100 * time.Millisecond, time.Minute
	c := controller.New(controller.Options{})
	defer c.Close()
	server, r := daffi.New(daffi.Options{Name: "server", Controller: c}), &timetable{start: time.Now()}
	_, err := testkit.RegisterKit(server, r)
	require.NoError(t, err)
	require.NoError(t, server.Join(t.Context()))
	defer server.Close()
	owner, err := daffi.Connect(t.Context(), daffi.Options{Name: "owner", Controller: c})
	require.NoError(t, err)
	defer owner.Close()
	for i := range tasks {
		_, err := testkit.NewKit(owner).Prepare().Note("x").Schedule(t.Context(), daffi.Every(period).WithID(fmt.Sprint("t", i)))
		require.NoError(t, err)
	}
	time.Sleep(length)
	for i := range tasks {
		_, err := owner.CancelTask(t.Context(), fmt.Sprint("t", i))
		require.NoError(t, err)
	}
	var late []time.Duration
	seen := map[string]bool{}
	for _, run := range r.all() {
		key := fmt.Sprint(run.Task, " ", run.Tick)
		require.False(t, seen[key], key)
		seen[key] = true
		late = append(late, r.start.Add(run.at).Sub(run.Due))
	}
	slices.Sort(late)
	p99 := late[len(late)*99/100]
	t.Logf("%d runs, late by %v (median), %v (99 %%), %v (most)", len(late), late[len(late)/2], p99, late[len(late)-1])
	require.GreaterOrEqual(t, len(late), int(length/period)*tasks*99/100)
	require.LessOrEqual(t, p99, 10*time.Millisecond)
}

// TestSEM12DelayGoesOn: a controller that begins in the pause between two runs keeps to what is left of it.
func TestSEM12DelayGoesOn(t *testing.T) {
	store := new(shelf)
	onSite(t, store, func(t *testing.T, s *site) {
		for _, id := range []string{"first", "later"} {
			p := daffi.Every(10 * time.Second).FixedDelay().WithID(id)
			if id == "later" {
				p = p.Immediately()
			}
			_, err := s.calls.Note(id).Schedule(t.Context(), p)
			require.NoError(t, err)
		}
		pass(6 * time.Second)
		require.Equal(t, milliseconds(0), s.times())
		s.close()
		s.open(store)
		pass(2 * time.Second)
		require.Equal(t, milliseconds(0), s.times())
		pass(3 * time.Second)
		require.Len(t, s.times(), 3, "both after 10 s")
	})
}

// TestSEM12FailedStoreIsTold: what a store that fails does to runs is told at once, and what was not made leaves nothing.
func TestSEM12FailedStoreIsTold(t *testing.T) {
	store := new(shelf)
	onSite(t, store, func(t *testing.T, s *site) {
		task, err := s.calls.Note("x").Schedule(t.Context(), daffi.Once(time.Second))
		require.NoError(t, err)
		told := make(chan error, 10)
		go func() {
			defer close(told)
			for r, err := range task.Events(t.Context()) {
				told <- errors.Join(r.Err, err)
			}
		}()
		pass(500 * time.Millisecond)
		store.fail(errors.New("no space left"))
		pass(time.Second)
		select {
		case err := <-told:
			require.Equal(t, daffi.NotRun, daffi.OutcomeOf(err))
		default:
			t.Fatal("nobody was told")
		}
		_, open := <-told
		require.False(t, open, "the task is over")

		_, err = s.calls.Note("y").Schedule(t.Context(), daffi.Once(0).WithID("y"))
		require.Error(t, err)
		require.Equal(t, daffi.NotRun, daffi.OutcomeOf(err))
		store.fail(nil)
		_, err = s.calls.Note("y").Schedule(t.Context(), daffi.Once(0).WithID("y"))
		require.NoError(t, err)
		pass(time.Second)
		require.Len(t, s.times(), 1, "it was not made before, so it is now")
	})
}

// TestSEM12WhileConnectedNeedsNoStore: what is not kept does not depend on the store.
func TestSEM12WhileConnectedNeedsNoStore(t *testing.T) {
	store := new(shelf)
	onSite(t, store, func(t *testing.T, s *site) {
		_, err := s.calls.Note("kept").Schedule(t.Context(), daffi.Every(time.Second))
		require.NoError(t, err)
		_, err = s.calls.Add(1).Schedule(t.Context(), daffi.Every(time.Second).WhileConnected())
		require.NoError(t, err)
		store.fail(errors.New("no space left"))
		pass(3500 * time.Millisecond)
		runs := s.all()
		require.Len(t, runs, 3)
		for _, r := range runs {
			require.Equal(t, "add", r.line)
		}
	})
}

// slowShelf is a store that takes its time.
type slowShelf struct {
	*shelf
	takes time.Duration
}

func (s slowShelf) Commit(put map[string][]byte, remove []string) error {
	time.Sleep(s.takes)
	return s.shelf.Commit(put, remove)
}

// TestSEM12SameScheduleWhileStoreFails: who asks for a schedule that is being stored is not told that it is there when that was undone.
func TestSEM12SameScheduleWhileStoreFails(t *testing.T) {
	store := slowShelf{new(shelf), time.Second}
	onSite(t, store, func(t *testing.T, s *site) {
		answers := make(chan error, 2)
		ask := func() {
			_, err := s.calls.Note("x").Schedule(t.Context(), daffi.Every(time.Second).WithID("x"))
			answers <- err
		}
		go ask()
		pass(500 * time.Millisecond)
		go ask()
		pass(200 * time.Millisecond)
		store.fail(errors.New("no space left"))
		requireError(t, <-answers, daffi.Internal, daffi.ReasonStore, daffi.NotRun)
		store.fail(nil)
		requireError(t, <-answers, daffi.Internal, daffi.ReasonStore, daffi.NotRun)
		pass(10 * time.Second)
		require.Empty(t, s.times())
	})
}

// TestD48CancelWhileItComesBack: a schedule that is cancelled while the node makes its schedules again does not come back.
func TestD48CancelWhileItComesBack(t *testing.T) {
	onSite(t, nil, func(t *testing.T, s *site) {
		var tasks []*daffi.Task
		for range 200 { // all their answers may be waited for at a time (LIM-29)
			task, err := s.calls.Note("x").Schedule(t.Context(), daffi.Every(time.Hour).WhileConnected())
			require.NoError(t, err)
			tasks = append(tasks, task)
		}
		s.close()
		synctest.Wait() // the node has seen that its session is gone: else it may still ask there
		s.open(nil)
		_, err := s.owner.Tasks(t.Context(), daffi.TaskFilter{}) // waits for the session
		require.NoError(t, err)
		var wg sync.WaitGroup
		for _, task := range tasks {
			wg.Go(func() {
				if _, err := task.Cancel(t.Context()); err != nil && !errors.Is(err, daffi.ErrNoTask) {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		pass(time.Second)
		list, err := s.owner.Tasks(t.Context(), daffi.TaskFilter{})
		require.NoError(t, err)
		require.Zero(t, len(list))
	})
}
