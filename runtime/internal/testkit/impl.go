package testkit

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"runtime"
	"strings"
	"sync"
	"time"

	daffi "github.com/daffi-rpc/daffi/runtime"
)

// Impl implements [Kit]. The zero value works; its channels tell a test what happens.
type Impl struct {
	mu  sync.Mutex
	sum int

	Notes   chan string   // gets the lines of Note, if it is not nil
	Blocked chan struct{} // gets a value when Block begins, if it is not nil
	Ended   chan error    // gets how the context of Block, or the sequence of a stream, ended, if it is not nil
}

// ErrPlain is what Fail("plain") returns.
var ErrPlain = errors.New("a plain error")

func (k *Impl) Echo(_ context.Context, b []byte) ([]byte, error) { return b, nil }

func (k *Impl) Fail(ctx context.Context, how string) (string, error) {
	switch how {
	case "plain":
		return "ignored", ErrPlain
	case "coded":
		return "", &daffi.Error{Code: daffi.NotFound, Reason: "no_such_item", Message: "no item 7"}
	case "wrapped":
		return "", fmt.Errorf("outer: %w", &daffi.Error{Code: daffi.OutOfRange, Message: "inner"})
	case "panic":
		panic("boom")
	case "goexit":
		runtime.Goexit()
	case "huge":
		return strings.Repeat("x", 5<<20), nil
	case "long text":
		return "", errors.New(strings.Repeat("é", 2000))
	}
	return how, nil
}

func (k *Impl) Block(ctx context.Context) error {
	if k.Blocked != nil {
		k.Blocked <- struct{}{}
	}
	<-ctx.Done()
	k.end(ctx.Err())
	return ctx.Err()
}

func (k *Impl) end(err error) {
	if k.Ended != nil {
		k.Ended <- err
	}
}

func (k *Impl) Add(_ context.Context, n int) error {
	if n < 0 {
		return fmt.Errorf("%d is negative", n)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.sum += n
	return nil
}

func (k *Impl) Total(context.Context) (int, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.sum, nil
}

func (k *Impl) Who(ctx context.Context) (string, time.Duration, error) {
	info, ok := daffi.CallFrom(ctx)
	if !ok {
		return "", 0, errors.New("no call in the context")
	}
	deadline, ok := ctx.Deadline()
	if !ok {
		return info.Caller, -1, nil
	}
	return info.Caller, time.Until(deadline), nil
}

func (k *Impl) Meta(ctx context.Context) (map[string]string, error) {
	return daffi.MetadataFrom(ctx), nil
}

func (k *Impl) Nest(ctx context.Context, depth int) (int, error) {
	if depth == 0 {
		return 1, nil
	}
	n, err := NewKit(daffi.NodeFrom(ctx)).Nest(ctx, depth-1)
	return n + 1, err
}

func (k *Impl) Count(ctx context.Context, n int, fail string) iter.Seq2[int, error] {
	return func(yield func(int, error) bool) {
		for i := range n {
			if !yield(i, nil) {
				k.end(fmt.Errorf("left after %d", i))
				return
			}
		}
		switch fail {
		case "":
		case "panic":
			panic("counted enough")
		default:
			yield(0, errors.New(fail))
		}
	}
}

func (k *Impl) Blobs(ctx context.Context, n, size int) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		for i := range n {
			b := make([]byte, size)
			if size > 0 {
				b[0], b[size-1] = byte(i), byte(i+size-1)
			}
			if !yield(b, nil) {
				k.end(fmt.Errorf("left after %d", i))
				return
			}
		}
	}
}

func (k *Impl) Sum(ctx context.Context, limit int, in iter.Seq2[int, error]) (sum int, err error) {
	taken := 0
	for n, err := range in {
		if err != nil {
			k.end(err)
			return sum, fmt.Errorf("after %d numbers: %w", taken, err)
		}
		sum += n
		if taken++; taken == limit {
			break
		}
	}
	return sum, nil
}

func (k *Impl) Size(ctx context.Context, in iter.Seq2[[]byte, error]) (n int, err error) {
	for b, err := range in {
		if err != nil {
			return n, err
		}
		n += len(b)
	}
	return n, nil
}

func (k *Impl) Chat(ctx context.Context, in iter.Seq2[string, error]) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for line, err := range in {
			if err != nil {
				yield("", err)
				return
			}
			if !yield("re: "+line, nil) {
				return
			}
		}
	}
}

func (k *Impl) Note(_ context.Context, line string) error {
	if k.Notes != nil {
		k.Notes <- line
	}
	return nil
}

func (k *Impl) Quick(ctx context.Context) error {
	<-ctx.Done()
	return ctx.Err()
}
