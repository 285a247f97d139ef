package gen

import (
	"fmt"
	"go/ast"
	"go/types"
	"slices"
)

// Sub is the annotated interface that a method without context and error returns: a service below the method's own.
type Sub struct {
	Iface *Interface // nil until services.subs has found it
	obj   *types.TypeName
}

// subOf reads a method of the form Nested() API. Whether API is annotated shows later.
func subOf(sig *types.Signature) *Sub {
	if sig.Params().Len() > 0 || sig.Results().Len() != 1 {
		return nil
	}
	t := sig.Results().At(0).Type()
	obj := typeObject(t)
	if obj == nil || obj.Pkg() == nil || !types.IsInterface(t) {
		return nil // error has no package
	}
	return &Sub{obj: obj}
}

// subAnnotations are the annotated interfaces that methods of a return as services below it, found by syntax: types are not known yet.
func (a annotation) subAnnotations() []annotation {
	file := a.src.fileOf(a.spec.Pos())
	iface, ok := a.spec.Type.(*ast.InterfaceType)
	if !ok || file == nil {
		return nil
	}
	var found []annotation
	for _, field := range iface.Methods.List {
		fn, ok := field.Type.(*ast.FuncType)
		if !ok || fn.Params.NumFields() > 0 || fn.Results.NumFields() != 1 {
			continue
		}
		src, name := a.src, ""
		switch t := fn.Results.List[0].Type.(type) {
		case *ast.Ident:
			name = t.Name
		case *ast.SelectorExpr:
			src, name = a.src.imported(file, t.X), t.Sel.Name
		}
		if src == nil || name == "" {
			continue
		}
		src.parse()
		for _, other := range src.annotated() {
			if other.spec.Name.Name == name {
				found = append(found, other)
			}
		}
	}
	return found
}

// withSubs adds the annotated interfaces below those of the list.
func withSubs(all []annotation) []annotation {
	known := func(a annotation) bool {
		return slices.ContainsFunc(all, func(b annotation) bool { return a.spec == b.spec })
	}
	for k := 0; k < len(all); k++ {
		for _, sub := range all[k].subAnnotations() {
			if !known(sub) {
				all = append(all, sub)
			}
		}
	}
	return all
}

// subMethod checks the form of a method that returns a service below its own.
func (c *checker) subMethod(i *Interface, m *Method, list []directive) {
	for _, d := range list {
		if where := words[d.word]; (where == onMethod || where == onBoth) && (d.word != "alias" || i.Callback != nil) {
			c.report.add(CodeConflict, d.pos, fmt.Sprintf("%[1]s.%[2]s returns a service below %[1]s, and //daffi:%[3]s is said of calls", i.Name, m.Name, d.word),
				"put it on the methods of "+typeName(m.Sub.obj.Type(), i.Pkg))
		}
	}
}

// subs finds the interfaces that the methods of i return.
func (s *services) subs(i *Interface) {
	for _, m := range i.Methods {
		if m.Sub == nil {
			continue
		}
		key := m.Sub.obj.Pkg().Path() + "." + m.Sub.obj.Name()
		m.Sub.Iface = s.named[key]
		name := typeName(m.Sub.obj.Type(), i.Pkg)
		switch {
		case m.Sub.Iface == nil && s.annotated[key]:
			i.Broken[m.Name] = true // that was reported
		case m.Sub.Iface == nil:
			s.noSub(i, m, "is not annotated; take ctx and return an error to make it a call, or annotate "+name+" to make it a service below "+i.Name)
		case i.Callback != nil && m.Sub.Iface.Callback == nil:
			s.noSub(i, m, "is no callback; put //daffi:callback above "+name)
		case i.Fetcher != nil && m.Sub.Iface.Fetcher == nil:
			s.noSub(i, m, "is no fetcher; put //daffi:fetcher above "+name)
		}
	}
}

func (s *services) noSub(i *Interface, m *Method, why string) {
	s.report.add(CodeSub, m.Pos, i.Name+"."+m.Name, typeName(m.Sub.obj.Type(), i.Pkg)+" "+why)
	i.Broken[m.Name] = true
}

// subCycle reports an interface that is below itself: registering it would not end.
func (s *services) subCycle(i *Interface) {
	for _, m := range i.Methods {
		if m.Sub != nil && m.Sub.Iface != nil && reaches(m.Sub.Iface, i, make(map[*Interface]bool)) {
			s.noSub(i, m, "has "+i.Name+" below it, and so on for ever; leave one of them out")
		}
	}
}

func reaches(from, to *Interface, seen map[*Interface]bool) bool {
	if from == to {
		return true
	}
	if seen[from] {
		return false
	}
	seen[from] = true
	for _, m := range from.Methods {
		if m.Sub != nil && m.Sub.Iface != nil && reaches(m.Sub.Iface, to, seen) {
			return true
		}
	}
	return false
}

// matchSub checks that what a fetcher has below it calls what its callback has below it.
func (s *services) matchSub(i *Interface, m *Method, service *Interface, target *Method) {
	name, other, at := i.Name+"."+m.Name, service.Name+"."+target.Name, s.report.position(target.Pos)
	switch {
	case target.Sub == nil:
		s.report.add(CodeMismatch, m.Pos, name, "is a service below "+i.Name, other, at, "is a call")
	case m.Sub == nil:
		s.report.add(CodeMismatch, m.Pos, name, "is a call", other, at, "is a service below "+service.Name)
	case m.Sub.Iface == nil || target.Sub.Iface == nil:
		// that was reported
	case m.Sub.Iface != target.Sub.Iface && m.Sub.Iface.Fetcher.Service != target.Sub.Iface:
		s.report.add(CodeMismatch, m.Pos, name, "has "+m.Sub.Iface.Name+" for "+m.Sub.Iface.Fetcher.reference(), other, at, "returns "+target.Sub.Iface.Name)
	}
}

// remote are the methods of i that are calls.
func (i *Interface) remote() []*Method {
	return slices.DeleteFunc(slices.Clone(i.Methods), func(m *Method) bool { return m.Local || m.Sub != nil })
}

// below are the methods of i that return services.
func (i *Interface) below() []*Method {
	return slices.DeleteFunc(slices.Clone(i.Methods), func(m *Method) bool { return m.Local || m.Sub == nil })
}
