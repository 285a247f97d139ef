// Package gen turns annotated Go interfaces into the code that serves and calls them.
//
// It works in three steps. Loading (load.go, source.go, annotation.go) reads packages and type-checks what annotated interfaces
// refer to. Checking (check*.go, wiretype.go, sig.go) makes the model (model.go) of it and reports what cannot be. Emitting
// (names.go, emit*.go) renders the model, deciding nothing. [Generate] does all three and touches no disk; [Write] does that.
package gen

import (
	"cmp"
	"context"
	"go/token"
	"go/types"
	"maps"
	"path/filepath"
	"slices"
)

// Config says where to look for packages.
type Config struct {
	Dir string   // patterns are relative to it; empty is the working directory
	Env []string // of the go command; nil is the process's own
}

// File is one generated file.
type File struct {
	Path    string // absolute
	Content []byte
}

// Generate makes the generated file of every package among patterns that has annotations. Files are sorted by path and
// diagnostics by position; with diagnostics there are no files. An error means that packages could not be listed at all.
func Generate(ctx context.Context, cfg Config, patterns ...string) ([]File, []Diagnostic, error) {
	l := newLoader(cfg)
	targets, err := l.load(ctx, patterns...)
	if err != nil {
		return nil, nil, err
	}
	return l.generate(ctx, targets)
}

func (l *loader) generate(ctx context.Context, targets []*source) ([]File, []Diagnostic, error) {
	pkgs, err := l.model(ctx, targets)
	if err != nil {
		return nil, nil, err
	}
	var files []File
	for _, p := range pkgs {
		n := newNamer(p, l.report)
		if len(l.report.list) > 0 {
			continue // go on, to report names that are taken
		}
		content, err := emit(p, n)
		if err != nil {
			return nil, nil, err
		}
		files = append(files, File{Path: p.File, Content: content})
	}
	if found := l.report.sorted(); len(found) > 0 {
		return nil, found, nil
	}
	return files, nil, nil
}

// model reads the targets and checks them.
func (l *loader) model(ctx context.Context, targets []*source) ([]*Package, error) {
	var found []annotation
	for _, src := range targets {
		src.parse()
		l.testFiles(src.dir())
		found = append(found, src.annotations()...)
	}
	elsewhere, err := l.loadCallbacks(ctx, found)
	if err != nil {
		return nil, err
	}
	all := withSubs(append(slices.Clone(found), elsewhere...))
	for _, a := range all {
		a.declareGenerated()
	}
	for _, a := range all {
		a.src.want(a.spec.Name.Name)
		a.wantMaps()
	}
	if err := l.errorChoices(ctx, all); err != nil {
		return nil, err
	}
	for _, a := range all {
		a.src.check()
	}
	pkgs := l.check(all)
	for _, src := range targets {
		src.checkPlaces()
	}
	return pkgs, nil
}

// loadCallbacks loads the packages that fetchers name and that the patterns do not.
func (l *loader) loadCallbacks(ctx context.Context, found []annotation) ([]annotation, error) {
	missing := make(map[string]bool)
	wanted := make(map[string]bool)
	for _, a := range found {
		if a.fetcher == nil {
			continue
		}
		if path, name := a.reference(); isImportPath(path) && !l.isTarget(path) {
			missing[path], wanted[path+"."+name] = true, true
		}
	}
	if len(missing) == 0 {
		return nil, nil
	}
	sources, err := l.list(ctx, slices.Sorted(maps.Keys(missing)), nil)
	if err != nil {
		return nil, err
	}
	var elsewhere []annotation
	for _, src := range sources {
		src.parse()
		for _, a := range src.annotated() {
			if a.callback != nil && wanted[src.path+"."+a.spec.Name.Name] {
				elsewhere = append(elsewhere, a)
			}
		}
	}
	return elsewhere, nil
}

// check makes the model of the annotated interfaces and checks them against each other.
func (l *loader) check(all []annotation) []*Package {
	c := &checker{loader: l, reported: make(map[string]bool)}
	s := &services{checker: c, named: make(map[string]*Interface), annotated: make(map[string]bool), tables: make(map[*source][]*ErrorTable)}
	var targets []*Interface
	var messages []*Message
	for _, a := range all {
		if a.message != nil && a.src.target {
			if m := c.message(a); m != nil {
				messages = append(messages, m)
			}
		}
		if a.isInterface() {
			s.annotated[a.src.path+"."+a.spec.Name.Name] = true
		}
	}
	for _, a := range all {
		if !a.isInterface() {
			continue
		}
		i := c.iface(a)
		if i == nil {
			continue
		}
		s.all = append(s.all, i)
		s.named[a.src.path+"."+i.Name] = i
		if a.src.target {
			targets = append(targets, i)
		}
	}
	s.index()
	for _, i := range s.all {
		s.subs(i)
	}
	for _, i := range s.all {
		if i.Fetcher != nil && !slices.Contains(targets, i) {
			s.find(i) // what a target has below it
		}
	}
	for _, i := range targets {
		s.subCycle(i)
		if i.Callback != nil {
			c.serviceNames(i)
		}
		if i.Fetcher != nil {
			c.prepares(i)
			s.find(i)
		}
	}
	for _, i := range targets {
		if i.Callback != nil {
			s.subNames(i, i.Callback.Wire)
		}
		if i.Fetcher != nil {
			s.match(i)
		}
		s.errorTables(i)
	}
	return l.packages(targets, messages)
}

// packages groups interfaces and messages by package, in the order of their places in the source.
func (l *loader) packages(list []*Interface, messages []*Message) []*Package {
	byPath := make(map[string]*Package)
	of := func(pkg *types.Package) *Package {
		src := l.sourceOf(pkg.Path())
		p := byPath[src.path]
		if p == nil {
			p = &Package{Name: src.name, Path: src.path, Types: src.types, File: filepath.Join(src.dir(), FileName), Declared: src.declared(), Imported: src.importedNames()}
			byPath[src.path] = p
			if src.handWritten() {
				l.report.add(CodeHandWritten, src.files[0].Name.Pos(), token.Position{Filename: p.File})
			}
		}
		return p
	}
	for _, i := range list {
		p := of(i.Pkg)
		p.Interfaces = append(p.Interfaces, i)
	}
	for _, m := range messages {
		p := of(m.Pkg)
		p.Messages = append(p.Messages, m)
	}
	pkgs := slices.SortedFunc(maps.Values(byPath), func(a, b *Package) int { return cmp.Compare(a.File, b.File) })
	for _, p := range pkgs {
		slices.SortFunc(p.Interfaces, func(a, b *Interface) int {
			return comparePositions(l.report.position(a.Pos), l.report.position(b.Pos))
		})
		slices.SortFunc(p.Messages, func(a, b *Message) int {
			return comparePositions(l.report.position(a.Pos), l.report.position(b.Pos))
		})
		l.constraints(p, l.sourceOf(p.Path))
	}
	return pkgs
}
