package gen

import (
	"go/token"
	"strconv"
	"strings"

	"github.com/dave/jennifer/jen"
)

// free is a name for a local of a function without the user's parameters.
func (n *namer) free(candidates ...string) string {
	for _, name := range candidates {
		if !n.outer[name] {
			return name
		}
	}
	return n.outer.take(candidates...)
}

// scope is a set of names in use.
type scope map[string]bool

func (s scope) add(names ...string) {
	for _, name := range names {
		s[name] = true
	}
}

// take gives the first of candidates that is free, or else the first with a number.
func (s scope) take(candidates ...string) string {
	for _, name := range candidates {
		if !s[name] && !jen.IsReservedWord(name) && name != "init" {
			s[name] = true
			return name
		}
	}
	for k := 2; ; k++ {
		if name := candidates[0] + strconv.Itoa(k); !s[name] {
			s[name] = true
			return name
		}
	}
}

// locals are the names of one generated function.
type locals struct {
	scope  scope
	ctx    string
	params []string
	input  string
}

// locals chooses the names of a function for m: the source's where they are free.
func (n *namer) locals(m *Method) *locals {
	l := &locals{scope: make(scope)}
	for name := range n.outer {
		l.scope.add(name)
	}
	for k, p := range m.Params {
		l.params = append(l.params, l.param(p.Name, k+1))
	}
	if m.Input != nil {
		l.input = l.param(m.Input.Name, len(m.Params)+1)
	}
	ctx := m.Context
	if ctx == "" || ctx == "_" {
		ctx = "ctx"
	}
	l.ctx = l.local(ctx, "ctx", "callCtx")
	return l
}

// param is the parameter's own name, or one like it, or argN.
func (l *locals) param(name string, n int) string {
	arg := "arg" + strconv.Itoa(n)
	if name == "" || name == "_" {
		return l.local(arg)
	}
	return l.local(name, name+"Arg", arg)
}

// local takes the first of candidates that is free.
func (l *locals) local(candidates ...string) string {
	for _, name := range candidates {
		if !l.scope[name] {
			l.scope[name] = true
			return name
		}
	}
	return l.scope.take(candidates...)
}

// results names the results of m.
func (l *locals) results(m *Method, alone string) []string {
	var names []string
	for k, r := range m.Results {
		switch {
		case r.Name != "" && r.Name != "_":
			names = append(names, l.local(r.Name, r.Name+"Result"))
		case len(m.Results) == 1:
			names = append(names, l.local(alone))
		default:
			names = append(names, l.local("r"+strconv.Itoa(k)))
		}
	}
	return names
}

// receiver is a name for the receiver of all methods of one type.
func (n *namer) receiver(i *Interface, candidates ...string) string {
	used := make(scope)
	for name := range n.outer {
		used.add(name)
	}
	for _, m := range i.Methods {
		used.add(m.Context)
		for _, p := range m.Params {
			used.add(p.Name)
		}
		for _, r := range m.Results {
			used.add(r.Name)
		}
		if m.Input != nil {
			used.add(m.Input.Name)
		}
		used.add(m.Error)
	}
	return used.take(candidates...)
}

// resultFields names the fields of the struct of several results.
func resultFields(names []string) []string {
	used := make(scope)
	fields := make([]string, len(names))
	for k, name := range names {
		field := exported(name)
		if name == "" || name == "_" || used[field] || !token.IsExported(field) {
			field = used.take("R" + strconv.Itoa(k))
		}
		used.add(field)
		fields[k] = field
	}
	return fields
}

// exported is name in upper case as a Go programmer would write it.
func exported(name string) string {
	switch name {
	case "id", "url", "uri", "ip", "api", "ttl", "uuid":
		return strings.ToUpper(name)
	}
	return upperFirst(name)
}

// serveNames are the names in a function that serves a method.
type serveNames struct {
	*locals
	impl, call, args, err string
}

func (n *namer) serveNames(m *Method) serveNames {
	l := n.locals(m)
	return serveNames{
		locals: l,
		impl:   l.local("impl", "service"),
		call:   l.local("c", "call", "incoming"),
		args:   l.local("args", "arguments"),
		err:    l.local("err", "failure"),
	}
}

// err is the name of the error result in the source, or else err.
func (l *locals) err(m *Method) string {
	if m.Error == "" || m.Error == "_" {
		return l.local("err", "failure")
	}
	return l.local(m.Error, "err", "failure")
}
