// Package subservices has methods that return other annotated interfaces.
package subservices

import (
	"context"
	"iter"

	"github.com/daffi-rpc/daffi/testdata/golden/subservices/away"
)

// Head has services below it.
//
//daffi:callback name=head
type Head interface {
	WhoAmI(ctx context.Context) (string, error)
	// Left is below Head.
	Left() Node
	Right() Node
	Far() away.Far
}

// Node has another below it.
//
//daffi:callback
//daffi:fetcher
type Node interface {
	WhoAmI(ctx context.Context) (string, error)
	Count(ctx context.Context, to int) iter.Seq2[int, error]
	Leaf() Leaf
}

// Leaf is below Node.
//
//daffi:callback
//daffi:fetcher
type Leaf interface {
	Add(ctx context.Context, a, b int) (int, error)
}

// Client calls Head, and what is below it.
//
//daffi:fetcher Head
type Client interface {
	WhoAmI(ctx context.Context) (string, error)
	Left() Node
	//daffi:alias Right
	Other() Node
	Far() away.Caller
}
