package manyfiles

import stdcontext "context"

// Shop is called from a file before this one.
//
//daffi:callback
type Shop interface {
	Buy(context stdcontext.Context, item Item) error
}
