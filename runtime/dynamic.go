package daffi

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/daffi-rpc/daffi/internal/signature"
	"github.com/daffi-rpc/daffi/runtime/codec"
	"github.com/daffi-rpc/daffi/runtime/internal/dynamic"
)

// Prepare is a call of "Service.Method" without generated code. Its first run asks what is published of the method, and from then on it is like a call of generated code of
// that version, in every mode. Where nodes serve several versions it is one of the node that [To] names, or that of most nodes, that takes the arguments.
//
// The arguments are checked before anything is sent: InvalidArgument/encode says which one is wrong, what is wanted and what was given. Numbers, strings, bools, []byte,
// [time.Time], [time.Duration], slices and maps of them are taken as far as the method's own type holds the value, a time and a duration also as text; a struct as a map[string]any
// by the names of fields, where those that are missing are zero, or as a pointer to one that is marked //daffi:message. Arguments are kept: do not change what is in them.
//
// The result is nil for a method without results, a []any of several, or else the result itself: basic types as they are, a slice as []any, a map as map[string]any or map[any]any, a
// struct as map[string]any. JSON that a method carries is a string. [PrepareStream] is for methods with a sequence of results; those that take a sequence need generated code.
func Prepare(c Caller, method string, args ...any) Call[any] {
	b, x := bindDynamic(c, method, args, false)
	return Call[any]{b: b, x: x, dec: b.client.dynamic.results}
}

// PrepareStream is [Prepare] for a method whose result is a sequence.
func PrepareStream(c Caller, method string, args ...any) Stream[any] {
	b, x := bindDynamic(c, method, args, true)
	return Stream[any]{b: b, x: x, dec: b.client.dynamic.item}
}

// Invoke calls "Service.Method" without generated code and waits for the result; see [Prepare].
func Invoke(ctx context.Context, c Caller, method string, args ...any) (any, error) {
	v, err := Prepare(c, method, args...).Do(ctx)
	if errors.Is(err, &Error{Code: FailedPrecondition, Reason: ReasonSchema}) && OutcomeOf(err) == NotRun { // what is known may be from before a change
		return Prepare(c, method, args...).Do(ctx)
	}
	return v, err
}

func bindDynamic(c Caller, method string, args []any, stream bool) (*Binding, *extra) {
	n := c.caller()
	d := &dynamicMethod{node: n, full: method, stream: stream}
	d.service, d.name, d.err = splitMethod(method)
	d.client = &Client{Service: d.service, Methods: []Method{{Name: d.name}}, dynamic: d}
	b := newBinding(n, d.client, d.service)
	b.methods[0].full = method
	x := new(extra)
	x.args, x.mapped = args, noGeneratedCode
	return b, x
}

// noGeneratedCode stands where the arguments are made as the call runs: by [dynamicMethod.write].
func noGeneratedCode(context.Context, *codec.Encoder) error { return nil }

// dynamicMethod is what a call without generated code knows of its method. The first run fixes the version, since what is encoded and what the
// controller is told of it must be the same for all runs.
type dynamicMethod struct {
	node          *Node
	client        *Client
	service, name string
	full          string
	stream        bool
	err           error // of the name

	mu  sync.Mutex
	sig *signature.Method // nil until the first run; its text is the client's
	who MethodInfo
}

// version is what a method looks like at some nodes.
type version struct {
	MethodInfo
	sig *signature.Method
}

// write writes the arguments, once the version is known that takes them.
func (d *dynamicMethod) write(ctx context.Context, x *extra, e *codec.Encoder) error {
	if d.err != nil {
		return d.err
	}
	d.mu.Lock()
	fixed := version{d.who, d.sig}
	d.mu.Unlock()
	if fixed.sig != nil {
		return d.encode(e, &fixed, x.args)
	}
	found, err := d.versions(ctx, x.to)
	if err != nil {
		return err
	}
	for i := range found {
		if err = d.encode(e, &found[i], x.args); err == nil && e.Err() == nil {
			return d.fix(e, &found[i], x.args)
		}
		e.Reset(e.Bytes())
	}
	return d.encode(e, &found[0], x.args) // to say why that of most nodes does not take them
}

// fix makes v the version of all runs, unless another run was first.
func (d *dynamicMethod) fix(e *codec.Encoder, v *version, args []any) error {
	d.mu.Lock()
	if d.sig == nil {
		d.sig, d.who = v.sig, v.MethodInfo
		d.client.Methods[0].Sig = v.Signature
	}
	first := version{d.who, d.sig}
	d.mu.Unlock()
	if first.Signature == v.Signature {
		return nil
	}
	e.Reset(e.Bytes())
	return d.encode(e, &first, args)
}

// versions are those that are published of the method, of named nodes if there are names, those of most nodes first.
func (d *dynamicMethod) versions(ctx context.Context, nodes []string) ([]version, error) {
	if _, ok := ctx.Deadline(); !ok && d.node.opts.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, d.node.opts.Timeout)
		defer cancel()
	}
	found, err := d.node.described.of(ctx, d.node, d.service, d.name, nodes)
	if err != nil {
		return nil, d.notDescribed(err)
	}
	var list []version
	for _, m := range found {
		sig, unread := signature.Parse(m.Signature)
		if unread != nil {
			err = &Error{Code: FailedPrecondition, Reason: ReasonSchema, Outcome: NotRun, Method: d.full, Message: "its signature is of a later version: " + unread.Error(), cause: unread}
			continue
		}
		list = append(list, version{m, sig})
	}
	if len(list) == 0 {
		return nil, err
	}
	slices.SortStableFunc(list, func(a, b version) int { return cmp.Compare(len(b.Nodes), len(a.Nodes)) })
	return list, nil
}

// notDescribed is the error of a call of what nobody has described.
func (d *dynamicMethod) notDescribed(err error) error {
	if e, ok := errors.AsType[*Error](err); ok && e.Code == NotFound {
		return &Error{Code: Unavailable, Reason: ReasonNoProvider, Outcome: NotRun, Method: d.full, Message: e.Message, cause: err}
	}
	return err
}

// encode writes the argument array.
func (d *dynamicMethod) encode(e *codec.Encoder, v *version, args []any) error {
	switch {
	case v.sig.Input != nil:
		return d.shape("takes a sequence: that needs generated code")
	case v.sig.Output != nil && !d.stream:
		return d.shape("has a sequence of results: use PrepareStream")
	case v.sig.Output == nil && d.stream:
		return d.shape("has no sequence of results: use Prepare")
	case len(args) != len(v.sig.Params):
		e.Fail(fmt.Errorf("%s takes %d arguments %s, %d given", d.full, len(v.sig.Params), v.arguments(), len(args)))
		return nil
	}
	e.Array(len(args))
	for i, t := range v.sig.Params {
		if p := dynamic.Write(e, t, args[i]); p != nil {
			e.Fail(fmt.Errorf("argument %s of %s: %w", v.argument(i), d.full, p))
			break
		}
	}
	return nil
}

func (d *dynamicMethod) shape(text string) *Error {
	return &Error{Code: InvalidArgument, Reason: ReasonShape, Outcome: NotRun, Method: d.full, Message: d.full + " " + text}
}

// argument is what errors call the i-th argument: 2 (item).
func (v *version) argument(i int) string {
	if len(v.Params) != len(v.sig.Params) {
		return fmt.Sprint(i + 1)
	}
	return fmt.Sprintf("%d (%s)", i+1, v.Params[i])
}

// arguments are the names and types of all: (item string, n int).
func (v *version) arguments() string {
	var list []string
	for i, t := range v.sig.Params {
		text := t.String()
		if len(v.Params) == len(v.sig.Params) {
			text = v.Params[i] + " " + text
		}
		list = append(list, text)
	}
	return clip("("+strings.Join(list, ", ")+")", 256)
}

// version is the one that is fixed.
func (d *dynamicMethod) version() *signature.Method {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.sig
}

// results reads what the method returns.
func (d *dynamicMethod) results(in *codec.Decoder) any {
	types := d.version().Results
	if len(types) == 0 {
		return nil
	}
	all := make([]any, len(types))
	for i, t := range types {
		if in.Next() { // else the provider is older, and it is nil
			all[i] = dynamic.Read(in, t)
		}
	}
	if len(all) == 1 {
		return all[0]
	}
	return all
}

// item reads one of a sequence.
func (d *dynamicMethod) item(in *codec.Decoder) any { return dynamic.Read(in, d.version().Output) }

// failed forgets what is known of a service if an error says that it is not so any more.
func (d *dynamicMethod) failed(e *Error) {
	if e.Reason == ReasonSchema || e.Reason == ReasonStaleRoute || e.Reason == ReasonNoProvider || e.Code == Unimplemented {
		d.node.described.forget(d.service)
	}
}

// maxDescribed bounds of how many services a node keeps what is published of them.
const maxDescribed = 256

// descriptions are what was published of services, as the session was told when it asked.
type descriptions struct {
	mu       sync.Mutex
	asked    *session
	services map[string]*ServiceInfo
}

// of is what is published of a method, of named nodes if there are names. It is asked for where it is not known.
func (ds *descriptions) of(ctx context.Context, n *Node, service, method string, nodes []string) ([]MethodInfo, error) {
	s, err := n.session(ctx)
	if err != nil {
		return nil, err
	}
	ds.mu.Lock()
	if ds.asked != s {
		ds.asked, ds.services = s, nil
	}
	info := ds.services[service]
	ds.mu.Unlock()
	if info != nil {
		if found := info.versions(method, nodes); len(found) > 0 {
			return found, nil
		}
	}
	if info, err = n.Describe(ctx, service); err != nil {
		return nil, err
	}
	ds.mu.Lock()
	if ds.asked == s {
		if ds.services == nil || len(ds.services) >= maxDescribed {
			ds.services = map[string]*ServiceInfo{}
		}
		ds.services[service] = info
	}
	ds.mu.Unlock()
	found := info.versions(method, nodes)
	if len(found) == 0 {
		found = info.versions(method, nil) // the call itself finds out what is wrong with the names
	}
	if len(found) == 0 {
		return nil, &Error{Code: Unimplemented, Outcome: NotRun, Method: service + "." + method, Message: fmt.Sprintf("%s is served, but not with a method %s", service, method)}
	}
	return found, nil
}

// versions are the rows of a method, of named nodes if there are names.
func (info *ServiceInfo) versions(method string, nodes []string) (list []MethodInfo) {
	for _, m := range info.Methods {
		if m.Name == method && (len(nodes) == 0 || slices.ContainsFunc(m.Nodes, func(node string) bool { return slices.Contains(nodes, node) })) {
			list = append(list, m)
		}
	}
	return list
}

func (ds *descriptions) forget(service string) {
	ds.mu.Lock()
	defer ds.mu.Unlock()
	delete(ds.services, service)
}
