//go:build unix

package controller

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/daffi-rpc/daffi/runtime/internal/rawpeer"
	"github.com/daffi-rpc/daffi/runtime/transport"
)

// listenAt says, in the environment, that this process is no test but a controller at that address, until its standard input ends.
const listenAt = "DAFFI_TEST_LISTEN"

func init() {
	addr := os.Getenv(listenAt)
	if addr == "" {
		return
	}
	_, err := Listen(context.Background(), Options{Addr: addr})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println("listening")
	io.Copy(io.Discard, os.Stdin)
	os.Exit(0)
}

// process is a controller that runs alone, on a unix socket.
type process struct {
	t    *testing.T
	cmd  *exec.Cmd
	path string
}

// alone starts one.
func alone(t *testing.T) *process {
	t.Helper()
	dir, err := os.MkdirTemp("", "ctl") // short, since the path of a socket has little room
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	p := &process{t: t, cmd: exec.Command(os.Args[0]), path: filepath.Join(dir, "s")}
	p.cmd.Env = append(os.Environ(), listenAt+"=unix://"+p.path)
	p.cmd.Stderr = os.Stderr
	stdin, err := p.cmd.StdinPipe()
	require.NoError(t, err)
	stdout, err := p.cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, p.cmd.Start())
	t.Cleanup(func() {
		stdin.Close()
		p.cmd.Wait()
	})
	line := make([]byte, 10)
	_, err = io.ReadFull(stdout, line)
	require.NoError(t, err)
	return p
}

// peer connects a peer that has not joined.
func (p *process) peer() *rawpeer.Peer {
	p.t.Helper()
	c, err := net.Dial("unix", p.path)
	require.NoError(p.t, err)
	peer := rawpeer.New(transport.NewConn(c, transport.Info{Network: "unix", Remote: p.path, Local: true, UID: -1}))
	p.t.Cleanup(peer.Close)
	return peer
}

// memory is a figure of the process, in bytes: VmRSS or VmHWM.
func (p *process) memory(which string) int {
	p.t.Helper()
	b, err := os.ReadFile("/proc/" + strconv.Itoa(p.cmd.Process.Pid) + "/status")
	if err != nil {
		p.t.Skip("the memory of a process is not to be had here")
	}
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, which+":"); ok {
			n, err := strconv.Atoi(strings.Fields(rest)[0])
			require.NoError(p.t, err)
			return n << 10
		}
	}
	p.t.Fatalf("no %s", which)
	return 0
}

// cpu is the time that the process has run so far.
func (p *process) cpu() time.Duration {
	p.t.Helper()
	b, err := os.ReadFile("/proc/" + strconv.Itoa(p.cmd.Process.Pid) + "/stat")
	require.NoError(p.t, err)
	fields := strings.Fields(string(b)[strings.LastIndex(string(b), ")")+1:])
	ticks := 0
	for _, f := range fields[11:13] {
		n, err := strconv.Atoi(f)
		require.NoError(p.t, err)
		ticks += n
	}
	return time.Duration(ticks) * time.Second / 100
}

// manyFiles raises the limit of open files as far as it goes, and skips a test for which that is not enough.
func manyFiles(t *testing.T, want int) {
	t.Helper()
	var l syscall.Rlimit
	require.NoError(t, syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l))
	l.Cur = l.Max
	syscall.Setrlimit(syscall.RLIMIT_NOFILE, &l)
	if l.Cur < uint64(want) {
		t.Skipf("%d files may be open, and %d are needed", l.Cur, want)
	}
}
