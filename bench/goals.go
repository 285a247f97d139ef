package main

// A goal is how a system is to compare with another in the same run, or, without another, a figure of its own.
type goal struct {
	text     string
	system   string
	than     string // "" for none
	scenario scenario
	metric   metric
	limit    float64
	least    bool // the limit is to be reached rather than kept
}

const (
	embedded = "daffi embedded, tcp"
	separate = "daffi separate, tcp"
)

var goals = []goal{
	{"CPU s/100k, separate", separate, "", crowd, cpu, 1.0, false},
	{"CPU, separate : NATS", separate, "NATS, tcp", crowd, cpu, 0.42, false},
	{"CPU, separate : grpc-go direct", separate, "grpc-go, tcp", crowd, cpu, 0.28, false},
	{"CPU, separate : kitex direct", separate, kitexTCP, crowd, cpu, 0.55, false},
	{"CPU, separate : hand-written forwarder", separate, "hand-written forwarded, tcp", crowd, cpu, 1.7, false},
	{"calls/s, separate : NATS", separate, "NATS, tcp", crowd, rate, 2.5, true},
	{"CPU s/100k, embedded", embedded, "", crowd, cpu, 0.65, false},
	{"CPU, embedded : kitex", embedded, kitexTCP, crowd, cpu, 0.36, false},
	{"calls/s, embedded : kitex", embedded, kitexTCP, crowd, rate, 2.5, true},
	{"calls/s, embedded : grpc-go", embedded, "grpc-go, tcp", crowd, rate, 5, true},
	{"one processor, p50, embedded : net/rpc", embedded, "net/rpc, tcp", pinned, p50, 0.9, false},
	{"one processor, p50, separate : grpc-go direct", separate, "grpc-go, tcp", pinned, p50, 1.0, false},
	{"one processor, p50, separate : NATS", separate, "NATS, tcp", pinned, p50, 0.8, false},
	{"one caller, p50, unix, embedded : net/rpc", "daffi embedded, unix", "net/rpc, unix", lone, p50, 0.6, false},
	{"items/s up, 64 B, embedded", embedded, "", upSmall, items, 2.5e6, true},
	{"items/s down, 64 B, embedded", embedded, "", downSmall, items, 2.5e6, true},
	{"items/s up, 64 B, separate", separate, "", upSmall, items, 2e6, true},
	{"items/s down, 64 B, separate", separate, "", downSmall, items, 2e6, true},
	{"MB/s up, 64 KiB, embedded : raw bytes", embedded, "raw bytes, tcp", upLarge, megabytes, 0.45, true},
	{"MB/s down, 64 KiB, embedded : raw bytes", embedded, "raw bytes, tcp", downLarge, megabytes, 0.45, true},
	{"allocations of the controller", separate, "", crowd, allocs(roleBroker), 0.01, false},
}

// goals prints those for which there are figures. A ratio is taken in each round, so that the load of the machine, which both met, cancels out.
func (r *report) goals(p *printer) {
	first := true
	for _, g := range goals {
		all := r.values(g.system, g.scenario, g.metric)
		if g.than != "" {
			other := r.values(g.than, g.scenario, g.metric)
			if len(other) != len(all) {
				continue
			}
			for i := range all {
				all[i] /= other[i]
			}
		}
		if len(all) == 0 {
			continue
		}
		if first {
			p.printf("\n### Goals\n\n| what | goal | median (least–greatest) | |\n|---|---:|---:|---|\n")
			first = false
		}
		v, sign, met := spreadOf(all), "≤", "met"
		if g.least {
			sign = "≥"
		}
		if g.least && v.median < g.limit || !g.least && v.median > g.limit {
			met = "**not met**"
		}
		p.printf("| %s | %s %s | %s (%s–%s) | %s |\n", g.text, sign, number(g.limit), number(v.median), number(v.least), number(v.greatest), met)
	}
}
