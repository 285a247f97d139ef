package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
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
	if p.programs, err = build(ctx, p.systems, dir); err != nil {
		return nil, err
	}
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
	for i, some := range all {
		if some[0].Series != "" { // by turns, in an order of the round's own
			r := rand.New(rand.NewPCG(uint64(round), uint64(i)))
			r.Shuffle(len(some), func(i, j int) { some[i], some[j] = some[j], some[i] })
		}
	}
	return all
}

// A member is what has processes: a system, and of one beside which something grows as many as there are sizes.
type member struct {
	system string
	idle   idlers
}

// round measures every one of the scenarios with every system once, with processes that live as long. Those beside which something idles are all there
// before the first is measured, so that they burden each other equally.
func (p plan) round(ctx context.Context, r *report, round int, some []scenario) (err error) {
	groups := make(map[member]*group)
	defer func() {
		for _, g := range groups {
			err = errors.Join(err, g.stop())
		}
	}()
	join := func(sys system, s scenario) (*group, error) {
		m := member{sys.name, s.Idle}
		if groups[m] == nil {
			g, err := startGroup(ctx, p.programs, sys, s)
			if err != nil {
				return nil, err
			}
			groups[m] = g
		}
		return groups[m], nil
	}
	for _, s := range some {
		for _, sys := range p.systems {
			if s.Series == "" || !s.fits(sys) {
				continue
			}
			if _, err := join(sys, s); err != nil {
				return err
			}
		}
	}
	for i, s := range some {
		fmt.Fprintf(os.Stderr, "%s round %d of %d: %s\n", time.Now().Format(time.TimeOnly), round+1, p.rounds, s)
		order := rand.New(rand.NewPCG(uint64(round), uint64(i))).Perm(len(p.systems)) // nobody always comes after the same one
		for _, at := range order {
			sys := p.systems[at]
			if !s.fits(sys) {
				continue
			}
			g, err := join(sys, s)
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
