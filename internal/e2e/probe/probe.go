// Package probe is a service for end-to-end tests: calls that last as long as a test wants, and real input.
package probe

import (
	"context"
	"iter"
)

//go:generate go tool daffigen

// Probe is served by the program internal/e2e/provider and called by the tests.
//
//daffi:callback
//daffi:fetcher
type Probe interface {
	// Echo returns what it is given.
	Echo(ctx context.Context, b []byte) ([]byte, error)
	// Hold lasts until the provider reads a line from its standard input, or until ctx ends.
	Hold(ctx context.Context) error
	// Count yields 0 to n-1, then what Hold returns.
	Count(ctx context.Context, n int) iter.Seq2[int, error]
	// Read counts the words of files, keeps the counts under the name of the corpus, and returns the number of files.
	Read(ctx context.Context, corpus string, files iter.Seq2[File, error]) (int, error)
	// Words yields what Read has counted, sorted by word.
	Words(ctx context.Context, corpus string) iter.Seq2[Word, error]
}

// File is a file's name and content.
type File struct {
	Name string
	Text []byte
}

// Word says how often a word was seen, and in which file first.
type Word struct {
	Text  string
	Count int
	First string
}
