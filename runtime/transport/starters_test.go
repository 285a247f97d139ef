package transport

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// starterEnv makes a process of this test a [starter], at the path that it holds.
const starterEnv = "DAFFI_TEST_STARTER"

// night: package testkit depends on this one.
var night = os.Getenv("DAFFI_NIGHT") != ""

// starter listens when it reads a line, says how that went, and closes when it reads another.
func starter(path string) {
	in := bufio.NewReader(os.Stdin)
	for {
		if _, err := in.ReadString('\n'); err != nil {
			return
		}
		l, err := Listen(context.Background(), Addr{"unix", path}, ListenOptions{})
		switch {
		case err == nil:
			fmt.Println("won")
		case errors.Is(err, ErrInUse):
			fmt.Println("in use")
		default:
			fmt.Println(err)
		}
		if _, err := in.ReadString('\n'); err != nil {
			return
		}
		if err == nil {
			if err := l.Close(); err != nil {
				fmt.Println(err)
				continue
			}
		}
		fmt.Println("closed")
	}
}

// process is a starter as its parent sees it.
type process struct {
	in  io.WriteCloser
	out *bufio.Reader
}

func startStarter(t *testing.T, path string) *process {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), starterEnv+"="+path, "GORACE=atexit_sleep_ms=0")
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		if err := cmd.Wait(); err != nil {
			t.Error(err)
		}
	})
	return &process{in, bufio.NewReader(out)}
}

// ask sends a line to all, and returns how often each answer came.
func ask(t *testing.T, processes []*process) map[string]int {
	t.Helper()
	for _, p := range processes {
		if _, err := io.WriteString(p.in, "\n"); err != nil {
			t.Fatal(err)
		}
	}
	answers := map[string]int{}
	for _, p := range processes {
		line, err := p.out.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		answers[line[:len(line)-1]]++
	}
	return answers
}

// TestACC69Starters has many processes listen at one address at the same moment, over the remains of another, or nothing. One wins each time, and nobody takes its socket away.
func TestACC69Starters(t *testing.T) {
	rounds, starters := 10, 20
	if night {
		rounds, starters = 1000, 100
	}
	dir := shortDir(t)
	path := filepath.Join(dir, "x.sock")
	var processes []*process
	for range starters {
		processes = append(processes, startStarter(t, path))
	}
	for round := range rounds {
		switch round % 3 {
		case 1:
			remnant(t, path)
		case 2:
			remnant(t, path)
			writeFile(t, path+".lock", "", 0o600)
		}
		got := ask(t, processes)
		if got["won"] != 1 || got["in use"] != starters-1 {
			t.Fatalf("round %d: %v", round, got)
		}
		c, err := net.DialTimeout("unix", path, time.Second)
		if err != nil {
			t.Fatalf("round %d: the winner's socket: %v", round, err)
		}
		c.Close()
		if got = ask(t, processes); got["closed"] != starters {
			t.Fatalf("round %d: %v", round, got)
		}
		if left := names(t, dir); len(left) > 0 {
			t.Fatalf("round %d: left behind: %v", round, left)
		}
	}
}

// TestACC69Replaced leaves alone what somebody has put in the place of the socket, and the lock.
func TestACC69Replaced(t *testing.T) {
	dir := shortDir(t)
	path := filepath.Join(dir, "x.sock")
	l := listen(t, Addr{"unix", path}, ListenOptions{})
	for _, name := range []string{path, path + ".lock"} {
		if err := os.Remove(name); err != nil {
			t.Skip(err) // a system that keeps open files
		}
	}
	other, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	writeFile(t, path+".lock", "precious", 0o600)
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if left := names(t, dir); len(left) != 2 {
		t.Errorf("left: %v", left)
	}
	c, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
}
