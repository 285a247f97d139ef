// Package embedsaway embeds interfaces of another package, one over several ways.
package embedsaway

import (
	"context"

	other "github.com/daffi-rpc/daffi/testdata/golden/embedsaway/base"
)

// Items fixes the type of the other package's interface with that package's own, and has Ping three times.
//
//daffi:callback
type Items interface {
	other.Closer
	other.Named
	interface {
		// Literal stands in an interface without a name.
		Literal(ctx context.Context, item *other.Item) error
	}
	Own(ctx context.Context) error
	other.Pinger
}

// Reader embeds another of this package.
//
//daffi:fetcher Items
type Reader interface {
	Finder
	//daffi:alias Own
	Mine(ctx context.Context) error
}

// Finder is not annotated.
type Finder interface{ other.Repo[other.Item] }
