// Command bench compares daffi with what a Go developer would use instead, on one machine.
//
//	bench [-quick] [-systems regexp] [-scenarios regexp] [-rounds n] [-time d] [-json file] [-svg file] [-publish folder] [-idle n] [-profiles folder] [-list]
//
// Every role has a process of its own: the client, the server, and the broker or controller where the system has one. All carry the same
// value (echo.Item) of the same sizes. A round measures each scenario with all systems, one after the other in an order that changes from
// round to round, so that what else happens on the machine meets all of them; the tables show the median of the rounds, with the least and the greatest.
//
// It runs on Linux, and on macOS without the numbers of system calls and without the scenarios that pin all processes to one processor.
//
// Absolute figures drift with the machine and its load. What counts is how two systems of the same run compare.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"time"
)

func main() {
	if len(os.Args) > 1 && os.Args[1] == roleArg {
		if err := playRole(os.Args[2:]); err != nil {
			fmt.Fprintf(os.Stderr, "bench %v: %v\n", os.Args[2:], err)
			os.Exit(1)
		}
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	p := plan{systems: systems}
	quick := flag.Bool("quick", false, "fewer sizes, shorter measurements: a first look")
	wantSystems := flag.String("systems", "", "only the systems whose names match the `regexp`")
	wantScenarios := flag.String("scenarios", "", "only the scenarios whose names match the `regexp`")
	rounds := flag.Int("rounds", 0, "rounds; 0: 5, with -quick 3")
	each := flag.Duration("time", 0, "how long one measurement takes; 0: 400ms, with -quick 150ms")
	jsonFile := flag.String("json", "", "write all figures to `file`")
	svgFile := flag.String("svg", "", "draw calls of 64 bytes in `file`")
	root := flag.String("publish", "", "write what the repository in `folder` keeps of a run: "+publishedJSON+", "+publishedReport+", "+publishedSVG+" and figures in "+publishedReadme)
	flag.StringVar(&p.profiles, "profiles", "", "write a CPU profile of each process and measurement to the `folder`; the last round's is kept")
	nodes := flag.Int("idle", idleNodes, "how many nodes idle where that is measured")
	list := flag.Bool("list", false, "print the names of systems and scenarios")
	flag.Parse()
	if flag.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q", flag.Arg(0))
	}
	p.scenarios = scenarios(*quick, *nodes)
	p.rounds, p.each = extent(*quick)
	if *rounds > 0 {
		p.rounds = *rounds
	}
	if *each > 0 {
		p.each = *each
	}
	var err error
	if p.systems, err = matching(p.systems, *wantSystems, func(s system) string { return s.name }); err != nil {
		return fmt.Errorf("-systems: %w", err)
	}
	if p.scenarios, err = matching(p.scenarios, *wantScenarios, scenario.String); err != nil {
		return fmt.Errorf("-scenarios: %w", err)
	}
	if p.profiles != "" {
		if p.profiles, err = filepath.Abs(p.profiles); err != nil {
			return err
		}
		if err := os.MkdirAll(p.profiles, 0o777); err != nil {
			return err
		}
	}
	if *list {
		for _, s := range p.systems {
			fmt.Println("system  ", s.name)
		}
		for _, s := range p.scenarios {
			fmt.Println("scenario", s)
		}
		return nil
	}

	r, err := p.run(ctx)
	if r == nil || len(r.Figures) == 0 {
		return err
	}
	if *jsonFile != "" {
		err = errors.Join(err, r.writeJSON(*jsonFile))
	}
	if *svgFile != "" {
		err = errors.Join(err, r.writeSVG(*svgFile))
	}
	if *root != "" && err == nil {
		err = errors.Join(err, r.publish(*root))
	}
	return errors.Join(err, r.writeMarkdown(os.Stdout))
}

// extent is how much is measured: in a quarter of an hour, or in three minutes.
func extent(quick bool) (rounds int, each time.Duration) {
	if quick {
		return 3, 150 * time.Millisecond
	}
	return 5, 400 * time.Millisecond
}

// matching returns those of all whose name matches the pattern; that there are none is an error.
func matching[T any](all []T, pattern string, name func(T) string) ([]T, error) {
	re, err := regexp.Compile(pattern)
	if err != nil {
		return nil, err
	}
	var some []T
	for _, v := range all {
		if re.MatchString(name(v)) {
			some = append(some, v)
		}
	}
	if len(some) == 0 {
		return nil, fmt.Errorf("nothing matches %q; -list prints the names", pattern)
	}
	return some, nil
}
