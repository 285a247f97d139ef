// Command shopper uses a shopping list that another process keeps. It waits for that process if it was started first.
//
//	shopper [-addr tcp://localhost:8888] [-timeout 30s] [-zstd auto|on|off] [-v]
//
// It prints the list as it finds it, then after each change. What the flags leave open the environment says (daffi.ConfigFromEnv): DAFFI_TLS_CERT, DAFFI_TLS_KEY and
// DAFFI_TLS_CA name its certificate, for a controller that asks for one.
package main

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"

	"github.com/daffi-rpc/daffi/examples/shopping"
	daffi "github.com/daffi-rpc/daffi/runtime"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "shopper:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	o, err := daffi.ConfigFromEnv()
	if err != nil {
		return err
	}
	flag.StringVar(&o.Addr, "addr", o.Addr, "`address` of the controller: tcp://host:port or unix:///path; the default is a unix socket of this user")
	timeout := flag.Duration("timeout", 30*time.Second, "how long it may take, waiting for the service included")
	flag.TextVar(&o.Compression, "zstd", daffi.CompressAuto, "compress messages: auto (what leaves the host), on or off")
	verbose := flag.Bool("v", false, "log to standard error")
	flag.Parse()
	if flag.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q", flag.Arg(0))
	}
	if *verbose {
		o.Logger = slog.New(slog.NewTextHandler(os.Stderr, nil))
	}
	ctx, cancel := context.WithTimeout(ctx, *timeout)
	defer cancel()

	node, err := daffi.Connect(ctx, o) // waits for the controller
	if err != nil {
		return err
	}
	defer node.Close()
	if err := node.WaitMethod(ctx, shopping.ShoppingServiceName); err != nil { // and for the service
		return err
	}
	return shop(ctx, shopping.NewShopper(node))
}

func shop(ctx context.Context, shopper shopping.Shopper) error {
	if err := show(ctx, shopper); err != nil {
		return err
	}
	if err := shopper.AddItem(ctx, "orange"); err != nil {
		return err
	}
	if err := show(ctx, shopper); err != nil {
		return err
	}
	if err := shopper.AddManyItems(ctx, slices.Values([]string{"bread", "cheese"})); err != nil {
		return err
	}
	if err := show(ctx, shopper); err != nil {
		return err
	}
	if err := shopper.ClearItems(ctx); err != nil {
		return err
	}
	return show(ctx, shopper)
}

func show(ctx context.Context, shopper shopping.Shopper) error {
	items, err := shopper.GetItems(ctx)
	if err != nil {
		return err
	}
	fmt.Println(items)
	return nil
}
