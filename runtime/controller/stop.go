package controller

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/daffi-rpc/daffi/runtime/internal/control"
	"github.com/daffi-rpc/daffi/runtime/transport"
)

// stopping is a node that was asked to shut down.
type stopping struct {
	done chan struct{} // closed when it has left or refused
	why  string        // it has refused; written before done is closed
}

// StopNodes asks nodes to shut down, as by their Shutdown: those that are there now and whose names want takes, all if it is nil. It returns when they have left or
// ctx ends, and then names those that have not, sorted, with an error that says why: they were not made with daffi.Options.AllowRemoteStop, their OnStopRequest has refused, or they still had to
// do. Calls that run are waited for, by the node, for its DrainTimeout. A node that joins again under the same name meanwhile, as one does that is started anew, has left all the same.
func (c *Controller) StopNodes(ctx context.Context, want func(name string) bool) (left []string, err error) {
	type asked struct {
		name string
		*stopping
	}
	var b batch
	var all []asked
	var why []string
	c.mu.Lock()
	there := slices.Clone(c.sessions)
	c.mu.Unlock()
	if want != nil { // without the lock, since it is the user's
		there = slices.DeleteFunc(there, func(s *session) bool { return !want(s.name) })
	}
	c.mu.Lock()
	for _, s := range there {
		if _, ok := c.sessionAt(s.number); !ok { // it has left meanwhile
			continue
		}
		if !s.stoppable {
			left = append(left, s.name)
			why = append(why, s.name+": does not allow it")
			continue
		}
		if s.stopping == nil {
			s.stopping = &stopping{done: make(chan struct{})}
			b.add(s.link)
			s.enqueue(transport.Frame{Header: transport.Header{Kind: transport.Control}, Payload: encode((&control.Stop{}).Append)})
		}
		all = append(all, asked{s.name, s.stopping})
	}
	c.mu.Unlock()
	b.flush()
	for _, a := range all {
		reason := a.wait(ctx)
		if reason != "" {
			left = append(left, a.name)
			why = append(why, a.name+": "+reason)
		}
	}
	if len(left) == 0 {
		return nil, nil
	}
	slices.Sort(left)
	slices.Sort(why)
	const named = 10
	more := ""
	if len(why) > named {
		more = fmt.Sprintf(", and %d more", len(why)-named)
		why = why[:named]
	}
	text := fmt.Sprintf("%d nodes were not stopped: %s%s", len(left), strings.Join(why, ", "), more)
	if ctx.Err() != nil {
		return left, fmt.Errorf("%s: %w", text, context.Cause(ctx))
	}
	return left, fmt.Errorf("%s", text)
}

// wait says why the node is still there when it has refused or ctx has ended; nothing if it has left.
func (p *stopping) wait(ctx context.Context) string {
	select {
	case <-p.done:
		return p.why
	case <-ctx.Done():
	}
	select {
	case <-p.done: // as well
		return p.why
	default:
		return "is still there"
	}
}

// refuses takes a node's answer to the request to shut down.
func (s *session) refuses(m *control.Stop) {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	if p := s.stopping; p != nil {
		p.why = "has refused"
		if m.Refused != "" {
			p.why += " (" + cut(m.Refused) + ")"
		}
		close(p.done)
		s.stopping = nil // it may be asked again
	}
}

// stopped tells those who wait for s to leave. Call with the controller's lock held.
func (s *session) stopped() {
	if s.stopping != nil {
		close(s.stopping.done)
		s.stopping = nil
	}
}
