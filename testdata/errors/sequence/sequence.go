// Package sequence breaks a rule.
package sequence

import (
	"context"
	"iter"
)

//daffi:callback
type C interface {
	First(ctx context.Context, in iter.Seq2[int, error], n int) error                // want "C.First: a sequence must be the last parameter; move it to the end, and take only one \[DF026\]"
	Two(ctx context.Context, a iter.Seq2[int, error], b iter.Seq2[int, error]) error // want "C.Two: a sequence must be the last parameter"
	Variadic(ctx context.Context, in iter.Seq2[int, error], more ...string) error    // want "C.Variadic: a sequence must be the last parameter"
	Pairs(ctx context.Context, in iter.Seq2[string, int]) error                      // want "C.Pairs: the second type of an input sequence must be error; take iter.Seq2\[T, error\] \[DF026\]"
	Error(ctx context.Context) (iter.Seq2[int, error], error)                        // want "C.Error: a sequence must be the only result; return an iter.Seq2\[T, error\] alone, its errors are its pairs' \[DF026\]"
	Sure(ctx context.Context) iter.Seq[int]                                          // want "C.Sure: a sequence of results may break; return an iter.Seq2\[T, error\] \[DF026\]"
	Map(ctx context.Context) iter.Seq2[string, int]                                  // want "C.Map: a sequence of results may break"
	Nested(ctx context.Context, in []iter.Seq2[int, error]) error                    // want "C.Nested: in\[\]: func values cannot travel; .* \[DF030\]"
}
