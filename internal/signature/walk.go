package signature

import (
	"fmt"
	"slices"
	"strings"
)

// role is where in a method a type stands.
type role int

const (
	arguments role = iota
	input
	results
	output
)

func (r role) String() string {
	return [...]string{"argument", "input items", "result", "output items"}[r]
}

// fromProvider reports whether the provider writes what stands there.
func (r role) fromProvider() bool { return r == results || r == output }

// pair is two types that stand in the same place of two signatures: a writer's and a reader's, or an old and a new one.
type pair struct {
	path *path
	role role
	a, b *Type
	key  bool // of a map, or in one
}

// lost is a field of a that b has not, in a key. It is empty if there is none. Elsewhere such a field is skipped; here keys that differ in it alone would become
// equal, which decoders refuse.
func (p pair) lost() string {
	if p.key && p.a.Kind == Struct && p.b.Kind == Struct {
		fields := fieldTypes(p.b)
		for _, f := range p.a.Fields {
			if fields[f.Name] == nil {
				return fieldName(f.Name)
			}
		}
	}
	return ""
}

// takes reports whether a reader of b understands what a writer of a writes, provided that it does so for the parts of both.
func (p pair) takes() bool { return takes(p.a, p.b) && p.lost() == "" }

// swapped is the pair the other way round.
func (p pair) swapped() pair {
	p.a, p.b = p.b, p.a
	return p
}

// sides describes both types in a reason.
func (p pair) sides() (a, b string) {
	a, b = describe(p.a), describe(p.b)
	if f := p.lost(); f != "" {
		b += " without " + f
	}
	if f := p.swapped().lost(); f != "" {
		a += " without " + f
	}
	return a, b
}

// path leads to a part of an argument or result. It is written out only where something is said of it: names come from peers and may be long.
type path struct {
	up   *path
	text string
}

func (p *path) String() string {
	var list []string
	for ; p != nil; p = p.up {
		list = append(list, p.text)
	}
	slices.Reverse(list)
	return strings.Join(list, "")
}

// walk goes through the pairs of two signatures, each pair of structs once in each role: two types that contain themselves agree if
// nothing else says no.
type walk struct {
	stack []pair
	seen  map[seen]bool
	steps int // that were made; the walk ends above MaxSteps
}

type seen struct {
	role role
	a, b *Type
	key  bool
}

// add puts the types that both lists have on the stack. What is added last is walked first.
func (w *walk) add(r role, a, b []*Type) {
	for i := min(len(a), len(b)) - 1; i >= 0; i-- {
		w.stack = append(w.stack, pair{path: r.at(i), role: r, a: a[i], b: b[i]})
	}
}

// at is the path of the i-th type in the role.
func (r role) at(i int) *path {
	if r == input || r == output {
		return &path{text: r.String()}
	}
	return &path{text: fmt.Sprintf("%v %d", r, i+1)}
}

// next takes a pair from the stack, false if there is none or the steps are spent.
func (w *walk) next() (pair, bool) {
	for len(w.stack) > 0 && w.step(1) {
		last := len(w.stack) - 1
		p := w.stack[last]
		w.stack = w.stack[:last]
		if p.a.Kind != Struct || p.b.Kind != Struct {
			return p, true
		}
		if key := (seen{p.role, p.a, p.b, p.key}); !w.seen[key] {
			w.seen[key] = true
			return p, true
		}
	}
	return pair{}, false
}

func (w *walk) step(n int) bool {
	w.steps += n
	return w.steps <= MaxSteps
}

// parts puts what p is made of on the stack; p.b takes p.a.
func (w *walk) parts(p pair) {
	at := func(segment string, a, b *Type) {
		up := p.path
		if segment != "" {
			up = &path{up, segment}
		}
		w.stack = append(w.stack, pair{up, p.role, a, b, p.key || segment == "[key]"})
	}
	switch {
	case p.b.Kind == Pointer && p.a.Kind != Pointer:
		at("", p.a, p.b.Elem)
	case p.b.Kind == Pointer:
		at("", p.a.Elem, p.b.Elem)
	case p.b.Kind == Slice || p.b.Kind == Array:
		at("[]", p.a.Elem, p.b.Elem)
	case p.b.Kind == Map:
		at("[]", p.a.Elem, p.b.Elem)
		at("[key]", p.a.Key, p.b.Key)
	case p.b.Kind == Struct:
		if !w.step(len(p.a.Fields) + len(p.b.Fields)) {
			return
		}
		fields := fieldTypes(p.b)
		for _, f := range slices.Backward(p.a.Fields) {
			if t := fields[f.Name]; t != nil {
				at("."+f.Name, f.Type, t)
			}
		}
	}
}

// fieldTypes are the fields of a struct by name.
func fieldTypes(t *Type) map[string]*Type {
	m := make(map[string]*Type, len(t.Fields))
	for _, f := range t.Fields {
		m[f.Name] = f.Type
	}
	return m
}
