// Command hello is the smallest program with a node; its size is what daffi adds to others.
package main

import (
	"context"
	"fmt"
	"os"

	daffi "github.com/daffi-rpc/daffi/runtime"
)

func main() {
	node, err := daffi.Connect(context.Background(), daffi.Options{})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println("hello from", node.Name())
	node.Close()
}
