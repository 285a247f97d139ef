package daffi

import (
	"context"
	"time"
)

// After has the call wait for d at the caller before it is sent, however it is made. Its arguments are read before, those of a stream after it; ctx, or [Future.Cancel], ends the wait like the
// call, which then is NotRun. The deadline of //daffi:timeout or Options.Timeout counts from when it is sent. Post does not wait: it returns when the node has taken the call over, which
// then ends with ctx or the node, and [Options.OnLost] is told if it fails. Shutdown waits for delayed calls. A node holds at most 65 536 of them and of
// calls in the background: one more fails with ResourceExhausted/busy, NotRun.
func After(d time.Duration) CallOption { return CallOption{func(o *callOptions) { o.after = d }} }

// delayed reports whether the call waits before it is sent.
func (x *extra) delayed() bool { return x != nil && x.after > 0 }

// undelayed is x without its delay.
func (x *extra) undelayed() *extra {
	n := x.with(nil)
	n.after = 0
	return n
}

// delayed runs call, with options that have no delay, after that of x; it is one of the node's calls in the background for as long. After an error p is released.
func (b *Binding) delayed(ctx context.Context, p *pending, m int, x *extra, call func(*extra) error) error {
	if !p.counted {
		if e := b.node.work.begin(); e != nil {
			p.release()
			e.Method = b.methods[m].full
			return e
		}
		defer b.node.work.end()
	}
	if e := b.delay(ctx, m, x.after); e != nil {
		p.release()
		return e
	}
	return call(x.undelayed())
}

// stayed waits for the delay of a stream, which is one of the node's calls in the background from then until end is called.
func (b *Binding) stayed(ctx context.Context, m int, x *extra) (end func(), e *Error) {
	if e = b.node.work.begin(); e != nil {
		e.Method = b.methods[m].full
		return nil, e
	}
	if e = b.delay(ctx, m, x.after); e != nil {
		b.node.work.end()
		return nil, e
	}
	return b.node.work.end, nil
}

// delay waits for d, unless ctx or the node ends before.
func (b *Binding) delay(ctx context.Context, m int, d time.Duration) *Error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return notSent(ctx, b.methods[m].full)
	case <-b.node.stop:
		return notRun(errClosed, b.methods[m].full)
	}
}
