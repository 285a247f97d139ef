package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"time"
)

// A plan is what to measure.
type plan struct {
	systems   []system
	scenarios []scenario
	rounds    int
	each      time.Duration

	profiles string // folder for CPU profiles of all processes, or ""

	programs map[string]string // by tag; made by run
}

// run measures all, and tells on standard error how far it is. With an error it returns what it has measured before.
func (p plan) run(ctx context.Context) (*report, error) {
	dir, err := os.MkdirTemp("", "bench")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	p.systems = slices.DeleteFunc(slices.Clone(p.systems), func(sys system) bool {
		return !slices.ContainsFunc(p.scenarios, func(s scenario) bool { return s.fits(sys) })
	})
	if p.programs, err = build(ctx, p.systems, dir); err != nil {
		return nil, err
	}
	fmt.Fprintf(os.Stderr, "%s this takes about %v\n", time.Now().Format(time.TimeOnly), p.estimate().Round(time.Second))
	r := newReport(p)
	if _, err := exec.LookPath("taskset"); err != nil {
		fmt.Fprintln(os.Stderr, "no taskset: nothing is pinned to one processor")
		p.scenarios = unpinned(p.scenarios)
	}
	for round := range p.rounds {
		for _, some := range p.passes(round) {
			if err := p.round(ctx, r, round, some); err != nil {
				r.finish()
				return r, err
			}
		}
	}
	r.finish()
	return r, nil
}

func unpinned(all []scenario) []scenario {
	var some []scenario
	for _, s := range all {
		if !s.Pinned {
			some = append(some, s)
		}
	}
	return some
}

// idleRounds is in how many rounds idle nodes are watched: it takes long, and what they do does not depend on much.
const idleRounds = 2

// What a measurement takes beside its own time, about.
const (
	askTime   = 10 * time.Millisecond  // of the processes, before and after
	groupTime = 100 * time.Millisecond // to start the processes of a system and to end them
	crowdTime = 500 * time.Millisecond // with a thousand nodes, or as much
)

// estimate says about how long run takes once programs are built.
func (p plan) estimate() time.Duration {
	var sum time.Duration
	for round := range p.rounds {
		for _, some := range p.passes(round) {
			members := make(map[member]bool)
			for _, s := range some {
				for _, sys := range p.systems {
					m := member{sys.name, s.Idle}
					switch {
					case !s.fits(sys):
						continue
					case s.Kind == idle:
						sum += idleTime(p.each)
					case s.Series != "":
						sum += p.each*5/4 + growTurns*askTime
					default:
						sum += p.each*5/4 + askTime
					}
					if !members[m] && s.Idle != (idlers{}) {
						sum += crowdTime
					} else if !members[m] {
						sum += groupTime
					}
					members[m] = true
				}
			}
		}
	}
	return sum
}

// passes are the scenarios of a round that share processes.
func (p plan) passes(round int) [][]scenario {
	var all [][]scenario
	at := make(map[string]int)
	for _, s := range p.scenarios {
		if s.Kind == idle && round >= idleRounds {
			continue
		}
		i, ok := at[s.apart()]
		if !ok {
			i = len(all)
			at[s.apart()] = i
			all = append(all, nil)
		}
		all[i] = append(all[i], s)
	}
	return all
}

// A member is what has processes: a system, and of one beside which something grows as many as there are sizes.
type member struct {
	system string
	idle   idlers
}

// members have their processes from when they are first asked for until all are stopped.
type members struct {
	programs map[string]string
	groups   map[member]*group
}

func (m *members) group(ctx context.Context, sys system, s scenario) (*group, error) {
	key := member{sys.name, s.Idle}
	if g := m.groups[key]; g != nil {
		return g, nil
	}
	g, err := startGroup(ctx, m.programs, sys, s)
	if err == nil {
		m.groups[key] = g
	}
	return g, err
}

func (m *members) stop() error {
	var errs []error
	for _, g := range m.groups {
		errs = append(errs, g.stop())
	}
	return errors.Join(errs...)
}

// round measures every one of the scenarios with every system once.
func (p plan) round(ctx context.Context, r *report, round int, some []scenario) (err error) {
	all := &members{programs: p.programs, groups: make(map[member]*group)}
	defer func() { err = errors.Join(err, all.stop()) }()
	if some[0].Series != "" {
		return p.grow(ctx, r, all, round, some)
	}
	for i, s := range some {
		p.tell(round, s)
		order := rand.New(rand.NewPCG(uint64(round), uint64(i))).Perm(len(p.systems)) // nobody always comes after the same one
		for _, at := range order {
			sys := p.systems[at]
			if !s.fits(sys) {
				continue
			}
			g, err := all.group(ctx, sys, s)
			if err != nil {
				return err
			}
			f, err := g.measure(s, p.each, p.profiles)
			if err != nil {
				return err
			}
			f.Round = round
			r.Figures = append(r.Figures, f)
		}
	}
	return nil
}

// tell says how far it is.
func (p plan) tell(round int, s scenario) {
	fmt.Fprintf(os.Stderr, "%s round %d of %d: %s\n", time.Now().Format(time.TimeOnly), round+1, p.rounds, s)
}

// growTurns is in how many pieces a scenario of a series is measured, so that the load of the machine, which changes within a second, meets all sizes.
const growTurns = 4

// grow measures the scenarios of a series by turns. The processes of all are there before the first is measured, so that they burden each other equally.
func (p plan) grow(ctx context.Context, r *report, all *members, round int, some []scenario) error {
	for _, sys := range p.systems {
		if !some[0].fits(sys) {
			continue
		}
		figures := make([]figure, len(some))
		for i, s := range some {
			p.tell(round, s)
			if _, err := all.group(ctx, sys, s); err != nil {
				return err
			}
			figures[i] = figure{System: sys.name, Scenario: s, Round: round, Used: make(map[string]usage)}
		}
		order := rand.New(rand.NewPCG(uint64(round), 0))
		for range growTurns {
			for _, i := range order.Perm(len(some)) {
				g, err := all.group(ctx, sys, some[i])
				if err != nil {
					return err
				}
				f, err := g.measure(some[i], p.each/growTurns, p.profiles)
				if err != nil {
					return err
				}
				figures[i].add(f)
			}
		}
		r.Figures = append(r.Figures, figures...)
	}
	return nil
}
