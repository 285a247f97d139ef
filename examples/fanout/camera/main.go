// Command camera waits for viewers, sends each of them the same frames, and asks them what they have shown. It brings its own controller.
//
//	camera [-addr tcp://localhost:8888] [-viewers 3] [-frames 100] [-every 20ms]
package main

import (
	"context"
	"flag"
	"fmt"
	"iter"
	"maps"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"

	"github.com/daffi-rpc/daffi/examples/fanout"
	daffi "github.com/daffi-rpc/daffi/runtime"
	"github.com/daffi-rpc/daffi/runtime/controller"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "camera:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	addr := flag.String("addr", "", "`address` to listen at; the default is a unix socket of this user")
	viewers := flag.Int("viewers", 3, "how many viewers to wait for")
	frames := flag.Int("frames", 100, "how many frames to send")
	every := flag.Duration("every", 20*time.Millisecond, "time between two frames")
	flag.Parse()
	ctl, err := controller.Listen(ctx, controller.Options{Addr: *addr})
	if err != nil {
		return err
	}
	defer ctl.Close()
	fmt.Println("controller at", ctl.Addr())
	node, err := daffi.Connect(ctx, daffi.Options{Name: "camera", Controller: ctl})
	if err != nil {
		return err
	}
	defer node.Close()
	if err := node.WaitMethod(ctx, fanout.ViewerName, daffi.AtLeast(*viewers)); err != nil {
		return err
	}
	film := fanout.NewFilm(node)

	ends := map[string]string{}
	for viewer, err := range film.Prepare().Roll(pictures(*frames, *every)).Broadcast(ctx) {
		ends[viewer] = "has taken all frames"
		if err != nil {
			ends[viewer] = err.Error()
		}
	}
	for _, viewer := range slices.Sorted(maps.Keys(ends)) {
		fmt.Printf("%s: %s\n", viewer, ends[viewer])
	}
	shown, err := daffi.Collect(film.Prepare().Shown().Broadcast(ctx))
	for _, viewer := range slices.Sorted(maps.Keys(shown)) {
		fmt.Printf("%s: %d frames, sum %d\n", viewer, shown[viewer].Frames, shown[viewer].Sum)
	}
	return err
}

// pictures yields n frames.
func pictures(n int, every time.Duration) iter.Seq[fanout.Frame] {
	return func(yield func(fanout.Frame) bool) {
		for i := range n {
			if !yield(fanout.Frame{Number: i, Picture: make([]byte, 32<<10)}) {
				return
			}
			time.Sleep(every)
		}
	}
}
