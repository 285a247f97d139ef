package gen

import (
	"cmp"
	"fmt"
	"go/token"
	"strings"
)

// services checks the interfaces of a run against each other.
type services struct {
	*checker
	all       []*Interface
	byWire    map[string]*Interface
	named     map[string]*Interface // by import path and name
	tables    map[*source][]*ErrorTable
	annotated map[string]bool // the same of all that is annotated, also what has no model
}

// index finds the callbacks and reports those that share a name.
func (s *services) index() {
	s.byWire = make(map[string]*Interface)
	for _, i := range s.all {
		if i.Callback == nil {
			continue
		}
		wire := i.Callback.Wire
		other := s.byWire[wire]
		if other == nil {
			s.byWire[wire] = i
			continue
		}
		s.report.add(CodeTwoServices, i.Callback.Pos, wire, other.Name, s.report.position(other.Pos))
		s.report.add(CodeTwoServices, other.Callback.Pos, wire, i.Name, s.report.position(i.Pos))
	}
}

// find looks up what a fetcher calls. A name without import path means a callback of the same package, else it is the wire name
// of a service elsewhere: what other packages are in the run decides what is checked, never what is generated.
func (s *services) find(i *Interface) {
	f := i.Fetcher
	f.Wire = f.Ref
	if f.Path != "" {
		s.findIn(i)
		return
	}
	if local := s.named[i.Pkg.Path()+"."+f.Ref]; local != nil && local.Callback != nil {
		f.Service, f.Wire, f.Local = local, local.Callback.Wire, true
		return
	}
	f.Service = s.byWire[f.Ref]
	if f.Service == nil && !s.annotated[i.Pkg.Path()+"."+f.Ref] && s.sourceOf(i.Pkg.Path()).decls[f.Ref] != nil {
		s.report.add(CodeNoCallback, f.Pos, f.Ref+" is not annotated", "put //daffi:callback above it")
	}
}

// findIn looks up a callback by import path and name.
func (s *services) findIn(i *Interface) {
	f := i.Fetcher
	if !isImportPath(f.Path) {
		return // that was reported
	}
	src := s.sourceOf(f.Path)
	if src == nil {
		s.report.add(CodeNoCallback, f.Pos, fmt.Sprintf("package %s is not found", f.Path), "check the import path, or go get its module")
		return
	}
	if other := s.named[f.Path+"."+f.Ref]; other != nil && other.Callback != nil {
		f.Service, f.Wire = other, other.Callback.Wire
		f.Importable = token.IsExported(other.Name) && imports(s.sourceOf(i.Pkg.Path()), f.Path)
		return
	}
	if !src.broken && !s.hasNoModel(i) {
		s.report.add(CodeNoCallback, f.Pos, fmt.Sprintf("package %s has no callback %s", f.Path, f.Ref),
			"put //daffi:callback above that interface, or name another")
	}
}

func (l *loader) sourceOf(path string) *source {
	for _, s := range l.sources {
		if s.path == path {
			return s
		}
	}
	return nil
}

// imports reports whether the user's files of src import path.
func imports(src *source, path string) bool {
	for _, f := range src.files {
		for _, spec := range f.Imports {
			if importPath(spec) == path {
				return true
			}
		}
	}
	return false
}

// reference is what f calls, as Go code would write it.
func (f *Fetcher) reference() string {
	if f.Path == "" {
		return f.Ref
	}
	return f.Path[strings.LastIndexByte(f.Path, '/')+1:] + "." + f.Ref
}

// match checks every method of a fetcher against its callback.
func (s *services) match(i *Interface) {
	service := i.Fetcher.Service
	if service == nil && s.hasNoModel(i) {
		return // that was reported
	}
	for _, m := range i.Methods {
		if i.Callback != nil && service != i && len(m.Aliases) > 0 {
			s.report.add(CodeConflict, m.Pos, fmt.Sprintf("%s is served itself and calls %s, so an alias could be meant for either", i.Name, i.Fetcher.reference()),
				"make two interfaces of it")
		}
		if service == nil {
			if s.decideAlone(i, m) {
				s.mapping(i, m)
			}
			continue
		}
		if service == i || service.Broken[m.Call] || i.Broken[m.Name] {
			continue
		}
		target := service.answering(m.Call)
		if target == nil {
			s.noMethod(i, m, service)
			continue
		}
		s.matchMethod(i, m, service, target)
	}
}

// hasNoModel reports whether what i calls is annotated but could not be read.
func (s *services) hasNoModel(i *Interface) bool {
	name := cmp.Or(i.Fetcher.Path, i.Pkg.Path()) + "." + i.Fetcher.Ref
	return s.annotated[name] && s.named[name] == nil
}

// decideAlone settles an alias whose callback is not known. It reports false if it cannot.
func (s *services) decideAlone(i *Interface, m *Method) bool {
	if m.Alias == nil || m.Input == nil {
		return true
	}
	switch m.Alias.Mode {
	case "each":
		s.eachItem(i, m)
		return m.EachItem
	case "":
		s.report.add(CodeEachWhole, m.Alias.Pos, i.Name+"."+m.Name,
			fmt.Sprintf("the source of %s is not in this run; say //daffi:alias %s each to call %[2]s for every item, or whole to send it the sequence", i.Fetcher.reference(), m.Alias.Name))
		return false
	}
	return true
}

// eachItem makes m an item stream, if it has the shape of one.
func (s *services) eachItem(i *Interface, m *Method) {
	if len(m.Params) > 0 || len(m.Results) > 0 || m.Output != nil {
		s.report.add(CodeEachWhole, m.Alias.Pos, i.Name+"."+m.Name,
			"a method that is called for every item takes only ctx and the sequence and returns only error; change it, or say whole")
		return
	}
	m.EachItem = true
}

func (s *services) noMethod(i *Interface, m *Method, service *Interface) {
	pos := m.Pos
	if m.Alias != nil {
		pos = m.Alias.Pos
	}
	hint := ""
	best := 3
	for _, other := range service.Methods {
		if d := editDistance(other.Name, m.Call); d < best && !other.Local {
			best, hint = d, "; did you mean "+other.Name+"?"
		}
	}
	s.report.add(CodeNoMethod, pos, service.Name, m.Call, s.report.position(service.Pos), hint)
}

// matchMethod checks one method of a fetcher against the callback's that it calls.
func (s *services) matchMethod(i *Interface, m *Method, service *Interface, target *Method) {
	if m.Sub != nil || target.Sub != nil {
		s.matchSub(i, m, service, target)
		return
	}
	mode := ""
	if m.Alias != nil {
		mode = m.Alias.Mode
	}
	takesOne := target.Shape() == Unary && m.Shape() == ClientStream
	switch {
	case mode == "each" && target.Shape() != Unary:
		s.report.add(CodeEachWhole, m.Alias.Pos, i.Name+"."+m.Name, fmt.Sprintf("%s.%s takes the sequence itself; say whole", service.Name, target.Name))
		return
	case mode == "whole" && takesOne:
		s.report.add(CodeEachWhole, m.Alias.Pos, i.Name+"."+m.Name, fmt.Sprintf("%s.%s takes no sequence; say each to call it for every item", service.Name, target.Name))
		return
	case m.Alias != nil && takesOne:
		if s.eachItem(i, m); !m.EachItem {
			return
		}
	}
	if !s.mapping(i, m) {
		return
	}
	name, other, at := i.Name+"."+m.Name, service.Name+"."+target.Name, s.report.position(target.Pos)
	switch {
	case m.Codec != target.Codec && m.signature() != target.signature():
		s.report.add(CodeMismatch, m.Pos, name, m.codec(), other, at, target.codec())
	case m.Shape() != target.Shape() && !m.EachItem:
		s.report.add(CodeMismatch, m.Pos, name, "is "+m.Shape().String(), other, at, "is "+target.Shape().String())
	case m.EachItem && len(target.Results) > 0:
		s.report.add(CodeMismatch, m.Pos, name, "calls for every item and gives no results", other, at, "returns some")
	case m.signature() != target.signature():
		sends, takes := apart(m.signature(), target.signature())
		s.report.add(CodeMismatch, m.Pos, name, "sends "+sends, other, at, "takes "+takes)
	case m.Event && !target.Oneway:
		s.report.add(CodeMismatch, m.Pos, name, "is //daffi:event, which nobody answers", other, at, "sends a reply")
	case target.Event && !m.Event && m.Oneway:
		s.report.add(CodeMismatch, m.Pos, name, "goes to one provider", other, at, "is //daffi:event, for all of them")
	case target.Event && !m.Event && m.EachItem:
		s.report.add(CodeMismatch, m.Pos, name, "sends its items to one provider", other, at, "is //daffi:event, for all of them")
	case target.Event && !m.Event:
		s.report.add(CodeMismatch, m.Pos, name, "waits for a reply", other, at, "is //daffi:event and sends none")
	case target.Oneway && !m.Oneway && !m.EachItem:
		s.report.add(CodeMismatch, m.Pos, name, "waits for a reply", other, at, "is //daffi:oneway and sends none")
	}
}
