//go:build !never

package buildtags

import "context"

//daffi:fetcher A
type B interface { // want "B is built where !never, but A at .*a_linux.go:7:6 where linux, and generated code is one file; put them into files with the same build constraint, or into two packages \[DF006\]"
	Do(ctx context.Context) error
}
