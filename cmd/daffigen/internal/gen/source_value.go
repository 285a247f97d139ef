package gen

import (
	"go/ast"
	"go/token"
	"go/types"
)

// The type of a variable is found without its initializer, which may refer to half the world: a composite literal names its type, a call has that
// of the function's result. What is more involved stays unknown, and is no error.

// origin is the function or the variable that a variable has its type from.
type origin struct {
	src    *source
	name   string
	result int // of a function
}

// wellKnown are functions whose packages need not be read to know that they give errors.
var wellKnown = map[string]bool{"errors.New": true, "errors.Join": true, "fmt.Errorf": true}

// wantFunc marks the function called name, without its body.
func (s *source) wantFunc(name string) {
	s.parse()
	if d := s.decls[name]; d != nil && isFunc(d) {
		s.keep(d)
	}
}

func isFunc(d *decl) bool {
	_, ok := d.node.(*ast.FuncDecl)
	return ok
}

// wantVariable marks what the type of the variable called name depends on.
func (s *source) wantVariable(name string) {
	s.parse()
	d := s.decls[name]
	if d == nil || d.value == nil || d.wanted || s.variables[name] {
		return
	}
	s.variables[name] = true
	for k, id := range d.value.Names {
		if id.Name != name {
			continue
		}
		switch values := d.value.Values; {
		case d.value.Type != nil:
			s.assume(d.file, id, d.value.Type)
		case len(values) == len(d.value.Names):
			s.infer(d.file, id, values[k], 0)
		case len(values) == 1:
			s.infer(d.file, id, values[0], k)
		}
	}
}

// assume declares a variable by its type alone.
func (s *source) assume(f *ast.File, id *ast.Ident, typ ast.Expr) {
	spec := &ast.ValueSpec{Names: []*ast.Ident{id}, Type: typ}
	s.kept = append(s.kept, &decl{file: f, wanted: true, node: &ast.GenDecl{TokPos: id.Pos(), Tok: token.VAR, Specs: []ast.Spec{spec}}})
	s.follow(f, typ)
}

// infer finds the type of a variable that is initialized with value, or with that result of it.
func (s *source) infer(f *ast.File, id *ast.Ident, value ast.Expr, result int) {
	switch value := ast.Unparen(value).(type) {
	case *ast.UnaryExpr:
		if lit, ok := value.X.(*ast.CompositeLit); ok && value.Op == token.AND && lit.Type != nil {
			s.assume(f, id, &ast.StarExpr{Star: value.Pos(), X: lit.Type})
		}
	case *ast.CompositeLit:
		if value.Type != nil {
			s.assume(f, id, value.Type)
		}
	case *ast.CallExpr:
		s.inferCall(f, id, value, result)
	case *ast.Ident, *ast.SelectorExpr:
		if src, name := s.named(f, value); src != nil {
			src.wantVariable(name)
			s.origins[id.Name] = origin{src: src, name: name}
		}
	}
}

// inferCall is infer for a call or a conversion.
func (s *source) inferCall(f *ast.File, id *ast.Ident, call *ast.CallExpr, result int) {
	fun := ast.Unparen(call.Fun)
	if lit, ok := fun.(*ast.FuncLit); ok {
		if typ := resultType(lit.Type.Results, result); typ != nil {
			s.assume(f, id, typ)
		}
		return
	}
	src, name := s.named(f, fun)
	switch {
	case src == nil:
		if builtin, ok := fun.(*ast.Ident); ok && builtin.Name == "new" && len(call.Args) == 1 {
			s.assume(f, id, &ast.StarExpr{Star: call.Pos(), X: call.Args[0]})
		} else if s.namesType(f, fun) {
			s.assume(f, id, fun)
		}
	case wellKnown[src.path+"."+name]:
		s.assume(f, id, &ast.Ident{NamePos: call.Pos(), Name: "error"})
	case src.decls[name] == nil:
	case isFunc(src.decls[name]):
		src.wantFunc(name)
		s.origins[id.Name] = origin{src: src, name: name, result: result}
	case src.decls[name].spec != nil:
		s.assume(f, id, fun)
	}
}

// named is what expr names at package level, here or in another package.
func (s *source) named(f *ast.File, expr ast.Expr) (*source, string) {
	switch expr := expr.(type) {
	case *ast.Ident:
		if s.decls[expr.Name] != nil {
			return s, expr.Name
		}
	case *ast.SelectorExpr:
		if dep := s.imported(f, expr.X); dep != nil {
			if !wellKnown[dep.path+"."+expr.Sel.Name] {
				dep.parse()
			}
			return dep, expr.Sel.Name
		}
	}
	return nil, ""
}

// namesType reports whether expr, which names nothing at package level, is a type all the same: *T, Code[T], error.
func (s *source) namesType(f *ast.File, expr ast.Expr) bool {
	switch expr := expr.(type) {
	case *ast.StarExpr:
		return true
	case *ast.Ident:
		_, ok := types.Universe.Lookup(expr.Name).(*types.TypeName)
		return ok
	case *ast.IndexExpr:
		src, name := s.named(f, expr.X)
		return src != nil && src.decls[name] != nil && src.decls[name].spec != nil
	}
	return false
}

// resultType is the type of the k-th result, nil if there is none.
func resultType(results *ast.FieldList, k int) ast.Expr {
	if results == nil {
		return nil
	}
	for _, field := range results.List {
		if k -= max(len(field.Names), 1); k < 0 {
			return field.Type
		}
	}
	return nil
}

// typeOf is the type of a variable that was wanted, nil if it is not known.
func (s *source) typeOf(name string) types.Type {
	for range maxTypeDepth { // variables may be initialized by each other, as far as we can see
		from, ok := s.origins[name]
		if !ok {
			break
		}
		if fn, ok := from.src.check().Scope().Lookup(from.name).(*types.Func); ok {
			sig := fn.Signature()
			if sig.TypeParams().Len() > 0 || from.result >= sig.Results().Len() {
				return nil
			}
			return known(sig.Results().At(from.result).Type())
		}
		s, name = from.src, from.name
	}
	if v, ok := s.check().Scope().Lookup(name).(*types.Var); ok {
		return known(v.Type())
	}
	return nil
}

// known is t, or nil where the type checker does not know it.
func known(t types.Type) types.Type {
	if p, ok := t.(*types.Pointer); ok && known(p.Elem()) == nil || types.Identical(t, types.Typ[types.Invalid]) {
		return nil
	}
	return t
}
