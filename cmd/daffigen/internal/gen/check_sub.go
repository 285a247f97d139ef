package gen

import (
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

// subAnnotations are the annotated interfaces that methods of a, also embedded ones, return as services below it. They are found by syntax: types
// are not known yet.
func (a annotation) subAnnotations() []annotation {
	var found []annotation
	a.methodFields(func(from *source, field *ast.Field) {
		fn, ok := field.Type.(*ast.FuncType)
		if !ok || fn.Params.NumFields() > 0 || fn.Results.NumFields() != 1 {
			return
		}
		src, name := from.named(from.fileOf(field.Pos()), fn.Results.List[0].Type)
		if src == nil {
			return
		}
		src.parse()
		for _, other := range src.annotated() {
			if other.spec.Name.Name == src.defined(name) && other.spec.Name.Name != "_" {
				found = append(found, other)
			}
		}
	})
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

// subNames reports callbacks that have the name of a service below i, which is registered under path.
func (s *services) subNames(i *Interface, path string, above ...*Interface) {
	above = append(above, i)
	for _, m := range i.below() {
		if m.Sub.Iface == nil || slices.Contains(above, m.Sub.Iface) { // that was reported, where it stands
			continue
		}
		name := path + "." + m.Name
		if other := s.byWire[name]; other != nil {
			s.report.add(CodeTwoServices, other.Callback.Pos, name, i.Name+"."+m.Name, s.report.position(m.Pos))
			continue
		}
		s.subNames(m.Sub.Iface, name, above...)
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
