package main

import (
	"bufio"
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestMain lets the test binary be the program itself, since only a process can be sent a signal.
func TestMain(m *testing.M) {
	if os.Getenv("DAFFI_TEST_MAIN") != "" {
		main()
	}
	os.Exit(m.Run())
}

// daffi runs the program to its end.
func daffi(args ...string) (code int, stdout, stderr string) {
	var out, err bytes.Buffer
	code = run(args, &out, &err)
	return code, out.String(), err.String()
}

func TestUsage(t *testing.T) {
	for _, args := range [][]string{nil, {"nonsense"}, {"controller", "--nonsense"}, {"controller", "argument"}, {"controller", "--addr"}} {
		code, stdout, stderr := daffi(args...)
		require.Equal(t, 2, code, "%q", args)
		require.Empty(t, stdout)
		require.Contains(t, stderr, "--help")
	}
	for _, args := range [][]string{{"--help"}, {"controller", "--help"}} {
		code, stdout, stderr := daffi(args...)
		require.Equal(t, 0, code, "%q", args)
		require.Contains(t, stdout, "Usage: daffi")
		require.Empty(t, stderr)
	}
	code, stdout, _ := daffi("version")
	require.Equal(t, 0, code)
	require.Regexp(t, `^daffi \S+\n$`, stdout)
}

func TestBadAddress(t *testing.T) {
	for addr, want := range map[string]string{
		"udp://127.0.0.1:1":      "tcp://",
		"127.0.0.1:8888":         "names no network",
		"tcp://192.0.2.1:1":      "loopback",
		"tcp://127.0.0.1:http":   "port",
		"unix:///nowhere/x.sock": "nowhere",
	} {
		code, stdout, stderr := daffi("controller", "--addr", addr)
		require.Equal(t, 1, code, addr)
		require.Empty(t, stdout)
		require.Contains(t, stderr, want)
		require.True(t, strings.HasPrefix(stderr, "daffi: "), stderr)
	}
}

func TestD48Store(t *testing.T) {
	dir := t.TempDir()
	text := filepath.Join(dir, "text")
	require.NoError(t, os.WriteFile(text, []byte(strings.Repeat("this is no store\n", 1000)), 0o600))
	for file, want := range map[string]string{text: "damaged", filepath.Join(dir, "nowhere", "s.db"): "no such file"} {
		code, stdout, stderr := daffi("controller", "--addr", "unix://"+filepath.Join(dir, "c.sock"), "--store", file)
		require.Equal(t, 1, code)
		require.Empty(t, stdout)
		require.Contains(t, stderr, want)
	}
}

func TestD55Controller(t *testing.T) {
	dir := t.TempDir()
	socket := "unix://" + filepath.Join(dir, "c.sock")
	for _, sig := range []os.Signal{syscall.SIGINT, syscall.SIGTERM} {
		cmd := exec.Command(os.Args[0], "controller", "--addr", socket, "--name", "ctl", "-v")
		cmd.Env = append(os.Environ(), "DAFFI_TEST_MAIN=1")
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		stdout, err := cmd.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, cmd.Start())
		kill := time.AfterFunc(20*time.Second, func() { cmd.Process.Kill() })
		defer kill.Stop()

		line, err := bufio.NewReader(stdout).ReadString('\n')
		require.NoError(t, err)
		require.Equal(t, "listening on "+socket+"\n", line)
		code, _, text := daffi("controller", "--addr", socket)
		require.Equal(t, 1, code)
		require.Contains(t, text, "address in use")

		require.NoError(t, cmd.Process.Signal(sig))
		err = cmd.Wait()
		var exit *exec.ExitError
		require.False(t, errors.As(err, &exit), "%v: %s", err, stderr.String())
		require.NoError(t, err)
		require.Contains(t, stderr.String(), "controller listens")
		require.NoFileExists(t, filepath.Join(dir, "c.sock"))
	}
}
