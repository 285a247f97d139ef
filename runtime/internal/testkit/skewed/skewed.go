// Package skewed calls testkit's service as a program of another version would.
package skewed

import "context"

//go:generate go tool daffigen

// Kit calls a testkit.Kit that is served as SkewedKit.
//
//daffi:fetcher SkewedKit
type Kit interface {
	Echo(ctx context.Context, text string) (string, error)
	Missing(ctx context.Context) error
}
