// Package generic breaks a rule.
package generic

import "context"

//daffi:callback
type Repo[T any] interface { // want "Repo is generic, and a service needs fixed types; annotate an instantiation instead: type MyRepo interface{ Repo\[…\] } \[DF021\]"
	Find(ctx context.Context, id string) (T, error)
}
