package gen

import (
	"fmt"
	"go/ast"
	"go/token"
	"go/types"
	"slices"
	"strings"
)

// Mapping is a fetcher's //daffi:map: a function that makes what is sent of a method's arguments, or of the items of an item stream.
type Mapping struct {
	Name    string
	Pos     token.Pos   // of the directive
	Func    *types.Func // nil until services.mapping has found it
	Results []*Param    // without the error: what is sent
}

func (c *checker) mapDirective(i *Interface, m *Method, d directive) {
	switch {
	case i.Fetcher == nil:
		c.needsFetcher(i, d)
	case i.Callback != nil:
		c.report.add(CodeConflict, d.pos, "//daffi:map makes a caller's arguments other than the callback's, but "+i.Name+" is both",
			"make two interfaces of it")
	case len(d.args) != 1 || !token.IsIdentifier(d.args[0]):
		c.report.add(CodeArgument, d.pos, d.word, "it takes the name of one function of this package; write //daffi:map fn")
		m.Map = new(Mapping) // what is sent is not known
	default:
		m.Map = &Mapping{Name: d.args[0], Pos: d.pos}
	}
}

// wantMaps marks the functions that map directives name.
func (a annotation) wantMaps() {
	a.methodFields(func(_ *source, field *ast.Field) {
		for _, d := range directives(field.Doc) {
			if d.word == "map" && len(d.args) > 0 {
				a.src.wantFunc(d.args[0])
			}
		}
	})
}

// mapping finds the function of m's map directive and reads what it makes. It reports false if it cannot.
func (s *services) mapping(i *Interface, m *Method) bool {
	if m.Map == nil || m.Map.Name == "" {
		return m.Map == nil
	}
	if !nameable(m.Func.Signature(), i.Pkg) { // its arguments need not travel, so nobody has looked
		s.report.add(CodeType, m.Pos, i.Name+"."+m.Name, "one of its types cannot be named in this package; use types that are exported")
		return false
	}
	src := s.sourceOf(i.Pkg.Path())
	d := src.decls[m.Map.Name]
	wanted := m.wantedMap(src)
	bad := func(what, cure string) bool {
		s.report.add(CodeMapFunc, m.Map.Pos, what, cure)
		return false
	}
	at := func(pos token.Pos, what, cure string) bool {
		where := s.report.position(pos)
		bad(fmt.Sprintf("%s at %s %s", m.Map.Name, where, what), cure)
		s.report.mentioned(where)
		return false
	}
	switch fn, _ := src.types.Scope().Lookup(m.Map.Name).(*types.Func); {
	case d == nil || d.generated:
		return bad("this package declares no function "+m.Map.Name, "declare it as func "+m.Map.Name+strings.TrimPrefix(wanted, "func"))
	case fn == nil:
		return at(d.position(m.Map.Name), "is no function", "name one that is a "+wanted)
	case fn.Signature().TypeParams().Len() > 0:
		return at(fn.Pos(), "has type parameters", "name a function without, a "+wanted)
	default:
		m.Map.Func = fn
	}
	if err, ok := src.errorWithin(d.node.Pos(), d.node.(*ast.FuncDecl).Type.End()); ok {
		s.unresolved(src, err, m.Map.Pos)
		return false
	}
	if !m.mappable() {
		s.report.add(CodeMapSignature, m.Map.Pos, m.Map.Name, s.report.position(m.Map.Func.Pos()), typeName(m.Map.Func.Signature(), src.types), i.Name+"."+m.Name, wanted)
		return false
	}
	return s.mapped(i, m, src)
}

// wantedMap is the type that a function for m has.
func (m *Method) wantedMap(src *source) string {
	params := []string{"context.Context"}
	if m.EachItem {
		params = append(params, typeName(m.Input.Go, src.types))
	}
	for k, p := range m.Params {
		name := typeName(p.Go, src.types)
		if m.Variadic && k == len(m.Params)-1 {
			name = "..." + strings.TrimPrefix(name, "[]")
		}
		params = append(params, name)
	}
	results := "…, error"
	if m.EachItem {
		results = "item, error"
	}
	return "func(" + strings.Join(params, ", ") + ") (" + results + ")"
}

// mappable reports whether the function takes what m does, and returns what can be sent for it.
func (m *Method) mappable() bool {
	sig := m.Map.Func.Signature()
	params, results := vars(sig.Params()), vars(sig.Results())
	if len(params) == 0 || !isNamed(params[0].Type(), "context", "Context") {
		return false
	}
	if len(results) == 0 || !types.Identical(results[len(results)-1].Type(), types.Universe.Lookup("error").Type()) {
		return false
	}
	var takes []types.Type
	for _, p := range m.Params {
		takes = append(takes, p.Go)
	}
	if m.EachItem {
		if sig.Variadic() || len(results) != 2 {
			return false
		}
		takes = []types.Type{m.Input.Go}
	}
	return slices.EqualFunc(params[1:], takes, func(v *types.Var, t types.Type) bool { return types.Identical(v.Type(), t) })
}

// mapped checks that what the function makes can travel, and what it does not make.
func (s *services) mapped(i *Interface, m *Method, src *source) bool {
	s.broken, s.codec = false, m.Codec
	name := i.Name + "." + m.Name
	results := vars(m.Map.Func.Signature().Results())
	for k, r := range results[:len(results)-1] {
		path := r.Name()
		if path == "" || path == "_" {
			path = fmt.Sprintf("result #%d", k+1)
		}
		if t := s.itemTravels(src, i, r.Type(), m.Map.Pos, name, path+" of "+m.Map.Name); t != nil {
			m.Map.Results = append(m.Map.Results, &Param{Name: r.Name(), Go: r.Type(), Type: t})
		}
	}
	if m.Input != nil && !m.EachItem {
		m.Input.Type = s.itemTravels(src, i, m.Input.Go, m.Pos, name, m.Input.Name)
	}
	if !s.broken {
		s.signature(i.Name+"."+m.Name, m.Pos, m.signature())
	}
	return !s.broken
}

// sent are the arguments of m on the wire.
func (m *Method) sent() []*Param {
	switch {
	case m.Map == nil:
		return m.Params
	case m.EachItem:
		return nil
	}
	return m.Map.Results
}

// item is the item of the input of m on the wire.
func (m *Method) item() *Param {
	if m.Map != nil && len(m.Map.Results) > 0 && m.EachItem {
		return m.Map.Results[0]
	}
	return &m.Input.Param
}
