package manyfiles

import "context"

// Auditor has the first place in the output, since its file has.
//
//daffi:fetcher Audit
type Auditor interface {
	Log(ctx context.Context, items ...Item) error
}
