// Package eachwhole breaks a rule.
package eachwhole

import (
	"context"
	"iter"
)

//daffi:callback
type Service interface {
	Add(ctx context.Context, item string) error
	AddAll(ctx context.Context, items iter.Seq2[string, error]) error
}

//daffi:fetcher Service
type Client interface {
	//daffi:alias Add whole // want "Client.AddMany: Service.Add takes no sequence; say each to call it for every item \[DF043\]"
	AddMany(ctx context.Context, items iter.Seq[string]) error
	//daffi:alias AddAll each // want "Client.Stream: Service.AddAll takes the sequence itself; say whole \[DF043\]"
	Stream(ctx context.Context, items iter.Seq[string]) error
	//daffi:alias Add each // want "Client.One: each is said of a method without an input sequence; leave it out \[DF043\]"
	One(ctx context.Context, item string) error
	//daffi:alias Add // want "Client.Counted: a method that is called for every item takes only ctx and the sequence and returns only error; change it, or say whole \[DF043\]"
	Counted(ctx context.Context, items iter.Seq[string]) (int, error)
	Add(ctx context.Context, items iter.Seq[string]) error // want "Client.Add is a client stream, but Service.Add at .* is unary"
}

//daffi:fetcher elsewhere.Service
type Remote interface {
	//daffi:alias Add // want "Remote.AddMany: the source of elsewhere.Service is not in this run; say //daffi:alias Add each to call Add for every item, or whole to send it the sequence \[DF043\]"
	AddMany(ctx context.Context, items iter.Seq[string]) error
}
