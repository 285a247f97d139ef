// Package unexportedmethod breaks a rule.
package unexportedmethod

import "context"

//daffi:callback
type C interface {
	do(ctx context.Context) error // want "method C.do is unexported, so no other package could call or serve it; export it, or keep it off the wire with //daffi:local \[DF023\]"
}

//daffi:fetcher
type F interface {
	do(ctx context.Context) error // want "method F.do is unexported, .*; export it \[DF023\]"
}
