// Command evolver serves or calls one of two versions of a service, for the end-to-end tests. Serving, it prints a line when it is ready. Calling,
// it makes -n calls for each change and prints each answer that came, once, in a line of its own: change, tab, answer.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"syscall"

	"github.com/daffi-rpc/daffi/internal/e2e/evolve"
	daffi "github.com/daffi-rpc/daffi/runtime"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "evolver:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	addr := flag.String("addr", "", "of the controller")
	name := flag.String("version", "before", "before or after")
	role := flag.String("role", "provide", "provide or call")
	n := flag.Int("n", 1, "calls for each change")
	flag.Parse()
	i := slices.IndexFunc(evolve.Versions, func(v evolve.Version) bool { return v.Name == *name })
	if i < 0 {
		return fmt.Errorf("there is no version %q", *name)
	}
	version := evolve.Versions[i]
	node := daffi.New(daffi.Options{Name: *role + "-" + *name, Addr: *addr})
	defer node.Close()
	if *role == "provide" {
		if _, err := version.Serve(node); err != nil {
			return err
		}
		if err := node.Join(ctx); err != nil {
			return err
		}
		fmt.Println("ready")
		return node.Run(ctx)
	}
	if err := node.Join(ctx); err != nil {
		return err
	}
	client := version.NewClient(node)
	for _, change := range client.Changes() {
		for _, answer := range client.Answers(ctx, change, *n) {
			fmt.Printf("%s\t%s\n", change, answer)
		}
	}
	return nil
}
