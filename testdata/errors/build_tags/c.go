package buildtags

import "context"

//daffi:fetcher A
type C interface { // want "C is built always, but A at .*a_linux.go:7:6 where linux"
	Do(ctx context.Context) error
}

//daffi:message
type M struct{ X int } // want "M is built always, but A at .*a_linux.go:7:6 where linux"
