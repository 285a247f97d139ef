package daffi

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/daffi-rpc/daffi/internal/signature"
	"github.com/daffi-rpc/daffi/runtime/codec"
	"github.com/daffi-rpc/daffi/runtime/internal/control"
	"github.com/daffi-rpc/daffi/runtime/internal/dynamic"
	"github.com/daffi-rpc/daffi/runtime/transport"
)

// HandleUnknown takes calls of methods below a prefix that no node serves: "head" or "head.*" is for head.Run and head.nested.Run, "" or "*" for all but the runtime's
// own. It is what proxies and gateways are built of.
//
// A method that a node serves is never taken, whatever its signature, also where that node comes later; of several prefixes the longest has it, on whatever node, and of
// nodes with the same one the less busy of two random ones, or that of the call's key. Calls with a sequence are not taken. Nobody waits for such a method or sees it: it counts for [Node.WaitMethod],
// [Node.Describe], broadcasts and events as not served. The options are those of [Handle] but Override; Workers and Serial are for all methods together.
//
// An error of fn is the call's. If fn returns nil and has not replied, the results are zero.
func HandleUnknown(r Registrar, prefix string, fn func(ctx context.Context, c *RawCall) error, opts ...ServeOption) (*Registration, error) {
	prefix = strings.TrimSuffix(strings.TrimSuffix(prefix, "*"), ".")
	wrong := func(err error) (*Registration, error) {
		return nil, &Error{Code: InvalidArgument, Outcome: NotRun, Message: fmt.Sprintf("handle unknown methods of %q: %v", prefix, err), cause: err}
	}
	if err := checkUnreserved(prefix); err != nil {
		return nil, err
	}
	if fn == nil {
		return wrong(errors.New("the function is nil"))
	}
	var so serveOptions
	for _, opt := range opts {
		opt.apply(&so)
	}
	if err := so.check(false, false); err != nil {
		return wrong(err)
	}
	if so.as != "" || so.override {
		return wrong(errors.New("As and Override are not for it"))
	}
	n := r.registrar()
	reg := &Registration{node: n, service: prefix, turn: make(chan struct{}, 1)}
	reg.catch = &catcher{fn: fn, turn: so.turn(prefix, false), interceptors: so.around(n)}
	if err := n.services.add(n, reg, false); err != nil {
		return nil, err
	}
	return reg, nil
}

// catcher is what a registration of HandleUnknown has instead of methods.
type catcher struct {
	fn           func(context.Context, *RawCall) error
	turn         *turn
	interceptors []Interceptor
	forwards     forwards
}

func (h *catcher) errors(int) func() []KnownError { return nil }

func (h *catcher) serve(ctx context.Context, _ int, in *Incoming) error {
	c := &RawCall{in: in, catch: h, payload: in.args.Rest(), went: NotRun}
	if err := h.fn(ctx, c); err != nil {
		return err
	}
	if !c.replied {
		in.Results(0)
	}
	return nil
}

// setCatchers sorts the registrations of HandleUnknown anew. Call with the lock held.
func (ss *services) setCatchers() {
	list := []*Registration{}
	for _, reg := range ss.all {
		if reg.catch != nil {
			list = append(list, reg)
		}
	}
	slices.SortStableFunc(list, func(a, b *Registration) int { return len(b.service) - len(a.service) })
	ss.catchers.Store(&list)
}

// catcher is the registration that takes a method that the node does not serve, nil for none.
func (ss *services) catcher(method string) *Registration {
	if p := ss.catchers.Load(); p != nil {
		for _, reg := range *p {
			if below, ok := strings.CutPrefix(method, reg.service); ok && (reg.service == "" || strings.HasPrefix(below, ".")) {
				return reg
			}
		}
	}
	return nil
}

// introduced is a method that the node does not serve and that the controller has told of.
type introduced struct {
	control.Introduce
	m    *servedMethod // as a registration of HandleUnknown takes it
	turn uint64        // by when the controller has told of it
}

// maxIntroduced is how many of those that a controller has told of it remembers (LIM-66). The node remembers those it was told of last, and twice as many: an introduction may overtake a call.
const maxIntroduced = 4096

// learn notes what method a number stands for.
func (s *session) learn(m *control.Introduce) error {
	switch {
	case m.Number < control.Introduced || m.Service == "" || m.Method == "":
		return fmt.Errorf("%w: the method %s.%s was introduced as %d", transport.ErrProtocol, m.Service, m.Method, m.Number)
	case s.node.services.catchers.Load() == nil: // it has never asked for them
		return nil
	case s.unserved == nil:
		s.unserved = map[uint32]*introduced{}
	}
	size := len(m.Service) + len(m.Method) + len(m.Sig)
	for len(s.learned) > 0 && (len(s.learned) == 2*maxIntroduced || s.taught+size > maxTaught) {
		old := s.learned[0]
		if s.unserved[old.number].is(old.turn) { // else it was told of again
			delete(s.unserved, old.number)
		}
		s.taught -= old.size
		s.learned = s.learned[1:]
	}
	s.lessons++
	s.unserved[m.Number] = &introduced{Introduce: *m, turn: s.lessons}
	s.learned = append(s.learned, lesson{m.Number, s.lessons, size})
	s.taught += size
	return nil
}

// maxTaught is how many bytes the names and signatures may take of what a controller has told of (LIM-71): with the longest signatures fewer methods are remembered.
const maxTaught = 4 << 20

// lesson is an introduction, in the order in which they came.
type lesson struct {
	number uint32
	turn   uint64
	size   int // of its names and signature
}

func (i *introduced) is(turn uint64) bool { return i != nil && i.turn == turn }

// caught is the method of that number as HandleUnknown takes it, nil if it does not.
func (s *session) caught(number uint32) *servedMethod {
	i := s.unserved[number]
	if i == nil {
		return nil
	}
	full := i.Service + "." + i.Method
	reg := s.node.services.catcher(full)
	if reg == nil {
		return nil
	}
	if i.m == nil || i.m.reg != reg {
		i.m = &servedMethod{full: full, name: i.Method, sig: i.Sig, service: reg.catch, turn: reg.catch.turn, interceptors: reg.catch.interceptors, reg: reg}
	}
	return i.m
}

// A RawCall is a call that [HandleUnknown] has taken. It is for one goroutine at a time, and must not be used after the function has returned.
type RawCall struct {
	in      *Incoming
	catch   *catcher
	payload []byte
	replied bool
	went    Outcome // of what was forwarded before
}

// Method is what was called: "Service.Method".
func (c *RawCall) Method() string { return c.in.method.full }

// Signature is the caller's signature of it: (string,int)(bool).
func (c *RawCall) Signature() string { return c.in.method.sig }

// Oneway reports whether nobody waits for results.
func (c *RawCall) Oneway() bool { return c.in.mode&transport.Oneway != 0 }

// Payload is the arguments, an array in MessagePack. It is borrowed: it must not be changed, and not be used after the function has returned.
func (c *RawCall) Payload() []byte { return c.payload }

// Args are the arguments as [Prepare] has results: a slice as []any, a struct as map[string]any. One that an older caller has left out is nil.
func (c *RawCall) Args() ([]any, error) {
	sig, err := c.parse()
	if err != nil {
		return nil, err
	}
	var d codec.Decoder
	d.SetScope(&c.in.node.scope)
	d.Reset(c.payload)
	d.Open()
	args := make([]any, len(sig.Params))
	for i, t := range sig.Params {
		if d.Next() {
			args[i] = dynamic.Read(&d, t)
		}
	}
	if err := d.Close(); err != nil {
		return nil, c.in.decodeError(err)
	}
	if err := c.in.weigh(len(c.payload) + d.Spent()); err != nil {
		c.in.refused = err
		return nil, err
	}
	return args, nil
}

func (c *RawCall) parse() (*signature.Method, error) {
	sig, err := signature.Parse(c.Signature())
	if err != nil {
		return nil, &Error{Code: FailedPrecondition, Reason: ReasonSchema, Outcome: NotRun, Method: c.Method(), Message: "the caller's signature is of a later version: " + err.Error(), cause: err}
	}
	return sig, nil
}

// Reply gives the results, which are checked against the caller's signature like the arguments of [Prepare]. After an error there is no reply yet.
func (c *RawCall) Reply(results ...any) error {
	sig, err := c.parse()
	if err != nil {
		return err
	}
	if len(results) != len(sig.Results) {
		return c.wrongReply(fmt.Errorf("%d results given", len(results)))
	}
	return c.reply(func(e *codec.Encoder) error {
		e.Array(len(results))
		for i, t := range sig.Results {
			if p := dynamic.Write(e, t, results[i]); p != nil {
				return fmt.Errorf("result %d: %w", i+1, p)
			}
		}
		return e.Err()
	})
}

// ReplyRaw gives the results as an array in MessagePack, which is copied. Whether they are what the caller expects is not looked at.
func (c *RawCall) ReplyRaw(results []byte) error {
	var d codec.Decoder
	d.Reset(results)
	d.Open()
	if err := d.Close(); err != nil {
		return c.wrongReply(fmt.Errorf("they are not an array in MessagePack: %w", err))
	}
	return c.reply(func(e *codec.Encoder) error { e.Raw(results); return nil })
}

// reply writes the results, once.
func (c *RawCall) reply(write func(*codec.Encoder) error) error {
	if c.replied {
		return c.wrongReply(errors.New("the call was replied to before"))
	}
	out := &c.in.out
	if err := write(out); err != nil {
		out.Reset(out.Bytes())
		return c.wrongReply(err)
	}
	c.replied = true
	return nil
}

func (c *RawCall) wrongReply(err error) *Error {
	return &Error{Code: Internal, Reason: ReasonEncode, Outcome: Ran, Message: "its results are to be " + results(c.Signature()) + ": " + err.Error(), cause: err}
}

// results is the part of a signature behind the arguments, for an error.
func results(sig string) string {
	if m, err := signature.Parse(sig); err == nil {
		m.Params, m.Input = nil, nil
		sig = strings.TrimPrefix(m.String(), "()")
	}
	return clip(sig, 256)
}

// Forward makes the same call through to, which may be a node at another controller, and replies with what comes back; a one-way call is forwarded when it is accepted there. With an
// error there is no reply; if fn returns that very error, the caller gets it as it came, with the reason and outcome of the far call. ctx should be fn's: then the deadline holds, and
// calls that go round in circles end at the bound of calls within calls. It may be called again, for another node to be tried: the outcome is then that of all tries. Of the call's metadata
// the trace goes on, as in every call that a handler makes; [WithMetadata] adds what else is to.
func (c *RawCall) Forward(ctx context.Context, to Caller, opts ...CallOption) error {
	err := c.forward(ctx, to, opts)
	e, ok := errors.AsType[*Error](err)
	if !ok {
		c.went = Ran
		return err
	}
	c.went = either(c.went, e.Outcome)
	x := *e
	x.Outcome = c.went
	c.in.refused = &x
	return &x
}

// either is the outcome of two calls of which one was to do what the other was.
func either(a, b Outcome) Outcome {
	switch {
	case a == Ran || b == Ran:
		return Ran
	case a == NotRun:
		return b
	case b == NotRun:
		return a
	}
	return MayHaveRun
}

func (c *RawCall) forward(ctx context.Context, to Caller, opts []CallOption) error {
	call := c.catch.forwards.call(c, to)
	if len(opts) > 0 {
		call = call.With(opts...)
	}
	if c.Oneway() {
		return call.Post(ctx)
	}
	results, err := call.Do(ctx)
	if err != nil {
		return err
	}
	return c.ReplyRaw(results)
}

// forwards are bindings of one method each, so that each asks for its route once.
type forwards struct {
	known sync.Map // by forwardKey
	n     atomic.Int64
}

type forwardKey struct {
	node        *Node
	method, sig string
}

// call is the same call through to.
func (fs *forwards) call(c *RawCall, to Caller) Call[[]byte] {
	m := c.in.method
	b := fs.binding(to.caller(), strings.TrimSuffix(m.full, "."+m.name), m.name, m.sig)
	payload := c.payload
	return NewCall(b, 0, func(e *codec.Encoder) { e.Raw(payload) }, rawResults)
}

// binding is that of one method with that signature.
func (fs *forwards) binding(n *Node, service, name, sig string) *Binding {
	key := forwardKey{n, service + "." + name, sig}
	b, ok := fs.known.Load(key)
	if !ok {
		b = newBinding(n, &Client{Service: service, Methods: []Method{{Name: name, Sig: sig}}, forwards: true}, service)
		if fs.n.Add(1) <= maxIntroduced { // further ones ask each time
			b, _ = fs.known.LoadOrStore(key, b)
		}
	}
	return b.(*Binding)
}

// rawResults takes the results as they are, as an array.
func rawResults(d *codec.Decoder) []byte {
	var e codec.Encoder
	all, n := d.Rest(), 0
	for d.Next() {
		d.Skip()
		n++
	}
	e.Array(n)
	e.Raw(all[:len(all)-len(d.Rest())])
	return e.Bytes()
}
