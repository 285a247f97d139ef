// Command flood serves streams of blobs, or calls them, for the end-to-end test of how much memory that takes. It prints a line when it is ready, and
// one when all has come, and ends with its standard input.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"iter"
	"os"

	daffi "github.com/daffi-rpc/daffi/runtime"
)

//go:generate go tool daffigen

// Flood is served by one process and called by another.
//
//daffi:callback
//daffi:fetcher
type Flood interface {
	// Sink counts the bytes that are sent.
	Sink(ctx context.Context, in iter.Seq2[[]byte, error]) (int, error)
	// Spring yields n blobs of that size.
	Spring(ctx context.Context, n, size int) iter.Seq2[[]byte, error]
}

func main() {
	o := daffi.Options{}
	flag.StringVar(&o.Addr, "addr", "", "of the controller")
	flag.StringVar(&o.Name, "name", "", "of the node")
	n := flag.Int("n", 0, "blobs to send and to ask for; 0 serves")
	size := flag.Int("size", 0, "of a blob")
	flag.Parse()
	if err := run(context.Background(), o, *n, *size); err != nil {
		fmt.Fprintln(os.Stderr, "flood:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o daffi.Options, n, size int) error {
	node := daffi.New(o)
	defer node.Close()
	if n == 0 {
		if _, err := RegisterFlood(node, flood{}); err != nil {
			return err
		}
	}
	if err := node.Join(ctx); err != nil {
		return err
	}
	fmt.Println("ready")
	if n > 0 {
		if err := both(ctx, NewFlood(node), n, size); err != nil {
			return err
		}
		fmt.Println("all has come")
	}
	_, err := io.Copy(io.Discard, os.Stdin)
	return err
}

// both sends n blobs and gets as many.
func both(ctx context.Context, p *FloodProxy, n, size int) error {
	sent, err := p.Sink(ctx, flood{}.Spring(ctx, n, size))
	if err != nil {
		return err
	}
	got := 0
	for b, err := range p.Spring(ctx, n, size) {
		if err != nil {
			return err
		}
		got += len(b)
	}
	if sent != n*size || got != n*size {
		return errors.New("not all has come")
	}
	return nil
}

type flood struct{}

func (flood) Sink(_ context.Context, in iter.Seq2[[]byte, error]) (n int, err error) {
	for b, err := range in {
		if err != nil {
			return n, err
		}
		n += len(b)
	}
	return n, nil
}

func (flood) Spring(_ context.Context, n, size int) iter.Seq2[[]byte, error] {
	b := make([]byte, size)
	return func(yield func([]byte, error) bool) {
		for range n {
			if !yield(b, nil) {
				return
			}
		}
	}
}
