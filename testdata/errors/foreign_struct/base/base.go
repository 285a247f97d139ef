// Package base has a struct without a name.
package base

import "context"

// Getter is embedded elsewhere.
type Getter interface {
	Get(ctx context.Context) (struct {
		ID  string
		age int
	}, error)
}

// Box has one inside.
type Box struct {
	In struct {
		ID  string
		age int
	}
}
