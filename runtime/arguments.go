package daffi

import (
	"fmt"
	"math"
	"runtime/debug"
	"sync"
	"time"

	"github.com/daffi-rpc/daffi/internal/cgroup"
	"github.com/daffi-rpc/daffi/runtime/transport"
)

// Bounds of what the arguments occupy of calls that run, and the items that they read (LIM-74). A message is counted by its length when unpacked, if it came compressed or in pieces, and what was decoded of it
// by what that has charged. What waits to run is counted by [Limits.HeldBytes], and what is on its way by budgets of the link.
const (
	smallArgs        = 1 << 10  // of which no values are counted
	weighedFrom      = 64 << 10 // what occupies less is bounded by the number of calls that run
	maxArguments     = 512 << 20
	argumentMessages = 4                // of the largest fit in any case
	argumentShare    = 4                // of what the process may occupy: a quarter
	itemPatience     = 10 * time.Second // for which an item waits for room
)

// memoryCeiling is what the system lets the process have, 0 for all there is.
var memoryCeiling = sync.OnceValue(cgroup.MemoryLimit)

// argumentBytes is the default of [Limits.ArgumentBytes] for messages up to that length.
func argumentBytes(message int) int {
	most := max(maxArguments, argumentMessages*min(message, maxMessage/argumentMessages))
	if c := memoryCeiling(); c > 0 {
		most = int(min(int64(most), c/argumentShare))
	}
	if c := debug.SetMemoryLimit(-1); c != math.MaxInt64 {
		most = int(min(int64(most), c/argumentShare))
	}
	return max(most, 1)
}

// hold counts n bytes more of p's calls, or -n less. It reports false, and counts nothing, if there is no room: a caller may have no more of it than it leaves free, so that whoever comes finds something. What is larger than
// all of it gets in alone.
func (a *admission) hold(p *peer, n int) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.holdLocked(p, n)
}

func (a *admission) holdLocked(p *peer, n int) bool {
	if free := a.node.opts.Limits.ArgumentBytes - a.arguments; n > 0 && a.arguments > 0 && p.arguments > free-n {
		return false
	}
	a.arguments += n
	p.arguments += n
	if n < 0 {
		a.lighter = signal(a.lighter)
	}
	return true
}

// holdWhen is hold that waits for room, as long as ctx and patience last.
func (a *admission) holdWhen(ctx *callCtx, p *peer, n int) error {
	var patience <-chan time.Time
	for {
		a.mu.Lock()
		if a.holdLocked(p, n) {
			a.mu.Unlock()
			return nil
		}
		lighter := signalled(&a.lighter)
		a.mu.Unlock()
		if patience == nil {
			t := time.NewTimer(itemPatience)
			defer t.Stop()
			patience = t.C
		}
		select {
		case <-lighter:
		case <-ctx.Done():
			return contextError(ctx, "")
		case <-patience:
			return a.tooHeavy()
		}
	}
}

// tooHeavy is the error of a call whose arguments find no room.
func (a *admission) tooHeavy() *Error {
	return &Error{Code: ResourceExhausted, Reason: ReasonBusy, Outcome: NotRun, Message: fmt.Sprintf(
		"the arguments of calls that run take too much of the %d bytes that they may at the node (Limits.ArgumentBytes)", a.node.opts.Limits.ArgumentBytes)}
}

// weigh has the arguments of in count as n bytes from now on, or says why they cannot.
func (in *Incoming) weigh(n int) *Error {
	if n < weighedFrom {
		n = 0
	}
	if n == in.weight {
		return nil
	}
	if !in.node.admission.hold(in.peer, n-in.weight) {
		return in.own(in.node.admission.tooHeavy())
	}
	in.weight = n
	return nil
}

// unpacks is weigh for [transport.Compressor.Unpack].
func (in *Incoming) unpacks(n int) error {
	if err := in.weigh(n); err != nil {
		return err
	}
	return nil
}

// argsRead is an Incoming whose arguments were read: their message is not needed any more, and its room in the link is needed as soon as that, not when the handler has ended.
type argsRead Incoming

// Closed implements [codec.Closer].
func (r *argsRead) Closed() {
	in := (*Incoming)(r)
	if in.asm != nil {
		in.asm.drop()
	}
	if in.args.Err() != nil {
		return
	}
	if in.mode&transport.Each == 0 && len(in.payload.B) >= weighedFrom { // an item's is its receiver's
		in.payload.Release()
		in.payload = nil
	}
	if err := in.weigh(in.args.Spent()); err != nil { // [Incoming.decodeError] knows it
		in.args.Fail(err)
	}
}
