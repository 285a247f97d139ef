package daffi

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/daffi-rpc/daffi/runtime/codec"
	"github.com/daffi-rpc/daffi/runtime/transport"
)

// pending is one call at the caller, from its encoding to its end. Without a stream it is reused: whoever removes it from the session's table
// owns its end, so the reader and a caller that leaves never meet in it.
type pending struct {
	enc     codec.Encoder
	dec     codec.Decoder
	req     *transport.Buffer // the arguments, kept for another attempt
	packed  *transport.Buffer // the same compressed, if that was tried and has paid
	tried   bool
	tag     tag
	peer    uint32 // the session that the call is for, if it was chosen already; else 0
	seat    seat
	reply   *transport.Buffer
	flags   transport.Flags // of the reply
	err     *Error
	done    chan struct{} // buffer of one
	due     time.Time     // the deadline that daffi has set, zero if there is none or the context has it
	ctx     context.Context
	alone   bool         // no other call was under way when it was sent
	bulk    bool         // the request travels in the bulk lane
	large   *largeSender // the request, if it was announced; protected by the table while it is in there
	hasty   bool         // it does not wait for room in the link's queue
	counted bool         // it is one of the node's calls in the background
	pool    *sync.Pool

	shared  *pending          // what holds the request if this is one of several copies that are sent one after the other
	wrapped *transport.Buffer // the request with its tag and metadata, for copies

	// sink, if there is one, is called in place of the caller's wake-up, on whatever goroutine the call ends, readers among them: it must neither block nor run anything of
	// the user's. It may be called before the call was enqueued to its end, so it does not release p unless it knows better.
	sink func(*pending)

	stream *stream

	at       *atomic.Uint32 // gets one more than its slot when it is sent, for a hedge; nil where there is none
	into     *ReplyMetadata // what gets the metadata of the reply; nil where nobody wants it
	head     int            // of the reply: the length of its metadata, which was read
	why      *Error         // nobody waits for it any more; written by who has removed it from the table
	attempts *int           // counts repetitions for an interceptor; nil where there is none
}

// newPending takes a pending from the node's pool. Pools belong to a node, since channels and timers belong to the testing/synctest bubble
// that they were made in.
func (n *Node) newPending() *pending {
	if p, _ := n.pendings.Get().(*pending); p != nil {
		return p
	}
	p := &pending{pool: &n.pendings, done: make(chan struct{}, 1)}
	p.enc.SetScope(&n.scope)
	p.dec.SetScope(&n.scope)
	return p
}

// release ends the use of p.
func (p *pending) release() {
	p.forgetRequest()
	if p.reply != nil {
		p.reply.Release()
	}
	p.reply, p.err, p.large, p.flags, p.shared = nil, nil, nil, 0, nil
	p.tag, p.peer, p.due, p.ctx, p.alone, p.sink, p.why, p.attempts = tag{}, 0, time.Time{}, nil, false, nil, nil, nil
	p.hasty, p.counted, p.at, p.seat, p.into, p.head = false, false, nil, seat{}, nil, 0
	if p.stream == nil { // a stream's reader and producer may still hold it
		p.pool.Put(p)
	}
}

// forgetRequest lets go of what is not sent again.
func (p *pending) forgetRequest() {
	if p.req != nil {
		p.req.Release()
	}
	if p.packed != nil {
		p.packed.Release()
	}
	if p.wrapped != nil {
		p.wrapped.Release()
	}
	p.req, p.packed, p.wrapped, p.tried = nil, nil, nil, false
}

// copyOf makes p a copy of the request that other holds, for another target.
func (p *pending) copyOf(other *pending) {
	p.enc.Reset(nil) // of the key that its last call had
	p.req, p.tried, p.tag.id, p.shared = other.req.Retain(), other.tried, other.tag.id, other
	if other.packed != nil {
		p.packed = other.packed.Retain()
	}
}

// pack compresses the request, once for all attempts.
func (p *pending) pack(n *Node, w *transport.Worth) {
	if !p.tried {
		p.tried = true
		p.packed, _ = n.compress(p.req.B, w)
	}
}

// wrap is message behind the tag and metadata, made once for all copies.
func (p *pending) wrap(md *metadata, message *transport.Buffer) *transport.Buffer {
	if p.shared == nil {
		return wrap(&p.tag, md, message)
	}
	if p.shared.wrapped == nil {
		p.shared.wrapped = wrap(&p.tag, md, message)
	}
	return p.shared.wrapped.Retain()
}

// key is the hash of what decides the provider, if something does.
func (p *pending) key(x *extra) (hash uint32, ok bool) {
	if x != nil && x.keyed {
		return x.key, true
	}
	if k := p.enc.RouteKey(); k != nil {
		return transport.KeyHash(k), true
	}
	return 0, false
}

// Over implements [transport.Attendant].
func (p *pending) Over() bool { return len(p.done) > 0 || p.ctx.Err() != nil }

// fail ends a call that was removed from the table.
func (p *pending) fail(e *Error) {
	p.err = e
	p.end()
}

// lane is the flag that keeps a Cancel behind the request.
func (p *pending) lane() transport.Flags {
	if p.bulk {
		return transport.Bulk
	}
	return 0
}

// end wakes the caller. p must have been removed from the table.
func (p *pending) end() {
	if p.large != nil {
		p.large.close()
	}
	if p.stream != nil {
		p.stream.ended(p.err)
	}
	if p.sink != nil {
		p.sink(p)
		return
	}
	p.done <- struct{}{}
}

// results opens the reply for decoding.
func (p *pending) results(n *Node) error {
	if p.reply == nil {
		p.dec.Reset(nil)
		return nil
	}
	if p.flags&transport.Zstd != 0 {
		raw, err := n.decompress(p.reply.B[p.head:], n.opts.MaxMessage, nil)
		if err != nil {
			return err
		}
		p.reply.Release()
		p.reply, p.head = raw, 0
	}
	if len(p.reply.B) == p.head {
		p.dec.Reset(nil)
		return nil
	}
	p.dec.Reset(p.reply.B[p.head:])
	lend(&p.dec, p.reply)
	p.dec.Open()
	return nil
}

// finish decodes the results of a call that went well, and releases it.
func finish[R any](b *Binding, p *pending, m int, dec func(*codec.Decoder) R) (r R, err error) {
	if err = p.results(b.node); err == nil {
		r = dec(&p.dec)
		err = p.dec.Err()
		if err == nil && p.reply != nil {
			err = p.dec.Close()
		}
	}
	if err != nil {
		var zero R
		e := &Error{Code: Internal, Reason: ReasonDecode, Outcome: Ran, Method: b.methods[m].full, Message: "the results cannot be read: " + err.Error(), cause: err}
		p.release()
		return zero, e
	}
	p.release()
	return r, nil
}
