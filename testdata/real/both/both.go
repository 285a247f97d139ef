// Package both calls the methods of an interface twice, on one implementation directly and on another over a connection, and compares
// what they give.
package both

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/shopspring/decimal"
	"pgregory.net/rapid"

	daffi "github.com/daffi-rpc/daffi/runtime"
	"github.com/daffi-rpc/daffi/runtime/controller"
)

// Subject is a callback C and a fetcher F of it, the same interface or another.
type Subject[C, F any] struct {
	Service  string   // its name on the wire
	New      func() C // a new implementation, in the same state each time, in which every method can work
	Register func(daffi.Registrar, C, ...daffi.ServeOption) (*daffi.Registration, error)
	Proxy    func(daffi.Caller) F
	Direct   func(C) F // how F is called without a connection

	Values []func(*Values)                   // for arguments that have to be more or less than anything
	Args   map[string]func(*rapid.T) []any   // the first arguments of a method, after its context
	Settle map[string]func(direct, remote C) // makes the effects of a one-way call seen
	Local  []string                          // methods of C that are not on the wire
	Errors []Identity                        // what is found in the errors of direct calls, and must be in those of remote ones
}

// timeout bounds a test, which takes a second or so.
const timeout = time.Minute

// checks is how many sequences of calls are made over each network.
const checks = "50"

// Run calls every method of the fetcher, in random order and on random arguments, over a unix socket and over TCP, with a controller that
// stands alone. Every method of the callback and the fetcher must have worked in the end.
func Run[C, F any](t *testing.T, s Subject[C, F]) {
	check(t, flag.Set("rapid.nofailfile", "true")) // the seed that is printed does it
	if flag.Lookup("rapid.checks").Value.String() == flag.Lookup("rapid.checks").DefValue {
		check(t, flag.Set("rapid.checks", checks))
	}
	worked := make(map[string]int)
	ok := t.Run("unix", func(t *testing.T) { run(t, s, "unix://"+filepath.Join(shortDir(t), "s"), worked) }) &&
		t.Run("tcp", func(t *testing.T) { run(t, s, "tcp://127.0.0.1:0", worked) })
	if !ok {
		return
	}
	for _, typ := range []reflect.Type{reflect.TypeFor[C](), reflect.TypeFor[F]()} {
		for _, name := range names(typ) {
			if worked[name] == 0 && !slices.Contains(s.Local, name) {
				t.Errorf("%v.%s never worked: %v", typ, name, worked)
			}
		}
	}
}

// run adds to worked what gave no error.
func run[C, F any](t *testing.T, s Subject[C, F], addr string, worked map[string]int) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	t.Cleanup(cancel)
	ctl, err := controller.Listen(ctx, controller.Options{Addr: addr})
	check(t, err)
	closed(t, ctl.Close)
	server, err := daffi.Connect(ctx, daffi.Options{Name: "server", Addr: ctl.Addr()})
	check(t, err)
	closed(t, server.Close)
	client, err := daffi.Connect(ctx, daffi.Options{Name: "client", Addr: ctl.Addr()})
	check(t, err)
	closed(t, client.Close)

	methods, values := names(reflect.TypeFor[F]()), newValues(s.Values)
	rapid.Check(t, func(rt *rapid.T) {
		direct, remote := s.New(), s.New()
		registration, err := s.Register(server, remote)
		check(rt, err)
		defer registration.Close()
		check(rt, client.WaitMethod(ctx, s.Service))
		p := pair[C, F]{Subject: s, ctx: ctx, values: values, directly: direct, remotely: remote, direct: s.Direct(direct), remote: s.Proxy(client)}
		for range rapid.IntRange(1, 3*len(methods)).Draw(rt, "calls") {
			// A method is drawn by its place, and early ones are drawn more often: a permutation makes up for that.
			name := rapid.SampledFrom(rapid.Permutation(methods).Draw(rt, "methods")).Draw(rt, "method")
			good, left := p.call(rt, name)
			if good {
				worked[name]++
			}
			if left {
				break // how far the other side came is its own business
			}
		}
	})
}

// names are those of the methods, and with a dot those of the interfaces below.
func names(typ reflect.Type) (list []string) {
	for m := range typ.Methods() {
		if isBelow(m.Type) {
			for _, name := range names(m.Type.Out(0)) {
				list = append(list, m.Name+"."+name)
			}
			continue
		}
		list = append(list, m.Name)
	}
	return list
}

// isBelow reports whether a method of an interface has another interface as its result, and nothing else.
func isBelow(method reflect.Type) bool {
	return method.NumIn() == 0 && method.NumOut() == 1 && method.Out(0).Kind() == reflect.Interface && method.Out(0) != reflect.TypeFor[error]()
}

// method finds one by such a name in the interface that v points to.
func method(v reflect.Value, name string) reflect.Value {
	first, rest, below := strings.Cut(name, ".")
	m := v.MethodByName(first)
	if below {
		return method(m.Call(nil)[0], rest)
	}
	return m
}

// pair is an implementation here and another there.
type pair[C, F any] struct {
	Subject[C, F]
	ctx                context.Context
	values             *Values
	directly, remotely C
	direct, remote     F
}

// call calls one method of both. Good means that it gave no error, and at least one item if it gives a sequence; left that the caller
// left the sequence before its end.
func (p *pair[C, F]) call(t *rapid.T, name string) (good, left bool) {
	direct, remote := method(reflect.ValueOf(&p.direct).Elem(), name), method(reflect.ValueOf(&p.remote).Elem(), name)
	typ := direct.Type()
	args, in := p.arguments(t, name, typ)
	most := -1
	if typ.NumOut() == 1 && isSequence(typ.Out(0)) && rapid.IntRange(0, 5).Draw(t, "leave") == 5 {
		most = rapid.IntRange(1, 3).Draw(t, "after")
	}
	what := fmt.Sprintf("%v.%s", reflect.TypeFor[F](), name)
	got := invoke(remote, args, in, most)
	want := invoke(direct, args, in, most)
	p.same(t, what, got, want, in)
	if settle := p.Settle[name]; settle != nil {
		settle(p.directly, p.remotely)
	}
	good = want.err == nil && (!isSequence(typ.Out(0)) || len(want.Items) > 0)
	return good, got.left || want.left
}

// arguments draws the arguments; an input sequence is made anew for each side.
func (p *pair[C, F]) arguments(t *rapid.T, name string, typ reflect.Type) (args []reflect.Value, in *input) {
	args = append(args, reflect.ValueOf(p.ctx))
	if first := p.Args[name]; first != nil {
		for _, arg := range first(t) {
			v := reflect.New(typ.In(len(args))).Elem()
			if arg != nil {
				v.Set(reflect.ValueOf(arg).Convert(v.Type()))
			}
			args = append(args, v)
		}
	}
	for i := len(args); i < typ.NumIn(); i++ {
		if isSequence(typ.In(i)) {
			in = p.values.input(t, typ.In(i))
			break
		}
		args = append(args, p.values.draw(t, typ.In(i), fmt.Sprintf("%s %d", name, i), 3))
	}
	return args, in
}

// outcome is what a call gave.
type outcome struct {
	results []any
	output
}

// invoke calls a method. The first nil-able results of a call that failed mean nothing, so they are left out.
func invoke(method reflect.Value, args []reflect.Value, in *input, most int) (o outcome) {
	if in != nil {
		args = append(slices.Clip(args), in.sequence())
	}
	call := method.Call
	if method.Type().IsVariadic() && in == nil {
		call = method.CallSlice
	}
	results := call(args)
	if len(results) == 1 && isSequence(results[0].Type()) {
		o.output = drain(results[0], most)
		return o
	}
	last := len(results) - 1
	if err, ok := results[last].Interface().(error); ok {
		o.err = err
		return o
	}
	for _, r := range results[:last] {
		o.results = append(o.results, r.Interface())
	}
	return o
}

// same compares.
func (p *pair[C, F]) same(t *rapid.T, what string, got, want outcome, in *input) {
	t.Helper()
	if in != nil && in.err != nil && errors.Is(got.err, errInput) {
		// The caller is told of its own error, whatever the callee made of it.
		got.err, want.err, want.results = nil, nil, nil
	}
	if diff := different(got.err, want.err, p.Service, p.Errors); diff != "" {
		t.Fatalf("%s over the connection: error %s", what, diff)
	}
	if got.err == nil {
		if diff := gocmp.Diff(want.results, got.results, equal); diff != "" {
			t.Fatalf("%s: directly (-) and over the connection (+):\n%s", what, diff)
		}
	}
	if diff := gocmp.Diff(want.Items, got.Items, equal); diff != "" {
		t.Fatalf("%s: items directly (-) and over the connection (+):\n%s", what, diff)
	}
}

// different says how an error of a remote call is not the one that the direct call gave.
func different(got, want error, service string, known []Identity) string {
	if got == nil || want == nil {
		if got == want {
			return ""
		}
		return fmt.Sprintf("%v, want %v", got, want)
	}
	e, ok := errors.AsType[*daffi.Error](got)
	if !ok {
		return fmt.Sprintf("%v is no *daffi.Error", got)
	}
	text, code := want.Error(), daffi.CodeOf(want)
	var reason daffi.Reason
	if w, ok := errors.AsType[*daffi.Error](want); ok {
		reason = w.Reason
		if error(w) == want {
			text = w.Message
		}
	}
	if e.Message != text || e.Code != code || e.Reason != reason || e.Outcome != daffi.Ran || e.Node != "server" || len(e.Method) <= len(service) {
		return fmt.Sprintf("%#v, want %v/%v %q", e, code, reason, text)
	}
	for _, found := range known {
		if diff := gocmp.Diff(found(want), found(got), equal); diff != "" {
			return fmt.Sprintf("%v: directly (-) and over the connection (+):\n%s", got, diff)
		}
	}
	return ""
}

// An Identity is what a caller may ask an error for.
type Identity func(error) any

// Is are the identities of variables.
func Is(sentinels ...error) (list []Identity) {
	for _, sentinel := range sentinels {
		list = append(list, func(err error) any {
			if errors.Is(err, sentinel) {
				return "it is " + sentinel.Error()
			}
			return nil
		})
	}
	return list
}

// As is the identity of a type: an error of it is found, with its fields.
func As[E error]() Identity {
	return func(err error) any {
		if e, ok := errors.AsType[E](err); ok {
			return e
		}
		return nil
	}
}

// equal tells nil from empty, and looks into unexported fields where a type does not say itself what is equal.
var equal = gocmp.Options{
	cmpopts.EquateNaNs(),
	gocmp.Comparer(func(a, b big.Int) bool { return a.Cmp(&b) == 0 }),
	gocmp.Comparer(func(a, b decimal.NullDecimal) bool { // it travels as text, which is empty if it is not valid, whatever it holds
		return a.Valid == b.Valid && (!a.Valid || a.Decimal.Equal(b.Decimal))
	}),
	gocmp.Comparer(func(a, b regexp.Regexp) bool { return a.String() == b.String() }),
	gocmp.FilterPath(staysBehind, gocmp.Ignore()),
	// An error that is a value keeps its text.
	gocmp.FilterValues(func(a, b any) bool { return isError(a) && isError(b) }, gocmp.Comparer(func(a, b any) bool { return a.(error).Error() == b.(error).Error() })),
	gocmp.Exporter(func(reflect.Type) bool { return true }),
}

// staysBehind reports whether a path ends in a field that does not travel: an unexported one of a struct of ours, or one with the tag that
// leaves it out.
func staysBehind(p gocmp.Path) bool {
	at, ok := p.Last().(gocmp.StructField)
	if !ok {
		return false
	}
	parent := p.Index(-2).Type()
	f := parent.Field(at.Index())
	return strings.HasPrefix(parent.PkgPath(), "github.com/daffi-rpc/") && (!f.IsExported() || f.Tag.Get("daffi") == "-")
}

func isError(v any) bool {
	_, ok := v.(error)
	return ok
}

type fataler interface {
	Helper()
	Fatal(...any)
}

func check(t fataler, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func closed(t *testing.T, closer func() error) {
	t.Cleanup(func() {
		if err := closer(); err != nil {
			t.Error(err)
		}
	})
}

// shortDir is a directory whose name leaves room for that of a socket.
func shortDir(t *testing.T) string {
	dir, err := os.MkdirTemp("", "real")
	check(t, err)
	closed(t, func() error { return os.RemoveAll(dir) })
	return dir
}

// Clock is one that shows a second more each time that somebody looks.
func Clock() func() time.Time {
	var seconds atomic.Int64
	return func() time.Time { return time.Unix(1_700_000_000+seconds.Add(1), 0).UTC() }
}

// Must is for New: preparing an implementation cannot fail.
func Must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
