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
	New(ctx context.Context, item string) (id int, err error)
	//daffi:oneway
	Log(ctx context.Context, line string) error
	//daffi:codec json
	Put(ctx context.Context, item string) error
	//daffi:codec raw
	Upload(ctx context.Context, part []byte) error
	Each(ctx context.Context, item string) error
}

//daffi:fetcher Service
type Client interface {
	Add(ctx context.Context, item string, n int) error // want "Client.Add sends \(string,int\)\(\), but Service.Add at .*mismatch.go:\\d+:2 takes \(string\)\(\); make the two agree \[DF041\]"
	List(ctx context.Context) iter.Seq2[string, error] // want "Client.List is a server stream, but Service.List at .*mismatch.go:\\d+:2 is unary; make the two agree \[DF041\]"
	//daffi:alias New
	NewAll(ctx context.Context, items iter.Seq[string]) error // want "Client.NewAll calls for every item and gives no results, but Service.New at .*mismatch.go:\\d+:2 returns some; make the two agree \[DF041\]"
	Put(ctx context.Context, item string) error               // want "Client.Put has no //daffi:codec, but Service.Put at .*:\\d+:2 has //daffi:codec json; make the two agree \[DF041\]"
	//daffi:codec json
	Upload(ctx context.Context, part []byte) error // want "Client.Upload has //daffi:codec json, but Service.Upload at .*:\\d+:2 has //daffi:codec raw; make the two agree \[DF041\]"
	//daffi:codec text
	//daffi:alias Each
	All(ctx context.Context, items iter.Seq[string]) error // want "Client.All has //daffi:codec text, but Service.Each at .*:\\d+:2 has no //daffi:codec; make the two agree"
	Log(ctx context.Context, line string) error            // want "Client.Log waits for a reply, but Service.Log at .*:\\d+:2 is //daffi:oneway and sends none; make the two agree \[DF041\]"
}
