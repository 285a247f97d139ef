package gen

import (
	"fmt"
	"go/ast"
	"go/token"
	"go/types"
	"slices"
)

// messageMethod is the method that a message gets.
const messageMethod = "DaffiMessage"

// message makes the model of a type that is marked //daffi:message, nil if it cannot.
func (c *checker) message(a annotation) *Message {
	d, name, pos := a.message, a.spec.Name.Name, a.spec.Name.Pos()
	if len(d.args) > 0 {
		c.report.add(CodeArgument, d.pos, d.word, fmt.Sprintf("%q is not understood; it takes no arguments", d.args[0]))
	}
	bad := func(reason string) *Message {
		c.report.add(CodeMessage, pos, name, reason)
		return nil
	}
	obj := a.object()
	if err, ok := a.src.errorWithin(a.spec.Pos(), a.spec.End()); ok {
		c.unresolved(a.src, err, pos)
		return nil
	}
	named, _ := obj.Type().(*types.Named)
	switch {
	case obj.IsAlias():
		return bad("it is an alias, and a method must be declared where the type is; mark the type itself, or define a new one: type " + name + " …")
	case named.TypeParams().Len() > 0:
		return bad(fmt.Sprintf("it is generic, and every instance would need a form of its own; define one: type My%s %[1]s[…]", name))
	}
	switch named.Underlying().(type) {
	case *types.Interface:
		return bad("it is an interface; mark the types that implement it, or annotate it as a callback or fetcher")
	case *types.Pointer:
		return bad("a pointer type cannot have methods; mark what it points to")
	}
	if at := a.src.declaring(name, messageMethod); at.IsValid() {
		c.report.add(CodeMessageName, pos, name, c.report.position(at))
		return nil
	}
	r := &refuser{user: a.src.types}
	if refused := r.check(named, name, token.NoPos); refused != nil {
		c.refused(refused, pos, refused.path)
		return nil
	}
	m := &Message{Name: name, Pkg: a.src.types, Pos: pos, Type: c.typer.of(named)}
	c.signature(name, pos, "("+typeSignature(m.Type)+")()") // as an argument
	return m
}

// declaring is where a type has a method or field of that name, invalid if it has none.
func (s *source) declaring(typ, name string) token.Pos {
	for _, f := range s.files {
		for _, node := range f.Decls {
			if fn, ok := node.(*ast.FuncDecl); ok && fn.Recv != nil && fn.Name.Name == name && s.defined(receiverName(fn)) == typ {
				return fn.Name.Pos()
			}
		}
	}
	if d := s.decls[typ]; d != nil && d.spec != nil {
		if st, ok := s.types.Scope().Lookup(typ).Type().Underlying().(*types.Struct); ok {
			for f := range st.Fields() {
				if f.Name() == name {
					return f.Pos()
				}
			}
		}
	}
	return token.NoPos
}

// annotated are names and places of the interfaces and messages of p, for what is to be reported of all of them.
func (p *Package) annotated() []*Interface {
	list := slices.Clone(p.Interfaces)
	for _, m := range p.Messages {
		list = append(list, &Interface{Name: m.Name, Pos: m.Pos})
	}
	return list
}
