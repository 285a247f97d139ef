// Package serial breaks a rule.
package serial

import "context"

//daffi:callback
//daffi:serial please // want "//daffi:serial: \"please\" is not understood; it takes no arguments \[DF013\]"
type Whole interface {
	//daffi:serial // want "Whole.Do is serial, as all of Whole is; drop one: .* \[DF016\]"
	Do(ctx context.Context) error
}

//daffi:callback
//daffi:serial
//daffi:serial // want "//daffi:serial is said twice; keep one \[DF015\]"
type Twice interface {
	Do(ctx context.Context) error
}

//daffi:callback
type Parts interface {
	//daffi:serial now // want "//daffi:serial: \"now\" is not understood"
	Do(ctx context.Context) error
	//daffi:local
	//daffi:serial // want "Parts.Local is local, so it has nothing that //daffi:serial is said of; drop one of the two \[DF016\]"
	Local()
}

//daffi:fetcher Parts
//daffi:serial // want "//daffi:serial has no effect here; it concerns who serves; put it on the callback \[DF012\]"
type Caller interface {
	//daffi:serial // want "//daffi:serial has no effect here; it concerns who serves; put it on the callback \[DF012\]"
	Do(ctx context.Context) error
}

//daffi:serial // want "//daffi:serial has no effect here; put it directly above an annotated interface, or one of its methods \[DF012\]"
type Plain interface {
	Do(ctx context.Context) error
}
