// Package base has interfaces for others to embed. They are not annotated.
package base

import (
	"context"
	"iter"
)

// Item is what it is about.
type Item struct{ Name string }

// Pinger has a directive.
type Pinger interface {
	// Ping comes from Pinger.
	//
	//daffi:oneway
	Ping(ctx context.Context) error
}

// Repo embeds another and is generic.
type Repo[T any] interface {
	Pinger
	// Find looks up one T.
	Find(ctx context.Context, name string) (T, error)
	All(ctx context.Context) iter.Seq2[T, error]
}

// Named has a name for an instantiation.
type Named = Repo[Item]

// Closer overlaps with others.
type Closer interface {
	Pinger
	Close(ctx context.Context) error
}
