// Command service keeps a shopping list until it is interrupted.
//
//	service [-addr tcp://localhost:8888] [-controller embedded|separate] [-zstd auto|on|off] [-v]
//
// By default it brings its own controller, at the address; with -controller separate it joins the one that listens there, and waits for it. What the flags leave open the
// environment says (daffi.ConfigFromEnv): DAFFI_TLS_CERT, DAFFI_TLS_KEY and DAFFI_TLS_CA name the certificate of whichever of the two has the address.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/daffi-rpc/daffi/examples/shopping"
	daffi "github.com/daffi-rpc/daffi/runtime"
	"github.com/daffi-rpc/daffi/runtime/controller"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "service:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	o, err := daffi.ConfigFromEnv()
	if err != nil {
		return err
	}
	if o.Name == "" {
		o.Name = "shopping-service"
	}
	flag.StringVar(&o.Addr, "addr", o.Addr, "`address` of the controller: tcp://host:port or unix:///path; the default is a unix socket of this user")
	where := flag.String("controller", "embedded", "embedded in this process, or separate")
	flag.TextVar(&o.Compression, "zstd", daffi.CompressAuto, "compress messages: auto (what leaves the host), on or off")
	verbose := flag.Bool("v", false, "log to standard error")
	flag.Parse()
	if flag.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q", flag.Arg(0))
	}
	if *verbose {
		o.Logger = slog.New(slog.NewTextHandler(os.Stderr, nil))
	}

	switch *where {
	case "embedded":
		files, _ := o.TLS.(*daffi.TLS)
		ctl, err := controller.Listen(ctx, controller.Options{Addr: o.Addr, TokenFile: o.TokenFile, TLS: files, Insecure: o.Insecure, Logger: o.Logger})
		if err != nil {
			return err
		}
		defer shutdown(ctl)
		fmt.Println("controller at", ctl.Addr())
		o = daffi.Options{Name: o.Name, Controller: ctl, Logger: o.Logger} // joined in memory
	case "separate":
	default:
		return fmt.Errorf("-controller is embedded or separate, not %q", *where)
	}

	node := daffi.New(o)
	if _, err := shopping.RegisterShoppingService(node, new(list)); err != nil { // before joining, so that nobody can miss it
		return err
	}
	if err := node.Join(ctx); err != nil {
		if errors.Is(err, context.Canceled) { // interrupted while it waited
			return nil
		}
		return err
	}
	fmt.Println("ready:", shopping.ShoppingServiceName, "at node", node.Name()) // scripts wait for this line
	return node.Run(ctx)
}

// shutdown gives the nodes that are still there a moment to take what is on its way to them.
func shutdown(ctl *controller.Controller) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	ctl.Shutdown(ctx)
}
