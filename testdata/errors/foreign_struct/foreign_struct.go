// Package foreignstruct breaks a rule.
package foreignstruct

import (
	"context"

	"github.com/daffi-rpc/daffi/testdata/errors/foreign_struct/base"
)

//daffi:callback
type Getter interface { // want "Getter.Get: result 1.age: a struct without a name that has unexported fields of another package cannot be written down here; give it a name \[DF030\]"
	base.Getter
}

//daffi:callback
type Putter interface {
	Put(ctx context.Context, b base.Box) error // want "Putter.Put: base.Box.In.age: a struct without a name .* \[DF030\]"
}
