package daffi_test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"sync"
	"time"

	daffi "github.com/daffi-rpc/daffi/runtime"
	"github.com/daffi-rpc/daffi/runtime/transport"
)

// oracle is told what honest nodes do and see, and says what must not have been.
type oracle struct {
	mu     sync.Mutex
	wrong  []string
	calls  []*witnessed
	starts map[string]int // of handlers, by what the call's metadata says of it
	links  map[string]*linkLog
	said   map[string][]byte // the last payload of a control message of that operation, by "node op"
}

// venom is in everything that attackers send for calls, so that it is seen where it arrives.
const venom = "\xc1VENOM"

func newOracle() *oracle {
	return &oracle{starts: map[string]int{}, links: map[string]*linkLog{}, said: map[string][]byte{}}
}

// violation notes what must not be.
func (o *oracle) violation(format string, args ...any) {
	if len(o.wrong) < 20 {
		o.wrong = append(o.wrong, fmt.Sprintf(format, args...))
	}
}

// witnessed is a call of an honest node. Its own goroutine writes it until it has ended.
type witnessed struct {
	id, what string
	directed bool // to the honest server
	began    time.Time
	limit    time.Duration

	ends  int
	at    time.Time
	err   error
	wrong string // what was not as the server makes it
}

// call notes a call that is about to be made. Its context carries its id to the handler.
func (o *oracle) call(ctx context.Context, what string, directed bool, limit time.Duration) (context.Context, *witnessed) {
	o.mu.Lock()
	defer o.mu.Unlock()
	c := &witnessed{id: fmt.Sprint(len(o.calls) + 1), what: what, directed: directed, began: time.Now(), limit: limit}
	o.calls = append(o.calls, c)
	return daffi.WithMetadata(ctx, map[string]string{"id": c.id}), c
}

func (o *oracle) end(c *witnessed, err error, wrong string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	c.ends++
	c.at, c.err, c.wrong = time.Now(), err, wrong
}

// started counts handlers, as an interceptor of the server.
func (o *oracle) started(ctx context.Context, c *daffi.Interception, next func(context.Context) error) error {
	if c.Peer == "caller" {
		o.mu.Lock()
		o.starts[c.Metadata(ctx)["id"]]++
		o.mu.Unlock()
	}
	return next(ctx)
}

// verdict looks at everything, when nothing happens any more. It returns what was wrong.
func (o *oracle) verdict() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, c := range o.calls {
		starts, code, outcome := o.starts[c.id], daffi.CodeOf(c.err), daffi.OutcomeOf(c.err)
		name := fmt.Sprintf("call %s, %s", c.id, c.what)
		switch {
		case c.ends != 1:
			o.violation("%s has ended %d times", name, c.ends)
			continue
		case c.at.Sub(c.began) > c.limit+slack:
			o.violation("%s ended after %v of %v: %v", name, c.at.Sub(c.began), c.limit, c.err)
		case starts > 1:
			o.violation("%s has started %d times", name, starts)
		case c.wrong != "" && c.directed:
			o.violation("%s: %s", name, c.wrong)
		case c.err != nil && outcome == daffi.NotRun && starts > 0:
			o.violation("%s has started, and its error says NotRun: %v", name, c.err)
		case c.directed && c.err == nil && starts == 0 && c.what != "Note":
			o.violation("%s has succeeded and not started", name)
		case c.directed && c.err != nil && outcome == daffi.Ran && starts == 0:
			o.violation("%s has not started, and its error says Ran: %v", name, c.err)
		case c.directed && code == daffi.Internal && starts == 0:
			o.violation("%s: %v", name, c.err)
		}
	}
	return o.wrong
}

// tap wraps an honest node's end of a connection.
func (o *oracle) tap(node string, c net.Conn) net.Conn {
	l := &linkLog{o: o, node: node, own: map[uint64]*ownCall{}, served: map[uint64]*servedCall{}, peers: map[uint32]string{}}
	o.mu.Lock()
	o.links[node] = l
	o.mu.Unlock()
	return &tapped{Conn: c, log: l}
}

type tapped struct {
	net.Conn
	log *linkLog
}

func (t *tapped) Read(p []byte) (int, error) {
	n, err := t.Conn.Read(p)
	t.log.saw(&t.log.in, p[:n], t.log.came)
	return n, err
}

func (t *tapped) Write(p []byte) (int, error) {
	t.log.saw(&t.log.out, p, t.log.went)
	return t.Conn.Write(p)
}

// linkLog is what went over one connection of an honest node.
type linkLog struct {
	o       *oracle
	node    string
	in, out []byte
	own     map[uint64]*ownCall
	served  map[uint64]*servedCall
	peers   map[uint32]string
}

// ownCall is a call that the node has made.
type ownCall struct {
	mode      transport.Mode
	directed  bool
	cancelled bool // so that what comes may have been under way
	large     bool // a long reply is announced, and its last chunk ends the call
	ended     bool
}

// servedCall is one that it was given.
type servedCall struct {
	caller    string
	cancelled bool
	answers   int
}

func (l *linkLog) saw(buf *[]byte, b []byte, f func(*transport.Frame)) {
	l.o.mu.Lock()
	defer l.o.mu.Unlock()
	*buf = append(*buf, b...)
	for {
		frame, rest, ok, err := transport.ParseFrame(*buf, transport.MaxPayload)
		if err != nil {
			l.o.violation("%s: %v", l.node, err)
			*buf = nil
			return
		}
		if !ok {
			return
		}
		f(&frame)
		*buf = append((*buf)[:0], rest...)
	}
}

// went takes a frame of the node.
func (l *linkLog) went(f *transport.Frame) {
	switch {
	case f.Kind == transport.Control && len(f.Payload) > 1:
		l.o.said[fmt.Sprint(l.node, " ", f.Payload[1])] = bytes.Clone(f.Payload)
	case f.Kind == transport.Request:
		l.own[f.Call] = &ownCall{mode: f.Mode, directed: f.Peer != 0 && f.Mode&transport.Keyed == 0}
	case f.Kind == transport.Cancel:
		if c := l.own[f.Call]; c != nil {
			c.cancelled = true
		}
	case f.Kind == transport.Reply || f.Kind == transport.Error:
		if c := l.served[f.Call]; c == nil {
			l.o.violation("%s answers %#x, which it was not given", l.node, f.Call)
		} else if c.answers++; c.answers > 1 {
			l.o.violation("%s answers %#x %d times", l.node, f.Call, c.answers)
		}
	}
}

// came takes a frame of the controller.
func (l *linkLog) came(f *transport.Frame) {
	switch f.Kind {
	case transport.Peer:
		if len(f.Payload) > 0 {
			l.peers[f.Peer] = string(f.Payload)
		}
		return
	case transport.Request:
		name, known := l.peers[f.Peer]
		if !known {
			l.o.violation("%s got a Request of session %d, which was not introduced", l.node, f.Peer)
		}
		if l.served[f.Call] != nil || f.Call&transport.Served == 0 {
			l.o.violation("%s got the call %#x twice", l.node, f.Call)
		}
		l.served[f.Call] = &servedCall{caller: name}
		l.foreign(f, name)
		return
	case transport.Accepted, transport.Reply, transport.Error, transport.Data, transport.Chunk, transport.Credit, transport.Grant, transport.Stop, transport.Cancel:
	default:
		return
	}
	if f.Call&transport.Served != 0 {
		c := l.served[f.Call]
		if c == nil {
			if f.Kind != transport.Credit && f.Kind != transport.Grant { // those of who sends them too early overtake its Request
				l.o.violation("%s got %v for %#x, which it was not given", l.node, f.Kind, f.Call)
			}
			return
		}
		if c.cancelled && honestName(c.caller) {
			l.o.violation("%s got %v for %#x after its Cancel", l.node, f.Kind, f.Call)
		}
		c.cancelled = f.Kind == transport.Cancel
		l.foreign(f, c.caller)
		return
	}
	l.answered(f)
}

func honestName(node string) bool { return node == "caller" || node == "server" }

// foreign wants nothing of attackers in what is said on behalf of an honest node.
func (l *linkLog) foreign(f *transport.Frame, caller string) {
	if honestName(caller) && bytes.Contains(f.Payload, []byte(venom)) {
		l.o.violation("%s got %v of somebody else for a call of %s", l.node, f.Kind, caller)
	}
}

// answered takes a frame for a call that the node has made.
func (l *linkLog) answered(f *transport.Frame) {
	c := l.own[f.Call]
	switch {
	case c == nil:
		l.o.violation("%s got %v for %#x, which it has not called", l.node, f.Kind, f.Call)
		return
	case c.ended && c.directed: // other providers may let their end overtake what they have sent before it
		l.o.violation("%s got %v for %#x, which had ended", l.node, f.Kind, f.Call)
	case c.directed && bytes.Contains(f.Payload, []byte(venom)):
		l.o.violation("%s got %v of somebody else for a call to the server", l.node, f.Kind)
	case f.Kind == transport.Accepted && c.mode&transport.Oneway == 0:
		l.o.violation("%s got Accepted for a call that waits for its reply", l.node)
	}
	switch f.Kind {
	case transport.Reply:
		c.large = f.Flags&transport.Large != 0
		c.ended = !c.large
	case transport.Chunk:
		c.ended = c.large && f.Flags&transport.More == 0
	case transport.Error, transport.Accepted:
		c.ended = true
	}
}
