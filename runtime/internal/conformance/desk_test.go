package conformance

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	daffi "github.com/daffi-rpc/daffi/runtime"
)

// desk implements Desk.
type desk struct {
	node    string
	end     chan struct{} // closed at the end of the scenario
	blocked chan struct{} // gets a value when Block or Work begins
	release chan struct{} // lets Work end when it is closed
	left    chan error    // gets how a Count that was left, or a Block, has ended

	refuse int // what Put does not take; 0 for none

	working, most atomic.Int32 // Work at a time, and the most that were

	mu   sync.Mutex
	kept []int
}

func newDesk(node string) *desk {
	return &desk{node: node, end: make(chan struct{}), blocked: make(chan struct{}, 100), left: make(chan error, 100)}
}

// soon takes what must come in no time.
func soon[T any](t *testing.T, c <-chan T, what string) (v T) {
	t.Helper()
	select {
	case v = <-c:
	case <-time.After(patience):
		t.Fatal("waited too long for " + what)
	}
	return v
}

func (d *desk) Where(context.Context) (string, error) { return d.node, nil }

func (d *desk) Echo(_ context.Context, n int, text string, parcels []Parcel, byName map[string]Parcel) (int, string, []Parcel, map[string]Parcel, error) {
	return n, text, parcels, byName, nil
}

func (d *desk) Buy(_ context.Context, how string) (string, error) {
	switch how {
	case "sold out":
		return "nothing", fmt.Errorf("tea: %w", ErrSoldOut)
	case "short":
		return "", ErrShort{Wanted: 3, Left: 1}
	case "coded":
		return "", &daffi.Error{Code: daffi.NotFound, Reason: "no_such_item", Message: "no item 7"}
	case "panic":
		panic("the till is stuck")
	}
	return how, nil
}

func (d *desk) Block(ctx context.Context, stubborn bool) error {
	d.blocked <- struct{}{}
	if stubborn {
		<-d.end
		return nil
	}
	<-ctx.Done()
	d.left <- ctx.Err()
	return ctx.Err()
}

func (d *desk) Work(context.Context) error {
	now := d.working.Add(1)
	defer d.working.Add(-1)
	for most := d.most.Load(); now > most && !d.most.CompareAndSwap(most, now); most = d.most.Load() {
	}
	d.blocked <- struct{}{}
	<-d.release
	return nil
}

func (d *desk) Pass(ctx context.Context, via []string) ([]string, time.Duration, error) {
	if len(via) == 0 {
		deadline, ok := ctx.Deadline()
		if !ok {
			return nil, 0, errors.New("the deadline was lost on the way")
		}
		return []string{d.node}, time.Until(deadline), nil
	}
	r, err := NewDesk(daffi.NodeFrom(ctx), daffi.To(via[0])).Prepare().Pass(via[1:]).Do(ctx)
	return append([]string{d.node}, r.Trail...), r.Left, err
}

func (d *desk) Put(_ context.Context, n int) error {
	if n < 0 {
		return fmt.Errorf("%d is negative", n)
	}
	if n > 0 && n == d.refuse {
		return fmt.Errorf("%d is refused", n)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.kept = append(d.kept, n)
	return nil
}

func (d *desk) Note(ctx context.Context, n int) error { return d.Put(ctx, n) }

func (d *desk) Kept(context.Context) ([]int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.kept), nil
}

func (d *desk) Count(ctx context.Context, n, by int, fail string) iter.Seq2[int, error] {
	return func(yield func(int, error) bool) {
		for i := range n {
			if !yield(i*by, nil) {
				d.left <- ctx.Err()
				return
			}
		}
		switch fail {
		case "":
		case "block":
			<-ctx.Done()
			d.left <- ctx.Err()
			yield(0, ctx.Err())
		default:
			yield(0, errors.New(fail))
		}
	}
}

func (d *desk) Say(_ context.Context, text string) (string, error) { return text, nil }
