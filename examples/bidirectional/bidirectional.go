// Package bidirectional has two nodes that call each other: a kitchen asks its guest back while the guest's order waits.
package bidirectional

import (
	"context"
	"fmt"

	daffi "github.com/daffi-rpc/daffi/runtime"
)

//go:generate go tool daffigen

// Kitchen takes orders.
//
//daffi:callback
//daffi:fetcher
type Kitchen interface {
	Order(ctx context.Context, dish string) (string, error)
}

// Guest is asked questions.
//
//daffi:callback
//daffi:fetcher
type Guest interface {
	Want(ctx context.Context, extra string) (bool, error)
}

// Cook is a Kitchen.
type Cook struct{ Extras []string }

// Order implements Kitchen. It asks whoever has ordered.
func (c Cook) Order(ctx context.Context, dish string) (string, error) {
	call, _ := daffi.CallFrom(ctx)
	guest := NewGuest(daffi.NodeFrom(ctx), daffi.To(call.Caller))
	for _, extra := range c.Extras {
		wanted, err := guest.Want(ctx, extra)
		if err != nil {
			return "", fmt.Errorf("ask %s for %s: %w", call.Caller, extra, err)
		}
		if wanted {
			dish += " with " + extra
		}
	}
	return dish, nil
}
