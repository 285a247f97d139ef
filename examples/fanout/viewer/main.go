// Command viewer shows the frames of a camera, by their numbers, until it is interrupted.
//
//	viewer [-addr tcp://localhost:8888] [-name viewer-1]
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"github.com/daffi-rpc/daffi/examples/fanout"
	daffi "github.com/daffi-rpc/daffi/runtime"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "viewer:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	var o daffi.Options
	flag.StringVar(&o.Addr, "addr", "", "`address` of the controller; the default is a unix socket of this user")
	flag.StringVar(&o.Name, "name", "", "`name` of the node; the default is made up")
	flag.Parse()
	node := daffi.New(o)
	if _, err := fanout.RegisterViewer(node, new(screen)); err != nil {
		return err
	}
	return node.Run(ctx)
}

// screen is a viewer.
type screen struct {
	mu          sync.Mutex
	frames, sum int
}

func (s *screen) Show(_ context.Context, f fanout.Frame) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.frames++
	s.sum += f.Number
	if f.Number%10 == 0 {
		fmt.Printf("frame %d, %d bytes\n", f.Number, len(f.Picture))
	}
	return nil
}

func (s *screen) Shown(context.Context) (frames, sum int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.frames, s.sum, nil
}
