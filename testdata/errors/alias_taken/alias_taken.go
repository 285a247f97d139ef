// Package aliastaken breaks a rule.
package aliastaken

import "context"

//daffi:callback
type Service interface {
	Add(ctx context.Context, item string) error
	//daffi:alias Add
	Put(ctx context.Context, item string) error // want "Service.Add already answers to Add at .*alias_taken.go:\d+:2; choose another alias \[DF044\]"
	//daffi:alias Old
	New(ctx context.Context) error
	//daffi:alias Old
	Newer(ctx context.Context) error // want "Service.New already answers to Old"
}
