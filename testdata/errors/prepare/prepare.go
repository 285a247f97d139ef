// Package prepare breaks a rule.
package prepare

import "context"

//daffi:fetcher Cook
type F interface {
	Prepare(ctx context.Context, meal string) error // want "F.Prepare has the name of the proxy's method that prepares calls; name it otherwise with prepare=, as in //daffi:fetcher Cook prepare=Calls \[DF028\]"
}

//daffi:fetcher Cook prepare=Do
type G interface {
	Do(ctx context.Context) error // want "G.Do has the name of the proxy's method that prepares calls"
}
