// Package badtimeout breaks a rule.
package badtimeout

import "context"

// T has durations that cannot pass.
//
//daffi:fetcher
type T interface {
	//daffi:timeout // want "//daffi:timeout: it takes one duration; write a positive Go duration such as 5s or 1m30s \[DF014\]"
	A(ctx context.Context) error
	//daffi:timeout soon // want "//daffi:timeout: \"soon\" is not a duration that can pass; write .* \[DF014\]"
	B(ctx context.Context) error
	//daffi:timeout -5s // want "//daffi:timeout: \"-5s\" is not"
	C(ctx context.Context) error
	//daffi:timeout 5 // want "//daffi:timeout: \"5\" is not"
	D(ctx context.Context) error
}
