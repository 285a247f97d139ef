package gen

import (
	"fmt"
	"go/token"
	"strings"
)

// key reads a //daffi:key. Which parameter it names is known when those were read.
func (c *checker) key(m *Method, d directive) {
	if len(d.args) != 1 || !token.IsIdentifier(d.args[0]) {
		c.report.add(CodeArgument, d.pos, d.word, "it needs the name of one argument; write //daffi:key name")
		return
	}
	m.Key = &Key{Name: d.args[0], Pos: d.pos}
}

// checkKey finds the parameter and reports one that cannot decide about the provider.
func (c *checker) checkKey(i *Interface, m *Method) {
	if m.Key == nil {
		return
	}
	name := i.Name + "." + m.Name
	bad := func(why string) { c.report.add(CodeKey, m.Key.Pos, name, m.Key.Name, why) }
	if m.Event {
		bad("it is an event, which goes to every provider; drop one of the two")
		return
	}
	if m.Map != nil {
		bad("the function of //daffi:map makes what is sent, so no argument is; use the option daffi.HashKey")
		return
	}
	for k, p := range m.Params {
		if p.Name != m.Key.Name || p.Name == "_" {
			continue
		}
		if path := undecided(p.Type, p.Name, make(map[*Type]bool)); path != "" {
			bad(path + ", so equal values may be encoded differently; name a string, a number, or a struct of such")
			return
		}
		m.Key.Arg = k
		return
	}
	switch {
	case m.Context == m.Key.Name && m.Context != "_":
		bad("the context is not sent; name an argument that is")
	case m.Input != nil && m.Input.Name == m.Key.Name:
		bad("all items of a sequence go where its call goes; send one call for each item, or name the provider's key with daffi.HashKey for the whole sequence")
	case len(m.names()) == 0:
		bad("the method has no argument with a name; give it one")
	default:
		bad("there is no such argument; name one of " + strings.Join(m.names(), ", "))
	}
}

// names are those of the parameters that a key can be.
func (m *Method) names() []string {
	var list []string
	for _, p := range m.Params {
		if p.Name != "" && p.Name != "_" {
			list = append(list, p.Name)
		}
	}
	return list
}

// undecided says which part of a type has more than one encoding of a value, empty if none has.
func undecided(t *Type, path string, seen map[*Type]bool) string {
	if seen[t] {
		return ""
	}
	seen[t] = true
	switch t.Kind {
	case Coded:
		return fmt.Sprintf("%s is encoded by %s, which may have more than one way", path, t.By.Name)
	case Map:
		return path + " is a map, which has no order"
	case Any:
		return path + " may hold a map, which has no order"
	case Slice, Array:
		return undecided(t.Elem, path+"[]", seen)
	case Pointer:
		return undecided(t.Elem, path, seen)
	case Struct:
		for _, f := range t.Fields {
			if why := undecided(f.Type, fmt.Sprintf("%s.%s", path, f.Name), seen); why != "" {
				return why
			}
		}
	}
	return ""
}
