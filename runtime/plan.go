package daffi

import (
	"fmt"
	"slices"
	"time"

	"github.com/daffi-rpc/daffi/runtime/internal/control"
)

// A Plan says when a schedule runs: [Every], [At], [Once] or [Cron] begins one, and its methods return changed copies. What is wrong with one is the
// error of Schedule.
type Plan struct {
	p   control.Plan
	id  string
	err error // the first
}

// Every runs each d, at least 10 ms (LIM-19), on the controller's monotonic clock: for the first time after d, and then in a fixed rhythm that does not depend on
// how long runs take. [Plan.FixedDelay] waits d between runs instead.
func Every(d time.Duration) Plan {
	p := Plan{p: control.Plan{Timing: control.Every, Interval: d}}
	switch {
	case d < control.MinInterval:
		p.err = fmt.Errorf("Every(%v): the shortest interval is %v", d, control.MinInterval)
	case d > control.MaxInterval:
		p.err = fmt.Errorf("Every(%v): the longest interval is %v", d, control.MaxInterval)
	}
	return p
}

// At runs once at each of up to 1 000 instants, by the controller's clock. Those that have passed when the controller gets it do not count; one at least must be to come.
func At(t ...time.Time) Plan {
	p := Plan{p: control.Plan{Timing: control.At}}
	last := time.Time{}
	for _, at := range t {
		if at.After(last) {
			last = at
		}
		p.p.Instants = append(p.p.Instants, at.UnixNano())
	}
	slices.Sort(p.p.Instants)
	p.p.Instants = slices.Compact(p.p.Instants)
	switch n := len(p.p.Instants); {
	case n == 0 || n > control.MaxInstants:
		p.err = fmt.Errorf("At with %d instants: a plan has from 1 to %d", n, control.MaxInstants)
	case !last.After(time.Now()):
		p.err = fmt.Errorf("At(%v): all its instants have passed", last)
	}
	return p
}

// Once runs one time, d after the controller has got it; not to be confused with a call that is sent later, which its caller must outlive.
func Once(d time.Duration) Plan {
	p := Plan{p: control.Plan{Timing: control.Once, Interval: d}}
	if d < 0 || d > control.MaxInterval {
		p.err = fmt.Errorf("Once(%v): the delay must be from 0 to %v", d, control.MaxInterval)
	}
	return p
}

// Cron runs by the clock on the wall: minute, hour, day of month, month and day of week, as in "30 3 * * mon-fri", with a field for seconds in front if there are six; or @hourly, @daily, @weekly,
// @monthly, @yearly. The zone is UTC, or that of [Plan.In]. The controller reads the expression, and its error is that of Schedule.
//
// Where clocks are put forward or back, hours that are named count on the wall: what falls into the hour that is left out runs an hour later, and what falls into the hour that comes twice runs once.
// With * for the hour it runs in each hour that passes.
func Cron(expr string) Plan {
	p := Plan{p: control.Plan{Timing: control.Cron, Expression: expr}}
	if expr == "" || len(expr) > control.MaxExpression {
		p.err = fmt.Errorf("Cron with an expression of %d bytes: it has from 1 to %d", len(expr), control.MaxExpression)
	}
	return p
}

// fail keeps the first error.
func (p Plan) fail(ok bool, format string, args ...any) Plan {
	if !ok && p.err == nil {
		p.err = fmt.Errorf(format, args...)
	}
	return p
}

// In is the time zone of a [Cron] plan, by a name that the controller knows: that of time.LoadLocation, not of time.FixedZone or time.Local.
func (p Plan) In(loc *time.Location) Plan {
	switch {
	case loc == nil || loc == time.Local:
		return p.fail(false, "In(Local): the controller may be elsewhere, so name the zone with time.LoadLocation")
	case p.p.Timing != control.Cron:
		return p.fail(false, "In(%v): only Cron has a time zone", loc)
	}
	if _, err := time.LoadLocation(loc.String()); err != nil {
		return p.fail(false, "In(%v): %w", loc, err)
	}
	p.p.Zone = loc.String()
	return p
}

// interval reports whether the plan has one.
func (p Plan) interval() bool { return p.p.Timing == control.Every || p.p.Timing == control.Delay }

// Immediately lets a plan of [Every] begin with a run at once, instead of after one interval.
func (p Plan) Immediately() Plan {
	p.p.Immediately = true
	return p.fail(p.interval(), "Immediately: only Every has an interval to wait for")
}

// FixedDelay lets the next interval of [Every] begin when the run has ended.
func (p Plan) FixedDelay() Plan {
	p = p.fail(p.interval(), "FixedDelay: only Every has an interval")
	if p.interval() {
		p.p.Timing = control.Delay
	}
	return p
}

// Jitter delays each run by a random time up to d, but never as far as the next tick.
func (p Plan) Jitter(d time.Duration) Plan {
	p.p.Jitter = d
	return p.fail(d >= 0 && d <= control.MaxInterval, "Jitter(%v): it must be from 0 to %v", d, control.MaxInterval)
}

// Limit ends the schedule after n runs; 0 is no limit. Runs for which no handler was reached, and ticks that were skipped or missed, do not count.
func (p Plan) Limit(n int) Plan {
	p.p.Limit = uint64(max(n, 0))
	return p.fail(n >= 0, "Limit(%d): it must not be negative", n)
}

// Until ends the schedule after the last tick that is not after t, by the controller's clock.
func (p Plan) Until(t time.Time) Plan {
	p.p.Until = t.UnixNano()
	return p
}

// Overlap says what becomes of a tick while the run before goes on.
type Overlap uint8

const (
	SkipOverlap  Overlap = Overlap(control.SkipOverlap)  // it is skipped
	QueueOverlap Overlap = Overlap(control.QueueOverlap) // one waits for the run to end, others are skipped
	AllowOverlap Overlap = Overlap(control.AllowOverlap) // it runs beside it, up to 16 at a time
)

// Overlap says what becomes of a tick while the run before goes on. Zero: [SkipOverlap].
func (p Plan) Overlap(o Overlap) Plan {
	p.p.Overlap = uint8(o)
	return p.fail(o <= AllowOverlap, "Overlap(%d): there is no such policy", o)
}

// Misfire says what becomes of ticks at which the schedule was paused, or the controller away.
type Misfire uint8

const (
	RunMissedOnce Misfire = Misfire(control.RunMissedOnce) // all of them together are one run, as soon as that is possible
	SkipMissed    Misfire = Misfire(control.SkipMissed)    // they are skipped if they are more than a second late
)

// Misfire says what becomes of ticks at which the schedule was paused, or the controller away. Zero: [RunMissedOnce].
func (p Plan) Misfire(m Misfire) Plan {
	p.p.Misfire = uint8(m)
	return p.fail(m <= SkipMissed, "Misfire(%d): there is no such policy", m)
}

// StopOnError ends the schedule after n failed runs in a row; 0 never does. Runs for which no handler was reached do not count.
func (p Plan) StopOnError(n int) Plan {
	p.p.StopOnError = uint64(max(n, 0))
	return p.fail(n >= 0, "StopOnError(%d): it must not be negative", n)
}

// Timeout is the deadline of each run. 0: that of a plain call, of the method or of the node's options.
func (p Plan) Timeout(d time.Duration) Plan {
	p.p.Timeout = d
	return p.fail(d >= 0 && d <= control.MaxInterval, "Timeout(%v): it must be from 0 to %v", d, control.MaxInterval)
}

// WithID names the schedule: 1 to 64 letters, digits, dots, - and _, unique among those that this node has made. To schedule the same call, with the same arguments and plan, again under the same id
// gives the same task, also when it has run as often as it should; another call or plan fails with AlreadyExists while the first one goes on. Without an id a
// random one is made.
func (p Plan) WithID(id string) Plan {
	p.id = id
	return p.fail(validTaskID(id), "WithID(%q): an id has 1 to %d letters, digits, dots, - and _", id, control.MaxTaskID)
}

// WhileConnected ends the schedule with this node's session. While the node lives it makes the schedule again after it has joined again, so that begins anew. Such a schedule is never
// stored.
func (p Plan) WhileConnected() Plan {
	p.p.WhileConnected = true
	return p
}

// String is the plan for people.
func (p Plan) String() string { return p.p.String() }

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
