package signature

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// rules says of types what one reads that the other wrote: "ok" or the reason, with the writer and the reader as W and R.
var rules = []struct{ a, b, forth, back string }{
	{"int", "int", "ok", "ok"},
	{"int", "int64", "ok", "ok"},
	{"uint", "uint64", "ok", "ok"},
	{"int8", "int16", "ok", ": W int16, R int8"},
	{"int16", "int32", "ok", ": W int32, R int16"},
	{"int32", "int", "ok", ": W int, R int32"},
	{"uint8", "uint16", "ok", ": W uint16, R uint8"},
	{"uint16", "uint32", "ok", ": W uint32, R uint16"},
	{"uint32", "uint", "ok", ": W uint, R uint32"},
	{"uint8", "int16", "ok", ": W int16, R uint8"},
	{"uint32", "int64", "ok", ": W int64, R uint32"},
	{"uint8", "int8", ": W uint8, R int8", ": W int8, R uint8"},
	{"uint64", "int64", ": W uint64, R int64", ": W int64, R uint64"},
	{"float32", "float64", "ok", ": W float64, R float32"},
	{"complex64", "complex128", "ok", ": W complex128, R complex64"},
	{"int16", "float32", "ok", ": W float32, R int16"},
	{"uint16", "float32", "ok", ": W float32, R uint16"},
	{"int32", "float32", ": W int32, R float32", ": W float32, R int32"},
	{"uint32", "float64", "ok", ": W float64, R uint32"},
	{"int64", "float64", ": W int64, R float64", ": W float64, R int64"},
	{"float32", "complex64", ": W float32, R complex64", ": W complex64, R float32"},
	{"int8", "complex128", ": W int8, R complex128", ": W complex128, R int8"},
	{"bool", "int8", ": W bool, R int8", ": W int8, R bool"},
	{"duration", "int64", ": W duration, R int64", ": W int64, R duration"},
	{"time", "time", "ok", "ok"},
	{"time", "string", ": W time, R string", ": W string, R time"},
	{"string", "bytes", "ok", ": W bytes, R string"},
	{"any", "any", "ok", "ok"},
	{"any", "int", ": W any, R int", ": W int, R any"},
	{"error", "error", "ok", "ok"},
	{"error", "string", ": W error, R string", ": W string, R error"},
	{"text", "text", "ok", "ok"},
	{"text", "string", ": W text, R string", ": W string, R text"},
	{"binary", "bytes", ": W binary, R bytes", ": W bytes, R binary"},
	{"msgpack", "any", ": W msgpack, R any", ": W any, R msgpack"},
	{"later", "later", "ok", "ok"},
	{"later", "int", ": W later, R int", ": W int, R later"},
	{"@json", "@json", "ok", "ok"},
	{"@json", "@xml", ": W @json, R @xml", ": W @xml, R @json"},
	{"@json", "json", ": W @json, R json", ": W json, R @json"},
	{"int8", "*int16", "ok", ": W *int16, R int8"},
	{"*int8", "*int16", "ok", ": W int16, R int8"},
	{"*int", "**int", "ok", ": W *int, R int"},
	{"[]int8", "[]int16", "ok", "[]: W int16, R int8"},
	{"[]int", "bytes", ": W []int, R bytes", ": W bytes, R []int"},
	{"[]int", "map[int]int", ": W []int, R map[int]int", ": W map[int]int, R []int"},
	{"[2]int8", "[2]int16", "ok", "[]: W int16, R int8"},
	{"[2]int", "[3]int", ": W [2]int, R [3]int", ": W [3]int, R [2]int"},
	{"[2]int8", "[]int16", "ok", ": W []int16, R [2]int8"},
	{"[2]byte", "[2]byte", "ok", "ok"},
	{"[2]byte", "[3]byte", ": W [2]byte, R [3]byte", ": W [3]byte, R [2]byte"},
	{"[2]byte", "bytes", "ok", ": W bytes, R [2]byte"},
	{"[2]byte", "[2]uint8", ": W [2]byte, R [2]uint8", ": W [2]uint8, R [2]byte"},
	{"[2]byte", "[]uint8", ": W [2]byte, R []uint8", ": W []uint8, R [2]byte"},
	{"[2]byte", "string", ": W [2]byte, R string", ": W string, R [2]byte"},
	{"map[int8]int", "map[int16]int", "ok", "[key]: W int16, R int8"},
	{"map[int]int8", "map[int]int16", "ok", "[]: W int16, R int8"},
	{"map[{A int}]int", "map[{A int;B int}]int", "ok", "[key]: W struct, R struct without B"},
	{"map[{A int}]int", "map[{B int}]int", "[key]: W struct without B, R struct without A", "[key]: W struct without A, R struct without B"},
	{"map[[2]{A {B int8}}]int", "map[[2]{A {B int16;\"c d\" int}}]int", "ok", "[key][].A: W struct, R struct without \"c d\""},
	{"{A {B int};M map[$1]int}", "{A {B int;C int};M map[$1]int}", "ok", ".M[key]: W struct, R struct without C"},
	{"{}", "{}", "ok", "ok"},
	{"{A int;B string}", "{B string;A int}", "ok", "ok"},
	{"{A int}", "{A int;B string}", "ok", "ok"},
	{"{A int}", "{B string}", "ok", "ok"},
	{"{A int8;X bool}", "{Y bool;A int16}", "ok", ".A: W int16, R int8"},
	{"{Lines []{Qty int8}}", "{Lines []{Qty int16}}", "ok", ".Lines[].Qty: W int16, R int8"},
	{"{A int}", "map[string]int", ": W struct, R map[string]int", ": W map[string]int, R struct"},
	{"{A int}", "*{A int}", "ok", ": W *struct, R struct"},
	{"{Next *$0;V int8}", "{Next *$0;V int16}", "ok", ".V: W int16, R int8"},
	{"{Next *$0}", "{Next *{Next *$0}}", "ok", "ok"},
	{"{Next *$0;V int8}", "{Next *{Next *$0;V int16};V int8}", "ok", ".Next.V: W int16, R int8"},
	{"{A $0}", "{A {A {A $0}}}", "ok", "ok"},
}

func TestCompatible(t *testing.T) {
	expect := func(reason, place, writer, reader string) string {
		if reason == "ok" {
			return reason
		}
		return place + strings.NewReplacer("W", "the "+writer+" sends", "R", "the "+reader+" reads").Replace(reason)
	}
	check := func(want, caller, provider string) {
		t.Helper()
		got := "ok"
		if err := Compatible(parsed(t, caller), parsed(t, provider)); err != nil {
			got = err.Error()
		}
		assert.Equalf(t, want, got, "caller %s, provider %s", caller, provider)
	}
	for _, rule := range rules {
		for _, r := range []struct{ w, r, want string }{{rule.a, rule.b, rule.forth}, {rule.b, rule.a, rule.back}} {
			check(expect(r.want, "argument 2", "caller", "provider"), "(int,"+r.w+")()", "(int,"+r.r+")()")
			check(expect(r.want, "result 1", "provider", "caller"), "()("+r.r+")", "()("+r.w+")")
			check(expect(r.want, "input items", "caller", "provider"), "(<"+r.w+")()", "(<"+r.r+")()")
			check(expect(r.want, "output items", "provider", "caller"), "()>"+r.r, "()>"+r.w)
		}
	}

	// Arguments and results may be missing at the end, sequences may not.
	check("ok", "(int)()", "(int,string)(bool)")
	check("ok", "(int,string)(bool)", "(int)()")
	check("argument 1: the caller sends string, the provider reads int", "(string)()", "(int,string)()")
	check("the caller's method is unary, the provider's is a client stream", "(int)()", "(<int)()")
	check("the caller's method is a server stream, the provider's is unary", "()>int", "()(int)")
	check("the caller's method is a bidirectional stream, the provider's is a client stream", "(<int)>int", "(<int)(int)")
	check("argument 1: the caller sends string, the provider reads int", "(string)(int8)", "(int)(int)")
}

// TestCompatibleLimit compares pairs of structs that are all different, until the steps are spent: at the limit and one past it.
func TestCompatibleLimit(t *testing.T) {
	// One step for the argument, one for each field of both, and one for each pair of them.
	fields := func(n int) *Method {
		s := &Type{Kind: Struct}
		for i := range n {
			s.Fields = append(s.Fields, Field{fmt.Sprint("f", i), &Type{Name: "int"}})
		}
		return &Method{Params: []*Type{s}}
	}
	a := fields((MaxSteps - 1) / 3) // 1 + 2n + n steps
	for range (MaxSteps - 1) % 3 {
		a.Params = append(a.Params, &Type{Name: "int"})
	}
	assert.NoError(t, Compatible(a, a))
	a.Params = append(a.Params, &Type{Name: "int"})
	assert.ErrorIs(t, Compatible(a, a), ErrTooLarge)
	assert.Equal(t, Change{Class: Breaking, Reasons: []string{"too large to compare"}}, Compare(a, a))

	// Rings of structs whose lengths have no common divisor meet in every combination.
	ring := func(n int) *Method { return parsed(t, "("+strings.Repeat("{A ", n)+"$0"+strings.Repeat("}", n)+")()") }
	assert.NoError(t, Compatible(ring(80), ring(79)))
	assert.ErrorIs(t, Compatible(ring(255), ring(254)), ErrTooLarge)
}

// random makes signatures of all kinds of types.
type random struct {
	*rand.Rand
	structs []*Type
}

func (r *random) method() *Method {
	r.structs = nil
	m := &Method{Params: r.list()}
	if r.IntN(3) == 0 {
		m.Input = r.typ(0)
	}
	if r.IntN(3) == 0 {
		m.Output = r.typ(0)
	} else {
		m.Results = r.list()
	}
	return m
}

func (r *random) list() (list []*Type) {
	for range r.IntN(3) {
		list = append(list, r.typ(0))
	}
	return list
}

func (r *random) typ(depth int) *Type {
	words := []string{"bool", "int", "int8", "int16", "int32", "int64", "uint", "uint8", "uint16", "uint32", "uint64", "float32", "float64",
		"complex64", "complex128", "string", "bytes", "time", "duration", "error", "any", "text", "later"}
	kind := Kind(r.IntN(10))
	if depth > 4 {
		kind = Word
	}
	switch kind {
	case Codec:
		return &Type{Kind: Codec, Name: "json"}
	case Slice, Pointer:
		return &Type{Kind: kind, Elem: r.typ(depth + 1)}
	case Array:
		elem := r.typ(depth + 1)
		if r.IntN(3) == 0 {
			elem = &Type{Name: "byte"}
		}
		return &Type{Kind: kind, Len: r.Int64N(3), Elem: elem}
	case Map:
		return &Type{Kind: kind, Key: &Type{Name: words[r.IntN(16)]}, Elem: r.typ(depth + 1)}
	case Struct:
		if len(r.structs) > 0 && r.IntN(3) == 0 {
			return r.structs[r.IntN(len(r.structs))]
		}
		t := &Type{Kind: Struct}
		r.structs = append(r.structs, t)
		for i := range r.IntN(4) {
			t.Fields = append(t.Fields, Field{string(rune('A' + i)), r.typ(depth + 1)})
		}
		return t
	}
	return &Type{Name: words[r.IntN(len(words))]}
}

// mutate changes one thing somewhere in m.
func (r *random) mutate(m *Method) {
	all := types(m)
	if len(all) == 0 {
		m.Params = append(m.Params, r.typ(3))
		return
	}
	t := all[r.IntN(len(all))]
	switch {
	case t.Kind == Struct && len(t.Fields) > 0 && r.IntN(2) == 0:
		t.Fields = t.Fields[1:]
	case t.Kind == Struct:
		t.Fields = append(t.Fields, Field{fmt.Sprint("New", r.IntN(1000)), r.typ(3)})
	default:
		*t = *r.typ(3)
	}
}

// types are all types in m.
func types(m *Method) []*Type {
	var list []*Type
	known := make(map[*Type]bool)
	var walk func(t *Type)
	walk = func(t *Type) {
		if t == nil || known[t] {
			return
		}
		known[t] = true
		list = append(list, t)
		walk(t.Key)
		walk(t.Elem)
		for _, f := range t.Fields {
			walk(f.Type)
		}
	}
	for _, t := range append(append([]*Type{m.Input, m.Output}, m.Params...), m.Results...) {
		walk(t)
	}
	return list
}

// TestRandom checks what holds for any signatures.
func TestRandom(t *testing.T) {
	r := &random{Rand: rand.New(rand.NewPCG(1, 2))}
	counts := make(map[Class]int)
	for range 5_000 {
		before := r.method()
		text := before.String()
		after := parsed(t, text)
		require.Equal(t, text, after.String())
		require.Equal(t, text, parsed(t, Indent(before)).String())
		require.NoErrorf(t, Compatible(before, after), "%s", text)
		require.Equalf(t, Change{}, Compare(before, after), "%s", text)

		for range 1 + r.IntN(2) {
			r.mutate(after)
		}
		x := Compare(before, after)
		counts[x.Class]++
		oldCallers, newCallers := Compatible(before, after) == nil, Compatible(after, before) == nil
		say := fmt.Sprintf("%s\n%s\n%v", text, after, x)
		switch x.Class {
		case Safe:
			require.True(t, oldCallers && newCallers, say)
		case Breaking:
			require.False(t, oldCallers || newCallers, say)
			require.NotEmpty(t, x.Reasons, say)
		case NeedsOrder:
			require.NotEmpty(t, x.Reasons, say)
			require.True(t, oldCallers || newCallers, say)
			require.True(t, oldCallers || x.Order == CallersFirst || x.Order == TwoSteps, say)
			require.True(t, newCallers || x.Order == ProvidersFirst || x.Order == TwoSteps, say)
		}
		if back := Compare(after, before); x.Class == Breaking {
			require.Equal(t, Breaking, back.Class, say)
		}
	}
	assert.Greater(t, counts[Safe], 100)
	assert.Greater(t, counts[NeedsOrder], 100)
	assert.Greater(t, counts[Breaking], 100)
}
