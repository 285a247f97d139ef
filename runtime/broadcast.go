package daffi

import (
	"context"
	"fmt"
	"iter"
	"sync/atomic"

	"github.com/daffi-rpc/daffi/runtime/codec"
	"github.com/daffi-rpc/daffi/runtime/transport"
)

// Quorum lets a broadcast end as soon as n nodes have answered well, with the others cancelled. Their errors are held back until it is certain that so many will not: then the
// rest is cancelled, each error is an entry, and the last entry is Unavailable/quorum, without a node. So Collect and Errors return no error exactly if the
// quorum was reached. Where there are less than n nodes to call nothing is sent. 0, and any other kind of call: no quorum.
func Quorum(n int) CallOption { return CallOption{func(o *callOptions) { o.quorum = max(n, 0) }} }

// needs is how many good answers a broadcast waits for, 0 for all.
func (x *extra) needs() int {
	if x == nil {
		return 0
	}
	return x.quorum
}

// Broadcast calls every node that serves the method at this moment but the caller's own, or the nodes that [To] names. All copies are on their way when it returns, ranged over or not;
// it waits for the delay of [After], the controller's answer and room in the link, no longer than ctx.
//
// The sequence has one entry for each of these nodes, in the order in which they come: the node's name with its result or its error. A node that goes away meanwhile is
// Unavailable/node_lost; those that have not answered when ctx or the deadline ends have that error, and what came stays. An entry without a name is the only one, and the error
// of the whole call: nothing was sent, with Unavailable/no_provider because nobody serves it. A name of To that is not there, or does not serve the method, has an entry that says so.
// Nothing is repeated, HashKey and //daffi:key decide nothing, and [Hedge] is refused.
//
// A method with an input sequence has it read once, on a goroutine of the node's, and each item goes to all nodes. Each has its own flow control, so the one that takes items most
// slowly decides how fast they are read. A node that fails, or returns before the end, gets no more, and the others go on. An input that fails is the error of every entry; a panic of it is
// one of the loop.
//
// The sequence is for one loop: a second one gets an entry without a name and with [ErrStreamConsumed]. Leaving the loop cancels the rest. Results that nobody ranges over
// are kept as long as the sequence is: at most a message's limit for each node. [Collect], [First] and [Quorum] do what is usually wanted.
func (c Call[R]) Broadcast(ctx context.Context) iter.Seq2[string, Result[R]] {
	b, m, dec := c.b.self, c.m, c.dec
	k, err := b.cast(ctx, m, c.x, c.enc, 0)
	return entries(k, err, func(p *pending) (r Result[R], err error) {
		r.Value, err = finish(b, p, m, dec)
		return r, err
	}, func(err error) Result[R] { return Result[R]{Err: err} })
}

// Broadcast is [Call.Broadcast], with nil for a node that has answered well: of a one-way method or an event, for which the call is accepted, or admitted where [WithAck] or
// the method says so.
func (a Action) Broadcast(ctx context.Context) iter.Seq2[string, error] {
	b, mode := a.b.self, transport.Mode(0)
	if b.client.Methods[a.m].Oneway && !a.x.hasInput() {
		mode = transport.Oneway
		if b.ack(a.m, a.x) == AckAdmitted && !b.choice.Admitted {
			b = b.admitting()
		}
	}
	k, err := b.cast(ctx, a.m, a.x, a.enc, mode)
	return entries(k, err, func(p *pending) (error, error) {
		p.release()
		return nil, nil
	}, func(err error) error { return err })
}

// Broadcast is [Call.Broadcast] for a sequence of results: the sequences of all nodes in one, whose entries have an item each, with the node that it is of. It is sent when ranged over. What a
// node sends stays in order, nodes take turns, and each has its own flow control; a loop that is slow slows all of them. A node whose sequence ends with an error has that as
// its last entry, and the others go on; one whose sequence ends well just has no more. [Quorum] is refused.
func (s Stream[T]) Broadcast(ctx context.Context) iter.Seq2[string, Result[T]] {
	b, m, x, enc, dec := s.b.self, s.m, s.x, s.enc, s.dec
	var used atomic.Bool
	return func(yield func(string, Result[T]) bool) {
		if used.Swap(true) {
			yield("", Result[T]{Err: ErrStreamConsumed})
			return
		}
		c, err := b.cast(ctx, m, x, enc, transport.Output)
		if err != nil {
			yield("", Result[T]{Err: err})
			return
		}
		defer c.close()
		var d codec.Decoder
		d.SetScope(&b.node.scope)
		for left := len(c.copies); left > 0; {
			k := c.merge.next().copied
			over, err := receiveTurn(c, k, &d, dec, yield)
			switch {
			case err == errLeft:
				return
			case over:
				left--
			}
			if err != nil && !yield(k.node, Result[T]{Err: err}) {
				return
			}
		}
	}
}

// receiveTurn yields a batch of what one node has sent, if there is one. over says that its sequence has ended, with or without an error.
func receiveTurn[T any](c *cast, k *copied, d *codec.Decoder, read func(*codec.Decoder) T, yield func(string, Result[T]) bool) (over bool, err error) {
	switch {
	case k.over: // its end came in two steps
		return false, nil
	case k.err != nil: // it was not sent
		k.over = true
		return true, c.of(k, k.err)
	}
	b, ok, over, err := k.st.recv.poll()
	if ok {
		err = receiveBatch(k.st.recv, &b, d, read, func(v T, _ error) bool { return yield(k.node, Result[T]{Value: v}) })
		switch err {
		case nil: // there may be more, after that of others
			k.st.part.ready()
			return false, nil
		case errLeft:
			return false, err
		}
		over = true // an item cannot be read
	}
	if !over {
		return false, nil
	}
	k.over = true
	ended, _ := err.(*Error)
	k.st.close(ended)
	c.feed.rethrow()
	if err = c.b.streamError(k.st, c.m, err); err != nil {
		err = c.of(k, asError(err))
	}
	return true, err
}

// entries are the results of a cast, or one entry where e is the result. reply reads one that went well, and releases it.
func entries[E any](c *cast, err error, reply func(*pending) (E, error), failure func(error) E) iter.Seq2[string, E] {
	var used atomic.Bool
	return func(yield func(string, E) bool) {
		switch {
		case used.Swap(true):
			yield("", failure(ErrStreamConsumed))
			return
		case err != nil:
			yield("", failure(err))
			return
		}
		defer c.leave()
		type failed struct {
			node string
			err  error
		}
		good, bad := 0, 0
		var held []failed // until it is certain that there will be no quorum
		for k, ok := c.next(); ok; k, ok = c.next() {
			v, err := taken(c, k, reply)
			if err == nil {
				if good++; !yield(k.node, v) || good == c.quorum {
					return
				}
				continue
			}
			bad++
			held = append(held, failed{k.node, err})
			switch spare := len(c.copies) - bad - c.quorum; {
			case c.quorum > 0 && spare >= 0:
				continue
			case c.quorum > 0 && spare == -1:
				c.end(errOutOfReach)
			}
			for _, f := range held {
				if !yield(f.node, failure(f.err)) {
					return
				}
			}
			held = held[:0]
		}
		if good < c.quorum {
			yield("", failure(c.missed(good)))
		}
	}
}

// taken is how a copy has ended.
func taken[E any](c *cast, k *copied, reply func(*pending) (E, error)) (v E, err error) {
	if e := c.outcome(k); e != nil {
		if k.p != nil {
			k.p.release()
		}
		return v, e
	}
	if v, err = reply(k.p); err != nil {
		e := *asError(err)
		e.Node = k.node
		return v, &e
	}
	return v, nil
}

// errOutOfReach ends copies without which there is no quorum either.
var errOutOfReach = &Error{Code: Canceled, Reason: ReasonQuorum, Message: "so many others have failed that the quorum was out of reach"}

// missed is the error of a quorum.
func (c *cast) missed(good int) *Error {
	return &Error{Code: Unavailable, Reason: ReasonQuorum, Method: c.method(), Message: fmt.Sprintf(
		"%d of %d nodes have answered well, the quorum is %d", good, len(c.copies), c.quorum)}
}
