package daffi

import "context"

// Drain is Close, and returns when the calls that ran or waited to run have ended, those of the services below this one too, and handlers whose callers have gone, or when ctx ends:
// then with its error, and they go on.
func (r *Registration) Drain(ctx context.Context) error {
	if err := r.Close(); err != nil {
		return err
	}
	mine := map[*Registration]bool{}
	names := map[string]bool{}
	r.collect(mine, names)
	if s := r.node.current.Load(); s != nil {
		if err := s.served.without(ctx, func(m *servedMethod) bool { return m != nil && mine[m.reg] }); err != nil {
			return err
		}
	}
	return r.node.admission.without(ctx, mine, names)
}

// collect adds r, those below it, and the names of their methods.
func (r *Registration) collect(all map[*Registration]bool, names map[string]bool) {
	all[r] = true
	for _, m := range r.methods {
		names[m.full] = true
	}
	for _, sub := range r.subs {
		sub.collect(all, names)
	}
}

// without returns when there is no call of a method for which is holds.
func (t *serving) without(ctx context.Context, is func(*servedMethod) bool) error {
	return waitWhile(ctx, func() <-chan struct{} {
		t.mu.Lock()
		defer t.mu.Unlock()
		for c := range t.items.All() {
			if c.id != 0 && is(c.method) {
				return signalled(&t.ended)
			}
		}
		return nil
	})
}

// without does so for calls that are in no session's table: one-way ones, by names, and those that run although their callers have gone.
func (a *admission) without(ctx context.Context, of map[*Registration]bool, names map[string]bool) error {
	return waitWhile(ctx, func() <-chan struct{} {
		a.mu.Lock()
		defer a.mu.Unlock()
		if !a.busyWith(of, names) {
			return nil
		}
		return signalled(&a.ended)
	})
}

// busyWith reports whether there are such calls. Call with the lock held.
func (a *admission) busyWith(of map[*Registration]bool, names map[string]bool) bool {
	for reg := range of {
		if reg.running > 0 {
			return true
		}
	}
	for c := range a.oneway {
		if names[c.method] {
			return true
		}
	}
	return false
}

// endOneway removes a one-way call. Call with the lock held.
func (a *admission) endOneway(ctx *callCtx) {
	if _, ok := a.oneway[ctx]; ok {
		delete(a.oneway, ctx)
		a.ended = signal(a.ended)
	}
}

// signal closes c for those who wait for it, if there are any.
func signal(c chan struct{}) chan struct{} {
	if c != nil {
		close(c)
	}
	return nil
}

// signalled is what the next signal closes.
func signalled(c *chan struct{}) <-chan struct{} {
	if *c == nil {
		*c = make(chan struct{})
	}
	return *c
}

// waitWhile calls next until it returns nil, each time that what it has returned is closed, or until ctx ends.
func waitWhile(ctx context.Context, next func() <-chan struct{}) error {
	for {
		c := next()
		if c == nil {
			return nil
		}
		select {
		case <-c:
		case <-ctx.Done():
			return contextError(ctx, "")
		}
	}
}
