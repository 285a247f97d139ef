// Package nomethod breaks a rule.
package nomethod

import "context"

//daffi:callback
type Service interface {
	AddItem(ctx context.Context, item string) error
	//daffi:local
	Close() error
}

//daffi:fetcher Service
type Client interface {
	AddItems(ctx context.Context, item string) error // want "Service has no method AddItems \(see .*no_method.go:\\d+:6\); did you mean AddItem\?; add it there, or name the one to call with //daffi:alias \[DF042\]"
	//daffi:alias Append // want "Service has no method Append \(see .*\); add it there"
	More(ctx context.Context, item string) error
	Close(ctx context.Context) error // want "Service has no method Close"
}
