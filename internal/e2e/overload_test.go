//go:build unix

package e2e

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// ceiling is what the controller may occupy.
const ceiling = 256 << 20

// pits are the nodes that stand still.
const pits = 12

// TestACC50: nodes ask for ten times what there is, with messages and streams of up to 1 MiB an item, and some of them stop for seconds at a time, so that what is meant for them piles up at the
// controller. It stays below its ceiling, refuses early and NotRun, and what can be done is done all the time (ACC-26).
func TestACC50Overload(t *testing.T) {
	if runtime.GOOS != "linux" || len(buildFlags) > 0 {
		t.Skip("memory is read from /proc, and the race detector needs much more")
	}
	addr := address(t, "unix")
	controller := start(t, "daffi", "controller", "--addr", addr, "--max-memory", strconv.Itoa(ceiling))
	controller.wait("listening on")
	overload(t, addr, 3*time.Second)
	t.Logf("the controller occupied %d MiB", controller.peak()>>20)
	require.LessOrEqual(t, controller.peak(), ceiling)
	controller.stop()
}

// TestACC50ControlGroup is the same with a ceiling that the system enforces.
func TestACC50ControlGroup(t *testing.T) {
	if os.Getenv("DAFFI_NIGHT") == "" || len(buildFlags) > 0 {
		t.Skip("only make night runs it: it takes minutes, and needs root")
	}
	group := newControlGroup(t, ceiling)
	addr := address(t, "unix")
	controller := startCommand(t, "", exec.Command("sh", "-c", `echo $$ > "$0/cgroup.procs" && exec "$@"`, string(group), bin+"daffi", "controller", "--addr", addr))
	controller.wait("listening on")
	lasts := 5 * time.Minute
	if testing.Short() {
		lasts = time.Minute
	}
	overload(t, addr, lasts)
	t.Logf("the controller occupied %d MiB; %s", controller.peak()>>20, group.story(t))
	require.Zero(t, group.kills(t))
	controller.stop()
}

// overload calls for that long: ten times as often as the node slow can take, and beside that with all that goes into many nodes that stand still most of the time.
func overload(t *testing.T, addr string, lasts time.Duration) {
	grind := func(name string, args ...string) *process {
		p := start(t, "grind", append([]string{"-addr", addr, "-name", name}, args...)...)
		p.wait("ready")
		return p
	}
	var names []string
	for i := range pits {
		names = append(names, fmt.Sprintf("pit-%d", i))
	}
	grind("slow")
	pit := grind("pit", "-nodes", strconv.Itoa(pits), "-workers", "100")
	alone := func(name string) (perSecond int) {
		p := grind(name, "-to", "slow-0", "-callers", "4") // as many as it takes
		time.Sleep(1200 * time.Millisecond)
		p.quit()
		each := p.tallies()
		sum := together(each[1:]) // memory may still be short when it begins
		require.NotZero(t, sum.Good)
		require.Zero(t, sum.Busy+sum.Shed+sum.Failed, "%v", sum)
		return sum.Good * 2 / len(each[1:])
	}
	before := alone("before")
	asking := []*process{
		grind("asking-a", "-nodes", "4", "-to", "slow-0", "-callers", "5", "-streams", "1"),
		grind("asking-b", "-nodes", "4", "-to", "slow-0", "-callers", "5", "-streams", "1"),
	}
	to := strings.Join(names, ",")
	pushing := []*process{
		grind("pushing-a", "-nodes", "2", "-to", to, "-callers", "16", "-streams", "4"),
		grind("pushing-b", "-nodes", "2", "-to", to, "-callers", "16", "-streams", "4"),
	}
	for end := time.Now().Add(lasts); time.Now().Before(end); {
		for _, p := range []*process{pit, pushing[0]} {
			p.signal(syscall.SIGSTOP)
			time.Sleep(time.Second)
			p.signal(syscall.SIGCONT)
			time.Sleep(time.Second / 2)
		}
	}
	var asked [][]tally
	for i, p := range append(asking, pushing...) {
		p.quit()
		each := p.tallies()
		sum := together(each)
		t.Logf("%s: %v", p.cmd.Args[4], sum)
		require.Zero(t, sum.Failed, "%v", sum)
		if i < len(asking) {
			asked = append(asked, each)
		}
	}
	pit.kill()
	goodput(t, asked, before)
	t.Logf("calls a second before: %d, and after: %d", before, alone("after"))
}

// goodput demands that callers got results all the time, and refusals.
func goodput(t *testing.T, asked [][]tally, before int) {
	t.Helper()
	const window = 3 // half seconds
	n, all, least := len(asked[0]), tally{}, math.MaxInt
	for i := 0; i+window <= n; i += window {
		good := 0
		for _, each := range asked {
			sum := together(each[min(i, len(each)):min(i+window, len(each))])
			good += sum.Good
			all.add(sum)
		}
		least = min(least, good)
	}
	rate := all.Good * 2 / (n / window * window)
	t.Logf("calls a second: %d, at least %d, and %d with nothing beside them", rate, least*2/window, before)
	require.Positive(t, least, "there was a time without results")
	require.Positive(t, all.Busy+all.Shed, "nothing was refused")
	if lasted := time.Duration(n) * time.Second / 2; lasted >= time.Minute {
		require.GreaterOrEqual(t, rate, before*8/10)
	}
}

// tally is what the program grind prints.
type tally struct {
	Good, Streamed, Busy, Shed, Late, Failed int
	Failure                                  string
	Refused                                  [2][]float64
}

func (t *tally) add(o tally) {
	t.Good, t.Streamed, t.Busy, t.Shed, t.Late, t.Failed = t.Good+o.Good, t.Streamed+o.Streamed, t.Busy+o.Busy, t.Shed+o.Shed, t.Late+o.Late, t.Failed+o.Failed
	for i, ms := range o.Refused {
		t.Refused[i] = append(t.Refused[i], ms...)
	}
	if o.Failure != "" {
		t.Failure = o.Failure
	}
}

func together(each []tally) (sum tally) {
	for _, one := range each {
		sum.add(one)
	}
	return sum
}

func (t tally) String() string {
	return fmt.Sprintf("%d good, %d streams, %d busy (%s), %d shed (%s), %d late, %d failed %s",
		t.Good, t.Streamed, t.Busy, percentiles(t.Refused[0]), t.Shed, percentiles(t.Refused[1]), t.Late, t.Failed, t.Failure)
}

func percentiles(ms []float64) string {
	if len(ms) == 0 {
		return "none"
	}
	slices.Sort(ms)
	return fmt.Sprintf("p50 %.1f ms, p99 %.1f ms", ms[len(ms)/2], ms[len(ms)*99/100])
}

// quit ends a program as grind ends.
func (p *process) quit() {
	p.t.Helper()
	require.NoError(p.t, p.stdin.Close())
	require.Zero(p.t, p.code())
}

func (p *process) signal(s syscall.Signal) {
	p.t.Helper()
	require.NoError(p.t, p.cmd.Process.Signal(s))
}

// tallies is what a caller has printed, by half seconds.
func (p *process) tallies() (each []tally) {
	p.t.Helper()
	for line := range strings.Lines(p.out.String()) {
		var one tally
		if json.Unmarshal([]byte(line), &one) == nil {
			each = append(each, one)
		}
	}
	return each
}

// controlGroup is the directory of one with a limit of memory.
type controlGroup string

func newControlGroup(t *testing.T, limit int) controlGroup {
	t.Helper()
	for _, v := range []struct{ mount, file string }{{"/sys/fs/cgroup/memory", "memory.limit_in_bytes"}, {"/sys/fs/cgroup", "memory.max"}} {
		dir := filepath.Join(v.mount, fmt.Sprintf("daffi-e2e-%d", os.Getpid()))
		if os.Mkdir(dir, 0o755) != nil {
			continue
		}
		t.Cleanup(func() { os.Remove(dir) })
		if os.WriteFile(filepath.Join(dir, v.file), []byte(strconv.Itoa(limit)), 0) == nil {
			return controlGroup(dir)
		}
	}
	t.Skip("no control group can be made here: that needs root")
	return ""
}

// kills is how many processes of the group the system has ended.
func (g controlGroup) kills(t *testing.T) (n int) {
	t.Helper()
	for _, file := range []string{"memory.oom_control", "memory.events"} {
		text, err := os.ReadFile(filepath.Join(string(g), file))
		if err != nil {
			continue
		}
		_, rest, ok := strings.Cut(string(text), "oom_kill ")
		require.True(t, ok, "%s", text)
		_, err = fmt.Sscan(rest, &n)
		require.NoError(t, err)
		return n
	}
	t.Fatal("the group does not say how many were killed")
	return 0
}

// story is what else the group says of how it went.
func (g controlGroup) story(t *testing.T) string {
	t.Helper()
	var s []string
	for _, file := range []string{"memory.max_usage_in_bytes", "memory.failcnt", "memory.peak", "memory.events"} {
		if text, err := os.ReadFile(filepath.Join(string(g), file)); err == nil {
			s = append(s, file+": "+strings.Join(strings.Fields(string(text)), " "))
		}
	}
	return strings.Join(s, ", ")
}
