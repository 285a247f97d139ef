package daffi

import (
	"context"
	"fmt"
	"sync"

	"github.com/daffi-rpc/daffi/runtime/transport"
)

// background counts what the node does for its user and what no call of the user's waits for: calls in the background, delayed ones, functions that are told of their
// end. Shutdown waits for it, and so does Close once it has ended what it does.
type background struct {
	mu     sync.Mutex
	limit  int
	n      int
	drains bool // Shutdown waits, for what there is
	closed bool
	idle   chan struct{} // closed when n gets zero; nil while nobody waits for that
}

// maxBackground bounds it (LIM-33): a node has no more calls under way in any case.
const maxBackground = transport.MaxCalls

// begin counts one more, which must end. It fails when the node is closed or there are too many.
func (b *background) begin() *Error {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.closed:
		return &Error{Code: Unavailable, Reason: ReasonClosed, Outcome: NotRun, Message: "the node is closed"}
	case b.drains:
		return shuttingDown()
	case b.n >= b.limit:
		return &Error{Code: ResourceExhausted, Reason: ReasonBusy, Outcome: NotRun, Message: fmt.Sprintf("%d calls are in the background of this node already", b.limit)}
	}
	b.n++
	return nil
}

// join counts one more that goes with one that was counted before, and whose user must not be refused. After the end of the node nobody waits for it.
func (b *background) join() {
	b.mu.Lock()
	b.n++
	b.mu.Unlock()
}

func (b *background) end() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.n--; b.n == 0 {
		b.idle = signal(b.idle)
	}
}

// drain refuses more from now on, since whoever goes on and on would keep it from ending, and waits for what there is.
func (b *background) drain(ctx context.Context) error {
	b.mu.Lock()
	b.drains = true
	b.mu.Unlock()
	return b.wait(ctx)
}

// wait returns when there is nothing, or when ctx ends.
func (b *background) wait(ctx context.Context) error {
	return waitWhile(ctx, func() <-chan struct{} {
		b.mu.Lock()
		defer b.mu.Unlock()
		if b.n == 0 {
			return nil
		}
		return signalled(&b.idle)
	})
}

// close refuses more. What there is must be told to end, and may be waited for.
func (b *background) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
}
