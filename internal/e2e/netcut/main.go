// Command netcut cuts the network between a controller and a node, in network namespaces of their own, again and again: connections are destroyed, the link goes down and up, a route
// swallows everything. No call may fail, no handler run twice (ACC-7). It must be root, and needs ip and ss of iproute2; see scripts/netcut.sh.
//
// Listening and dialing beyond loopback is refused as long as there is no mutual TLS, so a small forwarder of bytes stands at either end.
package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/daffi-rpc/daffi/internal/e2e/probe"
	daffi "github.com/daffi-rpc/daffi/runtime"
	"github.com/daffi-rpc/daffi/runtime/controller"
)

const (
	near      = "daffi-near"
	far       = "daffi-far"
	nearIP    = "10.213.0.1"
	farIP     = "10.213.0.2"
	forwarded = ":7001" // of the near end
	entrance  = "127.0.0.1:7002"
	grace     = 20 * time.Second
)

func main() {
	role := flag.String("role", "", "near or far; empty cuts")
	dir := flag.String("dir", "", "where the token is")
	cuts := flag.Int("cuts", 100, "how many")
	flag.Parse()
	err := error(nil)
	switch *role {
	case "":
		err = cutAll(*cuts)
	case "near":
		err = serve(*dir)
	case "far":
		err = call(*dir)
	default:
		err = fmt.Errorf("role %q: want near or far", *role)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "netcut:", *role, err)
		os.Exit(1)
	}
}

// forward joins every connection that ln takes to one to an address, until either ends.
func forward(ln net.Listener, to string) {
	for {
		a, err := ln.Accept()
		if err != nil {
			return
		}
		go func() {
			defer a.Close()
			b, err := net.DialTimeout("tcp", to, 300*time.Millisecond)
			if err != nil {
				return
			}
			defer b.Close()
			done := make(chan struct{}, 2)
			for _, d := range [][2]net.Conn{{a, b}, {b, a}} {
				go func() { io.Copy(d[0], d[1]); done <- struct{}{} }()
			}
			<-done
		}()
	}
}

// served counts how often each call has run.
type served struct {
	mu  sync.Mutex
	ran map[string]int
}

func (s *served) Echo(_ context.Context, b []byte) ([]byte, error) {
	s.mu.Lock()
	s.ran[string(b[:min(20, len(b))])]++
	s.mu.Unlock()
	return b, nil
}
func (s *served) Hold(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
func (s *served) Count(_ context.Context, n int) iter.Seq2[int, error] {
	return func(yield func(int, error) bool) {
		for i := range n {
			if !yield(i, nil) {
				return
			}
		}
	}
}
func (s *served) Read(context.Context, string, iter.Seq2[probe.File, error]) (int, error) {
	return 0, errors.ErrUnsupported
}
func (s *served) Words(context.Context, string) iter.Seq2[probe.Word, error] {
	return func(func(probe.Word, error) bool) {}
}

// serve is the controller and a node that serves.
func serve(dir string) error {
	ctl, err := controller.Listen(context.Background(), controller.Options{
		Addr: "tcp://127.0.0.1:0", TokenFile: filepath.Join(dir, "token"), ResumeGrace: grace,
		PingInterval: 200 * time.Millisecond, DeadInterval: time.Second, Logger: slog.New(slog.NewTextHandler(os.Stderr, nil)),
	})
	if err != nil {
		return err
	}
	defer ctl.Close()
	s := &served{ran: map[string]int{}}
	node := daffi.New(daffi.Options{Name: "server", Controller: ctl})
	if _, err := probe.RegisterProbe(node, s); err != nil {
		return err
	}
	if err := node.Join(context.Background()); err != nil {
		return err
	}
	ln, err := net.Listen("tcp", nearIP+forwarded)
	if err != nil {
		return err
	}
	go forward(ln, strings.TrimPrefix(ctl.Addr(), "tcp://"))
	fmt.Println("ready")
	bufio.NewReader(os.Stdin).ReadString('\n')
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, n := range s.ran {
		if n > 1 {
			return fmt.Errorf("%q has run %d times", name, n)
		}
	}
	fmt.Printf("%d calls have run, each once; %d resumptions\n", len(s.ran), ctl.Stats().Resumed)
	return nil
}

// call makes calls until its standard input ends. For every line there it makes one more, and prints a line when that is done.
func call(dir string) error {
	ln, err := net.Listen("tcp", entrance)
	if err != nil {
		return err
	}
	go forward(ln, nearIP+forwarded)
	node, err := daffi.Connect(context.Background(), daffi.Options{
		Name: "caller", Addr: "tcp://" + entrance, TokenFile: filepath.Join(dir, "token"), ResumeGrace: grace, Timeout: time.Minute,
	})
	if err != nil {
		return err
	}
	defer node.Close()
	p, ctx := probe.NewProbe(node), context.Background()
	stop, failed := make(chan struct{}), make(chan error, 16)
	var wg sync.WaitGroup
	loop := func(once func(n int) error) {
		wg.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				if err := once(n); err != nil {
					failed <- err
					return
				}
			}
		})
	}
	echo := func(name string, size int) error {
		b := append([]byte(fmt.Sprintf("%-20s", name)), make([]byte, size)...)
		got, err := p.Echo(ctx, b)
		if err == nil && string(got) != string(b) {
			err = errors.New("another answer")
		}
		return err
	}
	for i := range 3 {
		loop(func(n int) error { return echo(fmt.Sprint(i, "/", n), n%50*1000*i) })
	}
	loop(func(int) error {
		next := 0
		for i, err := range p.Count(ctx, 20_000) {
			if err != nil {
				return err
			}
			if i != next {
				return fmt.Errorf("item %d instead of %d", i, next)
			}
			next++
		}
		return nil
	})
	fmt.Println("ready")
	in := bufio.NewReader(os.Stdin)
	for n := 0; ; n++ {
		if _, err := in.ReadString('\n'); err != nil {
			break
		}
		if err := echo(fmt.Sprint("asked ", n), 0); err != nil {
			return err
		}
		select {
		case err := <-failed:
			return err
		default:
		}
		fmt.Println("done")
	}
	close(stop)
	wg.Wait()
	select {
	case err := <-failed:
		return err
	default:
		return nil
	}
}

// run runs a program of the system.
func run(args ...string) error {
	if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", strings.Join(args, " "), err, out)
	}
	return nil
}

func all(commands ...string) error {
	for _, c := range commands {
		if err := run(strings.Fields(c)...); err != nil {
			return err
		}
	}
	return nil
}

// child is this program in another role.
type child struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

func start(namespace, role, dir string, log io.Writer) (*child, error) {
	c := &child{cmd: exec.Command("ip", "netns", "exec", namespace, os.Args[0], "-role", role, "-dir", dir)}
	c.cmd.Stderr = log
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	c.out = bufio.NewReader(out)
	if c.in, err = c.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	if err := c.cmd.Start(); err != nil {
		return nil, err
	}
	return c, c.expect("ready")
}

func (c *child) expect(want string) error {
	line, err := c.out.ReadString('\n')
	if err != nil || strings.TrimSpace(line) != want {
		return fmt.Errorf("%v said %q instead of %q: %v", c.cmd.Args, line, want, err)
	}
	return nil
}

// end waits for the child after its input has ended, and returns what it says last.
func (c *child) end() (string, error) {
	c.in.Close()
	rest, _ := io.ReadAll(c.out)
	return strings.TrimSpace(string(rest)), c.cmd.Wait()
}

// cutAll is the parent.
func cutAll(cuts int) (err error) {
	dir, err := os.MkdirTemp("", "netcut")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	clean := func() {
		run("ip", "netns", "del", near)
		run("ip", "netns", "del", far)
	}
	clean() // of a run that was killed
	defer clean()
	err = all("ip netns add "+near, "ip netns add "+far, "ip link add dn0 netns "+near+" type veth peer name df0 netns "+far,
		"ip -n "+near+" addr add "+nearIP+"/24 dev dn0", "ip -n "+far+" addr add "+farIP+"/24 dev df0",
		"ip -n "+near+" link set lo up", "ip -n "+far+" link set lo up", "ip -n "+near+" link set dn0 up", "ip -n "+far+" link set df0 up")
	if err != nil {
		return err
	}
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		return err
	}
	defer log.Close()
	defer func() {
		if err != nil {
			text, _ := os.ReadFile(log.Name())
			fmt.Fprintf(os.Stderr, "%s\n", text[max(0, len(text)-8<<10):])
		}
	}()
	server, err := start(near, "near", dir, log)
	if err != nil {
		return err
	}
	defer server.cmd.Process.Kill()
	caller, err := start(far, "far", dir, log)
	if err != nil {
		return err
	}
	defer caller.cmd.Process.Kill()
	took := map[string][]time.Duration{}
	for n := range cuts {
		kind := []string{"destroyed at the near end", "destroyed at the far end", "link down", "blackhole"}[n%4]
		pause := time.Duration(300+rand.IntN(2200)) * time.Millisecond
		switch n % 4 {
		case 0:
			err = run("ip", "netns", "exec", near, "ss", "-K", "dst", farIP)
		case 1:
			err = run("ip", "netns", "exec", far, "ss", "-K", "dst", nearIP)
		case 2:
			if err = all("ip -n " + near + " link set dn0 down"); err == nil {
				time.Sleep(pause)
				err = all("ip -n " + near + " link set dn0 up")
			}
		case 3:
			if err = all("ip -n " + far + " route add blackhole " + nearIP + "/32"); err == nil {
				time.Sleep(pause)
				err = all("ip -n " + far + " route del blackhole " + nearIP + "/32")
			}
		}
		if err != nil {
			return err
		}
		begin := time.Now()
		fmt.Fprintln(caller.in)
		if err = caller.expect("done"); err != nil {
			return fmt.Errorf("after cut %d, %s: %w", n, kind, err)
		}
		took[kind] = append(took[kind], time.Since(begin))
		time.Sleep(time.Duration(rand.IntN(100)) * time.Millisecond)
	}
	if _, err = caller.end(); err != nil {
		return fmt.Errorf("the caller: %w", err)
	}
	said, err := server.end()
	if err != nil {
		return fmt.Errorf("the server: %w", err)
	}
	fmt.Println(said)
	for kind, list := range took {
		slices.Sort(list)
		fmt.Printf("%-26s %3d times; the next call was answered after p50 %v, at most %v\n", kind, len(list),
			list[len(list)/2].Round(time.Millisecond), list[len(list)-1].Round(time.Millisecond))
	}
	return nil
}
