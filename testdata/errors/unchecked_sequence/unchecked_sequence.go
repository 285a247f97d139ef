// Package uncheckedsequence breaks a rule.
package uncheckedsequence

import (
	"context"
	"iter"
)

//daffi:callback
type C interface {
	Upload(ctx context.Context, chunks iter.Seq[[]byte]) error // want "C.Upload takes an iter.Seq, and a cut upload would look complete to it; take iter.Seq2\[\[\]byte, error\] \[DF027\]"
}
