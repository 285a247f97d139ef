package daffi

import (
	"context"
	"maps"
	"sync"

	"github.com/daffi-rpc/daffi/runtime/transport"
)

// ReplyMetadata gets what handlers send back beside their results or their error: see [WithReplyMetadata] and [SetReplyMetadata]. The zero value is ready, and may be used from
// any goroutine.
type ReplyMetadata struct {
	mu     sync.Mutex
	values map[string]string
}

// Get is the value of a key, empty where there is none.
func (r *ReplyMetadata) Get(key string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.values[key]
}

// Values is all of it. The map is a copy.
func (r *ReplyMetadata) Values() map[string]string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return maps.Clone(r.values)
}

// add adds what has come to r, if there is one.
func (r *ReplyMetadata) add(md map[string]string) {
	if r == nil || len(md) == 0 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.values == nil {
		r.values = map[string]string{}
	}
	maps.Copy(r.values, md)
}

// WithReplyMetadata returns a context whose calls put the metadata of their replies into into: before Do returns, and of a stream before its sequence ends. Of several calls the
// later one counts. Calls that nobody waits for have none, and neither has a stream whose consumer leaves, nor a broadcast stream. Calls that handlers make do not inherit it.
//
// A callee of a version that has no reply metadata refuses such a call with InvalidArgument/decode, NotRun.
func WithReplyMetadata(ctx context.Context, into *ReplyMetadata) context.Context {
	m := &metadata{into: into}
	if outer := outgoing(ctx); outer != nil {
		m.values, m.wire = outer.values, outer.wire
	}
	return context.WithValue(ctx, metadataKey{}, m)
}

// SetReplyMetadata sends md to the caller with the end of the call that ctx belongs to, its results or its error, beside what was set before; of equal keys the later one counts. It is
// dropped where the caller has not asked for it ([WithReplyMetadata]), so a handler need not know. What is set after the handler has returned, or its output sequence has
// ended, may be lost.
//
// It fails with InvalidArgument/too_large, and sets nothing, if the call would have more than 64 keys or 8 KiB, or what the node's limits say (LIM-9), and with FailedPrecondition outside a handler.
func SetReplyMetadata(ctx context.Context, md map[string]string) error {
	c, ok := ctx.Value(callKey{}).(*callCtx)
	if !ok {
		return &Error{Code: FailedPrecondition, Message: "SetReplyMetadata is for handlers: the context is not that of a call"}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	more := c.extend()
	values := map[string]string{}
	maps.Copy(values, more.reply)
	maps.Copy(values, md)
	if err := newMetadata(values).check(&c.node.opts.Limits); err != nil {
		return &Error{Code: InvalidArgument, Reason: ReasonTooLarge, Message: err.Error()}
	}
	more.reply = values
	return nil
}

// replyMetadata is what goes back with the reply, nil for none.
func (in *Incoming) replyMetadata() *metadata {
	c := in.ctx
	if c.tag == nil || !c.tag.replies {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.more == nil || len(c.more.reply) == 0 {
		return nil
	}
	return newMetadata(c.more.reply)
}

// headed takes up the metadata of a reply that has come, if it has some.
func (b *Binding) headed(p *pending, m int) *Error {
	if p.flags&transport.Meta == 0 || p.reply == nil || p.head > 0 {
		return nil
	}
	md, rest, err := splitMetadata(p.reply.B, &b.node.opts.Limits)
	if err != nil {
		return &Error{Code: Internal, Reason: ReasonDecode, Outcome: Ran, Method: b.methods[m].full, Message: "the metadata of the reply cannot be read: " + err.Error(), cause: err}
	}
	p.head = len(p.reply.B) - len(rest)
	p.into.add(md)
	return nil
}
