package main

// The tables of what only daffi is measured in: what a call costs beside more and more of something, what idle nodes take, and what the values take by themselves.

// growth says how the cost of a call depends on what is there beside it.
func (r *report) growth(p *printer) {
	first := true
	for _, series := range growing {
		base := series[0]
		for _, s := range series {
			cost := r.values(crowded, s, cpu)
			if len(cost) == 0 {
				continue
			}
			if first {
				p.printf("\n### Growth\n\n64 callers, 64 bytes, beside what only is there; ratios are taken in each round.\n\n")
				p.printf("| beside | CPU s/100k | of the least | calls/s | of the least |\n|---|---:|---:|---:|---:|\n")
				first = false
			}
			p.printf("| %s: %s | %s | %s | %s | %s |\n", s.Series, grouped(s.grown()),
				spreadOf(cost), r.ratio(s, base, cpu), spreadOf(r.values(crowded, s, rate)), r.ratio(s, base, rate))
		}
	}
}

// ratio prints how one scenario compares with another, of the same series.
func (r *report) ratio(s, base scenario, m metric) string {
	o, ok := r.outcome(goal{system: crowded, scenario: s, from: &base, metric: m})
	if !ok {
		return "–"
	}
	return o.spread.String()
}

// idle says what a controller takes for nodes that do nothing.
func (r *report) idle(p *printer) {
	first := true
	for _, s := range r.scenarios {
		for _, sys := range r.systems {
			memory := r.values(sys.name, s, idleMemory)
			if s.Kind != idle || len(memory) == 0 {
				continue
			}
			if first {
				p.printf("\n### Idle nodes\n\n")
				p.printf("Of the controller's process: as soon as they have joined, and once it has given back what joining took. A node serves %d methods.\n\n", serviceMethods)
				p.printf("| system | nodes | resident KiB/node, joined | settled | %% of a core |\n|---|---:|---:|---:|---:|\n")
				first = false
			}
			p.printf("| %s | %s | %s | %s | %s |\n", sys.name, grouped(s.Idle.Nodes),
				spreadOf(r.values(sys.name, s, idleJoined)), spreadOf(memory), spreadOf(r.values(sys.name, s, idleCPU)))
		}
	}
}

// decoding splits the allocations of a call into those of the values and the others.
func (r *report) decoding(p *printer) {
	first := true
	for _, s := range r.scenarios {
		for _, sys := range []string{embedded, separate} {
			if s.Kind != unary || s.Callers != many || s.Series != "" || len(r.values(sys, s, cpu)) == 0 {
				continue
			}
			if first {
				p.printf("\n### Allocations of a call and of its value\n\n")
				p.printf("Those of each further call, once the callers have begun. Decoding the value is counted in a loop of its own, in the same process.\n\n")
				p.printf("| system | bytes | caller: all | value alone | beside it | callee: all | value alone | beside it |\n|---|---:|---:|---:|---:|---:|---:|---:|\n")
				first = false
			}
			p.printf("| %s | %d |", sys, s.Size)
			for _, role := range []string{roleClient, roleServer} {
				for _, m := range []metric{steady(role), value(role), beside(role)} {
					p.printf(" %s |", number(spreadOf(r.values(sys, s, m)).Median))
				}
			}
			p.printf("\n")
		}
	}
}

// growthGoals say that what a call costs beside the most is what it costs beside the least.
func growthGoals() []goal {
	var all []goal
	for _, series := range growing {
		least, most := series[0], series[len(series)-1]
		all = append(all, goal{
			text:   "CPU beside " + grouped(most.grown()) + " " + most.Series + " : beside " + grouped(least.grown()),
			system: crowded, scenario: most, from: &least, metric: cpu, limit: 1.1,
		})
	}
	return all
}

// idleGoals are for each of the nodes, however many there were.
func idleGoals(s scenario) []goal {
	var all []goal
	for _, name := range []string{separate, separateUnix} {
		all = append(all,
			goal{text: "resident KiB for an idle node, " + name, system: name, scenario: s, metric: idleMemory, limit: 16},
			goal{text: "% of a core for 5 000 idle nodes, as many as there were in proportion, " + name, system: name, scenario: s, metric: idleMany, limit: 5})
	}
	return all
}
