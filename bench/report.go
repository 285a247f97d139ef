package main

import (
	"debug/buildinfo"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"time"
)

// A report is what a run measured, and where.
type report struct {
	Began    time.Time         `json:"began"`
	Took     time.Duration     `json:"took_ns"`
	Machine  string            `json:"machine"`
	CPUs     int               `json:"cpus"`
	Load     [2]string         `json:"load"` // averages over 1, 5 and 15 minutes, before and after
	Versions map[string]string `json:"versions"`
	Rounds   int               `json:"rounds"`
	Each     time.Duration     `json:"each_ns"` // what one measurement takes
	Figures  []figure          `json:"figures"`

	systems   []system
	scenarios []scenario
}

const ourModule = "github.com/daffi-rpc/daffi"

// ourVersion is the commit that is measured, with a mark if there is more than that.
func ourVersion() string {
	text, err := exec.Command("git", "describe", "--always", "--dirty=+").Output()
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(text))
}

// peers are the modules whose versions a report names.
var peers = []string{
	"github.com/cloudwego/kitex", "google.golang.org/grpc", "github.com/containerd/ttrpc", "connectrpc.com/connect", "github.com/nats-io/nats-server/v2", "github.com/nats-io/nats.go",
}

func newReport(p plan) *report {
	r := &report{
		Began: time.Now(), Rounds: p.rounds, Each: p.each, systems: p.systems, scenarios: p.scenarios,
		Machine:  fmt.Sprintf("%s/%s, %d processors (%s)", runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), processor()),
		CPUs:     runtime.NumCPU(),
		Versions: map[string]string{"go": runtime.Version(), ourModule: ourVersion()},
	}
	r.Load[0] = load()
	for _, file := range p.programs {
		info, err := buildinfo.ReadFile(file)
		if err != nil {
			continue // no versions, then
		}
		for _, m := range info.Deps {
			if slices.Contains(peers, m.Path) {
				r.Versions[m.Path] = m.Version
			}
		}
	}
	return r
}

func (r *report) finish() {
	r.Took = time.Since(r.Began)
	r.Load[1] = load()
}

func load() string {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	return strings.Join(strings.Fields(string(text))[:3], " ")
}

func processor() string {
	text, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(text)) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return "unknown"
}

func (r *report) writeJSON(file string) error {
	text, err := json.MarshalIndent(r, "", "\t")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(text, '\n'), 0o666)
}

// A metric is one number of a figure.
type metric struct {
	name string
	of   func(figure) float64
}

var (
	cpu       = metric{"CPU s/100k", func(f figure) float64 { return per(f.total().CPU.Seconds()*100_000, f.N) }}
	rate      = metric{"calls/s", func(f figure) float64 { return float64(f.N) / f.Elapsed.Seconds() }}
	items     = metric{"items/s", rate.of}
	megabytes = metric{"MB/s", func(f figure) float64 { return rate.of(f) * float64(f.Scenario.Size) / 1e6 }}
	p50       = metric{"p50 µs", func(f figure) float64 { return float64(f.P50.Nanoseconds()) / 1e3 }}
	p99       = metric{"p99 µs", func(f figure) float64 { return float64(f.P99.Nanoseconds()) / 1e3 }}
	ioCall    = metric{"read+write/call", func(f figure) float64 { return per(float64(f.total().IO), f.N) }}
	switches  = metric{"switches/call", func(f figure) float64 { return per(float64(f.total().Switches), f.N) }}
)

// What idle nodes take of their controller.
var (
	idleMemory = metric{"KiB/node", func(f figure) float64 { return per(float64(f.Memory)/1024, f.Scenario.Idle.Nodes) }}
	idleJoined = metric{"KiB/node, joined", func(f figure) float64 { return per(float64(f.Joined)/1024, f.Scenario.Idle.Nodes) }}
	idleCPU    = metric{"% of a core", func(f figure) float64 { return 100 * f.Used[roleBroker].CPU.Seconds() / f.Elapsed.Seconds() }}
	idleMany   = metric{"% of a core, 5 000", func(f figure) float64 { return per(idleCPU.of(f)*5000, f.Scenario.Idle.Nodes) }}
)

// steady counts the allocations of one role for each further call, without those of beginning and ending a measurement.
func steady(role string) metric {
	return metric{"allocs of a further call, " + role, func(f figure) float64 {
		return per(float64(f.Used[role].Allocs)-float64(f.Begin[role]), f.N-f.Scenario.Callers)
	}}
}

// beside counts those of them that are not for the value it decodes.
func beside(role string) metric {
	return metric{"allocs beside the value, " + role, func(f figure) float64 { return steady(role).of(f) - f.Value[role] }}
}

// value counts the allocations that decoding takes by itself.
func value(role string) metric {
	return metric{"allocs of the value, " + role, func(f figure) float64 { return f.Value[role] }}
}

// allocs counts those of one role.
func allocs(role string) metric {
	return metric{"allocs " + role, func(f figure) float64 { return per(float64(f.Used[role].Allocs), f.N) }}
}

func per(total float64, n int) float64 {
	if n == 0 {
		return 0
	}
	return total / float64(n)
}

// spread is the median of some numbers, with the least and the greatest.
type spread struct {
	Median   float64 `json:"median"`
	Least    float64 `json:"least"`
	Greatest float64 `json:"greatest"`
}

func (s spread) String() string {
	return fmt.Sprintf("%s (%s–%s)", number(s.Median), number(s.Least), number(s.Greatest))
}

func spreadOf(all []float64) spread {
	all = slices.Sorted(slices.Values(all))
	n := len(all)
	return spread{Median: (all[(n-1)/2] + all[n/2]) / 2, Least: all[0], Greatest: all[n-1]}
}

// rounds returns the metric by round.
func (r *report) rounds(system string, s scenario, m metric) map[int]float64 {
	all := make(map[int]float64)
	for _, f := range r.Figures {
		if f.System == system && f.Scenario == s {
			all[f.Round] = m.of(f)
		}
	}
	return all
}

// values returns the metric of all rounds.
func (r *report) values(system string, s scenario, m metric) []float64 {
	return slices.Collect(maps.Values(r.rounds(system, s, m)))
}

// A column of a table is one metric of one scenario.
type column struct {
	title    string
	scenario scenario
	metric   metric
}

func (r *report) writeMarkdown(w io.Writer) error {
	p := &printer{w: w}
	p.printf("Measured %s on %s; load average before and after %s and %s. ", r.Began.Format("2 January 2006 15:04"), r.Machine, r.Load[0], r.Load[1])
	p.printf("%d rounds, %v each, %v in all. Medians, with the least and the greatest in brackets.\n\n", r.Rounds, r.Each, r.Took.Round(time.Second))
	for _, name := range slices.Sorted(maps.Keys(r.Versions)) {
		p.printf("- %s %s\n", name, r.Versions[name])
	}
	for _, t := range []struct {
		title string
		size  int
	}{{"64 B", small}, {"1 KiB", medium}, {"64 KiB", large}} {
		crowd, lone, pinned := crowd.sized(t.size), lone.sized(t.size), pinned.sized(t.size)
		r.table(p, "Calls, "+t.title, []column{
			{"64 callers: CPU s/100k", crowd, cpu}, {"calls/s", crowd, rate}, {"p99 µs", crowd, p99},
			{"one caller: p50 µs", lone, p50}, {"p99 µs", lone, p99}, {"CPU s/100k", lone, cpu}, {"one processor: p50 µs", pinned, p50},
		})
		r.table(p, "What a call takes, 64 callers, "+t.title, []column{
			{"allocs caller", crowd, allocs(roleClient)}, {"allocs callee", crowd, allocs(roleServer)}, {"allocs broker", crowd, allocs(roleBroker)},
			{"reads and writes", crowd, ioCall}, {"context switches", crowd, switches}, {"one caller: reads and writes", lone, ioCall}, {"context switches", lone, switches},
		})
	}
	r.table(p, "Streams", []column{
		{"up 64 B: items/s", upSmall, items}, {"CPU s/100k", upSmall, cpu}, {"down 64 B: items/s", downSmall, items}, {"CPU s/100k", downSmall, cpu},
		{"up 64 KiB: MB/s", upLarge, megabytes}, {"CPU s/100k", upLarge, cpu}, {"down 64 KiB: MB/s", downLarge, megabytes}, {"CPU s/100k", downLarge, cpu},
	})
	r.decoding(p)
	r.growth(p)
	r.idle(p)
	r.goals(p)
	return p.err
}

// table prints the columns for which there are figures.
func (r *report) table(p *printer, title string, columns []column) {
	columns = slices.DeleteFunc(slices.Clone(columns), func(c column) bool {
		return !slices.Contains(r.scenarios, c.scenario) || !slices.ContainsFunc(r.Figures, func(f figure) bool { return f.Scenario == c.scenario })
	})
	if len(columns) == 0 {
		return
	}
	p.printf("\n### %s\n\n| system |", title)
	for _, c := range columns {
		p.printf(" %s |", c.title)
	}
	p.printf("\n|---|%s\n", strings.Repeat("---:|", len(columns)))
	for _, s := range r.systems {
		if s.name == crowded {
			continue // has tables of its own
		}
		p.printf("| %s |", s.name)
		for _, c := range columns {
			all := r.values(s.name, c.scenario, c.metric)
			if len(all) == 0 || c.metric.name == allocs(roleBroker).name && s.broker == nil {
				p.printf(" – |")
				continue
			}
			v := spreadOf(all)
			if v.Greatest == 0 && (c.metric.name == p50.name || c.metric.name == p99.name) { // nobody looked
				p.printf(" – |")
				continue
			}
			p.printf(" %s |", v)
		}
		p.printf("\n")
	}
}

// number prints three digits that count.
func number(v float64) string {
	switch {
	case v >= 1e6:
		return fmt.Sprintf("%.2f M", v/1e6)
	case v >= 1e4:
		return fmt.Sprintf("%.0f k", v/1e3)
	case v >= 100:
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.2f", v)
}

// grouped prints a count with a space between thousands.
func grouped(n int) string {
	if n < 10_000 {
		return fmt.Sprint(n)
	}
	return fmt.Sprintf("%d %03d", n/1000, n%1000)
}

// printer keeps the first error.
type printer struct {
	w   io.Writer
	err error
}

func (p *printer) printf(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.w, format, args...)
	}
}
