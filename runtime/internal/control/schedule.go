package control

import (
	"fmt"
	"strings"
	"time"

	"github.com/daffi-rpc/daffi/runtime/codec"
)

// Bounds of a schedule, which nodes and controller check (LIM-19, LIM-28).
const (
	MinInterval      = 10 * time.Millisecond
	MaxInterval      = 100 * 365 * 24 * time.Hour
	MaxInstants      = 1000
	MaxScheduleBytes = 48 << 10 // of arguments and metadata together
	MaxExpression    = 256      // bytes of a cron expression
	MaxTaskID        = 64
	MaxOverlap       = 16 // runs of one schedule at a time
)

// Timing is how a [Plan] tells when its ticks are.
type Timing uint8

// The timings.
const (
	Every Timing = 1 // fixed rate
	Delay Timing = 2 // the next interval begins when the run has ended
	At    Timing = 3
	Once  Timing = 4
	Cron  Timing = 5
)

// What becomes of a tick while a run goes on.
const (
	SkipOverlap  uint8 = 0
	QueueOverlap uint8 = 1 // one waits
	AllowOverlap uint8 = 2
)

// What becomes of ticks that could not be run when they were due.
const (
	RunMissedOnce uint8 = 0 // all together are one run
	SkipMissed    uint8 = 1
)

// Plan says when a schedule runs. Times are nanoseconds, instants those since 1970 in UTC; zero is none.
type Plan struct {
	Timing         Timing
	Interval       time.Duration // of Every, Delay and Once
	Instants       []int64       // of At, sorted
	Expression     string        // of Cron
	Zone           string        // of Cron
	Immediately    bool          // the first run at once
	Jitter         time.Duration
	Limit          uint64 // of runs
	Until          int64
	Overlap        uint8
	Misfire        uint8
	StopOnError    uint64 // after as many failed runs in a row
	Timeout        time.Duration
	WhileConnected bool // it ends with the session that made it
}

// String is the plan for people, cut where it is long.
func (p *Plan) String() string {
	var b strings.Builder
	switch p.Timing {
	case 0:
		return ""
	case Every:
		fmt.Fprintf(&b, "every %v", p.Interval)
	case Delay:
		fmt.Fprintf(&b, "%v after each run", p.Interval)
	case At:
		b.WriteString("at")
		for i, t := range p.Instants {
			if i == 2 && len(p.Instants) > 3 {
				fmt.Fprintf(&b, " and %d more", len(p.Instants)-i)
				break
			}
			b.WriteByte(' ')
			b.WriteString(instant(t))
		}
	case Once:
		fmt.Fprintf(&b, "once after %v", p.Interval)
	case Cron:
		fmt.Fprintf(&b, "cron %q", p.Expression)
		if p.Zone != "" {
			fmt.Fprintf(&b, " in %s", p.Zone)
		}
	default:
		fmt.Fprintf(&b, "timing %d", p.Timing)
	}
	for _, w := range []struct {
		is   bool
		text string
	}{
		{p.Immediately, "at first immediately"},
		{p.Jitter > 0, fmt.Sprintf("jitter %v", p.Jitter)},
		{p.Limit > 0, fmt.Sprintf("limit %d", p.Limit)},
		{p.Until != 0, "until " + instant(p.Until)},
		{p.Overlap == QueueOverlap, "queue overlap"},
		{p.Overlap == AllowOverlap, "allow overlap"},
		{p.Misfire == SkipMissed, "skip missed"},
		{p.StopOnError > 0, fmt.Sprintf("stop after %d errors", p.StopOnError)},
		{p.WhileConnected, "while connected"},
	} {
		if w.is {
			b.WriteString(", ")
			b.WriteString(w.text)
		}
	}
	return b.String()
}

func instant(t int64) string { return time.Unix(0, t).UTC().Format(time.RFC3339Nano) }

// Schedule asks the controller to make a call by itself, again and again. It is answered [Scheduled]. The id tells the schedules of one owner apart, so the same
// message twice makes one.
type Schedule struct {
	ID       string
	Route    uint32
	To       string // name of the node that gets every run; empty for any
	Keyed    bool   // Key decides the node
	Key      uint32
	Plan     Plan
	Metadata []byte // a MessagePack map as in a Request, without its length; empty for none
	Args     []byte // never compressed
}

// Scheduled answers [Schedule]. Over says that the schedule has been there before and has run as often as its plan says.
type Scheduled struct{ Over bool }

// Tasks asks for schedules: a page of them after a cursor.
type Tasks struct {
	Owner  string // empty for those of all
	Method string // "Service.Method"; empty for any
	Over   bool   // those that are over as well, as far as they are remembered
	After  TaskKey
}

// TaskKey names a schedule. Pages are sorted by it.
type TaskKey struct{ Owner, ID string }

// TaskList answers [Tasks].
type TaskList struct {
	Tasks []Task
	More  bool // after the last of these there are others
}

// Task is what is known of a schedule.
type Task struct {
	Owner, ID string
	Method    string // "Service.Method"
	To        string
	Plan      string // for people
	Next      int64  // the next tick; 0 if there is none
	Runs      uint64 // that were begun
	Missed    uint64 // ticks without a run of their own
	Skipped   uint64 // because another run went on
	Running   uint64
	Paused    bool
	Durable   bool
	Over      bool
	Last      []Run // the last that has ended, if one has
}

// Size is about how many bytes t takes.
func (t *Task) Size() int {
	n := 128 + len(t.Owner) + len(t.ID) + len(t.Method) + len(t.To) + len(t.Plan)
	for _, r := range t.Last {
		n += 64 + len(r.Node)
		for _, f := range r.Failed {
			n += 32 + len(f.Reason) + len(f.Message) + len(f.Node) + len(f.Method)
		}
	}
	return n
}

// Run is one run of a schedule that has ended.
type Run struct {
	Tick     uint64 // from 1
	Due      int64
	Start    int64
	Duration time.Duration
	Node     string    // that was called
	Failed   []Failure // nothing if it went well, else one
	Missed   uint64    // ticks since the run before that have none of their own
	Forced   bool      // it was asked for, and belongs to no tick of the plan
}

// TaskAction is what [TaskControl] does.
type TaskAction uint8

// The actions.
const (
	TaskInfo      TaskAction = 0
	TaskCancel    TaskAction = 1
	TaskCancelAll TaskAction = 2 // with its running runs
	TaskPause     TaskAction = 3
	TaskResume    TaskAction = 4
	TaskRun       TaskAction = 5 // once more, now
)

// TaskControl does something with a schedule. It is answered [TaskState] or Failed.
type TaskControl struct {
	TaskKey
	Action TaskAction
}

// TaskState answers [TaskControl]. Done is false if the schedule was over before.
type TaskState struct {
	Done bool
	Task Task
}

// AwaitRuns asks for the runs of a schedule that have ended, those after a number. It is answered [Runs] when there is one, or the schedule is over;
// [Forget] takes it back.
type AwaitRuns struct {
	TaskKey
	After uint64 // runs that have ended before; the largest number stands for those that have ended so far
	Now   bool   // the answer does not wait
}

// Runs answers [AwaitRuns].
type Runs struct {
	Runs []Run
	Last uint64 // how many have ended with the last of these
	Lost uint64 // how many after the one that was named, and before these, are forgotten
	Over bool   // others will not follow
}

func (m *Schedule) Append(e *codec.Encoder) {
	head(e, 8, OpSchedule)
	e.String(m.ID)
	e.Uint32(m.Route)
	e.String(m.To)
	e.Bool(m.Keyed)
	e.Uint32(m.Key)
	m.Plan.AppendTo(e)
	e.Blob(m.Metadata)
	e.Blob(m.Args)
}

func (m *Schedule) Read(d *codec.Decoder) error {
	m.ID = next(d, codec.ReadString)
	m.Route = next(d, codec.ReadUint32)
	m.To = next(d, codec.ReadString)
	m.Keyed = next(d, codec.ReadBool)
	m.Key = next(d, codec.ReadUint32)
	m.Plan = next(d, ReadPlan)
	m.Metadata = next(d, codec.ReadBlob)
	m.Args = next(d, codec.ReadBlob)
	return d.Close()
}

// AppendTo appends the plan as an array.
func (p *Plan) AppendTo(e *codec.Encoder) {
	e.Array(14)
	e.Uint8(uint8(p.Timing))
	e.Duration(p.Interval)
	codec.WriteSlice(e, p.Instants, codec.WriteInt64)
	e.String(p.Expression)
	e.String(p.Zone)
	e.Bool(p.Immediately)
	e.Duration(p.Jitter)
	e.Uint64(p.Limit)
	e.Int64(p.Until)
	e.Uint8(p.Overlap)
	e.Uint8(p.Misfire)
	e.Uint64(p.StopOnError)
	e.Duration(p.Timeout)
	e.Bool(p.WhileConnected)
}

// ReadPlan reads what [Plan.AppendTo] has written.
func ReadPlan(d *codec.Decoder) (p Plan) {
	row(d, func(i int) {
		switch i {
		case 0:
			p.Timing = Timing(d.Uint8())
		case 1:
			p.Interval = d.Duration()
		case 2:
			p.Instants = codec.ReadSlice(d, 1, codec.ReadInt64)
		case 3:
			p.Expression = d.String()
		case 4:
			p.Zone = d.String()
		case 5:
			p.Immediately = d.Bool()
		case 6:
			p.Jitter = d.Duration()
		case 7:
			p.Limit = d.Uint64()
		case 8:
			p.Until = d.Int64()
		case 9:
			p.Overlap = d.Uint8()
		case 10:
			p.Misfire = d.Uint8()
		case 11:
			p.StopOnError = d.Uint64()
		case 12:
			p.Timeout = d.Duration()
		case 13:
			p.WhileConnected = d.Bool()
		}
	}, 14)
	return p
}

func (m *Scheduled) Append(e *codec.Encoder) {
	head(e, 1, OpScheduled)
	e.Bool(m.Over)
}

func (m *Scheduled) Read(d *codec.Decoder) error {
	m.Over = next(d, codec.ReadBool)
	return d.Close()
}

func (m *Tasks) Append(e *codec.Encoder) {
	head(e, 5, OpTasks)
	e.String(m.Owner)
	e.String(m.Method)
	e.Bool(m.Over)
	m.After.fields(e)
}

func (m *Tasks) Read(d *codec.Decoder) error {
	m.Owner = next(d, codec.ReadString)
	m.Method = next(d, codec.ReadString)
	m.Over = next(d, codec.ReadBool)
	m.After = readTaskKey(d)
	return d.Close()
}

func (k *TaskKey) fields(e *codec.Encoder) {
	e.String(k.Owner)
	e.String(k.ID)
}

func readTaskKey(d *codec.Decoder) TaskKey {
	return TaskKey{Owner: next(d, codec.ReadString), ID: next(d, codec.ReadString)}
}

func (m *TaskList) Append(e *codec.Encoder) {
	head(e, 2, OpTaskList)
	codec.WriteSlice(e, m.Tasks, appendTask)
	e.Bool(m.More)
}

func (m *TaskList) Read(d *codec.Decoder) error {
	m.Tasks = next(d, func(d *codec.Decoder) []Task { return codec.ReadSlice(d, 14, readTask) })
	m.More = next(d, codec.ReadBool)
	return d.Close()
}

func appendTask(e *codec.Encoder, t Task) {
	e.Array(14)
	e.String(t.Owner)
	e.String(t.ID)
	e.String(t.Method)
	e.String(t.To)
	e.String(t.Plan)
	e.Int64(t.Next)
	e.Uint64(t.Runs)
	e.Uint64(t.Missed)
	e.Uint64(t.Skipped)
	e.Uint64(t.Running)
	e.Bool(t.Paused)
	e.Bool(t.Durable)
	e.Bool(t.Over)
	codec.WriteSlice(e, t.Last, AppendRun)
}

func readTask(d *codec.Decoder) (t Task) {
	row(d, func(i int) {
		switch i {
		case 0:
			t.Owner = d.String()
		case 1:
			t.ID = d.String()
		case 2:
			t.Method = d.String()
		case 3:
			t.To = d.String()
		case 4:
			t.Plan = d.String()
		case 5:
			t.Next = d.Int64()
		case 6:
			t.Runs = d.Uint64()
		case 7:
			t.Missed = d.Uint64()
		case 8:
			t.Skipped = d.Uint64()
		case 9:
			t.Running = d.Uint64()
		case 10:
			t.Paused = d.Bool()
		case 11:
			t.Durable = d.Bool()
		case 12:
			t.Over = d.Bool()
		case 13:
			t.Last = codec.ReadSlice(d, 8, ReadRun)
		}
	}, 14)
	return t
}

// AppendRun appends a run as an array.
func AppendRun(e *codec.Encoder, r Run) {
	e.Array(8)
	e.Uint64(r.Tick)
	e.Int64(r.Due)
	e.Int64(r.Start)
	e.Duration(r.Duration)
	e.String(r.Node)
	codec.WriteSlice(e, r.Failed, func(e *codec.Encoder, f Failure) { f.AppendTo(e) })
	e.Uint64(r.Missed)
	e.Bool(r.Forced)
}

// ReadRun reads what [AppendRun] has written.
func ReadRun(d *codec.Decoder) (r Run) {
	row(d, func(i int) {
		switch i {
		case 0:
			r.Tick = d.Uint64()
		case 1:
			r.Due = d.Int64()
		case 2:
			r.Start = d.Int64()
		case 3:
			r.Duration = d.Duration()
		case 4:
			r.Node = d.String()
		case 5:
			r.Failed = codec.ReadSlice(d, 6, readFailureRow)
		case 6:
			r.Missed = d.Uint64()
		case 7:
			r.Forced = d.Bool()
		}
	}, 8)
	return r
}

// readFailureRow reads a failure inside another message; identities, which it has there never, are left out.
func readFailureRow(d *codec.Decoder) (f Failure) {
	row(d, func(i int) {
		switch i {
		case 0:
			f.Code = d.Uint8()
		case 1:
			f.Reason = d.String()
		case 2:
			f.Outcome = d.Uint8()
		case 3:
			f.Message = d.String()
		case 4:
			f.Node = d.String()
		case 5:
			f.Method = d.String()
		}
	}, 6)
	return f
}

func (m *TaskControl) Append(e *codec.Encoder) {
	head(e, 3, OpTaskControl)
	m.fields(e)
	e.Uint8(uint8(m.Action))
}

func (m *TaskControl) Read(d *codec.Decoder) error {
	m.TaskKey = readTaskKey(d)
	m.Action = TaskAction(next(d, codec.ReadUint8))
	return d.Close()
}

func (m *TaskState) Append(e *codec.Encoder) {
	head(e, 2, OpTaskState)
	e.Bool(m.Done)
	appendTask(e, m.Task)
}

func (m *TaskState) Read(d *codec.Decoder) error {
	m.Done = next(d, codec.ReadBool)
	m.Task = next(d, readTask)
	return d.Close()
}

func (m *AwaitRuns) Append(e *codec.Encoder) {
	head(e, 4, OpAwaitRuns)
	m.fields(e)
	e.Uint64(m.After)
	e.Bool(m.Now)
}

func (m *AwaitRuns) Read(d *codec.Decoder) error {
	m.TaskKey = readTaskKey(d)
	m.After = next(d, codec.ReadUint64)
	m.Now = next(d, codec.ReadBool)
	return d.Close()
}

func (m *Runs) Append(e *codec.Encoder) {
	head(e, 4, OpRuns)
	codec.WriteSlice(e, m.Runs, AppendRun)
	e.Uint64(m.Last)
	e.Uint64(m.Lost)
	e.Bool(m.Over)
}

func (m *Runs) Read(d *codec.Decoder) error {
	m.Runs = next(d, func(d *codec.Decoder) []Run { return codec.ReadSlice(d, 8, ReadRun) })
	m.Last = next(d, codec.ReadUint64)
	m.Lost = next(d, codec.ReadUint64)
	m.Over = next(d, codec.ReadBool)
	return d.Close()
}
