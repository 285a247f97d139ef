// Package predeclared breaks a rule.
package predeclared

import "context"

type any int

// A func of that name is in nobody's way.
func max() int { return 0 }

//daffi:callback
type Service interface { // want "daffigen needs the name any for what it means in Go, but it is declared at predeclared.go:6:6; rename that, or the interface \[DF050\]"
	Do(ctx context.Context, v any, w interface{}) error
}
