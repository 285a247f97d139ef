// Package away has interfaces that those of another package return.
package away

import "context"

// Far is below a service of another package.
//
//daffi:callback
type Far interface {
	Echo(ctx context.Context, text string) (string, error)
}

// Caller calls Far.
//
//daffi:fetcher Far prepare=Calls
type Caller interface {
	Echo(ctx context.Context, text string) (string, error)
}
