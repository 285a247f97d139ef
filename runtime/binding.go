package daffi

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/daffi-rpc/daffi/internal/signature"
	"github.com/daffi-rpc/daffi/runtime/internal/control"
	"github.com/daffi-rpc/daffi/runtime/transport"
)

// Binding is a [Client] bound to a node and its options. It may be used from any goroutine.
type Binding struct {
	node    *Node
	client  *Client
	service string // its name on the wire
	ext     *extra
	methods []boundMethod
	routes  atomic.Pointer[routes]
	turn    chan struct{} // of who resolves routes
	below   sync.Map      // the bindings of services below this one, by subKey
	self    *Binding      // b, loaded from memory: what flows from here does not count as flowing from a Call; see [Call.Do]

	choice    control.Choice // of all calls by it
	choiceKey string         // of the choice, empty for none
	base      *Binding       // of a view, whose choice is another one
	views     views          // of this one
}

// boundMethod is what a binding remembers of a method.
type boundMethod struct {
	full  string       // "Service.Method"
	hint  atomic.Int32 // size of the last arguments
	worth transport.Worth
}

// routes are a binding's numbers at one session's controller, by method.
type routes struct {
	s       *session
	numbers []control.Route // zero for a method that no controller would take, or that this one does not let the node call
}

// Bind makes what a proxy needs to call through c.
func Bind(c Caller, client *Client, opts ...CallOption) *Binding {
	if p, ok := c.(*below); ok {
		return p.bind(client, opts)
	}
	b := newBinding(c.caller(), client, client.Service)
	if len(opts) > 0 {
		b.extend((*extra)(nil).with(opts))
	}
	return b
}

// extend gives the binding the options of all its calls, before there is any.
func (b *Binding) extend(x *extra) {
	if b.ext = x; x != nil && !x.choice.Empty() {
		b.choiceKey, b.choice = x.choice.Key(), x.choice
	}
}

func newBinding(n *Node, client *Client, service string) *Binding {
	b := &Binding{node: n, client: client, service: service, methods: make([]boundMethod, len(client.Methods)), turn: make(chan struct{}, 1)}
	for i := range client.Methods {
		b.methods[i].full = service + "." + client.Methods[i].Name
	}
	b.self = b
	return b
}

// route is the method's number at the session's controller. The first call of a binding asks for those of all its methods at once.
func (b *Binding) route(ctx context.Context, s *session, m int, deadline time.Time, own bool) (control.Route, error) {
	if r := b.routes.Load(); r != nil && r.s == s && r.numbers[m].Number != 0 {
		return r.numbers[m], nil
	}
	ctx, cancel := until(ctx, deadline, own)
	defer cancel()
	select {
	case b.turn <- struct{}{}:
		defer func() { <-b.turn }()
	case <-ctx.Done():
		return control.Route{}, notSent(ctx, b.methods[m].full)
	}
	if r := b.routes.Load(); r != nil && r.s == s && r.numbers[m].Number != 0 {
		return r.numbers[m], nil
	}
	if e := checkSignature(b.methods[m].full, b.client.Methods[m].Sig); e != nil {
		return control.Route{}, e
	}
	numbers, err := b.resolve(ctx, s)
	if err != nil {
		return control.Route{}, notRun(err, b.methods[m].full)
	}
	denied := numbers[m].Number == control.NoRoute
	for i := range numbers {
		if numbers[i].Number == control.NoRoute { // the next call asks again: the policy may be another by then
			numbers[i].Number = 0
		}
	}
	b.routes.Store(&routes{s, numbers})
	if denied {
		return control.Route{}, b.denied(m)
	}
	return numbers[m], nil
}

// denied is the error of a method that the controller's policy does not let the node call.
func (b *Binding) denied(m int) *Error {
	return &Error{Code: PermissionDenied, Reason: ReasonPolicy, Outcome: NotRun, Method: b.methods[m].full,
		Message: fmt.Sprintf("the controller's policy does not let node %q call %s", b.node.opts.Name, b.methods[m].full)}
}

// resolve asks for the routes of all methods but those that no controller would take.
func (b *Binding) resolve(ctx context.Context, s *session) ([]control.Route, error) {
	var methods []control.Method
	var asked []int // indexes among the client's methods
	for i := range b.client.Methods {
		m := &b.client.Methods[i]
		if checkSignature("", m.Sig) == nil {
			methods = append(methods, control.Method{Name: m.Name, Sig: signature.Fingerprint(m.Sig)})
			asked = append(asked, i)
		}
	}
	op, d, err := s.agree(ctx, b.question(methods), func(missing []uint32) error {
		rows, err := rowsOf(missing, len(asked), func(i int) control.Description {
			return control.Description{Name: methods[i].Name, Sig: b.client.Methods[asked[i]].Sig}
		})
		if err != nil {
			return err
		}
		return s.describe(ctx, control.Describe{Service: b.service}, rows)
	})
	if err != nil {
		return nil, b.tooOld(err)
	}
	var a control.Routes
	if err := a.Read(d); err != nil || op != control.OpRoutes || len(a.Routes) != len(asked) {
		return nil, badAnswer(fmt.Sprintf("a request for %d routes", len(asked)), err)
	}
	numbers := make([]control.Route, len(b.client.Methods))
	for i, k := range asked {
		numbers[k] = a.Routes[i]
	}
	return numbers, nil
}

// errors is the table of errors that keep their identity, nil if there is none.
func (b *Binding) errors(m int) func() []KnownError {
	if own := b.client.Methods[m].Errors; own != nil {
		return own
	}
	return b.client.Errors
}

// notRun is err for a call that was not sent.
func notRun(err error, method string) *Error {
	e, ok := errors.AsType[*Error](err)
	if !ok {
		return &Error{Code: Unavailable, Reason: ReasonLinkLost, Outcome: NotRun, Method: method, Message: err.Error(), cause: err}
	}
	x := *e
	x.Outcome, x.Method = NotRun, method
	return &x
}

// deadline is when a call ends at the latest, zero for never; own is set where ctx does not say so itself.
func (b *Binding) deadline(ctx context.Context, m int, stream bool) (t time.Time, own bool) {
	if t, ok := ctx.Deadline(); ok {
		return t, false
	}
	d := b.client.Methods[m].Timeout
	if d == 0 && !stream {
		d = b.node.opts.Timeout
	}
	if d <= 0 {
		return t, false
	}
	return time.Now().Add(d), true
}
