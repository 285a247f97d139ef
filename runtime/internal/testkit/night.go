package testkit

import (
	"os"
	"testing"
)

// Night reports whether the figures of make night are wanted, which take minutes: DAFFI_NIGHT is set.
func Night() bool { return os.Getenv("DAFFI_NIGHT") != "" }

// Full is night in a night's run, else base.
func Full[T any](base, night T) T {
	if Night() {
		return night
	}
	return base
}

// OnlyNight skips a test that only make night runs.
func OnlyNight(tb testing.TB) {
	tb.Helper()
	if !Night() {
		tb.Skip("only make night runs it: it takes minutes, or its figures need a machine with nothing else to do")
	}
}
