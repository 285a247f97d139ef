//go:build go1.26 && !never

package buildtags

// Handle is the one that is built.
type Handle struct{ FD int }
