// Package nametaken breaks a rule.
package nametaken

import (
	"context"
	NewImported "time"
)

// RegisterService is in the way.
func RegisterService() {}

// ClientCalls is too.
type ClientCalls struct{}

//daffi:callback
type Service interface { // want "daffigen needs the name RegisterService for Service, but it is declared at .*name_taken.go:\d+:6; rename that, or the interface \[DF050\]"
	Do(ctx context.Context) error
}

//daffi:fetcher Service
type Client interface { // want "daffigen needs the name ClientCalls for Client"
	Do(ctx context.Context) error
}

//daffi:fetcher
type Imported interface { // want "daffigen needs the name NewImported for Imported, but it is declared at .*:6:2; rename that, or the interface \[DF050\]"
	Do(ctx context.Context, at NewImported.Time) error
}
