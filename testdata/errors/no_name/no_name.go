// Package noname breaks a rule.
package noname

import "context"

//daffi:callback
type _ interface { // want "_ is annotated but is no name, so nothing can refer to it; give it one \[DF020\]"
	Do(ctx context.Context) error
}

//daffi:message
type _ struct{ ID string } // want "_ cannot be a message: nothing can refer to it; give it a name \[DF061\]"

//daffi:callback
type Cart interface { // want "Cart is declared twice in this package; make it compile \(go get, if a module is missing\), then run daffigen again \[DF002\]"
	Add(ctx context.Context) error
}

//daffi:callback
type Cart interface {
	Put(ctx context.Context) error
}
