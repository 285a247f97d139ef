package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestMain plays a role where bench starts this program for one, as main does.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == roleArg {
		if err := playRole(os.Args[2:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// TestSystems has each system do a little of everything. The clients compare what comes back.
func TestSystems(t *testing.T) {
	programs, err := build(t.Context(), systems, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, sys := range systems {
		t.Run(sys.name, func(t *testing.T) {
			g, err := startGroup(t.Context(), programs, sys, scenario{})
			if err != nil {
				t.Fatal(err)
			}
			defer func() {
				if err := g.stop(); err != nil {
					t.Error(err)
				}
			}()
			want := 2
			if sys.broker != nil {
				want = 3
			}
			for _, s := range scenarios(false, idleNodes) {
				if s.apart() != "" || !s.fits(sys) {
					continue
				}
				f, err := g.measure(s, 4*time.Millisecond, "")
				if err != nil {
					t.Fatal(err)
				}
				if f.N == 0 || f.Elapsed <= 0 || len(f.Used) != want {
					t.Errorf("%s: %d calls in %v, %d processes; there must be calls, and %d processes", s, f.N, f.Elapsed, len(f.Used), want)
				}
				for role, u := range f.Used {
					if u.CPU <= 0 || u.CPU > time.Minute {
						t.Errorf("%s: the %s used %v", s, role, u.CPU)
					}
				}
			}
		})
	}
}

func TestStartSaysWhatFailed(t *testing.T) {
	programs, err := build(t.Context(), nil, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = start(t.Context(), programs[""], roleServer, "no such system", "127.0.0.1:0", t.TempDir(), false)
	if err == nil || !strings.Contains(err.Error(), "the server of no such system did not start") {
		t.Errorf("got %v", err)
	}
}

func TestItem(t *testing.T) {
	for _, size := range []int{small, medium, large} {
		item := newItem(size)
		have := 8 + len(item.Name) + len(item.Data)
		for _, tag := range item.Tags {
			have += len(tag)
		}
		if have != size {
			t.Errorf("an item of %d bytes has %d", size, have)
		}
		b := appendItem(nil, &item)
		item.ID = firstID
		if out, err := parseItem(appendItem(nil, &item)); err != nil || sameItem(&item, &out) != nil {
			t.Errorf("%d bytes: %v, or another item", size, err)
		}
		for n := range min(len(b), 200) {
			if _, err := parseItem(b[:n]); !errors.Is(err, errShort) {
				t.Fatalf("%d of %d bytes: %v", n, len(b), err)
			}
		}
	}
}

func TestSpread(t *testing.T) {
	for _, c := range []struct {
		all  []float64
		want spread
	}{
		{[]float64{2}, spread{2, 2, 2}},
		{[]float64{3, 1, 2}, spread{2, 1, 3}},
		{[]float64{4, 1, 2, 3}, spread{2.5, 1, 4}},
	} {
		if got := spreadOf(c.all); got != c.want {
			t.Errorf("%v: %v, not %v", c.all, got, c.want)
		}
	}
}

// TestReport feeds a report with two rounds of two systems, the second of which takes half of the time.
func TestReport(t *testing.T) {
	p := plan{systems: systems, scenarios: scenarios(true, idleNodes), rounds: 2}
	r := newReport(p)
	for round := range 2 {
		for i, name := range []string{"NATS, tcp", separate} {
			each := time.Duration(2-i) * time.Duration(1+round)
			r.Figures = append(r.Figures, figure{
				System: name, Scenario: crowd, Round: round, N: 100, Elapsed: each * time.Millisecond,
				Used: map[string]usage{roleClient: {CPU: each * time.Millisecond, Allocs: 500}, roleBroker: {CPU: each * time.Millisecond}},
			})
		}
	}
	r.finish()
	var b bytes.Buffer
	if err := r.writeMarkdown(&b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"| CPU, separate : NATS | ≤ 0.42 | 0.50 (0.50–0.50) | **not met** |", // of each round, not of the medians
		"| calls/s, separate : NATS | ≥ 2.50 | 2.00 (2.00–2.00) | **not met** |",
		"| daffi separate, tcp | 3.00 (2.00–4.00) | 75 k (50 k–100 k) |",
		"| grpc-go, tcp | – | – |",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("the report has no %q:\n%s", want, &b)
		}
	}
}

// TestRun is the whole of it with one system: the plan, profiles, JSON and the drawing.
func TestRun(t *testing.T) {
	dir := t.TempDir()
	p := plan{systems: daffiSystems[3:4], scenarios: []scenario{crowd, pinned}, rounds: 2, each: 20 * time.Millisecond, profiles: dir}
	r, err := p.run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := 4
	if _, err := exec.LookPath("taskset"); err != nil {
		want = 2
	}
	if len(r.Figures) != want {
		t.Errorf("%d figures, not %d", len(r.Figures), want)
	}
	for _, role := range []string{roleBroker, roleServer, roleClient} {
		file := filepath.Join(dir, "daffi-separate-tcp.call-64-x64."+role+".pprof")
		if info, err := os.Stat(file); err != nil || info.Size() == 0 {
			t.Errorf("profile of the %s: %v, or empty", role, err)
		}
	}

	file := filepath.Join(dir, "figures.json")
	if err := r.writeJSON(file); err != nil {
		t.Fatal(err)
	}
	var again report
	if text, err := os.ReadFile(file); err != nil {
		t.Error(err)
	} else if err := json.Unmarshal(text, &again); err != nil || !reflect.DeepEqual(again.Figures, r.Figures) {
		t.Errorf("JSON: %v, or other figures", err)
	}
}

// TestEstimate holds the targets of the Makefile to what they say they take.
func TestEstimate(t *testing.T) {
	for _, c := range []struct {
		quick bool
		most  time.Duration
	}{{false, 15 * time.Minute}, {true, 3 * time.Minute}} {
		p := plan{systems: systems, scenarios: scenarios(c.quick, idleNodes)}
		p.rounds, p.each = extent(c.quick)
		if d := p.estimate(); d > c.most || d < c.most/2 {
			t.Errorf("quick %v: about %v, at most %v", c.quick, d, c.most)
		} else {
			t.Logf("quick %v: about %v", c.quick, d)
		}
	}
}

// hiccup is a client whose first stream meets a pause of the machine.
type hiccup struct {
	client
	each, pause time.Duration
}

func (h *hiccup) up(_ context.Context, n, _ int) error {
	time.Sleep(time.Duration(n)*h.each + h.pause)
	h.pause = 0
	return nil
}

func TestCalibrate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, pause := range []time.Duration{0, 15 * time.Millisecond, time.Second} {
			a, err := calibrate(t.Context(), &hiccup{each: time.Microsecond, pause: pause}, upSmall, 20*time.Millisecond)
			if err != nil || a.N != 20_000 {
				t.Errorf("after a pause of %v: %d items, %v; 20 000 take the time", pause, a.N, err)
			}
		}
		if a, err := calibrate(t.Context(), &hiccup{each: time.Second}, upSmall, 20*time.Millisecond); err != nil || a.N != 1 {
			t.Errorf("items of a second each: %d, %v; one is least", a.N, err)
		}
	})
}

func TestMatching(t *testing.T) {
	some, err := matching(systems, "^NATS", func(s system) string { return s.name })
	if err != nil || len(some) != 1 {
		t.Errorf("%d systems, %v", len(some), err)
	}
	if _, err := matching(systems, "nothing", func(s system) string { return s.name }); err == nil {
		t.Error("no system matches, and that is no error")
	}
}

// TestOutcome takes ratios in each round, with the best of the others in that round.
func TestOutcome(t *testing.T) {
	r := &report{}
	add := func(system string, s scenario, round, n int) {
		r.Figures = append(r.Figures, figure{
			System: system, Scenario: s, Round: round, N: n, Elapsed: time.Second, Used: map[string]usage{roleClient: {CPU: time.Duration(1e9 / n)}},
		})
	}
	big, least := crowd.sized(medium), growing[0][0]
	for round, n := range [][4]int{{100, 50, 40, 80}, {300, 50, 100, 150}, {200, 20, 50, 100}} {
		add("ours", big, round, n[0])
		add("one", big, round, n[1])
		add("other", big, round, n[2])
		add("ours", least, round, n[3])
	}
	for _, c := range []struct {
		goal goal
		want outcome
	}{
		{goal{system: "ours", scenario: big, metric: rate, limit: 250}, outcome{spread{200, 100, 300}, "", true}},
		{goal{system: "ours", scenario: big, metric: rate, limit: 250, least: true}, outcome{spread{200, 100, 300}, "", false}},
		{goal{system: "ours", than: []string{"one"}, scenario: big, metric: rate, limit: 7, least: true}, outcome{spread{6, 2, 10}, "", false}},
		{goal{system: "ours", than: []string{"one", "other"}, scenario: big, metric: rate, limit: 3, least: true}, outcome{spread{3, 2, 4}, "other", true}},
		{goal{system: "ours", than: []string{"other", "one"}, scenario: big, metric: cpu, limit: 0.12}, outcome{spread{0.1111, 0.0625, 0.25}, "other", true}},
		{goal{system: "ours", scenario: big, from: &least, metric: rate, limit: 1}, outcome{spread{2, 1.25, 2}, "", false}},
	} {
		c.goal.text = "goal"
		got, ok := r.outcome(c.goal)
		near := func(a, b float64) bool { return a > 0.999*b && a < 1.001*b }
		if !ok || got.best != c.want.best || got.met != c.want.met || !near(got.spread.Median, c.want.spread.Median) || !near(got.spread.Least, c.want.spread.Least) ||
			!near(got.spread.Greatest, c.want.spread.Greatest) {
			t.Errorf("%+v: %+v, %v; want %+v", c.goal, got, ok, c.want)
		}
	}
	if o, ok := r.outcome(goal{system: "ours", than: []string{"one", "absent"}, scenario: big, metric: rate}); ok {
		t.Errorf("one of the others was not measured, and there is an outcome: %+v", o)
	}
}
