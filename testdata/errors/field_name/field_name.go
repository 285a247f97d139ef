// Package fieldname breaks a rule.
package fieldname

import "context"

// Item says id twice.
type Item struct {
	ID    string `daffi:"id"`
	Other string `msgpack:"id"`
}

//daffi:callback
type C interface {
	A(ctx context.Context, it Item) error // want "C.A: Item.Other: two fields are called \"id\" on the wire; change the tag of one \[DF032\]"
}
