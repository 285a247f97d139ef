//go:build unix

package daffi_test

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	daffi "github.com/daffi-rpc/daffi/runtime"
	"github.com/daffi-rpc/daffi/runtime/controller"
)

// few is how many files the controller of ACC-49 may have open.
const few = 64

const fewEnv = "DAFFI_TEST_FEW"

// tries counts how often accepting has failed, those that the log has left out included.
type tries struct {
	slog.Handler
	n atomic.Int64
}

func (h *tries) Enabled(context.Context, slog.Level) bool { return true }
func (h *tries) Handle(_ context.Context, r slog.Record) error {
	if r.Message == "accepting" {
		h.n.Add(1)
	}
	r.Attrs(func(a slog.Attr) bool {
		if a.Key == "unlogged" {
			h.n.Add(a.Value.Int64())
		}
		return true
	})
	return nil
}

// TestFewDescriptors is no test: it is the controller of ACC-49, in a process of its own. Each line that it reads it answers with how often accepting has failed, and how long it has computed.
func TestFewDescriptors(t *testing.T) {
	addr := os.Getenv(fewEnv)
	if addr == "" {
		t.Skip("it is a part of TestACC49Descriptors")
	}
	require.NoError(t, syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: few, Max: few}))
	log := &tries{Handler: slog.DiscardHandler}
	c, err := controller.Listen(t.Context(), controller.Options{Addr: addr, Logger: slog.New(log), HandshakeTimeout: time.Minute})
	require.NoError(t, err)
	defer c.Close()
	fmt.Println("ready")
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		var use syscall.Rusage
		require.NoError(t, syscall.Getrusage(syscall.RUSAGE_SELF, &use))
		fmt.Println("tries", log.n.Load(), time.Duration(use.Utime.Nano()+use.Stime.Nano()))
	}
}

// TestACC49Descriptors takes all descriptors of a controller. The nodes that have joined notice nothing, accepting is tried now and then and not all the time, and goes on when there are
// some again.
func TestACC49Descriptors(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	cmd := exec.Command(os.Args[0], "-test.run=^TestFewDescriptors$")
	cmd.Env = append(os.Environ(), fewEnv+"=unix://"+path, "GORACE=atexit_sleep_ms=0")
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	out := bufio.NewReader(stdout)
	defer func() {
		in.Close()
		out.WriteTo(os.Stderr)
		require.NoError(t, cmd.Wait())
	}()
	line, err := out.ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "ready\n", line)
	ask := func() (n int, cpu time.Duration) {
		var text string
		fmt.Fprintln(in)
		_, err := fmt.Fscanln(out, new(string), &n, &text)
		require.NoError(t, err)
		cpu, err = time.ParseDuration(text)
		require.NoError(t, err)
		return n, cpu
	}

	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	join := func(name string) *daffi.Node {
		n, err := daffi.Connect(ctx, daffi.Options{Addr: "unix://" + path, Name: name})
		require.NoError(t, err)
		t.Cleanup(func() { n.Close() })
		return n
	}
	server, caller := join("server"), join("caller")
	_, err = daffi.Handle(server, "Old.Node", func(context.Context, struct{}) (struct{}, error) { return struct{}{}, nil })
	require.NoError(t, err)
	var conns []net.Conn
	for range 2 * few {
		if c, err := net.Dial("unix", path); err == nil {
			conns = append(conns, c)
		}
	}
	require.Greater(t, len(conns), few)
	time.Sleep(100 * time.Millisecond) // for the pauses to grow
	before, cpuBefore := ask()
	for begin := time.Now(); time.Since(begin) < 1500*time.Millisecond; time.Sleep(5 * time.Millisecond) {
		_, err := daffi.Invoke(ctx, caller, "Old.Node")
		require.NoError(t, err)
	}
	after, cpuAfter := ask()
	t.Logf("%d tries before, %d in 1.5 s, %v of CPU", before, after-before, cpuAfter-cpuBefore)
	require.Positive(t, after, "there were descriptors enough")
	require.LessOrEqual(t, after-before, 20)

	for _, c := range conns {
		c.Close()
	}
	begin := time.Now()
	join("new")
	t.Logf("a new node has joined %v after there were descriptors again", time.Since(begin).Round(time.Millisecond))
	_, err = daffi.Invoke(ctx, caller, "Old.Node")
	require.NoError(t, err)
}
