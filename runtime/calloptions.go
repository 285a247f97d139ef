package daffi

import (
	"context"
	"time"

	"github.com/daffi-rpc/daffi/runtime/codec"
	"github.com/daffi-rpc/daffi/runtime/internal/control"
	"github.com/daffi-rpc/daffi/runtime/transport"
)

// CallOption changes one prepared call, or all calls of a proxy.
type CallOption struct{ apply func(*callOptions) }

type callOptions struct {
	to     []string // names of nodes; nil for any
	key    uint32   // hash
	keyed  bool
	mapped func(context.Context, *codec.Encoder) error
	args   []any          // of a call without generated code
	codec  string         // of a message; empty for none
	after  time.Duration  // that the call waits before it is sent
	ack    *Ack           // nil: the method's
	again  *int           // how often the call is sent again at most; nil: twice
	hedge  time.Duration  // without an answer, after which another provider is asked as well; 0: never
	wrong  string         // why the call cannot be made
	choice control.Choice // among providers; calls with one go by a view of their binding
	quorum int            // good answers that a broadcast waits for; 0: all

	interceptors []Interceptor
}

// To names the nodes that may answer, of which one does: any that is there, and the next if it does not take the call, which a
// call with a sequence does not try. Without it, or without a name, the controller
// picks a provider. Do not change nodes afterwards.
func To(nodes ...string) CallOption { return CallOption{func(o *callOptions) { o.to = nodes }} }

// HashKey names what the call is about: calls with equal keys go to the same provider, whoever makes them, as long as it is there. When it leaves, only its
// keys go to others, and they come back with it. The key is one for all methods and services, and HashKey("bob") goes where a call goes
// whose argument "bob" is named by //daffi:key. To takes precedence over a key, and HashKey over //daffi:key.
func HashKey(key string) CallOption {
	return CallOption{func(o *callOptions) {
		var e codec.Encoder
		e.String(key)
		o.key, o.keyed = transport.KeyHash(e.Bytes()), true
	}}
}

// extra is what a plain call does not have; nil there.
type extra struct {
	callOptions
	input Input
}

func (x *extra) with(opts []CallOption) *extra {
	n := new(extra)
	if x != nil {
		*n = *x
	}
	for _, o := range opts {
		o.apply(&n.callOptions)
	}
	return n
}

// clone is a copy of x that may be kept: x itself flows from a Call; see [Call.Do].
func (x *extra) clone() *extra {
	if x == nil {
		return nil
	}
	n := *x
	return &n
}

func (x *extra) feed(in Input) *extra {
	n := x.with(nil)
	n.input = in
	return n
}

// node is the name of the node that the call is for, empty for any.
func (x *extra) node() string {
	if x == nil || len(x.to) == 0 {
		return ""
	}
	return x.to[0]
}

// maps reports whether the arguments are made when the call runs.
func (x *extra) maps() bool { return x != nil && x.mapped != nil }

// write writes the arguments of a call of c's.
func (x *extra) write(ctx context.Context, c *Client, e *codec.Encoder) error {
	if c.dynamic != nil {
		return c.dynamic.write(ctx, x, e)
	}
	return x.mapped(ctx, e)
}

// anyone reports whether nothing says which node the call is for.
func (x *extra) anyone() bool { return len(x.names()) == 0 && (x == nil || !x.keyed) }

// wrongly reports whether an option has a value that it cannot have.
func (x *extra) wrongly() bool { return x != nil && x.wrong != "" }

func (x *extra) hasInput() bool { return x != nil && x.input.run != nil }
