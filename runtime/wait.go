package daffi

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// wait returns when ok holds for the whole table, which it is called for under the lock with every change.
func (n *Node) wait(ctx context.Context, ok func(t *table) bool) error {
	for {
		s, err := n.session(ctx)
		if err != nil {
			return err
		}
		n.table.ask(s)
		n.table.mu.Lock()
		done := n.table.of == s && ok(&n.table)
		changed := n.table.changed
		n.table.mu.Unlock()
		if done {
			return nil
		}
		select {
		case <-changed:
		case <-s.ended:
		case <-ctx.Done():
			return notSent(ctx, "")
		}
	}
}

// WaitNode returns when nodes of all these names are there, all at one moment; at once if they are. It ends with ctx.
func (n *Node) WaitNode(ctx context.Context, names ...string) error {
	if len(names) == 0 {
		return nil
	}
	missing := names
	err := n.wait(ctx, func(t *table) bool {
		missing = slices.DeleteFunc(slices.Clone(names), func(name string) bool {
			for _, r := range t.rows {
				if r.Name == name {
					return true
				}
			}
			return false
		})
		return len(missing) == 0
	})
	return waitError(err, "node "+strings.Join(missing, ", "))
}

// WaitOption changes what [Node.WaitMethod] waits for.
type WaitOption struct{ apply func(*waitOptions) }

type waitOptions struct{ atLeast int }

// AtLeast waits for that many providers at one moment. The node that waits counts only where one is enough, since a call of its own goes to others first.
func AtLeast(providers int) WaitOption {
	return WaitOption{func(o *waitOptions) { o.atLeast = providers }}
}

// WaitMethod returns when a node offers the method, "Service.Method", or, without a method, the service; at once if one does. Nodes that drain do not count. It ends with
// ctx. A call made after that finds a provider, unless it has left again. It goes by the name alone: the WaitReady of a proxy waits for providers of
// the signatures that it calls.
func (n *Node) WaitMethod(ctx context.Context, method string, opts ...WaitOption) error {
	o := waitOptions{atLeast: 1}
	for _, opt := range opts {
		opt.apply(&o)
	}
	if o.atLeast < 1 {
		return &Error{Code: InvalidArgument, Outcome: NotRun, Message: fmt.Sprintf("AtLeast(%d): it takes one provider or more to call %s", o.atLeast, method)}
	}
	others := 0
	err := n.wait(ctx, func(t *table) bool {
		self := false
		others = 0
		for _, r := range t.rows {
			switch {
			case !r.offers(method):
			case r.Session == t.of.number:
				self = true
			default:
				others++
			}
		}
		return others >= o.atLeast || self && o.atLeast == 1
	})
	what := method
	if o.atLeast > 1 {
		what = fmt.Sprintf("%d providers of %s, of which %d are there", o.atLeast, method, others)
	}
	return waitError(err, what)
}

// offers reports whether the node serves that method, or a service of that name.
func (r *tableRow) offers(method string) bool {
	for _, s := range r.Services {
		if s.Name == method {
			return true
		}
		if name, ok := strings.CutPrefix(method, s.Name+"."); ok && slices.Contains(s.Methods, name) {
			return true
		}
	}
	return false
}

// waitError says what was waited for.
func waitError(err error, what string) error {
	e, ok := err.(*Error)
	if !ok {
		return err
	}
	x := *e
	x.Message = "waiting for " + what + ": " + x.Message
	return &x
}
