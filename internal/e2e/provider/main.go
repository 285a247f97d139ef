// Command provider serves probe.Probe for the end-to-end tests. It prints a line when it is ready, one whenever a call begins to hold,
// and one when it begins to drain.
package main

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"iter"
	"log/slog"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"github.com/daffi-rpc/daffi/internal/e2e/probe"
	daffi "github.com/daffi-rpc/daffi/runtime"
	"github.com/daffi-rpc/daffi/runtime/controller"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, func() { stop(); fmt.Println("draining") })
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "provider:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	o := daffi.Options{Logger: slog.New(slog.NewTextHandler(os.Stderr, nil))}
	flag.StringVar(&o.Addr, "addr", "", "of the controller")
	flag.StringVar(&o.Name, "name", "provider", "of the node")
	flag.IntVar(&o.MaxRunning, "running", 0, "handlers that run, also for one caller; 0 is the default")
	flag.TextVar(&o.Compression, "zstd", daffi.CompressAuto, "auto, on or off")
	embedded := flag.Bool("embedded", false, "bring the controller")
	flag.Parse()
	o.MaxRunningPerCaller = o.MaxRunning
	if *embedded {
		ctl, err := controller.Listen(ctx, controller.Options{Addr: o.Addr, Logger: o.Logger})
		if err != nil {
			return err
		}
		defer ctl.Close()
		o.Addr, o.Controller = "", ctl
	}

	p := &provider{released: make(chan struct{}), corpora: map[string]probe.Counts{}}
	go func() {
		bufio.NewReader(os.Stdin).ReadString('\n') // or its end
		close(p.released)
	}()
	node := daffi.New(o)
	if _, err := probe.RegisterProbe(node, p); err != nil {
		return err
	}
	if err := node.Join(ctx); err != nil {
		return err
	}
	fmt.Println("ready")
	return node.Run(ctx)
}

type provider struct {
	released chan struct{}

	mu      sync.Mutex
	corpora map[string]probe.Counts
}

func (p *provider) Echo(ctx context.Context, b []byte) ([]byte, error) { return b, nil }

func (p *provider) Hold(ctx context.Context) error {
	fmt.Println("holding")
	select {
	case <-p.released:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (p *provider) Count(ctx context.Context, n int) iter.Seq2[int, error] {
	return func(yield func(int, error) bool) {
		for i := range n {
			if !yield(i, nil) {
				return
			}
		}
		if err := p.Hold(ctx); err != nil {
			yield(0, err)
		}
	}
}

func (p *provider) Read(ctx context.Context, corpus string, files iter.Seq2[probe.File, error]) (int, error) {
	n, counts := 0, probe.Counts{}
	for f, err := range files {
		if err != nil {
			return 0, err
		}
		counts.Add(f)
		n++
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.corpora[corpus] = counts
	return n, nil
}

func (p *provider) Words(ctx context.Context, corpus string) iter.Seq2[probe.Word, error] {
	return func(yield func(probe.Word, error) bool) {
		p.mu.Lock()
		counts, ok := p.corpora[corpus]
		p.mu.Unlock()
		if !ok {
			yield(probe.Word{}, &daffi.Error{Code: daffi.NotFound, Message: fmt.Sprintf("there is no corpus %q", corpus)})
			return
		}
		for _, w := range counts.Sorted() {
			if !yield(*w, nil) {
				return
			}
		}
	}
}
