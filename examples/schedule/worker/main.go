// Command worker does what is scheduled, until it is interrupted. Start as many as you like: each run is at one of them.
//
//	worker [-addr tcp://localhost:8888]
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/daffi-rpc/daffi/examples/schedule"
	daffi "github.com/daffi-rpc/daffi/runtime"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "worker:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	var o daffi.Options
	flag.StringVar(&o.Addr, "addr", "", "`address` of the controller; the default is a unix socket of this user")
	flag.Parse()
	node := daffi.New(o)
	if _, err := schedule.RegisterBackup(node, worker{}); err != nil {
		return err
	}
	return node.Run(ctx)
}

type worker struct{}

func (worker) Save(ctx context.Context, what string) error {
	call, _ := daffi.CallFrom(ctx)
	fmt.Printf("saving %s: %s of %s, run %d\n", what, call.Task, call.Caller, call.Tick)
	return nil
}
