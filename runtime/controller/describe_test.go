package controller

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/daffi-rpc/daffi/internal/signature"
	"github.com/daffi-rpc/daffi/runtime/codec"
	"github.com/daffi-rpc/daffi/runtime/internal/control"
	"github.com/daffi-rpc/daffi/runtime/internal/rawpeer"
	"github.com/daffi-rpc/daffi/runtime/transport"
)

// long is a signature that has a hash for a fingerprint, sized n bytes.
func long(name string, n int) string {
	sig := "({" + name + strings.Repeat("x", n-len("({ int})()")-len(name)) + " int})()"
	if len(sig) != n {
		panic(n)
	}
	return sig
}

// answered asks and returns which kind of answer came, with the indexes in it.
func answered(t *testing.T, p *rawpeer.Peer, fill func(*codec.Encoder)) (control.Op, []uint32) {
	t.Helper()
	op, d := p.Answer(t, p.Control(fill))
	switch op {
	case control.OpMissing:
		var m control.Missing
		require.NoError(t, m.Read(d))
		return op, m.Methods
	case control.OpOK:
		var m control.Registered
		require.NoError(t, m.Read(d))
		return op, m.Describe
	}
	return op, nil
}

// inspect reads all pages about a service, and returns the number of pages.
func inspect(t *testing.T, p *rawpeer.Peer, service string) (all control.Inspected, pages int) {
	t.Helper()
	q := control.Inspect{Service: service}
	for {
		var a control.Inspected
		require.Nil(t, p.Ask(t, q.Append, control.OpInspected, &a))
		pages++
		all.Doc += a.Doc
		all.Methods = append(all.Methods, a.Methods...)
		if !a.More {
			return all, pages
		}
		q.After = a.Next
	}
}

// TestSignaturesCrossOnce follows who is asked for what.
func TestSignaturesCrossOnce(t *testing.T) {
	w := start(t, Options{})
	sig := long("A", 200)
	register := &control.Register{Service: "Svc", Methods: append(rawpeer.Methods(sig, "Long", "Longer"), rawpeer.Methods("()()", "Short")...)}
	resolve := &control.Resolve{Service: "Svc", Methods: register.Methods}
	row := func(name, sig, doc string) control.Description {
		return control.Description{Name: name, Sig: sig, Doc: doc, Params: []string{name}}
	}

	a, b := w.join("a"), w.join("b")
	op, missing := answered(t, a, register.Append)
	require.Equal(t, control.OpMissing, op)
	require.Equal(t, []uint32{0, 1}, missing)
	require.Zero(t, w.Stats().Services, "nothing enters before its signatures are known")
	op, missing = answered(t, b, resolve.Append)
	require.Equal(t, control.OpMissing, op)
	require.Equal(t, []uint32{0, 1}, missing)

	// One of them from the caller, which has no documentation, then all from the callee.
	require.Nil(t, b.Ask(t, (&control.Describe{Service: "Svc", Methods: []control.Description{row("Long", sig, "not wanted")}}).Append, control.OpOK, nil))
	op, missing = answered(t, b, resolve.Append)
	require.Equal(t, control.OpMissing, op)
	require.Equal(t, []uint32{1}, missing)
	require.Nil(t, a.Ask(t, (&control.Describe{Service: "Svc", Doc: "service", Served: true, Methods: []control.Description{
		row("Long", sig, "long"), row("Longer", sig, "longer")}}).Append, control.OpOK, nil))
	op, undocumented := answered(t, a, register.Append)
	require.Equal(t, control.OpOK, op)
	require.Equal(t, []uint32{2}, undocumented)
	require.Nil(t, a.Ask(t, (&control.Describe{Service: "Svc", Doc: "late", Served: true, Methods: []control.Description{
		row("Short", "()()", "short")}}).Append, control.OpOK, nil))
	op, _ = answered(t, b, resolve.Append)
	require.Equal(t, control.OpRoutes, op)

	// What b was asked for before a gave it may still come, and does not matter.
	require.Nil(t, b.Ask(t, (&control.Describe{Service: "Svc", Served: true, Methods: []control.Description{row("Longer", sig, "lies")}}).Append, control.OpOK, nil))

	// From then on nobody is asked for anything.
	d := w.join("d")
	op, _ = answered(t, d, resolve.Append)
	require.Equal(t, control.OpRoutes, op)
	op, undocumented = answered(t, d, register.Append)
	require.Equal(t, control.OpOK, op)
	require.Empty(t, undocumented)
	all, _ := inspect(t, b, "Svc")
	require.Equal(t, "service", all.Doc)
	want := []control.Description{row("Long", sig, "long"), row("Longer", sig, "longer"), row("Short", "()()", "short")}
	for i := range want {
		want[i].Nodes = []string{"a", "d"}
		want[i].Route = all.Methods[i].Route
	}
	require.Equal(t, want, all.Methods)
}

// TestDescribeRefused sends descriptions that nobody has asked for, that are not of what was named, or that are too long.
func TestDescribeRefused(t *testing.T) {
	w := start(t, Options{})
	sig, other := long("A", 200), long("B", 200)
	owner := w.join("owner")
	require.Nil(t, owner.Serve(t, "Svc", sig, "M"))
	p := w.join("node")
	op, missing := answered(t, p, (&control.Resolve{Service: "Svc", Methods: rawpeer.Methods(other, "M")}).Append)
	require.Equal(t, control.OpMissing, op)
	require.Equal(t, []uint32{0}, missing)
	good := control.Description{Name: "M", Sig: other}
	names := strings.Split(strings.Repeat("n,", control.MaxNames/2), ",")
	for name, m := range map[string]control.Describe{
		"another's":            {Service: "Svc", Served: true, Methods: []control.Description{{Name: "M", Sig: sig, Doc: "mine"}}},
		"another's, bare":      {Service: "Svc", Served: true, Methods: []control.Description{{Name: "M", Sig: signature.Fingerprint(sig), Doc: "mine"}}},
		"another method":       {Service: "Svc", Methods: []control.Description{{Name: "N", Sig: other}}},
		"another service":      {Service: "Svx", Methods: []control.Description{good}},
		"another signature":    {Service: "Svc", Methods: []control.Description{{Name: "M", Sig: other + " "}}},
		"never named":          {Service: "Svc", Methods: []control.Description{{Name: "M", Sig: long("C", 200)}}},
		"short, never named":   {Service: "Svc", Methods: []control.Description{{Name: "M", Sig: "()()"}}},
		"only the fingerprint": {Service: "Svc", Methods: []control.Description{{Name: "M", Sig: signature.Fingerprint(other)}}},
		"no service":           {Methods: []control.Description{good}},
		"no method":            {Service: "Svc", Methods: []control.Description{{Sig: other}}},
		"alias":                {Service: "Svc", Methods: []control.Description{{Name: "M", Sig: other, Alias: "a b"}}},
		"long signature":       {Service: "Svc", Methods: []control.Description{{Name: "M", Sig: long("D", signature.MaxText+1)}}},
		"long comment":         {Service: "Svc", Methods: []control.Description{{Name: "M", Sig: other, Doc: strings.Repeat("d", control.MaxDoc+1)}}},
		"long service comment": {Service: "Svc", Doc: strings.Repeat("d", control.MaxDoc+1), Methods: []control.Description{good}},
		"many names":           {Service: "Svc", Methods: []control.Description{{Name: "M", Sig: other, Params: names[1:], Results: names[:1]}}},
	} {
		t.Run(name, func(t *testing.T) {
			f := p.Ask(t, m.Append, control.OpOK, nil)
			require.NotNil(t, f)
			require.Equal(t, [2]any{invalidArgument, notRun}, [2]any{f.Code, f.Outcome}, f.Message)
			require.NotEmpty(t, f.Message)
			require.Less(t, len(f.Message), 1024)
			all, _ := inspect(t, p, "Svc")
			require.Len(t, all.Methods, 1)
			require.Empty(t, all.Methods[0].Doc+all.Doc)
			require.Equal(t, sig, all.Methods[0].Sig)
		})
	}
	require.Nil(t, p.Ask(t, (&control.Describe{Service: "Svc", Methods: []control.Description{good}}).Append, control.OpOK, nil), "it is still waited for")
	require.NotNil(t, p.Ask(t, (&control.Describe{Service: "Svc", Methods: []control.Description{good}}).Append, control.OpOK, nil), "once")

	for _, print := range []string{"#", "#" + strings.Repeat("0", 31), "#" + strings.Repeat("0", 33), "#" + strings.Repeat("A", 32), strings.Repeat("x", 65)} {
		methods := []control.Method{{Name: "M", Sig: print}}
		require.Equal(t, invalidArgument, p.Ask(t, (&control.Register{Service: "Bad", Methods: methods}).Append, control.OpOK, nil).Code)
		require.Equal(t, invalidArgument, p.Ask(t, (&control.Resolve{Service: "Bad", Methods: methods}).Append, control.OpRoutes, nil).Code)
	}
}

// TestDescribeLongest files what is as long as may be, and gives it back.
func TestDescribeLongest(t *testing.T) {
	over(t, func(t *testing.T, w *world) {
		p := w.join("node")
		row := control.Description{
			Name: strings.Repeat("m", transport.MaxWord), Sig: long("A", signature.MaxText), Doc: strings.Repeat("d", control.MaxDoc), Alias: strings.Repeat("a", transport.MaxWord), Oneway: true,
			Params: strings.Split(strings.Repeat("n,", control.MaxNames/2-1)+"n", ","),
		}
		service := strings.Repeat("s", transport.MaxWord)
		register := &control.Register{Service: service, Methods: rawpeer.Methods(row.Sig, row.Name)}
		op, _ := answered(t, p, register.Append)
		require.Equal(t, control.OpMissing, op)
		m := control.Describe{Service: service, Doc: strings.Repeat("D", control.MaxDoc), Served: true, Methods: []control.Description{row}}
		require.Nil(t, p.Ask(t, m.Append, control.OpOK, nil))
		op, undocumented := answered(t, p, register.Append)
		require.Equal(t, control.OpOK, op)
		require.Empty(t, undocumented)
		all, pages := inspect(t, p, service)
		require.Equal(t, 1, pages)
		require.Equal(t, m.Doc, all.Doc)
		row.Route, row.Nodes = all.Methods[0].Route, []string{"node"}
		require.Equal(t, []control.Description{row}, all.Methods)
	})
}

// TestDescribeBudget charges what is described to the node that does it, and to all.
func TestDescribeBudget(t *testing.T) {
	w := start(t, Options{})
	sig := long("A", 200)
	p := w.join("node")
	register := &control.Register{Service: "S", Methods: rawpeer.Methods(sig, "M")}
	describe := &control.Describe{Service: "S", Doc: "doc", Served: true, Methods: []control.Description{{Name: "M", Sig: sig, Doc: "d"}}}
	left := func(session, all int) {
		w.Controller.mu.Lock()
		defer w.Controller.mu.Unlock()
		w.session(p.Session).internBy, w.routeBytes = maxInternedBy-session, maxRouteBytes-all
	}
	answered(t, p, register.Append)
	full := 200 + 65 // the signature, and a comment of a byte with what it comes in
	for _, budget := range [][2]int{{199, 1 << 20}, {1 << 20, 199}} {
		left(budget[0], budget[1])
		require.Equal(t, resourceExhausted, p.Ask(t, describe.Append, control.OpOK, nil).Code)
		op, _ := answered(t, p, register.Append)
		require.Equal(t, control.OpMissing, op, "nothing was filed")
	}
	left(full-1, full-1)
	require.Equal(t, resourceExhausted, p.Ask(t, describe.Append, control.OpOK, nil).Code)
	op, undocumented := answered(t, p, register.Append)
	require.Equal(t, control.OpOK, op, "the signature was")
	require.Equal(t, []uint32{0}, undocumented)
	left(65, 65)
	require.Nil(t, p.Ask(t, describe.Append, control.OpOK, nil))
	all, _ := inspect(t, p, "S")
	require.Equal(t, "d", all.Methods[0].Doc)
	require.Empty(t, all.Doc, "there was no room for it")
}

// TestAskedLimit names as many unknown signatures as a node may leave open, and one more.
func TestAskedLimit(t *testing.T) {
	w := start(t, Options{})
	p := w.join("node")
	named := 0
	resolve := func(n int) (control.Op, []uint32) {
		q := control.Resolve{Service: "S"}
		for range n {
			named++
			q.Methods = append(q.Methods, control.Method{Name: "M", Sig: fmt.Sprintf("#%032x", named)})
		}
		return answered(t, p, q.Append)
	}
	for range maxAsked / 1024 {
		op, missing := resolve(1024)
		require.Equal(t, control.OpMissing, op)
		require.Len(t, missing, 1024)
	}
	op, _ := resolve(1)
	require.Equal(t, control.OpFailed, op)
	named = 0
	op, _ = resolve(1024)
	require.Equal(t, control.OpMissing, op, "those may be asked for again")

	// Who serves is not refused because of documentation that it has not given.
	op, undocumented := answered(t, p, (&control.Register{Service: "T", Methods: rawpeer.Methods("()()", "M")}).Append)
	require.Equal(t, control.OpOK, op)
	require.Empty(t, undocumented)
}

// TestInspect reads about services that take many pages: many methods, and many nodes.
func TestInspect(t *testing.T) {
	w := start(t, Options{})
	p := w.join("node")
	f := p.Ask(t, (&control.Inspect{Service: "S"}).Append, control.OpInspected, nil)
	require.Equal(t, [3]any{notFound, reasonNoProvider, notRun}, [3]any{f.Code, f.Reason, f.Outcome})
	require.Equal(t, invalidArgument, p.Ask(t, (&control.Inspect{Service: "no name"}).Append, control.OpInspected, nil).Code)

	var methods []string
	for i := range 12 {
		methods = append(methods, fmt.Sprintf("M%02d", i))
	}
	require.Nil(t, p.Serve(t, "S", long("A", 20_000), methods...))
	other := w.join("other")
	require.Nil(t, other.Serve(t, "S", long("B", 20_000), methods[3:]...))
	all, pages := inspect(t, p, "S")
	require.Len(t, all.Methods, 21)
	require.Equal(t, 11, pages)
	require.True(t, slices.IsSortedFunc(all.Methods, func(a, b control.Description) int { return strings.Compare(a.Name, b.Name) }))
	for _, m := range all.Methods {
		if strings.HasPrefix(m.Sig, "({A") {
			require.Equal(t, []string{"node"}, m.Nodes)
		} else {
			require.Equal(t, []string{"other"}, m.Nodes)
		}
	}
	other.Close()
	w.eventually(func(st Stats) bool { return st.Nodes == 1 }, "it is still there")
	all, _ = inspect(t, p, "S")
	require.Len(t, all.Methods, 12)

	var names []string
	for i := range 2000 {
		name := fmt.Sprintf("n%063d", i)
		names = append(names, name)
		w.join(name).Register(t, "T", "M", "N")
	}
	all, pages = inspect(t, p, "T")
	require.Equal(t, 5, pages)
	got := map[string][]string{}
	for _, m := range all.Methods {
		got[m.Name] = append(got[m.Name], m.Nodes...)
	}
	require.Equal(t, map[string][]string{"M": names, "N": names}, got)
	f = p.Ask(t, (&control.Inspect{Service: "T", After: control.Cursor{Method: "z", Route: 1<<32 - 1, Session: 1<<32 - 1}}).Append, control.OpInspected, nil)
	require.Nil(t, f, "past the end")
}
