package e2e

import (
	"bufio"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	daffi "github.com/daffi-rpc/daffi/runtime"
)

// patience is for what should take no time at all, on a machine that does many things at once.
const patience = 30 * time.Second

// process is a program that runs.
type process struct {
	t      *testing.T
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	out    *lines // standard output
	log    *lines // standard error
	exited chan struct{}
}

// lines keeps what was written and lets others wait for it.
type lines struct {
	mu   sync.Mutex
	all  []string
	read int           // how many were waited for
	more chan struct{} // closed and replaced with every line, and at the end
	end  bool
	at   time.Time // when the end came
}

func (l *lines) copy(r io.Reader) {
	for s := bufio.NewScanner(r); s.Scan(); {
		l.mu.Lock()
		l.all = append(l.all, s.Text())
		l.wake()
		l.mu.Unlock()
	}
	l.mu.Lock()
	l.end, l.at = true, time.Now()
	l.wake()
	l.mu.Unlock()
}

func (l *lines) wake() {
	close(l.more)
	l.more = make(chan struct{})
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.all, "\n")
}

// wait returns the next line that contains text, of those that were not waited for yet.
func (l *lines) wait(ctx context.Context, text string) (string, error) {
	for {
		l.mu.Lock()
		for l.read < len(l.all) {
			line := l.all[l.read]
			l.read++
			if strings.Contains(line, text) {
				l.mu.Unlock()
				return line, nil
			}
		}
		more, end := l.more, l.end
		l.mu.Unlock()
		if end {
			return "", errors.New("the program ended")
		}
		select {
		case <-more:
		case <-ctx.Done():
			return "", ctx.Err()
		}
	}
}

// start runs a program. It is killed when the test ends, if it still runs then.
func start(t *testing.T, name string, args ...string) *process {
	t.Helper()
	return startIn(t, "", name, args...)
}

// startIn is start with another XDG_RUNTIME_DIR.
func startIn(t *testing.T, runtimeDir, name string, args ...string) *process {
	t.Helper()
	return startCommand(t, runtimeDir, exec.Command(bin+name, args...))
}

// startCommand is startIn for a command that was made otherwise.
func startCommand(t *testing.T, runtimeDir string, cmd *exec.Cmd) *process {
	t.Helper()
	var env []string
	if runtimeDir != "" {
		env = []string{"XDG_RUNTIME_DIR=" + runtimeDir}
	}
	return startEnv(t, cmd, env)
}

// startEnv starts a command with more in its environment.
func startEnv(t *testing.T, cmd *exec.Cmd, env []string) *process {
	t.Helper()
	p := &process{
		t: t, cmd: cmd, exited: make(chan struct{}),
		out: &lines{more: make(chan struct{})}, log: &lines{more: make(chan struct{})},
	}
	p.cmd.Env = append(environ(), env...)
	var err error
	p.stdin, err = p.cmd.StdinPipe()
	require.NoError(t, err)
	stdout, err := p.cmd.StdoutPipe()
	require.NoError(t, err)
	stderr, err := p.cmd.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, p.cmd.Start())
	var copying sync.WaitGroup
	copying.Go(func() { p.out.copy(stdout) })
	copying.Go(func() { p.log.copy(stderr) })
	go func() {
		copying.Wait()
		p.cmd.Wait()
		close(p.exited)
	}()
	t.Cleanup(func() {
		p.kill()
		if t.Failed() {
			t.Logf("%s: %v\nstdout:\n%v\nstderr:\n%v", p.cmd, p.cmd.ProcessState, p.out, p.log)
		}
		if strings.Contains(p.log.String(), "DATA RACE") {
			t.Errorf("%s has a data race:\n%v", p.cmd, p.log)
		}
	})
	return p
}

// environ is the environment without variables of ours: programs that configure themselves by it refuse those that are only for tests.
func environ() []string {
	return slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "DAFFI_") })
}

// wait returns the next line on standard output that contains text.
func (p *process) wait(text string) string { p.t.Helper(); return p.await(p.out, text) }

// waitLog is wait for standard error.
func (p *process) waitLog(text string) string { p.t.Helper(); return p.await(p.log, text) }

func (p *process) await(l *lines, text string) string {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), patience)
	defer cancel()
	line, err := l.wait(ctx, text)
	require.NoErrorf(p.t, err, "%s: waiting for a line with %q", p.cmd, text)
	return line
}

// kill ends the program as kill -9 does.
func (p *process) kill() {
	p.cmd.Process.Kill()
	<-p.exited
}

// terminate sends SIGTERM.
func (p *process) terminate() {
	p.t.Helper()
	require.NoError(p.t, p.cmd.Process.Signal(syscall.SIGTERM))
}

// code waits for the end and returns the exit code.
func (p *process) code() int {
	p.t.Helper()
	select {
	case <-p.exited:
	case <-time.After(patience):
		p.t.Fatalf("%s does not end", p.cmd)
	}
	return p.cmd.ProcessState.ExitCode()
}

// stop ends the program as an operator does, and demands that it ends well.
func (p *process) stop() {
	p.t.Helper()
	p.terminate()
	require.Zero(p.t, p.code())
}

// fails waits for the end and demands exit code 1 and one line on standard error, which it returns.
func (p *process) fails() string {
	p.t.Helper()
	require.Equal(p.t, 1, p.code())
	log := p.log.String()
	require.NotEmpty(p.t, log)
	require.NotContains(p.t, log, "\n", "an error is one line")
	return log
}

// address returns an address where a controller can listen.
func address(t *testing.T, network string) string {
	t.Helper()
	if network == "unix" {
		return "unix://" + filepath.Join(shortDir(t), "s")
	}
	for range 1000 {
		addr := "127.0.0.1:" + strconv.Itoa(firstPort+int(nextPort.Add(1))%ports)
		if l, err := net.Listen("tcp4", addr); err == nil {
			require.NoError(t, l.Close())
			return "tcp://" + addr
		}
	}
	t.Fatal("no port is free")
	return ""
}

// The ports of addresses. Systems give out higher ones, to whoever asks for any and to every connection that is made, so one of these is
// still free when the program that is to listen there has started.
const (
	firstPort = 20_000
	ports     = 12_000
)

// nextPort starts anywhere, since another run of the tests may be under way.
var nextPort = func() *atomic.Uint32 {
	n := new(atomic.Uint32)
	n.Store(rand.Uint32N(ports))
	return n
}()

// shortDir is t.TempDir for sockets, whose paths have little room.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "e2e")
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// controllerAt starts a separate controller.
func controllerAt(t *testing.T, addr string) *process {
	t.Helper()
	p := start(t, "daffi", "controller", "--addr", addr)
	p.wait("listening on " + addr)
	return p
}

// connect returns a node of the test's own.
func connect(t *testing.T, o daffi.Options) *daffi.Node {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	node, err := daffi.Connect(ctx, o)
	require.NoError(t, err)
	t.Cleanup(func() { node.Close() })
	return node
}

// soon is a context for what should take no time at all.
func soon(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}
