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
	//daffi:oneway
	Log(ctx context.Context, line string) error
}

//daffi:fetcher Service
type Client interface {
	Add(ctx context.Context, item string, n int) error // want "Client.Add sends \(string,int\)\(\), but Service.Add at .*mismatch.go:\\d+:2 takes \(string\)\(\); make the two agree \[DF041\]"
	List(ctx context.Context) iter.Seq2[string, error] // want "Client.List is a server stream, but Service.List at .*mismatch.go:\\d+:2 is unary; make the two agree \[DF041\]"
	Log(ctx context.Context, line string) error        // want "Client.Log waits for a reply, but Service.Log at .*:\\d+:2 is //daffi:oneway and sends none; make the two agree \[DF041\]"
}
