// Package frompython has the interfaces of docs/from-python.md, and the test that compiles the Go code there.
package frompython

import (
	"context"
	"iter"
)

//go:generate go tool daffigen

// Calc is what some processes serve.
//
//daffi:callback
type Calc interface {
	Add(ctx context.Context, a, b int) (int, error)
	Primes(ctx context.Context, below int) iter.Seq2[int, error]
	Record(ctx context.Context, sample float64) error

	//daffi:alias Log
	LogLine(ctx context.Context, line string) error

	//daffi:local
	Reset()
}

// CalcClient is what others call it by.
//
//daffi:fetcher Calc
type CalcClient interface {
	Add(ctx context.Context, a, b int) (int, error)
	Primes(ctx context.Context, below int) iter.Seq2[int, error]

	//daffi:timeout 2s
	//daffi:idempotent
	//daffi:alias Add
	Sum(ctx context.Context, a, b int) (int, error)

	//daffi:map double
	//daffi:alias Add
	AddDoubled(ctx context.Context, a, b int) (int, error)

	//daffi:alias Record
	RecordAll(ctx context.Context, samples iter.Seq[float64]) error

	//daffi:oneway
	Log(ctx context.Context, line string) error
}

func double(_ context.Context, a, b int) (int, int, error) { return 2 * a, 2 * b, nil }

// adder implements Calc.
type adder struct{ multiplier int }

func (c *adder) Add(ctx context.Context, a, b int) (int, error) { return c.multiplier * (a + b), nil }

func (c *adder) Primes(ctx context.Context, below int) iter.Seq2[int, error] {
	return func(yield func(int, error) bool) {
		for n := 2; n < below; n++ {
			if prime(n) && !yield(n, nil) {
				return // the caller has left its loop
			}
		}
	}
}

func (c *adder) Record(ctx context.Context, sample float64) error { return nil }

func (c *adder) LogLine(ctx context.Context, line string) error { return nil }

func (c *adder) Reset() { c.multiplier = 1 }

func prime(n int) bool {
	for d := 2; d*d <= n; d++ {
		if n%d == 0 {
			return false
		}
	}
	return n > 1
}
