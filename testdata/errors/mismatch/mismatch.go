// Package mismatch breaks a rule.
package mismatch

import (
	"context"
	"iter"
)

//daffi:callback
type Service interface {
	Add(ctx context.Context, item string) error
	List(ctx context.Context) ([]string, error)
	Put(ctx context.Context, item string) (id int, err error)
	//daffi:oneway
	Log(ctx context.Context, line string) error
}

//daffi:fetcher Service
type Client interface {
	Add(ctx context.Context, item string, n int) error // want "Client.Add sends \(string,int\)\(\), but Service.Add at .*mismatch.go:\\d+:2 takes \(string\)\(\); make the two agree \[DF041\]"
	List(ctx context.Context) iter.Seq2[string, error] // want "Client.List is a server stream, but Service.List at .*mismatch.go:\\d+:2 is unary; make the two agree \[DF041\]"
	//daffi:alias Put
	PutAll(ctx context.Context, items iter.Seq[string]) error // want "Client.PutAll calls for every item and gives no results, but Service.Put at .*mismatch.go:\\d+:2 returns some; make the two agree \[DF041\]"
	Log(ctx context.Context, line string) error               // want "Client.Log waits for a reply, but Service.Log at .*:\\d+:2 is //daffi:oneway and sends none; make the two agree \[DF041\]"
}
