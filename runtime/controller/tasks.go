package controller

import (
	"errors"
	"fmt"
	"time"

	"github.com/daffi-rpc/daffi/runtime/codec"
	"github.com/daffi-rpc/daffi/runtime/internal/control"
	"github.com/daffi-rpc/daffi/runtime/transport"
)

// ErrNoTask is the error of a schedule that is not known, or was forgotten.
var ErrNoTask = errors.New("no such schedule")

// A Task is a schedule as the controller's operator sees it, of whatever node.
type Task struct {
	Owner, ID string
	Method    string // "Service.Method"
	To        string // the node that gets every run; empty if each finds its own
	Plan      string // for people
	Next      time.Time
	Runs      int // that were begun, without those for which no handler was reached
	Missed    int // ticks that had no run of their own
	Skipped   int // ticks that were skipped because a run went on
	Running   int
	Paused    bool
	Durable   bool // it survives the controller
	LastError string
}

// Tasks lists the schedules of all nodes that are not over, sorted by owner and id.
func (c *Controller) Tasks() []Task {
	var list []Task
	m := control.Tasks{}
	for {
		page := c.schedules.list(nil, &m)
		for i := range page.Tasks {
			list = append(list, taskOf(&page.Tasks[i]))
		}
		if !page.More {
			return list
		}
		last := page.Tasks[len(page.Tasks)-1]
		m.After = control.TaskKey{Owner: last.Owner, ID: last.ID}
	}
}

func taskOf(t *control.Task) Task {
	task := Task{Owner: t.Owner, ID: t.ID, Method: t.Method, To: t.To, Plan: t.Plan, Runs: int(t.Runs), Missed: int(t.Missed), Skipped: int(t.Skipped), Running: int(t.Running),
		Paused: t.Paused, Durable: t.Durable}
	if t.Next != 0 {
		task.Next = time.Unix(0, t.Next)
	}
	for _, r := range t.Last {
		for _, f := range r.Failed {
			task.LastError = f.Message
		}
	}
	return task
}

// CancelTask ends a schedule of any node, as its owner can: runs that have begun go on. It reports false if it was over before. Errors match [ErrNoTask], or say that the
// store has failed.
func (c *Controller) CancelTask(owner, id string) (bool, error) {
	return c.schedules.operate(owner, id, control.TaskCancel)
}

// PauseTask lets no tick of a schedule begin a run until ResumeTask.
func (c *Controller) PauseTask(owner, id string) error {
	_, err := c.schedules.operate(owner, id, control.TaskPause)
	return err
}

// ResumeTask ends PauseTask, or the pause that the owner has made.
func (c *Controller) ResumeTask(owner, id string) error {
	_, err := c.schedules.operate(owner, id, control.TaskResume)
	return err
}

// RunTask begins one run outside the plan. It fails while a run goes on, unless the plan allows runs beside each other.
func (c *Controller) RunTask(owner, id string) error {
	_, err := c.schedules.operate(owner, id, control.TaskRun)
	return err
}

// operator stands for the session of whoever asks, if that is no node: its answer goes to a channel.
type operator struct {
	taskLink
	answer chan *control.Failure
}

func (o *operator) Enqueue(f transport.Frame) error {
	var d codec.Decoder
	d.Reset(f.Payload)
	var why *control.Failure
	if control.ReadOp(&d) == control.OpFailed {
		why = new(control.Failure)
		if err := why.Read(&d); err != nil {
			why.Message = err.Error()
		}
	}
	o.answer <- why
	return nil
}

// operate does something with a schedule for the controller's operator, and returns when it is stored.
func (q *scheduler) operate(owner, id string, action control.TaskAction) (done bool, err error) {
	link := &operator{answer: make(chan *control.Failure, 1)}
	s := &session{c: q.c, link: link}
	q.mu.Lock()
	t := q.find(control.TaskKey{Owner: owner, ID: id})
	if t == nil {
		q.unlock()
		return false, fmt.Errorf("schedule %q of node %q: %w", id, owner, ErrNoTask)
	}
	done, why := q.act(t, action)
	if why == nil && q.start() {
		why = q.reply(0, answer{s: s, message: &control.TaskState{Done: done}, stored: q.keeps(t), undone: action == control.TaskRun})
	} else if why == nil {
		why = &control.Failure{Message: "the controller is closed"}
	}
	q.unlock()
	if why == nil {
		select {
		case why = <-link.answer:
		case <-q.stop:
			why = &control.Failure{Message: "the controller was closed meanwhile"}
		}
	}
	if why != nil {
		return false, fmt.Errorf("schedule %q of node %q: %s", id, owner, why.Message)
	}
	return done, nil
}
