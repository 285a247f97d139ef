package daffi

import (
	"context"
	"fmt"
	"strings"

	"github.com/daffi-rpc/daffi/runtime/internal/control"
)

// Override lets a registration of [Handle] take the calls of a method that is registered on the node already, until it is closed. The signatures must be the
// same. The other method's calls that are running go on, and closing its registration ends both.
func Override() ServeOption { return ServeOption{func(o *serveOptions) { o.override = true }} }

// Handle serves one method without generated code: "a.b.c" is the method c of the service a.b, of which other registrations of the node may serve other
// methods. Callers see no difference: generated fetchers and [Prepare] call it by its signature.
//
// Req and Resp are a basic type, []byte, [time.Time], [time.Duration], any, a pointer to one of these, a slice or map[string] of them, a type that is marked
// //daffi:message or a pointer to one, or struct{} for no argument or no result. Another type is an error here. A message with a method Validate() error is asked before fn
// is called, as by generated code. fn may be called from many goroutines at a
// time, and while Handle has not returned yet.
func Handle[Req, Resp any](r Registrar, method string, fn func(ctx context.Context, req Req) (Resp, error), opts ...ServeOption) (*Registration, error) {
	service, name, err := splitMethod(method)
	if err == nil {
		err = checkUnreserved(service)
	}
	if err != nil {
		return nil, err
	}
	if fn == nil {
		return nil, wrongHandler(method, fmt.Errorf("the function is nil"))
	}
	d := &handled[Req, Resp]{fn: fn}
	if d.in, err = shapeOf[Req](); err != nil {
		return nil, wrongHandler(method, fmt.Errorf("its argument: %w", err))
	}
	if d.out, err = shapeOf[Resp](); err != nil {
		return nil, wrongHandler(method, fmt.Errorf("its result: %w", err))
	}
	return registerOne(r.registrar(), service, one{name: name, sig: methodSig(d.in.sig, d.out.sig), serve: d}, opts)
}

func wrongHandler(method string, err error) *Error {
	return &Error{Code: InvalidArgument, Outcome: NotRun, Method: method, Message: "handle " + method + ": " + err.Error(), cause: err}
}

// splitMethod splits a full name at its last dot.
func splitMethod(method string) (service, name string, err error) {
	i := strings.LastIndexByte(method, '.')
	if i <= 0 || i == len(method)-1 {
		return "", "", &Error{Code: InvalidArgument, Outcome: NotRun, Method: method, Message: fmt.Sprintf("%q does not name a method: write Service.Method", method)}
	}
	return method[:i], method[i+1:], nil
}

// one is a method that is registered by itself.
type one struct {
	name, sig string
	serve     dispatcher
	oneway    bool
}

// registerOne registers a part of a service that has one method.
func registerOne(n *Node, service string, o one, opts []ServeOption) (*Registration, error) {
	var so serveOptions
	for _, opt := range opts {
		opt.apply(&so)
	}
	full := service + "." + o.name
	if so.as != "" {
		return nil, wrongHandler(full, fmt.Errorf("As is for Register: give Handle the name that it is to have"))
	}
	if err := so.check(false, false); err != nil {
		return nil, wrongHandler(full, err)
	}
	if err := checkSignature(full, o.sig); err != nil {
		return nil, err
	}
	reg := &Registration{node: n, service: service, part: n.services.nextPart(), balance: so.balance, turn: make(chan struct{}, 1)}
	m := &servedMethod{full: full, name: o.name, sig: o.sig, service: o.serve, reg: reg, doc: control.Description{Name: o.name, Oneway: o.oneway}, interceptors: so.around(n)}
	m.turn = so.turn(full, false)
	reg.methods = []*servedMethod{m}
	if err := n.services.add(n, reg, so.override); err != nil {
		return nil, err
	}
	return reg, nil
}

// handled dispatches to a function.
type handled[Req, Resp any] struct {
	in  shape[Req]
	out shape[Resp]
	fn  func(context.Context, Req) (Resp, error)
}

func (h *handled[Req, Resp]) errors(int) func() []KnownError { return nil }

func (h *handled[Req, Resp]) serve(ctx context.Context, _ int, c *Incoming) error {
	req, err := readOne(c, &h.in)
	if err != nil {
		return err
	}
	resp, err := h.fn(ctx, req)
	if err != nil {
		return err
	}
	if h.out.sig == nil {
		c.Results(0)
		return nil
	}
	h.out.write(c.Results(1), resp)
	return nil
}

// readOne reads the only argument, if there is one, and asks it whether it is valid.
func readOne[T any](c *Incoming, s *shape[T]) (v T, err error) {
	args := c.Args()
	if s.sig != nil && args.Next() {
		v = s.read(args)
	}
	if err = args.Close(); err != nil || s.valid == nil {
		return v, err
	}
	if err = s.valid(v); err != nil {
		err = c.Invalid("1", err)
	}
	return v, err
}
