package daffi

import (
	"context"
	"fmt"
	"maps"
	"strconv"
	"time"

	"github.com/daffi-rpc/daffi/runtime/codec"
)

// Bounds of a call's metadata (LIM-9), which a node's options may lower.
const (
	maxMetadata     = 8 << 10 // encoded
	maxMetadataKeys = 64
)

// The words by which the controller says what a call is a run of. Of a call that a node has made they are words like any others.
const (
	taskWord = "daffi-task"
	tickWord = "daffi-tick"
	dueWord  = "daffi-due"
)

// scheduled reads them.
func scheduled(md map[string]string) (task string, tick int, due time.Time) {
	tick, _ = strconv.Atoi(md[tickWord])
	if ns, err := strconv.ParseInt(md[dueWord], 10, 64); err == nil {
		due = time.Unix(0, ns)
	}
	return md[taskWord], tick, due
}

type metadataKey struct{}

// metadata is what calls made with a context carry, encoded once.
type metadata struct {
	values map[string]string
	wire   []byte         // with its length in front; nil where there is none
	into   *ReplyMetadata // what gets the metadata of replies; nil where nobody wants it
}

// WithMetadata returns a context whose calls carry md, beside what ctx has already been given; of equal keys the later one counts. A trace
// travels under the key "traceparent". A handler reads it by [MetadataFrom]. Calls that it makes with its context, or one derived from it, carry the trace on, that is the keys
// "traceparent" and "tracestate" of W3C Trace Context, and besides only what they are given.
//
// A call with more than 64 keys or 8 KiB, or what Options.Limits says, fails with InvalidArgument/too_large (LIM-9). md may be changed afterwards.
func WithMetadata(ctx context.Context, md map[string]string) context.Context {
	values := map[string]string{}
	var into *ReplyMetadata
	if outer := outgoing(ctx); outer != nil {
		maps.Copy(values, outer.values)
		into = outer.into
	}
	maps.Copy(values, md)
	m := newMetadata(values)
	m.into = into
	return context.WithValue(ctx, metadataKey{}, m)
}

// newMetadata encodes values, which it keeps.
func newMetadata(values map[string]string) *metadata {
	m := &metadata{values: values}
	var e codec.Encoder
	e.Raw([]byte{0, 0}) // the length
	codec.WriteMap(&e, m.values, codec.WriteString, codec.WriteString)
	m.wire = e.Bytes()
	n := len(m.wire) - 2
	m.wire[0], m.wire[1] = byte(n), byte(n>>8)
	return m
}

// check says which limit of a node m is over.
func (m *metadata) check(l *Limits) error {
	if err := checkKeys(len(m.values), l); err != nil {
		return err
	}
	if n := len(m.wire) - 2; n > l.Metadata {
		return fmt.Errorf("metadata of %d bytes, at most %d are allowed", n, l.Metadata)
	}
	return nil
}

func checkKeys(n int, l *Limits) error {
	if n > l.MetadataKeys {
		return fmt.Errorf("%d keys of metadata, at most %d are allowed", n, l.MetadataKeys)
	}
	return nil
}

// traced are the keys that a handler's calls pass on: https://www.w3.org/TR/trace-context/.
var traced = [...]string{"traceparent", "tracestate"}

// passedOn is the part of the call's metadata that calls pass on that its handler makes, nil if there is none.
func (c *callCtx) passedOn() *metadata {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.more == nil || c.more.metadata == nil {
		return nil
	}
	if c.more.outgoing == nil {
		values := map[string]string{}
		for _, key := range traced {
			if v, ok := c.more.metadata[key]; ok {
				values[key] = v
			}
		}
		if len(values) == 0 {
			return nil
		}
		c.more.outgoing = newMetadata(values)
	}
	return c.more.outgoing
}

// received is the metadata that came with the call, nil if there is none.
func (c *callCtx) received() map[string]string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.more == nil {
		return nil
	}
	return c.more.metadata
}

func (c *callCtx) setMetadata(md map[string]string) {
	c.mu.Lock()
	c.extend().metadata = md
	c.mu.Unlock()
}

// outgoing is the metadata of calls made with ctx, nil if there is none. A handler's context begins with the trace of its call.
func outgoing(ctx context.Context) *metadata {
	m, _ := ctx.Value(metadataKey{}).(*metadata)
	return m
}

// MetadataFrom is what the caller has sent with the call that ctx belongs to, empty outside a handler and where there is none. The map is a copy.
func MetadataFrom(ctx context.Context) map[string]string {
	c, ok := ctx.Value(callKey{}).(*callCtx)
	if !ok {
		return map[string]string{}
	}
	md := maps.Clone(c.received())
	if md == nil {
		return map[string]string{}
	}
	if c.fired {
		for _, word := range []string{taskWord, tickWord, dueWord} {
			delete(md, word)
		}
	}
	return md
}

// splitMetadata reads the metadata in front of a message.
func splitMetadata(b []byte, l *Limits) (values map[string]string, rest []byte, err error) {
	if len(b) < 2 {
		return nil, nil, fmt.Errorf("metadata is cut")
	}
	n := int(b[0]) | int(b[1])<<8
	if n > len(b)-2 || n > l.Metadata {
		return nil, nil, fmt.Errorf("metadata of %d bytes in a message of %d, at most %d are allowed", n, len(b), l.Metadata)
	}
	var d codec.Decoder
	d.Reset(b[2 : 2+n])
	values = codec.ReadMap(&d, 2, codec.ReadString, codec.ReadString)
	if err := d.Close(); err != nil {
		return nil, nil, fmt.Errorf("metadata: %w", err)
	}
	if err := checkKeys(len(values), l); err != nil {
		return nil, nil, err
	}
	return values, b[2+n:], nil
}
