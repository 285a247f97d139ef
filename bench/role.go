package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/pprof"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// The program plays a role when it is started as "bench role <broker|server|client|idlers> <system> <address>". It prints the address
// at which it is, a line, and then answers commands of standard input, a JSON value each, until that ends.
const roleArg = "role"

const (
	roleBroker = "broker"
	roleServer = "server"
	roleClient = "client"
	roleIdlers = "idlers" // the nodes that idle
)

// A command is what the parent asks of a process. Without any: what it has used so far, and to end a profile that has begun.
type command struct {
	Profile  string // file for a CPU profile that begins now
	Scenario *scenario
	For      time.Duration // of calls: how long
	N        int           // of a stream: how many items; 0: find out how many take the time For, as a warm-up
	Idlers   *idlers       // to make
	Resident bool          // say how much memory is
	Settle   bool          // before that, give back what nothing uses
	Decode   int           // size of a value that is decoded by itself
}

// An answer is what a process says to a command.
type answer struct {
	Usage    usage
	N        int
	Elapsed  time.Duration
	P50, P99 time.Duration
	Resident int64
	Allocs   float64 // of decoding
	Err      string
}

func playRole(args []string) error {
	if len(args) != 3 {
		return errors.New("a role takes its name, that of the system, and an address")
	}
	role, addr := args[0], args[2]
	i := slices.IndexFunc(systems, func(s system) bool { return s.name == args[1] })
	if i < 0 {
		return errors.New("unknown system")
	}
	ctx := context.Background()
	var c client
	var err error
	switch s := systems[i]; role {
	case roleBroker:
		addr, err = s.broker(ctx, addr)
	case roleServer:
		addr, err = s.server(ctx, addr)
	case roleClient:
		c, err = s.client(ctx, addr)
	case roleIdlers: // makes them when it is told how many
	default:
		err = errors.New("unknown role")
	}
	if err != nil {
		return err
	}
	fmt.Println(addr)

	in, out := json.NewDecoder(bufio.NewReader(os.Stdin)), json.NewEncoder(os.Stdout)
	for {
		var cmd command
		if err := in.Decode(&cmd); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		a, err := obey(ctx, addr, c, cmd)
		if err != nil {
			a.Err = err.Error()
		}
		if err := out.Encode(a); err != nil {
			return err
		}
	}
}

// obey does one command.
func obey(ctx context.Context, addr string, c client, cmd command) (a answer, err error) {
	switch {
	case cmd.Profile != "":
		return a, beginProfile(cmd.Profile)
	case cmd.Idlers != nil:
		_, err = makeIdlers(ctx, addr, *cmd.Idlers) // as long as the process is there
		return a, err
	case cmd.Resident:
		if cmd.Settle {
			debug.FreeOSMemory()
		}
		a.Resident, err = resident()
		return a, err
	case cmd.Decode > 0:
		a.Allocs = decodingAllocs(cmd.Decode)
		return a, nil
	case cmd.Scenario != nil:
		return measure(ctx, c, cmd)
	}
	pprof.StopCPUProfile()
	a.Usage = used()
	return a, nil
}

// beginProfile writes a CPU profile to the file, until somebody ends it.
func beginProfile(file string) error {
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	return pprof.StartCPUProfile(f)
}

// measure does what the command asks for.
func measure(ctx context.Context, c client, cmd command) (answer, error) {
	s := *cmd.Scenario
	ctx, cancel := context.WithCancel(ctx) // without a deadline, which some systems send along at a cost
	defer cancel()
	defer time.AfterFunc(cmd.For+20*time.Second, cancel).Stop() // nothing hangs
	switch {
	case s.Kind == unary:
		if w, ok := c.(windowed); ok && s.Callers > 1 {
			return w.window(ctx, s, cmd.For)
		}
		return call(ctx, c, s, cmd.For)
	case cmd.N == 0:
		return calibrate(ctx, c, s, cmd.For)
	}
	return stream(ctx, c, s, cmd.N)
}

// windowed is what the raw floor has in place of calls from many goroutines.
type windowed interface {
	window(ctx context.Context, s scenario, d time.Duration) (answer, error)
}

func stream(ctx context.Context, c client, s scenario, n int) (answer, error) {
	start := time.Now()
	f := c.up
	if s.Kind == down {
		f = c.down
	}
	err := f(ctx, n, s.Size)
	return answer{N: n, Elapsed: time.Since(start)}, err
}

// calibrations is how many streams calibrate looks at, at least: one alone, of few items, shows a pause of the machine and nothing else.
const calibrations = 4

// calibrate finds how many items a stream carries in the time d. It goes by the best of several streams, since a short one may meet a pause of the machine.
func calibrate(ctx context.Context, c client, s scenario, d time.Duration) (answer, error) {
	best := 0.0 // items in a nanosecond
	for n, streams := 16, 1; ; streams++ {
		a, err := stream(ctx, c, s, n)
		if err != nil {
			return a, err
		}
		best = max(best, float64(n)/float64(a.Elapsed))
		want := max(1, int(best*float64(d)))
		if 2*n >= want && streams >= calibrations {
			a.N = want
			return a, nil
		}
		n = max(n, min(4*n, want))
	}
}

// keep is how many latencies are kept for the quantiles: the last ones, of all callers together.
const keep = 1 << 19

// call has all callers call for the time d.
func call(ctx context.Context, c client, s scenario, d time.Duration) (answer, error) {
	type tally struct {
		n    int
		last []uint32 // latencies in nanoseconds, the oldest overwritten
		err  error
	}
	tallies := make([]tally, s.Callers)
	for i := range tallies {
		tallies[i].last = make([]uint32, keep/s.Callers)
	}
	var wg sync.WaitGroup
	start := time.Now()
	end := start.Add(d)
	for i := range tallies {
		wg.Go(func() {
			t := &tallies[i]
			f := c.caller(s.Size)
			for before := time.Now(); t.n == 0 || before.Before(end); t.n++ { // at least one, however late it begins
				if t.err = f(ctx); t.err != nil {
					return
				}
				now := time.Now()
				t.last[t.n%len(t.last)] = uint32(min(now.Sub(before), 1<<32-1))
				before = now
			}
		})
	}
	wg.Wait()
	a := answer{Elapsed: time.Since(start)}
	var all []uint32
	for _, t := range tallies {
		if t.err != nil {
			return a, t.err
		}
		a.N += t.n
		all = append(all, t.last[:min(t.n, len(t.last))]...)
	}
	slices.Sort(all)
	a.P50, a.P99 = quantile(all, 50), quantile(all, 99)
	return a, nil
}

func quantile(sorted []uint32, percent int) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return time.Duration(sorted[(len(sorted)-1)*percent/100])
}

// used returns what this process has used since it began.
func used() usage {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		panic(err) // its arguments are constants
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return usage{
		CPU:      time.Duration(r.Utime.Nano() + r.Stime.Nano()),
		Allocs:   m.Mallocs,
		IO:       ioCalls(),
		Switches: uint64(r.Nvcsw + r.Nivcsw),
	}
}

// resident returns how many bytes of this process are in memory.
func resident() (int64, error) {
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0, err
	}
	var all, pages int64
	if _, err := fmt.Sscan(string(text), &all, &pages); err != nil {
		return 0, err
	}
	return pages * int64(os.Getpagesize()), nil
}

// ioCalls returns how often this process has called read, write and their kin, as Linux counts it.
func ioCalls() uint64 {
	text, err := os.ReadFile("/proc/self/io")
	if err != nil {
		return 0
	}
	var sum uint64
	for line := range strings.Lines(string(text)) {
		var n uint64
		if _, err := fmt.Sscanf(line, "syscr: %d", &n); err == nil {
			sum += n
		} else if _, err := fmt.Sscanf(line, "syscw: %d", &n); err == nil {
			sum += n
		}
	}
	return sum
}
