package daffi

import (
	"context"
	"iter"
	"math"
	"time"

	"github.com/daffi-rpc/daffi/runtime/internal/control"
)

// ErrNoTask is the error of a schedule that the controller does not know, or has forgotten: of those that are over it remembers 1 000.
var ErrNoTask error = &Error{Code: NotFound, Reason: ReasonNoTask, Outcome: NotRun, Message: "no such schedule"}

// A Task is a schedule at the controller. Only the node that has made it, by its name, may use it; for others its methods fail with PermissionDenied. They may be called from any goroutine, and wait for the
// controller until ctx ends.
type Task struct {
	node       *Node
	key        control.TaskKey
	method, to string
}

// TaskInfo is what is known of a schedule.
type TaskInfo struct {
	ID      string
	Method  string // "Service.Method"
	Owner   string // the node that has made it
	To      string // the node that gets every run; empty if each finds its own
	Plan    string // for people
	Next    time.Time
	Runs    int // that were begun, without those for which no handler was reached
	Missed  int // ticks that had no run of their own because the schedule was paused or the controller away
	Skipped int // ticks that were skipped because a run went on
	Running int
	Paused  bool
	Durable bool // it survives the controller
	Over    bool
	Last    *TaskRun // that has ended; nil if none has
}

// TaskRun is one run that has ended.
type TaskRun struct {
	Tick     int       // 1 for the first
	Due      time.Time // when the plan wanted it
	Start    time.Time
	Duration time.Duration
	Node     string // that was called, empty if there was none
	Err      error  // nil if it went well; its Outcome says whether a handler ran
	Missed   int    // ticks since the run before that had none of their own
	Lost     int    // runs before this one that the controller has forgotten and Events has not seen
	Forced   bool   // by RunNow
}

// TaskFilter says which schedules [Node.Tasks] lists. The zero one is for those of the node itself that are not over.
type TaskFilter struct {
	Method string // "Service.Method"; empty for all
	Owner  string // name of the node that has made it; empty for this one
	All    bool   // those of all nodes, whatever Owner says
	Over   bool   // those that are over as well, as far as the controller remembers them
}

// ID names the task among those of its owner.
func (t *Task) ID() string { return t.key.ID }

// Method is "Service.Method". It is empty in a task of [Node.Task].
func (t *Task) Method() string { return t.method }

// Node is the name of the node that gets every run, empty if each finds its own, and in a task of [Node.Task].
func (t *Task) Node() string { return t.to }

// Task is the node's own task of that id. Nothing is asked: its methods say whether there is one.
func (n *Node) Task(id string) *Task {
	return &Task{node: n, key: control.TaskKey{Owner: n.opts.Name, ID: id}}
}

// control does something with the task.
func (t *Task) control(ctx context.Context, action control.TaskAction) (*control.TaskState, error) {
	s, err := t.node.session(ctx)
	if err != nil {
		return nil, err
	}
	m := control.TaskControl{TaskKey: t.key, Action: action}
	var a control.TaskState
	if err := s.askTask(ctx, m.Append, &a, control.OpTaskState); err != nil {
		return nil, err
	}
	if a.Task.Over {
		t.node.leases.over(t.key.ID, s)
	}
	return &a, nil
}

// Cancel ends the task. It reports true if that ends it now: no run begins after Cancel has returned, and one that has begun goes on. False is for one that was over before, ErrNoTask for
// one that is not known.
func (t *Task) Cancel(ctx context.Context) (bool, error) { return t.cancel(ctx, control.TaskCancel) }

// CancelRunning is Cancel, and ends the contexts of running handlers as well.
func (t *Task) CancelRunning(ctx context.Context) (bool, error) {
	return t.cancel(ctx, control.TaskCancelAll)
}

func (t *Task) cancel(ctx context.Context, action control.TaskAction) (bool, error) {
	if making := t.node.leases.drop(t.key.ID); making != nil { // whatever comes of it, it must not come back
		select {
		case <-making:
		case <-ctx.Done():
		}
	}
	a, err := t.control(ctx, action)
	return err == nil && a.Done, err
}

// Pause lets no tick begin a run until Resume. What has begun goes on.
func (t *Task) Pause(ctx context.Context) error {
	_, err := t.control(ctx, control.TaskPause)
	return err
}

// Resume ends Pause. What becomes of the ticks that were missed is for the plan's Misfire to say.
func (t *Task) Resume(ctx context.Context) error {
	_, err := t.control(ctx, control.TaskResume)
	return err
}

// RunNow begins one run that does not belong to a tick of the plan, also while the task is paused. It fails with ResourceExhausted/busy while a run goes on, unless the plan says AllowOverlap. It does
// not wait for the run to end.
func (t *Task) RunNow(ctx context.Context) error {
	a, err := t.control(ctx, control.TaskRun)
	if err == nil && !a.Done {
		return &Error{Code: FailedPrecondition, Reason: ReasonNoTask, Outcome: NotRun, Method: a.Task.Method, Message: "the schedule is over"}
	}
	return err
}

// Info says how far the task is.
func (t *Task) Info(ctx context.Context) (TaskInfo, error) {
	a, err := t.control(ctx, control.TaskInfo)
	if err != nil {
		return TaskInfo{}, err
	}
	return taskInfo(&a.Task), nil
}

// Events are the runs that end from now on, in that order, until the task is over or ctx ends; that, or what else goes wrong, is the last pair's error. The controller keeps the last 100 runs for
// who is slow, and says how many were lost in TaskRun.Lost. A lost link is waited for.
func (t *Task) Events(ctx context.Context) iter.Seq2[TaskRun, error] {
	return func(yield func(TaskRun, error) bool) {
		q := control.AwaitRuns{TaskKey: t.key, After: math.MaxUint64, Now: true}
		for {
			a, err := t.await(ctx, &q)
			if err != nil {
				yield(TaskRun{}, err)
				return
			}
			for i := range a.Runs {
				r := taskRun(&a.Runs[i])
				if i == 0 {
					r.Lost = int(a.Lost)
				}
				if !yield(r, nil) {
					return
				}
			}
			if a.Over {
				return
			}
			q.After, q.Now = a.Last, false
		}
	}
}

// History is what the controller remembers of the runs that have ended, the last one first: up to 100, or 16 once the task is over.
func (t *Task) History(ctx context.Context) ([]TaskRun, error) {
	var runs []TaskRun
	for q := (control.AwaitRuns{TaskKey: t.key, Now: true}); ; {
		a, err := t.await(ctx, &q)
		if err != nil {
			return nil, err
		}
		for i := range a.Runs {
			runs = append([]TaskRun{taskRun(&a.Runs[i])}, runs...)
		}
		if len(a.Runs) == 0 || a.Over {
			return runs, nil
		}
		q.After = a.Last
	}
}

// await asks for runs, again after the link was lost.
func (t *Task) await(ctx context.Context, q *control.AwaitRuns) (*control.Runs, error) {
	for {
		s, err := t.node.session(ctx)
		if err != nil {
			return nil, err
		}
		a, err := s.awaitRuns(ctx, q)
		if err == nil && a.Over {
			t.node.leases.over(t.key.ID, s)
		}
		if e, ok := err.(*Error); ok && e.Reason == ReasonLinkLost && ctx.Err() == nil {
			<-s.ended
			continue
		}
		return a, err
	}
}

// awaitRuns is one question, which is taken back if nobody waits for its answer any more.
func (s *session) awaitRuns(ctx context.Context, m *control.AwaitRuns) (*control.Runs, error) {
	q, err := s.ask(m.Append, 1)
	if err != nil {
		return nil, err
	}
	op, d, err := q.answer(ctx)
	if err != nil {
		if ctx.Err() != nil {
			s.tell((&control.Forget{Number: q.id}).Append)
		}
		return nil, err
	}
	var a control.Runs
	if err := a.Read(d); err != nil || op != control.OpRuns {
		return nil, badAnswer("a question for runs", err)
	}
	return &a, nil
}

// Tasks lists schedules, sorted by owner and id. Those of others may be seen, not changed.
func (n *Node) Tasks(ctx context.Context, f TaskFilter) ([]TaskInfo, error) {
	s, err := n.session(ctx)
	if err != nil {
		return nil, err
	}
	q := control.Tasks{Owner: f.Owner, Method: f.Method, Over: f.Over}
	switch {
	case f.All:
		q.Owner = ""
	case f.Owner == "":
		q.Owner = n.opts.Name
	}
	var list []TaskInfo
	for {
		var a control.TaskList
		if err := s.askTask(ctx, q.Append, &a, control.OpTaskList); err != nil {
			return nil, err
		}
		for i := range a.Tasks {
			list = append(list, taskInfo(&a.Tasks[i]))
		}
		if !a.More || len(a.Tasks) == 0 {
			return list, nil
		}
		last := a.Tasks[len(a.Tasks)-1]
		q.After = control.TaskKey{Owner: last.Owner, ID: last.ID}
	}
}

// CancelTask is [Task.Cancel] for the node's own task of that id.
func (n *Node) CancelTask(ctx context.Context, id string) (bool, error) {
	return n.Task(id).Cancel(ctx)
}

func taskInfo(t *control.Task) TaskInfo {
	i := TaskInfo{ID: t.ID, Method: t.Method, Owner: t.Owner, To: t.To, Plan: t.Plan, Next: moment(t.Next), Runs: int(t.Runs), Missed: int(t.Missed), Skipped: int(t.Skipped),
		Running: int(t.Running), Paused: t.Paused, Durable: t.Durable, Over: t.Over}
	if len(t.Last) > 0 {
		r := taskRun(&t.Last[0])
		i.Last = &r
	}
	return i
}

func taskRun(r *control.Run) TaskRun {
	run := TaskRun{Tick: int(r.Tick), Due: moment(r.Due), Start: moment(r.Start), Duration: r.Duration, Node: r.Node, Missed: int(r.Missed), Forced: r.Forced}
	if len(r.Failed) > 0 {
		run.Err = errorOf(&r.Failed[0])
	}
	return run
}

// moment is a time of the wire, zero for none.
func moment(ns int64) time.Time {
	if ns == 0 {
		return time.Time{}
	}
	return time.Unix(0, ns)
}
