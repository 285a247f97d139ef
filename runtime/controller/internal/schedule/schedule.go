// Package schedule works out when a schedule is due. It knows plans and times, and nothing of calls, stores or timers.
package schedule

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/robfig/cron/v3"

	"github.com/daffi-rpc/daffi/runtime/internal/control"
)

// Times is a plan with its beginning. It is a constant value, but for Anchor.
type Times struct {
	control.Plan
	// Anchor is when the plan began. Its monotonic reading, if it has one, is what Every and Once count from, so that a clock that is set does not
	// disturb them.
	Anchor time.Time

	cron *cron.SpecSchedule
	zone *time.Location
}

// New checks a plan (LIM-19). The error says what is wrong with it.
func New(p control.Plan, anchor time.Time) (*Times, error) {
	if p.Timing != control.At { // what does not belong to the plan is not kept with it
		p.Instants = nil
	}
	if p.Timing != control.Cron {
		p.Expression, p.Zone = "", ""
	}
	t := &Times{Plan: p, Anchor: anchor, zone: time.UTC}
	err := checkDurations(&p)
	if err != nil {
		return nil, err
	}
	switch p.Timing {
	case control.Every, control.Delay:
		if p.Interval < control.MinInterval {
			err = fmt.Errorf("an interval of %v is too short: it must be at least %v", p.Interval, control.MinInterval)
		}
	case control.Once:
	case control.At:
		err = checkInstants(p.Instants)
	case control.Cron:
		err = t.parse()
	default:
		err = fmt.Errorf("the timing %d is not known: the node is of a later version", p.Timing)
	}
	if err == nil {
		err = checkRest(&p)
	}
	if err != nil {
		return nil, err
	}
	return t, nil
}

func checkDurations(p *control.Plan) error {
	for _, d := range []time.Duration{p.Interval, p.Jitter, p.Timeout} {
		if d < 0 || d > control.MaxInterval {
			return fmt.Errorf("a duration of %v: a plan has none that is negative or longer than %v", d, control.MaxInterval)
		}
	}
	return nil
}

func checkInstants(list []int64) error {
	if len(list) == 0 || len(list) > control.MaxInstants {
		return fmt.Errorf("%d instants: a plan has from 1 to %d", len(list), control.MaxInstants)
	}
	for i := 1; i < len(list); i++ {
		if list[i] <= list[i-1] {
			return errors.New("the instants are not sorted, or one is there twice")
		}
	}
	return nil
}

func checkRest(p *control.Plan) error {
	switch {
	case p.Immediately && p.Timing != control.Every && p.Timing != control.Delay:
		return errors.New("only a plan with an interval can begin immediately")
	case p.Overlap > control.AllowOverlap:
		return fmt.Errorf("the overlap policy %d is not known: the node is of a later version", p.Overlap)
	case p.Misfire > control.SkipMissed:
		return fmt.Errorf("the misfire policy %d is not known: the node is of a later version", p.Misfire)
	}
	return nil
}

// Five fields, or six with seconds in front.
var parser = cron.NewParser(cron.SecondOptional | cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow | cron.Descriptor)

func (t *Times) parse() error {
	expr := strings.TrimSpace(t.Expression)
	switch {
	case expr == "" || len(expr) > control.MaxExpression:
		return fmt.Errorf("a cron expression of %d bytes: it has from 1 to %d", len(expr), control.MaxExpression)
	case strings.HasPrefix(expr, "@every"):
		return errors.New("@every in a cron expression: use Every")
	case strings.Contains(expr, "TZ="):
		return fmt.Errorf("the cron expression %q names a zone: use In", expr)
	}
	zone, err := time.LoadLocation(t.Zone)
	if err != nil {
		return fmt.Errorf("the controller does not know the time zone %q: %w", t.Zone, err)
	}
	s, err := parser.Parse(expr)
	if err != nil {
		return fmt.Errorf("the cron expression %q cannot be read: %w", expr, err)
	}
	spec, ok := s.(*cron.SpecSchedule)
	if !ok {
		return fmt.Errorf("the cron expression %q names no fields", expr)
	}
	spec.Location = time.UTC
	t.cron, t.zone = spec, zone
	if t.nextCron(t.Anchor).IsZero() {
		return fmt.Errorf("the cron expression %q names a day that never comes", expr)
	}
	return nil
}

// everyHour is the bit of a field that was written as *.
const everyHour = 1 << 63

// nextCron is the first tick after a moment, zero if there is none.
//
// Where a clock is put forward or back, hours that are named count as hours of the clock on the wall: what falls into the hour that is left out runs an hour later, and what
// falls into the one that comes twice runs once. Every hour means every hour that passes.
func (t *Times) nextCron(after time.Time) time.Time {
	if t.cron.Hour&everyHour != 0 {
		spec := *t.cron
		spec.Location = t.zone
		return spec.Next(after.In(t.zone))
	}
	wall := after.In(t.zone)
	at := time.Date(wall.Year(), wall.Month(), wall.Day(), wall.Hour(), wall.Minute(), wall.Second(), wall.Nanosecond(), time.UTC)
	for {
		at = t.cron.Next(at)
		if at.IsZero() {
			return at
		}
		if due := onWall(at, t.zone); due.After(after) {
			return due
		}
	}
}

// onWall is the moment at which a clock in zone shows what at has. What it never shows is as much later as the clock is put forward.
func onWall(at time.Time, zone *time.Location) time.Time {
	due := time.Date(at.Year(), at.Month(), at.Day(), at.Hour(), at.Minute(), at.Second(), 0, zone)
	shown := time.Date(due.Year(), due.Month(), due.Day(), due.Hour(), due.Minute(), due.Second(), 0, time.UTC)
	return due.Add(max(at.Sub(shown), 0)) // before the gap, or already after it
}

// Begin is a moment that all ticks are after.
func (t *Times) Begin() time.Time {
	if t.Immediately || t.Timing == control.Once {
		return t.Anchor.Add(-1)
	}
	return t.Anchor
}

// Next is the first tick after a moment; ok is false if there is none. Of Delay it is only the first one: the others depend on the runs.
func (t *Times) Next(after time.Time) (due time.Time, ok bool) {
	switch t.Timing {
	case control.Every, control.Delay:
		passed := after.Sub(t.Anchor)
		k := time.Duration(0)
		if passed >= 0 {
			k = passed/t.Interval + 1
		} else if !t.Immediately {
			k = 1
		}
		due = t.Anchor.Add(k * t.Interval)
	case control.Once:
		if due = t.Anchor.Add(t.Interval); !due.After(after) {
			return due, false
		}
	case control.At:
		for _, n := range t.Instants {
			if at := time.Unix(0, n); at.After(after) {
				return at, t.within(at)
			}
		}
		return due, false
	case control.Cron:
		if due = t.nextCron(after); due.IsZero() {
			return due, false
		}
	}
	return due, t.within(due)
}

func (t *Times) within(due time.Time) bool { return t.Until == 0 || due.UnixNano() <= t.Until }

// mostMissed bounds how many ticks are counted one by one.
const mostMissed = 10_000

// Latest is the last tick that is not after now, of which due is the first, and how many there are before it. Of more than 10 000 missed ticks of a cron expression only so many are
// counted, and the latest is now.
func (t *Times) Latest(due, now time.Time) (latest time.Time, before uint64) {
	if t.Timing == control.Every {
		k := now.Sub(due) / t.Interval
		latest, before = due.Add(k*t.Interval), uint64(k)
		if t.within(latest) {
			return latest, before
		}
		k = time.Unix(0, t.Until).Sub(due) / t.Interval
		return due.Add(k * t.Interval), uint64(k)
	}
	if t.Timing == control.Delay {
		return due, 0
	}
	for latest = due; ; before++ {
		next, ok := t.Next(latest)
		switch {
		case !ok || next.After(now):
			return latest, before
		case before == mostMissed:
			return now, before
		}
		latest = next
	}
}

// Wall reports whether the ticks are moments of the clock on the wall, which may be set.
func (t *Times) Wall() bool { return t.Timing == control.At || t.Timing == control.Cron }
