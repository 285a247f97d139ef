// Command vault is a node that has secrets, for the end-to-end tests: it serves calls that fail with some of them, or, as a caller, makes those calls with some and prints all that it is told. Its
// environment configures it, and has the secrets: VAULT_PANIC, VAULT_CAUSE, VAULT_REPLY, VAULT_PAYLOAD and VAULT_METADATA. It prints a line when it is ready, and what it has counted when its
// standard input ends.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	daffi "github.com/daffi-rpc/daffi/runtime"
	"github.com/daffi-rpc/daffi/runtime/callstats"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintf(os.Stderr, "vault: %v %+v %#v\n", err, err, err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	call := flag.Bool("call", false, "call another that serves")
	patience := flag.Duration("patience", 30*time.Second, "for joining")
	flag.Parse()
	o, err := daffi.ConfigFromEnv()
	if err != nil {
		return err
	}
	stats := callstats.New()
	o.Interceptors, o.ServeInterceptors = []daffi.Interceptor{stats.Interceptor()}, []daffi.Interceptor{stats.Interceptor()}
	node := daffi.New(o)
	defer node.Close()
	if !*call {
		if err := serve(node); err != nil {
			return err
		}
	}
	joining, cancel := context.WithTimeout(ctx, *patience)
	defer cancel()
	if err := node.Join(joining); err != nil {
		return err
	}
	fmt.Println("ready")
	if *call {
		calls(ctx, node)
	}
	io.Copy(io.Discard, os.Stdin)
	fmt.Printf("%v %+v %#v %+v\n", node, node, node, node.Stats())
	return errors.Join(stats.WriteText(os.Stdout, node), node.Close())
}

// hidden is an error that does not tell its reason.
type hidden struct{ reason string }

func (*hidden) Error() string { return "denied" }

func serve(node *daffi.Node) error {
	_, err1 := daffi.Handle(node, "vault.Panic", func(context.Context, string) (string, error) { panic(os.Getenv("VAULT_PANIC")) })
	_, err2 := daffi.Handle(node, "vault.Deny", func(ctx context.Context, s string) (string, error) {
		daffi.SetReplyMetadata(ctx, map[string]string{"k": os.Getenv("VAULT_REPLY")})
		return "", fmt.Errorf("not today: %w", &hidden{os.Getenv("VAULT_CAUSE") + s})
	})
	_, err3 := daffi.Handle(node, "vault.Get", func(ctx context.Context, s string) (string, error) {
		return os.Getenv("VAULT_REPLY") + s, daffi.SetReplyMetadata(ctx, map[string]string{"k": os.Getenv("VAULT_REPLY")})
	})
	_, err4 := daffi.Handle(node, "vault.Hold", func(ctx context.Context, s string) (string, error) {
		<-ctx.Done()
		return s, context.Cause(ctx)
	})
	return errors.Join(err1, err2, err3, err4)
}

// calls makes every call, with secrets, and prints what it is told but for what it asked for.
func calls(ctx context.Context, node *daffi.Node) {
	payload := os.Getenv("VAULT_PAYLOAD")
	ctx = daffi.WithMetadata(ctx, map[string]string{"authorization": os.Getenv("VAULT_METADATA")})
	for _, method := range []string{"vault.Get", "vault.Deny", "vault.Panic", "vault.Hold", "vault.Nothing", "nobody.Nothing"} {
		var told daffi.ReplyMetadata
		ctx, cancel := context.WithTimeout(daffi.WithReplyMetadata(ctx, &told), time.Second)
		_, err := daffi.Invoke(ctx, node, method, payload)
		fmt.Printf("%s: %v %+v %#v %v %+v\n", method, err, err, err, &told, ctx)
		cancel()
	}
	_, err := daffi.Invoke(ctx, node, "vault.Get", 7, payload) // arguments that do not fit
	fmt.Printf("%v %+v %#v\n", err, err, err)
	fmt.Println("called")
}
