package main

import (
	"math"
	"slices"
)

// A goal is how a system is to compare with others in the same run, or, without others, a figure of its own.
type goal struct {
	text     string
	system   string
	than     []string // the best of them in each round; none for a figure of its own
	scenario scenario
	from     *scenario // the one to compare with; nil is the same
	metric   metric
	limit    float64
	least    bool // the limit is to be reached rather than kept
}

const (
	embedded = "daffi embedded, tcp"
	separate = "daffi separate, tcp"
	natsTCP  = "NATS, tcp"
	grpcTCP  = "grpc-go, tcp"
)

// What there is in place of daffi, where two processes meet directly: for calls, and for streams. The raw bytes and what is written by hand are floors, not peers.
var (
	directPeers = []string{"net/rpc, tcp", kitexTCP, grpcTCP, "grpc-go tuned, tcp", "ttrpc, tcp", "connect-go, tcp"}
	streamPeers = []string{grpcTCP, "grpc-go tuned, tcp", "ttrpc, tcp", "connect-go, tcp"}
	brokerPeers = []string{natsTCP, grpcTCP}
)

// pools is how many allocations a call may take for what the garbage collector has dropped from a pool.
const pools = 0.05

var goals = concat([]goal{
	{text: "CPU s/100k, separate", system: separate, scenario: crowd, metric: cpu, limit: 1.0},
	{text: "CPU, separate : NATS", system: separate, than: []string{natsTCP}, scenario: crowd, metric: cpu, limit: 0.42},
	{text: "CPU, separate : grpc-go direct", system: separate, than: []string{grpcTCP}, scenario: crowd, metric: cpu, limit: 0.28},
	{text: "CPU, separate : kitex direct", system: separate, than: []string{kitexTCP}, scenario: crowd, metric: cpu, limit: 0.55},
	{text: "CPU, separate : hand-written forwarder", system: separate, than: []string{"hand-written forwarded, tcp"}, scenario: crowd, metric: cpu, limit: 1.7},
	{text: "calls/s, separate : NATS", system: separate, than: []string{natsTCP}, scenario: crowd, metric: rate, limit: 2.5, least: true},
	{text: "CPU s/100k, embedded", system: embedded, scenario: crowd, metric: cpu, limit: 0.65},
	{text: "CPU, embedded : kitex", system: embedded, than: []string{kitexTCP}, scenario: crowd, metric: cpu, limit: 0.36},
	{text: "calls/s, embedded : kitex", system: embedded, than: []string{kitexTCP}, scenario: crowd, metric: rate, limit: 2.5, least: true},
	{text: "calls/s, embedded : grpc-go", system: embedded, than: []string{grpcTCP}, scenario: crowd, metric: rate, limit: 5, least: true},
	{text: "one processor, p50, embedded : net/rpc", system: embedded, than: []string{"net/rpc, tcp"}, scenario: pinned, metric: p50, limit: 0.9},
	{text: "one processor, p50, separate : grpc-go direct", system: separate, than: []string{grpcTCP}, scenario: pinned, metric: p50, limit: 1.0},
	{text: "one processor, p50, separate : NATS", system: separate, than: []string{natsTCP}, scenario: pinned, metric: p50, limit: 0.8},
	{text: "one caller, p50, unix, embedded : net/rpc", system: "daffi embedded, unix", than: []string{"net/rpc, unix"}, scenario: lone, metric: p50, limit: 0.6},
},
	ahead("1 KiB", crowd.sized(medium)), ahead("64 KiB", crowd.sized(large)),
	[]goal{
		{text: "items/s up, 64 B, embedded", system: embedded, scenario: upSmall, metric: items, limit: 2.5e6, least: true},
		{text: "items/s down, 64 B, embedded", system: embedded, scenario: downSmall, metric: items, limit: 2.5e6, least: true},
		{text: "items/s up, 64 B, separate", system: separate, scenario: upSmall, metric: items, limit: 2e6, least: true},
		{text: "items/s down, 64 B, separate", system: separate, scenario: downSmall, metric: items, limit: 2e6, least: true},
	},
	aheadStreams("up", upLarge), aheadStreams("down", downLarge),
	[]goal{
		{text: "allocations of the caller for a further call, beside those of the value, embedded", system: embedded, scenario: crowd, metric: beside(roleClient), limit: 1 + pools},
		{text: "allocations of the callee for a further call, beside those of the value, embedded", system: embedded, scenario: crowd, metric: beside(roleServer), limit: 2 + pools},
		{text: "allocations of the caller for a further call, beside those of the value, separate", system: separate, scenario: crowd, metric: beside(roleClient), limit: 1 + pools},
		{text: "allocations of the callee for a further call, beside those of the value, separate", system: separate, scenario: crowd, metric: beside(roleServer), limit: 2 + pools},
		{text: "allocations of the controller for a further call", system: separate, scenario: crowd, metric: steady(roleBroker), limit: 0.01},
	},
	growthGoals())

// ahead are the goals of calls of one size: less processor time and more calls than the best of the peers.
func ahead(size string, s scenario) []goal {
	return []goal{
		{text: "CPU, " + size + ", embedded : best direct peer", system: embedded, than: directPeers, scenario: s, metric: cpu, limit: 1},
		{text: "calls/s, " + size + ", embedded : best direct peer", system: embedded, than: directPeers, scenario: s, metric: rate, limit: 1, least: true},
		{text: "CPU, " + size + ", separate : best of NATS and grpc-go direct", system: separate, than: brokerPeers, scenario: s, metric: cpu, limit: 1},
		{text: "calls/s, " + size + ", separate : best of NATS and grpc-go direct", system: separate, than: brokerPeers, scenario: s, metric: rate, limit: 1, least: true},
	}
}

// aheadStreams are those of streams of large items.
func aheadStreams(direction string, s scenario) []goal {
	text := "MB/s " + direction + ", 64 KiB, "
	return []goal{
		{text: text + "embedded : raw bytes", system: embedded, than: []string{"raw bytes, tcp"}, scenario: s, metric: megabytes, limit: 0.45, least: true},
		{text: text + "embedded : best direct peer", system: embedded, than: streamPeers, scenario: s, metric: megabytes, limit: 1, least: true},
		{text: text + "separate : best of NATS and grpc-go direct", system: separate, than: brokerPeers, scenario: s, metric: megabytes, limit: 1, least: true},
	}
}

// An outcome is what a run says of a goal.
type outcome struct {
	spread spread
	best   string // of several peers, the one that was the best most often
	met    bool
}

// outcome reports false if a figure is missing. A ratio is taken in each round, so that the load of the machine, which both met, cancels out.
func (r *report) outcome(g goal) (o outcome, ok bool) {
	other := g.scenario
	if g.from != nil {
		other = *g.from
	}
	var all []float64
	times := make(map[string]int)
	for round, v := range r.rounds(g.system, g.scenario, g.metric) {
		if len(g.than) > 0 || g.from != nil {
			system, base, ok := r.best(g, other, round)
			if !ok {
				return o, false
			}
			times[system]++
			v /= base
		}
		all = append(all, v)
	}
	if len(all) == 0 {
		return o, false
	}
	if len(g.than) > 1 {
		for _, system := range g.than {
			if times[system] > times[o.best] {
				o.best = system
			}
		}
	}
	o.spread = spreadOf(all)
	o.met = g.least && o.spread.Median >= g.limit || !g.least && o.spread.Median <= g.limit
	return o, true
}

// best is the figure that the goal compares with in a round: of all systems it names, so that none of them is left out.
func (r *report) best(g goal, s scenario, round int) (system string, best float64, ok bool) {
	best = math.Inf(1)
	if g.least {
		best = 0
	}
	for _, than := range slices.Concat(g.than, own(g)) {
		v, ok := r.rounds(than, s, g.metric)[round]
		if !ok {
			return "", 0, false
		}
		if system == "" || g.least && v > best || !g.least && v < best {
			system, best = than, v
		}
	}
	return system, best, true
}

// own is the goal's system where that is compared with itself.
func own(g goal) []string {
	if len(g.than) > 0 {
		return nil
	}
	return []string{g.system}
}

// goals prints those for which there are figures.
func (r *report) goals(p *printer) {
	first := true
	all := goals
	for _, s := range r.scenarios {
		if s.Kind == idle {
			all = concat(all, idleGoals(s))
		}
	}
	for _, g := range all {
		o, ok := r.outcome(g)
		if !ok {
			continue
		}
		if first {
			p.printf("\n### Goals\n\nRatios are taken in each round.\n\n| what | goal | median (least–greatest) | |\n|---|---:|---:|---|\n")
			first = false
		}
		sign, met, text := "≤", "met", g.text
		if g.least {
			sign = "≥"
		}
		if !o.met {
			met = "**not met**"
		}
		if o.best != "" {
			text += " (" + o.best + ")"
		}
		p.printf("| %s | %s %s | %s | %s |\n", text, sign, number(g.limit), o.spread, met)
	}
}
