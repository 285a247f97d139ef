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
		for _, pinned := range []bool{false, true} {
			if err := p.round(ctx, r, round, pinned); err != nil {
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

// round measures every scenario with every system once, with processes that live for the round.
func (p plan) round(ctx context.Context, r *report, round int, pinned bool) (err error) {
	groups := make(map[string]*group)
	defer func() {
		for _, g := range groups {
			err = errors.Join(err, g.stop())
		}
	}()
	for i, s := range p.scenarios {
		if s.Pinned != pinned {
			continue
		}
		fmt.Fprintf(os.Stderr, "%s round %d of %d: %s\n", time.Now().Format(time.TimeOnly), round+1, p.rounds, s)
		order := rand.New(rand.NewPCG(uint64(round), uint64(i))).Perm(len(p.systems)) // nobody always comes after the same one
		for _, at := range order {
			sys := p.systems[at]
			if !s.fits(sys) {
				continue
			}
			g := groups[sys.name]
			if g == nil {
				if g, err = startGroup(ctx, p.programs, sys, pinned); err != nil {
					return err
				}
				groups[sys.name] = g
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
