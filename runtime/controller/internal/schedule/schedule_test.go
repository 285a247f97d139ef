package schedule

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/daffi-rpc/daffi/runtime/internal/control"
)

func at(t *testing.T, text string) time.Time {
	t.Helper()
	moment, err := time.Parse(time.RFC3339, text)
	require.NoError(t, err)
	return moment
}

// TestSEM12CronTable: across months, and where clocks are put forward and back. The ends are in winter time +01:00 and summer time +02:00.
func TestSEM12CronTable(t *testing.T) {
	for _, c := range []struct {
		about, expr, zone, from string
		want                    []string
	}{
		{"across a month", "0 3 * * *", "", "2026-01-30T12:00:00Z", []string{"2026-01-31T03:00:00Z", "2026-02-01T03:00:00Z"}},
		{"the 31st", "0 0 31 * *", "", "2026-01-31T00:00:00Z", []string{"2026-03-31T00:00:00Z", "2026-05-31T00:00:00Z"}},
		{"a leap day", "0 0 29 2 *", "", "2026-01-01T00:00:00Z", []string{"2028-02-29T00:00:00Z", "2032-02-29T00:00:00Z"}},
		{"weekdays", "30 8 * * mon-fri", "", "2026-11-20T08:30:00Z", []string{"2026-11-23T08:30:00Z"}},
		{"seconds", "*/20 59 23 31 12 *", "", "2026-12-31T23:59:10Z", []string{"2026-12-31T23:59:20Z", "2026-12-31T23:59:40Z", "2027-12-31T23:59:00Z"}},
		{"a word", "@monthly", "", "2026-11-21T00:00:00Z", []string{"2026-12-01T00:00:00Z"}},
		{"a zone", "0 0 * * *", "Asia/Tokyo", "2026-11-21T00:00:00Z", []string{"2026-11-21T15:00:00Z"}},

		{"forward, the hour that is left out", "30 2 * * *", "Europe/Berlin", "2026-03-28T03:00:00+01:00", []string{"2026-03-29T03:30:00+02:00", "2026-03-30T02:30:00+02:00"}},
		{"forward, every hour", "15 * * * *", "Europe/Berlin", "2026-03-29T01:00:00+01:00", []string{"2026-03-29T01:15:00+01:00", "2026-03-29T03:15:00+02:00", "2026-03-29T04:15:00+02:00"}},
		{"forward, minutes", "*/30 * * * *", "Europe/Berlin", "2026-03-29T01:20:00+01:00", []string{"2026-03-29T01:30:00+01:00", "2026-03-29T03:00:00+02:00"}},
		{"back, the hour that comes twice", "30 2 * * *", "Europe/Berlin", "2026-10-24T03:00:00+02:00", []string{"2026-10-25T02:30:00+01:00", "2026-10-26T02:30:00+01:00"}},
		{"back, every hour", "15 * * * *", "Europe/Berlin", "2026-10-25T01:30:00+02:00", []string{"2026-10-25T02:15:00+02:00", "2026-10-25T02:15:00+01:00", "2026-10-25T03:15:00+01:00"}},
		{"back, every second hour", "0 */2 * * *", "Europe/Berlin", "2026-10-25T00:30:00+02:00", []string{"2026-10-25T02:00:00+01:00", "2026-10-25T04:00:00+01:00"}},
		{"before and after", "0 12 * * *", "Europe/Berlin", "2026-10-24T12:00:00+02:00", []string{"2026-10-25T12:00:00+01:00"}},
		{"west of Greenwich, forward", "30 2 * * *", "America/New_York", "2026-03-08T00:00:00-05:00", []string{"2026-03-08T03:30:00-04:00", "2026-03-09T02:30:00-04:00"}},
	} {
		t.Run(c.about, func(t *testing.T) {
			times, err := New(control.Plan{Timing: control.Cron, Expression: c.expr, Zone: c.zone}, at(t, c.from))
			require.NoError(t, err)
			last := times.Begin()
			for _, want := range c.want {
				next, ok := times.Next(last)
				require.True(t, ok)
				require.True(t, at(t, want).Equal(next), "%v instead of %s", next, want)
				last = next
			}
		})
	}
}

// TestSEM12CronOnceADay: a job of one time of the day runs once on each day of ten years, in every zone that puts its clocks forward and back in some way of its own.
func TestSEM12CronOnceADay(t *testing.T) {
	for _, zone := range []string{"Europe/Berlin", "America/New_York", "America/Sao_Paulo", "Australia/Lord_Howe", "Asia/Kathmandu", "Africa/Casablanca"} {
		loc, err := time.LoadLocation(zone)
		require.NoError(t, err)
		from := time.Date(2019, 1, 1, 12, 0, 0, 0, loc)
		times, err := New(control.Plan{Timing: control.Cron, Expression: "15 2 * * *", Zone: zone}, from)
		require.NoError(t, err)
		last, days := times.Begin(), 0
		for last.Year() < 2029 {
			next, ok := times.Next(last)
			require.True(t, ok)
			require.True(t, next.After(last))
			gap := next.Sub(last)
			require.LessOrEqual(t, gap, 26*time.Hour, "%v", next)
			require.GreaterOrEqual(t, gap, 13*time.Hour, "%v", next)
			last = next
			days++
		}
		require.InDelta(t, 10*365.25, days, 2, zone)
	}
}

func TestLatest(t *testing.T) {
	begin := at(t, "2026-01-01T00:00:00Z")
	in := func(d time.Duration) time.Time { return begin.Add(d) }
	instants := []int64{in(1 * time.Second).UnixNano(), in(2 * time.Second).UnixNano(), in(5 * time.Second).UnixNano()}
	for _, c := range []struct {
		about  string
		plan   control.Plan
		due    time.Duration
		now    time.Duration
		latest time.Duration
		before uint64
	}{
		{"on time", control.Plan{Timing: control.Every, Interval: time.Second}, time.Second, time.Second, time.Second, 0},
		{"late", control.Plan{Timing: control.Every, Interval: time.Second}, time.Second, 1900 * time.Millisecond, time.Second, 0},
		{"three of them", control.Plan{Timing: control.Every, Interval: time.Second}, time.Second, 4 * time.Second, 4 * time.Second, 3},
		{"a year", control.Plan{Timing: control.Every, Interval: 10 * time.Millisecond}, 0, 365 * 24 * time.Hour, 365 * 24 * time.Hour, 365 * 24 * 3600 * 100},
		{"until", control.Plan{Timing: control.Every, Interval: time.Second, Until: in(2500 * time.Millisecond).UnixNano()}, time.Second, time.Minute, 2 * time.Second, 1},
		{"delay", control.Plan{Timing: control.Delay, Interval: time.Second}, time.Second, time.Minute, time.Second, 0},
		{"instants", control.Plan{Timing: control.At, Instants: instants}, time.Second, 3 * time.Second, 2 * time.Second, 1},
		{"all instants", control.Plan{Timing: control.At, Instants: instants}, time.Second, time.Hour, 5 * time.Second, 2},
		{"once", control.Plan{Timing: control.Once, Interval: time.Second}, time.Second, time.Hour, time.Second, 0},
		{"cron", control.Plan{Timing: control.Cron, Expression: "* * * * *"}, time.Minute, time.Hour, time.Hour, 59},
		{"cron, too many to count", control.Plan{Timing: control.Cron, Expression: "* * * * * *"}, time.Second, 20_000 * time.Second, 20_000 * time.Second, 10_000},
	} {
		t.Run(c.about, func(t *testing.T) {
			times, err := New(c.plan, begin)
			require.NoError(t, err)
			latest, before := times.Latest(in(c.due), in(c.now))
			require.True(t, in(c.latest).Equal(latest), "%v", latest)
			require.Equal(t, c.before, before)
			if next, ok := times.Next(latest); ok && c.plan.Timing != control.Delay {
				require.True(t, next.After(in(c.now)))
			}
		})
	}
}

// TestLIM19Plans are the bounds that a node cannot talk the controller out of.
func TestLIM19Plans(t *testing.T) {
	many := make([]int64, control.MaxInstants+1)
	for i := range many {
		many[i] = int64(i)
	}
	good := control.Plan{Timing: control.Every, Interval: control.MinInterval}
	for about, p := range map[string]func(*control.Plan){
		"interval":          func(p *control.Plan) { p.Interval-- },
		"negative interval": func(p *control.Plan) { p.Interval = math.MinInt64 },
		"endless interval":  func(p *control.Plan) { p.Interval = control.MaxInterval + 1 },
		"timing":            func(p *control.Plan) { p.Timing = 6 },
		"no timing":         func(p *control.Plan) { p.Timing = 0 },
		"no instants":       func(p *control.Plan) { p.Timing = control.At },
		"many instants":     func(p *control.Plan) { p.Timing, p.Instants = control.At, many },
		"unsorted":          func(p *control.Plan) { p.Timing, p.Instants = control.At, []int64{2, 1} },
		"twice":             func(p *control.Plan) { p.Timing, p.Instants = control.At, []int64{1, 1} },
		"overlap":           func(p *control.Plan) { p.Overlap = 3 },
		"misfire":           func(p *control.Plan) { p.Misfire = 2 },
		"jitter":            func(p *control.Plan) { p.Jitter = -1 },
		"timeout":           func(p *control.Plan) { p.Timeout = -1 },
		"immediately":       func(p *control.Plan) { p.Timing, p.Immediately = control.Once, true },
		"negative delay":    func(p *control.Plan) { p.Timing, p.Interval = control.Once, -1 },
		"expression":        func(p *control.Plan) { p.Timing, p.Expression = control.Cron, "nonsense" },
		"zone":              func(p *control.Plan) { p.Timing, p.Expression, p.Zone = control.Cron, "@daily", "Nowhere/At_All" },
		"path":              func(p *control.Plan) { p.Timing, p.Expression, p.Zone = control.Cron, "@daily", "../../etc/passwd" },
	} {
		bad := good
		p(&bad)
		_, err := New(bad, time.Now())
		require.Error(t, err, about)
	}
	_, err := New(good, time.Now())
	require.NoError(t, err)
	_, err = New(control.Plan{Timing: control.At, Instants: many[:control.MaxInstants]}, time.Now())
	require.NoError(t, err)
}

// FuzzCron: no expression may take long or panic, and what is found comes later.
func FuzzCron(f *testing.F) {
	for _, seed := range []string{"0 3 * * *", "*/5 * * * * *", "@yearly", "0 0 31 2 *", "1-5/2,7 * ? jan-dec sun", "99999999999 * * * *", "* * * * *-", "0-0/0 * * * *"} {
		f.Add(seed, "Europe/Berlin")
	}
	f.Fuzz(func(t *testing.T, expr, zone string) {
		now := time.Date(2026, 3, 28, 12, 0, 0, 0, time.UTC)
		times, err := New(control.Plan{Timing: control.Cron, Expression: expr, Zone: zone}, now)
		if err != nil {
			return
		}
		for range 5 {
			next, ok := times.Next(now)
			if !ok {
				return
			}
			require.True(t, next.After(now))
			now = next
		}
	})
}
