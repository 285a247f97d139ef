package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// A process plays one role of one system.
type process struct {
	role string
	cmd  *exec.Cmd
	in   io.WriteCloser
	out  *json.Decoder
}

// build makes the programs of the systems in dir, as far as they are not this one, and returns where they are by tag.
func build(ctx context.Context, systems []system, dir string) (map[string]string, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	programs := map[string]string{"": self}
	for _, s := range systems {
		if programs[s.tag] != "" {
			continue
		}
		file := filepath.Join(dir, "bench-"+s.tag)
		text, err := exec.CommandContext(ctx, "go", "build", "-tags", s.tag, "-o", file, "github.com/daffi-rpc/daffi/bench").CombinedOutput()
		if err != nil {
			return nil, fmt.Errorf("build the program for %s: %w; bench must be run in its folder\n%s", s.name, err, text)
		}
		programs[s.tag] = file
	}
	return programs, nil
}

// start runs the role and returns when it is ready, with the address at which it is.
func start(ctx context.Context, program, role, system, addr, dir string, pinned bool) (*process, string, error) {
	argv := []string{program, roleArg, role, system, addr}
	if pinned {
		argv = append([]string{"taskset", "-c", "0"}, argv...)
	}
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Env = append(os.Environ(), "TMPDIR="+dir, "XDG_RUNTIME_DIR=") // where a controller keeps its token
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, "", err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, "", err
	}
	if err := cmd.Start(); err != nil {
		return nil, "", err
	}
	lines := bufio.NewReader(out)
	p := &process{role: role, cmd: cmd, in: in, out: json.NewDecoder(lines)}
	defer p.killAfter(startTime).Stop()
	bound, err := lines.ReadString('\n')
	if err != nil {
		return nil, "", errors.Join(fmt.Errorf("the %s of %s did not start: %w", role, system, err), p.stop())
	}
	return p, strings.TrimSpace(bound), nil
}

func (p *process) ask(c command) (answer, error) {
	text, err := json.Marshal(c)
	if err != nil {
		return answer{}, err
	}
	defer p.killAfter(c.For + answerTime).Stop()
	if _, err := p.in.Write(append(text, '\n')); err != nil {
		return answer{}, err
	}
	var a answer
	if err := p.out.Decode(&a); err != nil {
		return a, fmt.Errorf("the %s did not answer: %w", p.role, err)
	}
	if a.Err != "" {
		return a, errors.New(a.Err)
	}
	return a, nil
}

// stop has the process end, and waits for it.
func (p *process) stop() error {
	p.in.Close()
	defer p.killAfter(stopTime).Stop()
	return p.cmd.Wait()
}

// killAfter ends the process when the time is over, so that nothing waits for it without end.
func (p *process) killAfter(d time.Duration) *time.Timer {
	return time.AfterFunc(d, func() { p.cmd.Process.Kill() })
}

// How long a process has for what takes it milliseconds.
const (
	startTime  = 30 * time.Second
	answerTime = 60 * time.Second // more than a role waits for the calls of a measurement, so that its error comes first
	stopTime   = 5 * time.Second
)

// A group is the processes of one system.
type group struct {
	system    system
	processes []*process // the client is the last
	idlers    *process   // if nodes are to idle beside them
	memory    int64      // that the broker has for these when it has settled
	joined    int64      // before
	dir       string
}

// startGroup starts the roles that the scenario wants, the client last, and then the nodes that idle.
func startGroup(ctx context.Context, programs map[string]string, sys system, s scenario) (*group, error) {
	dir, err := os.MkdirTemp("", "bench") // short, as the paths of unix sockets must be
	if err != nil {
		return nil, err
	}
	g := &group{system: sys, dir: dir}
	addr := "127.0.0.1:0"
	if sys.network == "unix" {
		addr = filepath.Join(dir, "s")
	}
	roles := []string{roleServer, roleClient}
	switch {
	case s.Kind == idle:
		roles = []string{roleBroker}
	case sys.broker != nil:
		roles = []string{roleBroker, roleServer, roleClient}
	}
	for i, role := range roles {
		p, bound, err := start(ctx, programs[sys.tag], role, sys.name, addr, dir, s.Pinned)
		if err != nil {
			return nil, errors.Join(err, g.stop())
		}
		g.processes = append(g.processes, p)
		if i == 0 {
			addr = bound
		}
	}
	if s.Idle != (idlers{}) {
		if err := g.addIdlers(ctx, programs[sys.tag], addr, s.Idle); err != nil {
			return nil, errors.Join(fmt.Errorf("%s, %s: %w", sys.name, s, err), g.stop())
		}
	}
	return g, nil
}

// addIdlers has nodes join, and finds what memory the broker has for them.
func (g *group) addIdlers(ctx context.Context, program, addr string, i idlers) (err error) {
	broker := g.processes[0]
	before, err := broker.ask(command{Resident: true, Settle: true})
	if err != nil {
		return err
	}
	if g.idlers, _, err = start(ctx, program, roleIdlers, g.system.name, addr, g.dir, false); err != nil {
		return err
	}
	if _, err := g.idlers.ask(command{Idlers: &i}); err != nil {
		return err
	}
	joined, err := broker.ask(command{Resident: true})
	if err != nil {
		return err
	}
	settled, err := broker.ask(command{Resident: true, Settle: true})
	g.memory, g.joined = settled.Resident-before.Resident, joined.Resident-before.Resident
	return err
}

func (g *group) stop() error {
	var errs []error
	if g.idlers != nil {
		errs = append(errs, g.idlers.stop())
	}
	for i := len(g.processes) - 1; i >= 0; i-- { // the client first
		errs = append(errs, g.processes[i].stop())
	}
	return errors.Join(append(errs, os.RemoveAll(g.dir))...)
}

// used asks all processes what they have used so far.
func (g *group) used() (map[string]usage, error) {
	all := make(map[string]usage)
	for _, p := range g.processes {
		a, err := p.ask(command{})
		if err != nil {
			return nil, err
		}
		all[p.role] = a.Usage
	}
	return all, nil
}

// usedSince asks them again.
func (g *group) usedSince(before map[string]usage) (map[string]usage, error) {
	after, err := g.used()
	for role, u := range after {
		after[role] = u.minus(before[role])
	}
	return after, err
}

// measure warms the system up and measures it for about the time d.
func (g *group) measure(s scenario, d time.Duration, profiles string) (figure, error) {
	f, err := g.tryMeasure(s, d, profiles)
	if err != nil {
		return f, fmt.Errorf("%s, %s: %w", g.system.name, s, err)
	}
	return f, nil
}

func (g *group) tryMeasure(s scenario, d time.Duration, profiles string) (figure, error) {
	f := figure{System: g.system.name, Scenario: s}
	if s.Kind == idle {
		return g.watch(f, idleTime(d))
	}
	client := g.processes[len(g.processes)-1]
	warm, err := client.ask(command{Scenario: &s, For: d / 4})
	if err != nil {
		return f, err
	}
	if err := g.own(client, &f); err != nil {
		return f, err
	}
	cmd := command{Scenario: &s, For: d}
	if s.Kind != unary {
		cmd.N = 4 * warm.N
	}
	before, err := g.used()
	if err != nil {
		return f, err
	}
	if profiles != "" {
		for _, p := range g.processes {
			name := strings.NewReplacer(",", "", " ", "-", "/", "-").Replace(g.system.name + "." + s.String() + "." + p.role + ".pprof")
			if _, err := p.ask(command{Profile: filepath.Join(profiles, name)}); err != nil {
				return f, err
			}
		}
	}
	a, err := client.ask(cmd)
	if err != nil {
		return f, err
	}
	f.N, f.Elapsed, f.P50, f.P99, f.Memory, f.Joined = a.N, a.Elapsed, a.P50, a.P99, g.memory, g.joined
	f.Used, err = g.usedSince(before)
	return f, err
}

// own finds what of the allocations of daffi's calls is not due to daffi: those of the measurement, and at both ends those of the values.
func (g *group) own(client *process, f *figure) error {
	if !g.system.ours || f.Scenario.Kind != unary {
		return nil
	}
	before, err := g.used()
	if err != nil {
		return err
	}
	if _, err := client.ask(command{Scenario: &f.Scenario}); err != nil { // in no time: a call of each caller
		return err
	}
	begin, err := g.usedSince(before)
	if err != nil {
		return err
	}
	f.Begin, f.Value = make(map[string]uint64), make(map[string]float64)
	for _, p := range g.processes {
		f.Begin[p.role] = begin[p.role].Allocs
		if p.role == roleBroker {
			continue
		}
		a, err := p.ask(command{Decode: f.Scenario.Size})
		if err != nil {
			return err
		}
		f.Value[p.role] = a.Allocs
	}
	return nil
}

// idleTime is how long idle nodes are watched: some measurements, and so long that each is pinged, which happens every 5 s.
func idleTime(d time.Duration) time.Duration { return max(40*d, idleLeast) }

var idleLeast = 6 * time.Second // shorter in a test

// watch finds what a broker does when nobody wants anything.
func (g *group) watch(f figure, d time.Duration) (figure, error) {
	before, err := g.used()
	if err != nil {
		return f, err
	}
	time.Sleep(d)
	f.Used, err = g.usedSince(before)
	f.N, f.Elapsed, f.Memory, f.Joined = f.Scenario.Idle.Nodes, d, g.memory, g.joined
	return f, err
}
