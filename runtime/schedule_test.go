package daffi_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	daffi "github.com/daffi-rpc/daffi/runtime"
	"github.com/daffi-rpc/daffi/runtime/controller"
	"github.com/daffi-rpc/daffi/runtime/daffitest"
	"github.com/daffi-rpc/daffi/runtime/internal/testkit"
)

// timetable is a service that notes when its handlers run.
type timetable struct {
	testkit.Impl
	name  string
	start time.Time
	mu    sync.Mutex
	runs  []ran
	now   int // at this moment
	most  int
	ended []error // how the contexts of Add ended
}

type ran struct {
	daffi.CallInfo
	at   time.Duration // since the start
	left time.Duration
	meta map[string]string
	line string
}

func (r *timetable) begin(ctx context.Context, line string) {
	info, _ := daffi.CallFrom(ctx)
	left := time.Duration(-1)
	if deadline, ok := ctx.Deadline(); ok {
		left = time.Until(deadline)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.runs = append(r.runs, ran{info, time.Since(r.start), left, daffi.MetadataFrom(ctx), line})
	r.now++
	r.most = max(r.most, r.now)
}

func (r *timetable) end() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.now--
}

func (r *timetable) Note(ctx context.Context, line string) error {
	r.begin(ctx, line)
	defer r.end()
	return nil
}

// Add takes n milliseconds, or as long as its context.
func (r *timetable) Add(ctx context.Context, n int) error {
	r.begin(ctx, "add")
	defer r.end()
	select {
	case <-time.After(time.Duration(n) * time.Millisecond):
		return nil
	case <-ctx.Done():
		r.mu.Lock()
		defer r.mu.Unlock()
		r.ended = append(r.ended, ctx.Err())
		return ctx.Err()
	}
}

// Echo returns more than a frame.
func (r *timetable) Echo(ctx context.Context, b []byte) ([]byte, error) {
	r.begin(ctx, "echo")
	defer r.end()
	return slices.Repeat(b, 4), nil
}

func (r *timetable) Fail(ctx context.Context, how string) (string, error) {
	r.begin(ctx, how)
	defer r.end()
	if how == "fine" {
		return "", nil
	}
	return r.Impl.Fail(ctx, how)
}

// times is when runs began, since the start.
func (r *timetable) times() (list []time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, run := range r.runs {
		list = append(list, run.at)
	}
	return list
}

func (r *timetable) all() []ran {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.runs)
}

// station is a controller with an owner of schedules and a provider.
type station struct {
	t      *testing.T
	net    *daffitest.Net
	owner  *daffi.Node
	server *daffi.Node
	*timetable
	calls testkit.KitCalls
}

// scheduled runs f in a bubble of fake time.
func scheduled(t *testing.T, f func(t *testing.T, k *station)) {
	t.Helper()
	scheduledAt(t, controller.Options{}, f)
}

func scheduledAt(t *testing.T, o controller.Options, f func(t *testing.T, k *station)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		k := &station{t: t, net: daffitest.With(t, o)}
		k.owner = k.net.Node("owner")
		k.server, k.timetable = k.serve("server")
		k.calls = testkit.NewKit(k.owner).Prepare()
		f(t, k)
	})
}

// serve joins one more provider.
func (k *station) serve(name string) (*daffi.Node, *timetable) {
	n, r := k.net.Node(name), &timetable{name: name, start: time.Now()}
	_, err := testkit.RegisterKit(n, r)
	require.NoError(k.t, err)
	return n, r
}

// note schedules a call that notes when it runs.
func (k *station) note(p daffi.Plan) *daffi.Task {
	k.t.Helper()
	task, err := k.calls.Note("tick").Schedule(k.t.Context(), p)
	require.NoError(k.t, err)
	return task
}

// pass lets time pass, and everything happen that belongs to it.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// milliseconds are durations, for short lists.
func milliseconds(n ...int) (list []time.Duration) {
	for _, n := range n {
		list = append(list, time.Duration(n)*time.Millisecond)
	}
	return list
}

func TestD44ScheduleIsKeptByTheController(t *testing.T) {
	scheduled(t, func(t *testing.T, k *station) {
		ctx := daffi.WithMetadata(t.Context(), map[string]string{"colour": "red"})
		task, err := k.calls.Note("tick").Schedule(ctx, daffi.Every(time.Second).Limit(2))
		require.NoError(t, err)
		require.Len(t, task.ID(), 32)
		require.Equal(t, "Kit.Note", task.Method())
		require.Empty(t, task.Node())
		pass(0)
		require.Empty(t, k.times(), "the first run is after one interval")
		pass(3 * time.Second)
		runs := k.all()
		require.Len(t, runs, 2)
		for i, r := range runs {
			require.Equal(t, time.Duration(i+1)*time.Second, r.at)
			require.Equal(t, "Kit.Note", r.Method)
			require.Equal(t, "owner", r.Caller)
			require.Equal(t, task.ID(), r.Task)
			require.Equal(t, i+1, r.Tick)
			require.Equal(t, k.start.Add(r.at), r.Due)
			require.Equal(t, 30*time.Second, r.left)
			require.Equal(t, map[string]string{"colour": "red"}, r.meta)
			require.Equal(t, "tick", r.line)
			require.Len(t, r.ID, 32)
		}
		require.NotEqual(t, runs[0].ID, runs[1].ID)
	})
}

// TestD44NobodyForgesARun: what a node says of a schedule is metadata like any other, and what it adds to a schedule of its own does not count.
func TestD44NobodyForgesARun(t *testing.T) {
	scheduled(t, func(t *testing.T, k *station) {
		md := map[string]string{"daffi-task": "payroll", "daffi-tick": "7", "daffi-due": "1"}
		ctx := daffi.WithMetadata(t.Context(), md)
		require.NoError(t, k.calls.Add(0).Do(ctx))
		forged := k.all()[0]
		require.Empty(t, forged.Task)
		require.Zero(t, forged.Tick)
		require.Zero(t, forged.Due)
		require.Equal(t, md, forged.meta)
		_, err := k.calls.Add(0).Schedule(ctx, daffi.Once(0).WithID("mine"))
		requireError(t, err, daffi.InvalidArgument, "", daffi.NotRun)
	})
}

func TestD45FixedRate(t *testing.T) {
	scheduled(t, func(t *testing.T, k *station) {
		_, err := k.calls.Add(250).Schedule(t.Context(), daffi.Every(100*time.Millisecond))
		require.NoError(t, err)
		pass(time.Second)
		require.Equal(t, milliseconds(100, 400, 700, 1000), k.times(), "what falls into a run is skipped, and the rhythm stays")
		require.Equal(t, 1, k.most)
	})
}

func TestD45FixedDelay(t *testing.T) {
	scheduled(t, func(t *testing.T, k *station) {
		_, err := k.calls.Add(250).Schedule(t.Context(), daffi.Every(100*time.Millisecond).FixedDelay())
		require.NoError(t, err)
		pass(time.Second)
		require.Equal(t, milliseconds(100, 450, 800), k.times())
		require.Equal(t, 1, k.most)
	})
}

func TestD45Immediately(t *testing.T) {
	for name, p := range map[string]daffi.Plan{"rate": daffi.Every(time.Second).Immediately(), "delay": daffi.Every(time.Second).FixedDelay().Immediately()} {
		t.Run(name, func(t *testing.T) {
			scheduled(t, func(t *testing.T, k *station) {
				k.note(p)
				pass(2500 * time.Millisecond)
				require.Equal(t, milliseconds(0, 1000, 2000), k.times())
			})
		})
	}
}

func TestD45Overlap(t *testing.T) {
	for policy, want := range map[daffi.Overlap][]time.Duration{
		daffi.SkipOverlap:  milliseconds(100, 400, 700),
		daffi.QueueOverlap: milliseconds(100, 350, 600, 850),
		daffi.AllowOverlap: milliseconds(100, 200, 300, 400, 500, 600, 700, 800, 900),
	} {
		t.Run(fmt.Sprint(policy), func(t *testing.T) {
			scheduled(t, func(t *testing.T, k *station) {
				task, err := k.calls.Add(250).Schedule(t.Context(), daffi.Every(100*time.Millisecond).Overlap(policy))
				require.NoError(t, err)
				pass(950 * time.Millisecond)
				require.Equal(t, want, k.times())
				info, err := task.Info(t.Context())
				require.NoError(t, err)
				require.Equal(t, map[daffi.Overlap]int{daffi.SkipOverlap: 6, daffi.QueueOverlap: 4, daffi.AllowOverlap: 0}[policy], info.Skipped)
			})
		})
	}
}

// TestD45LIM29OverlapIsBounded: sixteen runs go on, a seventeenth does not begin.
func TestD45LIM29OverlapIsBounded(t *testing.T) {
	scheduled(t, func(t *testing.T, k *station) {
		task, err := k.calls.Add(60_000).Schedule(t.Context(), daffi.Every(10*time.Millisecond).Overlap(daffi.AllowOverlap).Timeout(time.Hour))
		require.NoError(t, err)
		pass(165 * time.Millisecond)
		require.Len(t, k.times(), 16)
		pass(20 * time.Millisecond)
		require.Len(t, k.times(), 16)
		done, err := task.CancelRunning(t.Context())
		require.NoError(t, err)
		require.True(t, done)
		pass(0)
		require.Equal(t, slices.Repeat([]error{context.Canceled}, 16), k.ended)
	})
}

func TestD45StopOnError(t *testing.T) {
	scheduled(t, func(t *testing.T, k *station) {
		task, err := k.calls.Fail("plain").Schedule(t.Context(), daffi.Every(time.Second).StopOnError(3))
		require.NoError(t, err)
		pass(10 * time.Second)
		require.Len(t, k.times(), 3)
		info, err := task.Info(t.Context())
		require.NoError(t, err)
		require.True(t, info.Over)
		requireError(t, info.Last.Err, daffi.Unknown, "", daffi.Ran)
	})
}

func TestD46AtInstants(t *testing.T) {
	scheduled(t, func(t *testing.T, k *station) {
		now := time.Now()
		zone := time.FixedZone("elsewhere", -5*3600)
		task := k.note(daffi.At(now.Add(3*time.Second).In(zone), now.Add(time.Second), now.Add(time.Second), now.Add(-time.Hour)))
		pass(time.Minute)
		require.Equal(t, milliseconds(1000, 3000), k.times(), "sorted, without what is there twice or has passed")
		info, err := task.Info(t.Context())
		require.NoError(t, err)
		require.True(t, info.Over)
		require.Zero(t, info.Next)
		require.Equal(t, 2, info.Runs)
	})
}

// TestD46PastIsRefused: a plan without an instant to come is refused by the node, and one whose instants pass on the way by the controller.
func TestD46PastIsRefused(t *testing.T) {
	scheduled(t, func(t *testing.T, k *station) {
		_, err := k.calls.Note("x").Schedule(t.Context(), daffi.At(time.Now(), time.Now().Add(-time.Second)))
		require.Contains(t, requireError(t, err, daffi.InvalidArgument, "", daffi.NotRun).Message, "have passed")
		p := daffi.At(time.Now().Add(time.Second))
		pass(time.Second)
		_, err = k.calls.Note("x").Schedule(t.Context(), p)
		require.Contains(t, requireError(t, err, daffi.InvalidArgument, "", daffi.NotRun).Message, "have passed")
	})
}

func TestD44Validation(t *testing.T) {
	scheduled(t, func(t *testing.T, k *station) {
		future := time.Now().Add(time.Hour)
		instants := func(n int) (list []time.Time) {
			for i := range n {
				list = append(list, future.Add(time.Duration(i)*time.Second))
			}
			return list
		}
		for want, p := range map[string]daffi.Plan{
			"says nothing":           {},
			"shortest interval":      daffi.Every(10*time.Millisecond - 1),
			"longest interval":       daffi.Every(1<<63 - 1),
			"with 0 instants":        daffi.At(),
			"with 1001 instants":     daffi.At(instants(1001)...),
			"Once(-1ns)":             daffi.Once(-1),
			"0 bytes":                daffi.Cron(""),
			"257 bytes":              daffi.Cron(strings.Repeat("*", 257)),
			"cannot be read":         daffi.Cron("61 * * * *"),
			"use Every":              daffi.Cron("@every 5m"),
			"use In":                 daffi.Cron("TZ=UTC 0 3 * * *"),
			"never comes":            daffi.Cron("0 0 30 2 *"),
			"In(Local)":              daffi.Cron("@daily").In(time.Local),
			"In(nowhere)":            daffi.Cron("@daily").In(time.FixedZone("nowhere", 3600)),
			"only Cron":              daffi.Every(time.Second).In(time.UTC),
			"Immediately":            daffi.Once(time.Second).Immediately(),
			"FixedDelay":             daffi.Cron("@daily").FixedDelay(),
			"Jitter(-1ns)":           daffi.Every(time.Second).Jitter(-1),
			"Limit(-1)":              daffi.Every(time.Second).Limit(-1),
			"Overlap(3)":             daffi.Every(time.Second).Overlap(3),
			"Misfire(2)":             daffi.Every(time.Second).Misfire(2),
			"StopOnError(-1)":        daffi.Every(time.Second).StopOnError(-1),
			"Timeout(-1ns)":          daffi.Every(time.Second).Timeout(-1),
			`WithID("")`:             daffi.Every(time.Second).WithID(""),
			`WithID("a/b")`:          daffi.Every(time.Second).WithID("a/b"),
			"has no tick":            daffi.Every(time.Hour).Until(future.Add(-time.Minute)),
			"an id has 1 to 64":      daffi.Every(time.Second).WithID(strings.Repeat("x", 65)),
			"Overlap(255): there is": daffi.Every(time.Second).Overlap(255).Limit(-1),
		} {
			_, err := k.calls.Note("x").Schedule(t.Context(), p)
			require.Contains(t, requireError(t, err, daffi.InvalidArgument, "", daffi.NotRun).Message, want)
		}
		for _, p := range []daffi.Plan{
			daffi.Every(10 * time.Millisecond), daffi.At(instants(1000)...), daffi.Once(0), daffi.Cron("0 3 * * *"), daffi.Cron("*/5 0 3 * * *").In(time.UTC),
			daffi.Every(time.Second).WithID(strings.Repeat("x", 64)),
		} {
			task, err := k.calls.Note("x").Schedule(t.Context(), p)
			require.NoError(t, err, "%v", p)
			_, err = task.Cancel(t.Context())
			require.NoError(t, err)
		}
		shape := daffi.ReasonShape
		_, err := k.calls.Sum(0, func(func(int, error) bool) {}).Schedule(t.Context(), daffi.Every(time.Second))
		requireError(t, err, daffi.InvalidArgument, shape, daffi.NotRun)
		for _, o := range []daffi.CallOption{daffi.After(time.Second), daffi.To("a", "b")} {
			_, err = k.calls.Note("x").With(o).Schedule(t.Context(), daffi.Every(time.Second))
			requireError(t, err, daffi.InvalidArgument, shape, daffi.NotRun)
		}
	})
}

// TestD44ScheduleByName: without generated code.
func TestD44ScheduleByName(t *testing.T) {
	scheduled(t, func(t *testing.T, k *station) {
		_, err := daffi.Prepare(k.owner, "Kit.Note", "by name").Schedule(t.Context(), daffi.Once(time.Second))
		require.NoError(t, err)
		pass(time.Second)
		require.Equal(t, "by name", k.all()[0].line)
	})
}

// TestD44ScheduleChoosesProviders by labels and keys, run after run.
func TestD44ScheduleChoosesProviders(t *testing.T) {
	scheduled(t, func(t *testing.T, k *station) {
		red := k.net.NodeWith(daffi.Options{Name: "red", Labels: map[string]string{"colour": "red"}})
		there := &timetable{start: time.Now()}
		_, err := testkit.RegisterKit(red, there)
		require.NoError(t, err)
		_, err = k.calls.Note("labelled").With(daffi.Where("colour", "red")).Schedule(t.Context(), daffi.Every(time.Second).Limit(20))
		require.NoError(t, err)
		pass(30 * time.Second)
		require.Len(t, there.times(), 20)
		require.Empty(t, k.times())
		_, err = k.calls.Note("keyed").With(daffi.HashKey("bob")).Schedule(t.Context(), daffi.Every(time.Second).Limit(20))
		require.NoError(t, err)
		pass(30 * time.Second)
		require.Equal(t, 40, len(there.times())+len(k.times()))
		require.True(t, len(there.times()) == 20 || len(k.times()) == 0, "always the same one")
	})
}

// TestLIM28Arguments: at most 48 KiB, with metadata.
func TestLIM28Arguments(t *testing.T) {
	scheduled(t, func(t *testing.T, k *station) {
		const frame = 4 // of the arguments' encoding
		p := daffi.Every(time.Hour)
		_, err := k.calls.Echo(make([]byte, 48<<10-frame)).Schedule(t.Context(), p)
		require.NoError(t, err)
		_, err = k.calls.Echo(make([]byte, 48<<10-frame+1)).Schedule(t.Context(), p)
		requireError(t, err, daffi.ResourceExhausted, daffi.ReasonTooLarge, daffi.NotRun)
		for n, want := range map[int]daffi.Code{61: 0, 62: daffi.InvalidArgument} {
			md := map[string]string{}
			for i := range n {
				md[fmt.Sprint(i)] = "x"
			}
			_, err = k.calls.Total().Schedule(daffi.WithMetadata(t.Context(), md), p)
			require.Equal(t, want, daffi.CodeOf(err), "%d keys: %v", n, err)
			if want == 0 {
				require.NoError(t, err)
			}
		}
	})
}

func TestLIM19Schedules(t *testing.T) {
	scheduledAt(t, controller.Options{MaxSchedules: 3}, func(t *testing.T, k *station) {
		first := k.note(daffi.Every(time.Hour))
		k.note(daffi.Every(time.Hour))
		k.note(daffi.Every(time.Hour))
		_, err := k.calls.Note("x").Schedule(t.Context(), daffi.Every(time.Hour))
		requireError(t, err, daffi.ResourceExhausted, daffi.ReasonLimit, daffi.NotRun)
		_, err = first.Cancel(t.Context())
		require.NoError(t, err)
		k.note(daffi.Every(time.Hour))
	})
}

// TestLIM19DefaultIsAThousand makes as many as one node may have, over several pages.
func TestLIM19DefaultIsAThousand(t *testing.T) {
	scheduled(t, func(t *testing.T, k *station) {
		for i := range 1000 {
			k.note(daffi.Every(time.Hour).WithID(fmt.Sprintf("id-%04d", i)))
		}
		_, err := k.calls.Note("x").Schedule(t.Context(), daffi.Every(time.Hour))
		requireError(t, err, daffi.ResourceExhausted, daffi.ReasonLimit, daffi.NotRun)
		list, err := k.owner.Tasks(t.Context(), daffi.TaskFilter{})
		require.NoError(t, err)
		require.Len(t, list, 1000)
		for i, info := range list {
			require.Equal(t, fmt.Sprintf("id-%04d", i), info.ID)
		}
		pass(time.Hour)
		require.Len(t, k.times(), 1000)
	})
}

func TestD47EventsTellHowRunsEnd(t *testing.T) {
	scheduled(t, func(t *testing.T, k *station) {
		task, err := k.calls.Fail("coded").Schedule(t.Context(), daffi.Every(time.Second).Limit(3))
		require.NoError(t, err)
		var runs []daffi.TaskRun
		for r, err := range task.Events(t.Context()) {
			require.NoError(t, err)
			runs = append(runs, r)
		}
		require.Len(t, runs, 3, "they end with the task")
		for i, r := range runs {
			require.Equal(t, i+1, r.Tick)
			require.True(t, k.start.Add(time.Duration(i+1)*time.Second).Equal(r.Due))
			require.True(t, r.Due.Equal(r.Start))
			require.Zero(t, r.Duration)
			require.Equal(t, "server", r.Node)
			e := requireError(t, r.Err, daffi.NotFound, "no_such_item", daffi.Ran)
			require.Equal(t, "no item 7", e.Message)
			require.Equal(t, "Kit.Fail", e.Method)
		}
		history, err := task.History(t.Context())
		require.NoError(t, err)
		slices.Reverse(history)
		require.Equal(t, runs, history)
	})
}

// TestD47EventsAreBounded: whoever is slow is told how much it has missed.
func TestD47EventsAreBounded(t *testing.T) {
	scheduled(t, func(t *testing.T, k *station) {
		task := k.note(daffi.Every(10 * time.Millisecond))
		n := 0
		for r, err := range task.Events(t.Context()) {
			require.NoError(t, err)
			switch n++; n {
			case 1:
				require.Equal(t, 1, r.Tick)
				time.Sleep(2005 * time.Millisecond)
			case 2:
				require.Equal(t, 102, r.Tick, "the last hundred of 201")
				require.Equal(t, 100, r.Lost)
			case 3:
				require.Equal(t, 103, r.Tick)
				require.Zero(t, r.Lost)
			}
			if n == 101 {
				require.Equal(t, 201, r.Tick)
				break
			}
		}
		history, err := task.History(t.Context())
		require.NoError(t, err)
		require.Len(t, history, 100)
	})
}

// TestD47EventsEndWithTheirContext and leave nothing at the controller.
func TestD47EventsEndWithTheirContext(t *testing.T) {
	scheduled(t, func(t *testing.T, k *station) {
		task := k.note(daffi.Every(time.Hour))
		for range 1000 { // more than a node may wait for at a time
			ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
			n := 0
			for _, err := range task.Events(ctx) {
				requireError(t, err, daffi.DeadlineExceeded, "", daffi.NotRun)
				n++
			}
			require.Equal(t, 1, n)
			cancel()
		}
	})
}

func TestD48SurvivesItsOwner(t *testing.T) {
	scheduled(t, func(t *testing.T, k *station) {
		task := k.note(daffi.Every(time.Second))
		require.NoError(t, k.owner.Close())
		pass(2500 * time.Millisecond)
		require.Len(t, k.times(), 2)
		again := k.net.Node("owner") // whoever has the name has the task
		done, err := again.CancelTask(t.Context(), task.ID())
		require.NoError(t, err)
		require.True(t, done)
		pass(5 * time.Second)
		require.Len(t, k.times(), 2)
	})
}

func TestD48CancelLetsRunsEnd(t *testing.T) {
	scheduled(t, func(t *testing.T, k *station) {
		task, err := k.calls.Add(500).Schedule(t.Context(), daffi.Every(time.Second))
		require.NoError(t, err)
		pass(1200 * time.Millisecond)
		done, err := task.Cancel(t.Context())
		require.NoError(t, err)
		require.True(t, done)
		pass(10 * time.Second)
		require.Len(t, k.times(), 1)
		require.Empty(t, k.ended, "its context did not end")
		history, err := task.History(t.Context())
		require.NoError(t, err)
		require.Len(t, history, 1)
		require.NoError(t, history[0].Err)
		require.Equal(t, 500*time.Millisecond, history[0].Duration)
	})
}

func TestD48WhileConnected(t *testing.T) {
	scheduled(t, func(t *testing.T, k *station) {
		k.note(daffi.Every(time.Second).WhileConnected())
		pass(2500 * time.Millisecond)
		require.Len(t, k.times(), 2)
		require.NoError(t, k.owner.Close())
		pass(10 * time.Second)
		require.Len(t, k.times(), 2)
		list, err := k.server.Tasks(t.Context(), daffi.TaskFilter{All: true})
		require.NoError(t, err)
		require.Empty(t, list)
	})
}

func TestD22CancelOutcomes(t *testing.T) {
	scheduled(t, func(t *testing.T, k *station) {
		task := k.note(daffi.Every(time.Second))
		done, err := k.owner.CancelTask(t.Context(), task.ID())
		require.NoError(t, err)
		require.True(t, done, "ended now")
		done, err = k.owner.CancelTask(t.Context(), task.ID())
		require.NoError(t, err)
		require.False(t, done, "over already")
		done, err = k.owner.CancelTask(t.Context(), "nonsense")
		require.ErrorIs(t, err, daffi.ErrNoTask)
		require.False(t, done, "not known")
		over := k.note(daffi.Once(0))
		pass(0)
		done, err = over.Cancel(t.Context())
		require.NoError(t, err)
		require.False(t, done, "has run as often as it should")
	})
}

// TestD22RemembersAThousand that are over, and no more.
func TestD22RemembersAThousand(t *testing.T) {
	scheduled(t, func(t *testing.T, k *station) {
		var tasks []*daffi.Task
		for range 1001 {
			task := k.note(daffi.Every(time.Hour))
			tasks = append(tasks, task)
			_, err := task.Cancel(t.Context())
			require.NoError(t, err)
		}
		_, err := tasks[0].Cancel(t.Context())
		require.ErrorIs(t, err, daffi.ErrNoTask)
		done, err := tasks[1].Cancel(t.Context())
		require.NoError(t, err)
		require.False(t, done)
	})
}

func TestD22OthersMayNot(t *testing.T) {
	scheduled(t, func(t *testing.T, k *station) {
		task := k.note(daffi.Every(time.Second))
		other := k.server.Task(task.ID())
		for name, do := range map[string]func() error{
			"Cancel":        func() error { _, err := other.Cancel(t.Context()); return err },
			"CancelRunning": func() error { _, err := other.CancelRunning(t.Context()); return err },
			"Pause":         func() error { return other.Pause(t.Context()) },
			"Resume":        func() error { return other.Resume(t.Context()) },
			"RunNow":        func() error { return other.RunNow(t.Context()) },
			"Info":          func() error { _, err := other.Info(t.Context()); return err },
			"History":       func() error { _, err := other.History(t.Context()); return err },
			"Events": func() (err error) {
				for _, err = range other.Events(t.Context()) {
				}
				return err
			},
		} {
			requireError(t, do(), daffi.PermissionDenied, "", daffi.NotRun)
			_ = name
		}
		pass(time.Second)
		require.Len(t, k.times(), 1, "and nothing has come of it")
	})
}

func TestD21Tasks(t *testing.T) {
	scheduled(t, func(t *testing.T, k *station) {
		start := time.Now()
		k.note(daffi.Every(time.Minute).WithID("b"))
		_, err := k.calls.Add(3).With(daffi.To("server")).Schedule(t.Context(), daffi.Once(time.Hour).WithID("a"))
		require.NoError(t, err)
		_, err = testkit.NewKit(k.server).Prepare().Total().Schedule(t.Context(), daffi.Every(time.Minute).WithID("a"))
		require.NoError(t, err)
		pass(time.Minute)
		at := func(d time.Duration) time.Time { return time.Unix(0, start.Add(d).UnixNano()) }
		a := daffi.TaskInfo{ID: "a", Method: "Kit.Add", Owner: "owner", To: "server", Plan: "once after 1h0m0s", Next: at(time.Hour)}
		b := daffi.TaskInfo{ID: "b", Method: "Kit.Note", Owner: "owner", Plan: "every 1m0s", Next: at(2 * time.Minute), Runs: 1,
			Last: &daffi.TaskRun{Tick: 1, Due: at(time.Minute), Start: at(time.Minute), Node: "server"}}
		list := func(f daffi.TaskFilter) []daffi.TaskInfo {
			list, err := k.owner.Tasks(t.Context(), f)
			require.NoError(t, err)
			return list
		}
		require.Equal(t, []daffi.TaskInfo{a, b}, list(daffi.TaskFilter{}))
		require.Equal(t, []daffi.TaskInfo{a}, list(daffi.TaskFilter{Method: "Kit.Add"}))
		require.Len(t, list(daffi.TaskFilter{Owner: "server"}), 1)
		require.Len(t, list(daffi.TaskFilter{All: true}), 3)
		_, err = k.owner.CancelTask(t.Context(), "a")
		require.NoError(t, err)
		require.Equal(t, []daffi.TaskInfo{b}, list(daffi.TaskFilter{}))
		a.Over, a.Next = true, time.Time{}
		require.Equal(t, []daffi.TaskInfo{a, b}, list(daffi.TaskFilter{Over: true}))
	})
}

// TestT6IDMakesScheduleIdempotent: the same again is the same task, and nothing runs twice.
func TestT6IDMakesScheduleIdempotent(t *testing.T) {
	scheduled(t, func(t *testing.T, k *station) {
		p := daffi.Once(time.Second).WithID("order-17")
		first := k.note(p)
		require.Equal(t, "order-17", first.ID())
		pass(100 * time.Millisecond)
		require.Equal(t, first, k.note(p))
		_, err := k.calls.Note("other").Schedule(t.Context(), p)
		requireError(t, err, daffi.AlreadyExists, "", daffi.NotRun)
		_, err = k.calls.Note("tick").Schedule(t.Context(), daffi.Once(2*time.Second).WithID("order-17"))
		requireError(t, err, daffi.AlreadyExists, "", daffi.NotRun)
		pass(time.Second)
		require.Equal(t, first, k.note(p), "it has run")
		pass(10 * time.Second)
		require.Len(t, k.times(), 1)
		info, err := first.Info(t.Context())
		require.NoError(t, err)
		require.True(t, info.Over)

		k.note(daffi.Every(time.Second).WithID("cleanup"))
		_, err = k.owner.CancelTask(t.Context(), "cleanup")
		require.NoError(t, err)
		again := k.note(daffi.Every(time.Second).WithID("cleanup"))
		pass(time.Second)
		require.Len(t, k.times(), 2, "one that was cancelled may be made anew")
		done, err := again.Cancel(t.Context())
		require.NoError(t, err)
		require.True(t, done)
	})
}

func TestT6RunsGoWhereProvidersAre(t *testing.T) {
	scheduled(t, func(t *testing.T, k *station) {
		anywhere := k.note(daffi.Every(time.Second))
		named, err := k.calls.Note("named").With(daffi.To("server")).Schedule(t.Context(), daffi.Every(time.Second))
		require.NoError(t, err)
		require.Equal(t, "server", named.Node())
		pass(time.Second)
		require.Len(t, k.times(), 2)
		require.NoError(t, k.server.Close())
		second, other := k.serve("second")
		pass(time.Second)
		require.Len(t, other.times(), 1, "the next tick is at another provider, unless one was named")
		last := func(task *daffi.Task) *daffi.TaskRun {
			info, err := task.Info(t.Context())
			require.NoError(t, err)
			return info.Last
		}
		require.Equal(t, "second", last(anywhere).Node)
		requireError(t, last(named).Err, daffi.Unavailable, daffi.ReasonNoProvider, daffi.NotRun)
		require.NoError(t, second.Close())
		pass(time.Second)
		requireError(t, last(anywhere).Err, daffi.Unavailable, daffi.ReasonNoProvider, daffi.NotRun)
		info, err := anywhere.Info(t.Context())
		require.NoError(t, err)
		require.Equal(t, 2, info.Runs, "what has not run is no run")
	})
}

// TestT6CancelRace cancels at every moment around a tick: what has begun ends, and nothing begins after.
func TestT6CancelRace(t *testing.T) {
	for i := range 50 {
		scheduled(t, func(t *testing.T, k *station) {
			task := k.note(daffi.Every(10 * time.Millisecond).Immediately())
			if i%2 == 0 {
				time.Sleep(time.Duration(i) * time.Millisecond)
			}
			done, err := task.Cancel(t.Context())
			require.NoError(t, err)
			require.True(t, done)
			synctest.Wait()
			n := len(k.times())
			pass(time.Second)
			require.Len(t, k.times(), n)
		})
	}
}

func TestSEM12Pause(t *testing.T) {
	for policy, want := range map[daffi.Misfire][]time.Duration{
		daffi.RunMissedOnce: milliseconds(10_000, 35_000, 40_000),
		daffi.SkipMissed:    milliseconds(10_000, 40_000),
	} {
		t.Run(fmt.Sprint(policy), func(t *testing.T) {
			scheduled(t, func(t *testing.T, k *station) {
				task := k.note(daffi.Every(10 * time.Second).Misfire(policy))
				pass(15 * time.Second)
				require.NoError(t, task.Pause(t.Context()))
				pass(20 * time.Second)
				require.NoError(t, task.Resume(t.Context()))
				pass(6 * time.Second)
				require.Equal(t, want, k.times())
				info, err := task.Info(t.Context())
				require.NoError(t, err)
				require.False(t, info.Paused)
				history, err := task.History(t.Context())
				require.NoError(t, err)
				missed := 0
				for _, r := range history {
					missed += r.Missed
				}
				require.Equal(t, info.Missed, missed, "the runs tell of all of them")
				require.Equal(t, map[daffi.Misfire]int{daffi.RunMissedOnce: 1, daffi.SkipMissed: 2}[policy], missed)
			})
		})
	}
}

func TestSEM12RunNow(t *testing.T) {
	scheduled(t, func(t *testing.T, k *station) {
		task, err := k.calls.Add(500).Schedule(t.Context(), daffi.Every(time.Minute))
		require.NoError(t, err)
		require.NoError(t, task.Pause(t.Context()))
		require.NoError(t, task.RunNow(t.Context()))
		requireError(t, task.RunNow(t.Context()), daffi.ResourceExhausted, daffi.ReasonBusy, daffi.NotRun)
		pass(time.Second)
		require.Equal(t, milliseconds(0), k.times())
		history, err := task.History(t.Context())
		require.NoError(t, err)
		require.True(t, history[0].Forced)
		_, err = task.Cancel(t.Context())
		require.NoError(t, err)
		require.Error(t, task.RunNow(t.Context()))
	})
}

func TestSEM12LimitAndUntil(t *testing.T) {
	scheduled(t, func(t *testing.T, k *station) {
		k.note(daffi.Every(time.Second).Until(time.Now().Add(2500 * time.Millisecond)))
		pass(time.Minute)
		require.Equal(t, milliseconds(1000, 2000), k.times())
		_, err := k.calls.Note("x").With(daffi.To("nobody")).Schedule(t.Context(), daffi.Every(time.Second).Limit(1).WithID("limited"))
		require.NoError(t, err)
		pass(5500 * time.Millisecond)
		info, err := k.owner.Task("limited").Info(t.Context())
		require.NoError(t, err)
		require.False(t, info.Over, "what no handler has seen does not count")
		k.net.Node("nobody")
	})
}

func TestSEM12Jitter(t *testing.T) {
	scheduled(t, func(t *testing.T, k *station) {
		k.note(daffi.Every(time.Second).Jitter(10 * time.Second))
		pass(200 * time.Second)
		n, moved := 0, 0
		for _, r := range k.all() {
			n++
			due := r.Due.Sub(k.start)
			require.Equal(t, time.Duration(n)*time.Second, due)
			require.GreaterOrEqual(t, r.at, due)
			require.Less(t, r.at, due+time.Second, "never as far as the next tick")
			if r.at > due+500*time.Millisecond {
				moved++
			}
		}
		require.InDelta(t, 200, n, 1)
		require.InDelta(t, 100, moved, 60)
	})
}

func TestSEM12Timeout(t *testing.T) {
	scheduled(t, func(t *testing.T, k *station) {
		task, err := k.calls.Add(60_000).Schedule(t.Context(), daffi.Every(time.Second).Timeout(2500*time.Millisecond).Limit(1))
		require.NoError(t, err)
		pass(10 * time.Second)
		history, err := task.History(t.Context())
		require.NoError(t, err)
		require.Len(t, history, 1)
		require.Equal(t, 2500*time.Millisecond, history[0].Duration)
		require.Equal(t, daffi.DeadlineExceeded, daffi.CodeOf(history[0].Err))
		require.Equal(t, []error{context.DeadlineExceeded}, k.ended)
		_, err = k.calls.Quick().Schedule(t.Context(), daffi.Once(0).WithID("quick"))
		require.NoError(t, err)
	})
}

// TestSEM12ProviderLost: the run may have run, and is not repeated.
func TestSEM12ProviderLost(t *testing.T) {
	scheduled(t, func(t *testing.T, k *station) {
		task, err := k.calls.Add(60_000).Schedule(t.Context(), daffi.Once(time.Second))
		require.NoError(t, err)
		pass(2 * time.Second)
		_, other := k.serve("other")
		require.NoError(t, k.server.Close())
		pass(time.Second)
		history, err := task.History(t.Context())
		require.NoError(t, err)
		require.Len(t, history, 1)
		require.Error(t, history[0].Err)
		require.NotEqual(t, daffi.NotRun, daffi.OutcomeOf(history[0].Err))
		pass(time.Minute)
		require.Empty(t, other.times())
	})
}

// TestSEM12LargeResults are dropped on their way.
func TestSEM12LargeResults(t *testing.T) {
	scheduled(t, func(t *testing.T, k *station) {
		task, err := k.calls.Echo(make([]byte, 40<<10)).Schedule(t.Context(), daffi.Every(time.Second).Limit(2))
		require.NoError(t, err)
		pass(5 * time.Second)
		history, err := task.History(t.Context())
		require.NoError(t, err)
		require.Len(t, history, 2)
		require.NoError(t, errors.Join(history[0].Err, history[1].Err))
	})
}

func TestSEM12CronInBerlin(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	require.NoError(t, err)
	quiet := controller.Options{PingInterval: 8 * time.Hour, DeadInterval: 24 * time.Hour}
	scheduledAt(t, quiet, func(t *testing.T, k *station) { // fake time begins with 2000-01-01 00:00 UTC
		k.note(daffi.Cron("30 2 * * *").In(berlin).Until(time.Date(2000, 4, 10, 0, 0, 0, 0, berlin)))
		pass(102 * 24 * time.Hour)
		days := map[string]int{}
		for _, at := range k.times() {
			local := k.start.Add(at).In(berlin)
			days[local.Format(time.DateOnly)]++
			want := "02:30"
			if local.Format(time.DateOnly) == "2000-03-26" { // clocks went from 2 to 3
				want = "03:30"
			}
			require.Equal(t, want, local.Format("15:04"), "%v", local)
		}
		require.Len(t, days, 100)
		for day, n := range days {
			require.Equal(t, 1, n, day)
		}
	})
}

// TestSEM12RunNowCountsForTheLimit: it is the last run that the plan allows, also while it goes on.
func TestSEM12RunNowCountsForTheLimit(t *testing.T) {
	for name, overlap := range map[string]daffi.Overlap{"skip": daffi.SkipOverlap, "queue": daffi.QueueOverlap, "allow": daffi.AllowOverlap} {
		t.Run(name, func(t *testing.T) {
			scheduled(t, func(t *testing.T, k *station) {
				task, err := k.calls.Add(1000).Schedule(t.Context(), daffi.Every(time.Second).Limit(1).Overlap(overlap))
				require.NoError(t, err)
				pass(500 * time.Millisecond)
				require.NoError(t, task.RunNow(t.Context()))
				pass(5 * time.Second)
				require.Equal(t, milliseconds(500), k.times())
				info, err := task.Info(t.Context())
				require.NoError(t, err)
				require.True(t, info.Over)
			})
		})
	}
}
