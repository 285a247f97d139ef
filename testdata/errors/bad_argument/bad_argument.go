// Package badargument breaks a rule.
package badargument

import "context"

// C has arguments that are not understood.
//
//daffi:callback nam=c // want "//daffi:callback: nam=c is not understood; write name= and letters, digits, dots, dashes or underscores \[DF013\]"
type C interface {
	//daffi:oneway please // want "//daffi:oneway: \"please\" is not understood; use one of accepted, none, admitted \[DF013\]"
	Do(ctx context.Context) error
	//daffi:alias // want "//daffi:alias: it needs the name of a method; write //daffi:alias Name \[DF013\]"
	Other(ctx context.Context) error
	//daffi:alias Old each // want "//daffi:alias: each concerns a fetcher; on a callback name only the older method \[DF013\]"
	Third(ctx context.Context) error
}

//daffi:callback name=a/b // want "//daffi:callback: name=a/b is not understood"
type D interface {
	Do(ctx context.Context) error
}

//daffi:callback name=a name=b // want "//daffi:callback: name= is given twice; keep one \[DF013\]"
//daffi:fetcher prepare=Calls prepare=Order // want "//daffi:fetcher: prepare= is given twice; keep one \[DF013\]"
type Both interface {
	//daffi:errors *, a/b, ., ErrA[int] // want "//daffi:errors: \* is no name; write one such as ErrA, \*TypeB, io.EOF or \*io/fs.PathError" "a/b is no name" "errors: . is no name" "ErrA\[int\] is no name"
	Do(ctx context.Context) error
}

//daffi:callback cart // want "//daffi:callback: \"cart\" is not understood; a wire name is given as name=cart \[DF013\]"
type E interface {
	Do(ctx context.Context) error
}

//daffi:fetcher a/b/c // want "//daffi:fetcher: \"a/b/c\" is no service; name a callback, as in Cart or example.com/shop.Cart, or give a name on the wire \[DF013\]"
type Slashes interface {
	Do(ctx context.Context) error
}

//daffi:fetcher ./....Cart // want "//daffi:fetcher: \"./....Cart\" is no service"
type Pattern interface {
	Do(ctx context.Context) error
}

//daffi:fetcher -json/x.Cart // want "//daffi:fetcher: \"-json/x.Cart\" is no service"
type Option interface {
	Do(ctx context.Context) error
}

//daffi:fetcher A B // want "//daffi:fetcher: \"B\" is one too many; name one service \[DF013\]"
type F interface {
	//daffi:alias Do both // want "//daffi:alias: \"both\" is not understood; after the name only each or whole may follow \[DF013\]"
	Do(ctx context.Context) error
}

//daffi:fetcher prepare=1 // want "//daffi:fetcher: prepare=1 is no name for a method; use an identifier such as Calls \[DF013\]"
type G interface {
	Do(ctx context.Context) error
}

//daffi:fetcher name=x // want "//daffi:fetcher: name= is not understood; only prepare= is \[DF013\]"
type H interface {
	Do(ctx context.Context) error
}
