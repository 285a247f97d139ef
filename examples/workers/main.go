// Workers starts three processes of itself that join it: they report progress and standard output as they work, and a result at the end. The third hangs and is killed, which is noticed.
//
//	go run ./examples/workers
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"

	daffi "github.com/daffi-rpc/daffi/runtime"
	"github.com/daffi-rpc/daffi/runtime/controller"
)

const workers = 3

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	run := parent
	if len(os.Args) > 1 && os.Args[1] == "worker" {
		run = worker
	}
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// parent starts the workers and waits until each has given its result or has left.
func parent(ctx context.Context) (err error) {
	dir, err := os.MkdirTemp("", "workers")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	left := make(chan string, workers)
	ctl, err := controller.Listen(ctx, controller.Options{Addr: "unix://" + filepath.Join(dir, "w.sock"),
		OnNodeLeft: func(name string, why controller.LeftReason) { left <- fmt.Sprintf("%s has left: %v", name, why) }})
	if err != nil {
		return err
	}
	defer ctl.Close()
	node, err := daffi.Connect(ctx, daffi.Options{Name: "parent", Controller: ctl})
	if err != nil {
		return err
	}
	defer node.Close()

	var mu sync.Mutex // of the children, and of lines that come at the same time
	children := map[string]*exec.Cmd{}
	say := func(format string, args ...any) {
		mu.Lock()
		defer mu.Unlock()
		fmt.Printf(format+"\n", args...)
	}
	_, progress := daffi.HandleMsg(node, "progress", func(_ context.Context, m daffi.Msg[string]) error {
		say("%s: %s", m.From, m.Value)
		if m.Value == "stuck" {
			mu.Lock()
			defer mu.Unlock()
			return children[m.From].Process.Kill()
		}
		return nil
	})
	_, output := daffi.HandleWriter(node, "stdout", func(_ context.Context, from string, p []byte) error { say("%s wrote %q", from, p); return nil })
	_, result := daffi.Handle(node, "Jobs.Result", func(ctx context.Context, sum int) (struct{}, error) {
		call, _ := daffi.CallFrom(ctx)
		say("%s has the result %d", call.Caller, sum)
		return struct{}{}, nil
	})
	if err := errors.Join(progress, output, result); err != nil {
		return err
	}

	for i := range workers {
		name := fmt.Sprintf("worker-%d", i+1)
		env, err := daffi.ChildEnv(node, name)
		if err != nil {
			return err
		}
		cmd := exec.CommandContext(ctx, os.Args[0], "worker")
		cmd.Env, cmd.Stderr = append(os.Environ(), env...), os.Stderr
		mu.Lock()
		err = cmd.Start()
		children[name] = cmd
		mu.Unlock()
		if err != nil {
			return err
		}
		defer cmd.Wait() // its node has left, so it ends
	}
	for range workers {
		select {
		case line := <-left:
			say("%s", line)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// worker joins its parent, adds some numbers, and leaves. The third hangs instead.
func worker(ctx context.Context) error {
	o, err := daffi.ConfigFromEnv()
	if err != nil {
		return err
	}
	node, err := daffi.Connect(ctx, o)
	if err != nil {
		return err
	}
	defer node.Close()
	stdout := daffi.RemoteWriter(node, "stdout")
	fmt.Fprintf(stdout, "hello from %s", node.Name())
	if err := stdout.Close(); err != nil {
		return err
	}
	if node.Name() == "worker-3" {
		if err := daffi.SendMsg(ctx, node, "progress", "stuck"); err != nil {
			return err
		}
		<-ctx.Done()
		return ctx.Err()
	}
	sum := 0
	for i := range 10 {
		if sum += i; i == 5 {
			if err := daffi.SendMsg(ctx, node, "progress", "half done"); err != nil {
				return err
			}
		}
	}
	_, err = daffi.Invoke(ctx, node, "Jobs.Result", sum)
	return err
}
