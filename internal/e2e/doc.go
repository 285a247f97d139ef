// Package e2e has the tests that start real programs, as users would, and kill some of them.
//
// The programs are built once, with the race detector if the tests have it: the shopping example, cmd/daffi, and a provider of
// calls that last as long as a test wants. Tests wait for lines that programs print and for what calls return, never for time to pass.
package e2e
