package testfile

import "context"

//daffi:callback
type Fake interface { // want "test_file_test.go:6:6: Fake is in a test file, and generated code is not; move it to a file that is no test, or to a package of its own \[DF005\]"
	//daffi:oneway
	Do(ctx context.Context) error
}

// Plain carries no annotation, so it is as good as any.
type Plain interface{ Do() }
