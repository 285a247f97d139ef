package gen

import (
	"cmp"
	"context"
	"fmt"
	"go/ast"
	"go/token"
	"go/types"
	"maps"
	"slices"
	"strings"

	"golang.org/x/tools/go/packages"
)

// errorName is a variable or a type that may keep its identity across the wire.
type errorName struct {
	text string    // as it is written: ErrA, *TypeB, *io/fs.PathError
	pos  token.Pos // of the text in a directive, none of what is there by default
	star bool
	path string  // of its package
	src  *source // its package, nil if there is none
	name string
}

// errorChoice is what an errors directive chooses, or what is there by default.
type errorChoice []errorName

// parseErrors reads an errors directive that stands in s.
func (s *source) parseErrors(d directive) errorChoice {
	args := d.list()
	if len(args) == 0 {
		s.report.add(CodeArgument, d.pos, d.word, "it names nothing; write names such as ErrA, *TypeB and io.EOF, or none")
	}
	var choice errorChoice
	for _, arg := range args {
		switch {
		case arg.text == "none" && len(args) > 1:
			s.report.add(CodeArgument, arg.pos, d.word, "none stands beside names; leave it or them out")
		case arg.text == "none":
			return errorChoice{}
		case slices.ContainsFunc(choice, func(n errorName) bool { return n.text == arg.text }):
			s.report.add(CodeArgument, arg.pos, d.word, fmt.Sprintf("%s is named twice; name it once", arg.text))
		default:
			if n := s.errorName(arg); token.IsIdentifier(n.name) && n.path != "" {
				choice = append(choice, n)
				continue
			}
			s.report.add(CodeArgument, arg.pos, d.word, arg.text+" is no name; write one such as ErrA, *TypeB, io.EOF or *io/fs.PathError")
		}
	}
	return choice
}

// errorName reads one name: that of the package's own, or one with an import path, or with the name of an import.
func (s *source) errorName(arg argument) errorName {
	text, star := strings.CutPrefix(arg.text, "*")
	n := errorName{text: arg.text, pos: arg.pos, star: star, path: s.path, src: s, name: text}
	dot := strings.LastIndexByte(text, '.')
	if dot < strings.LastIndexByte(text, '/') || dot < 0 {
		return n
	}
	n.path, n.src, n.name = text[:dot], nil, text[dot+1:]
	files := s.files
	if own := s.fileOf(arg.pos); own != nil {
		files = append([]*ast.File{own}, files...)
	}
	for _, f := range files {
		if dep := s.imported(f, ast.NewIdent(n.path)); dep != nil {
			n.path, n.src = dep.path, dep
			return n
		}
	}
	n.src = s.dependency(n.path)
	return n
}

// defaultErrors are the exported variables and types of the package that are called Err…, for code that is built under a constraint: what is
// built under another is left out, since it may not be there.
func (s *source) defaultErrors(constraint string) errorChoice {
	s.parse()
	var choice errorChoice
	for _, name := range slices.Sorted(maps.Keys(s.decls)) {
		d := s.decls[name]
		if !strings.HasPrefix(name, "Err") || d.value == nil && d.spec == nil {
			continue
		}
		if own := s.constraintOf(d.file); own == "" || own == constraint {
			choice = append(choice, errorName{text: name, path: s.path, src: s, name: name})
		}
	}
	slices.SortStableFunc(choice, func(a, b errorName) int { return cmp.Compare(kindOf(s.decls[a.name]), kindOf(s.decls[b.name])) })
	return choice
}

// kindOf has variables before types.
func kindOf(d *decl) int {
	if d.value != nil {
		return 0
	}
	return 1
}

// want marks what the names stand for.
func (c errorChoice) want() {
	for _, n := range c {
		if n.src == nil {
			continue
		}
		n.src.parse()
		switch d := n.src.decls[n.name]; {
		case d == nil:
		case d.value != nil:
			n.src.wantVariable(n.name)
		case d.spec != nil:
			n.src.want(n.name)
		}
	}
}

// errorChoices reads the errors directives of annotations, marks what they choose, and loads the packages that they name and that are
// not imported.
func (l *loader) errorChoices(ctx context.Context, all []annotation) error {
	missing := make(map[string]bool)
	read := func(src *source, d directive) {
		if _, ok := l.chosen[d.pos]; ok {
			return
		}
		choice := src.parseErrors(d)
		for _, n := range choice {
			if n.src == nil && isImportPath(n.path) {
				missing[n.path] = true
			}
		}
		l.chosen[d.pos] = choice
	}
	for _, a := range all {
		if a.errors != nil {
			read(a.src, *a.errors)
		}
		a.methodFields(func(src *source, field *ast.Field) {
			for _, d := range directives(field.Doc) {
				if d.word == "errors" {
					read(src, d)
				}
			}
		})
	}
	if len(missing) > 0 {
		if _, err := l.list(ctx, slices.Sorted(maps.Keys(missing)), nil); err != nil {
			return err
		}
	}
	for _, choice := range l.chosen {
		for k := range choice {
			if choice[k].src == nil {
				choice[k].src = l.sourceOf(choice[k].path)
			}
		}
		choice.want()
	}
	for _, a := range all {
		if a.errors == nil {
			a.src.defaultErrors(a.src.constraintAt(a.spec.Pos())).want()
		}
	}
	return nil
}

// isImportPath keeps from the go command what is a pattern or an option.
func isImportPath(path string) bool {
	return isMadeOf(path, "_-./~") && !strings.HasPrefix(path, "-") && !strings.HasPrefix(path, ".") && !strings.Contains(path, "...")
}

// methodFields visits the methods of an annotated interface, and of those that it embeds, as far as syntax shows them.
func (a annotation) methodFields(visit func(*source, *ast.Field)) {
	seen := make(map[*ast.TypeSpec]bool)
	var walk func(src *source, spec *ast.TypeSpec)
	walk = func(src *source, spec *ast.TypeSpec) {
		iface, ok := spec.Type.(*ast.InterfaceType)
		if !ok || seen[spec] {
			return
		}
		seen[spec] = true
		for _, field := range iface.Methods.List {
			if len(field.Names) > 0 {
				visit(src, field)
				continue
			}
			expr := field.Type
			switch generic := expr.(type) {
			case *ast.IndexExpr:
				expr = generic.X
			case *ast.IndexListExpr:
				expr = generic.X
			}
			dep, name := src.named(src.fileOf(spec.Pos()), expr)
			if dep != nil && dep.decls[name] != nil && dep.decls[name].spec != nil {
				walk(dep, dep.decls[name].spec)
			}
		}
	}
	walk(a.src, a.spec)
}

// errorTables makes the tables of i and of those of its methods that have their own.
func (s *services) errorTables(i *Interface) {
	if i.Callback != nil {
		i.Callback.Errors = s.callbackErrors(i, nil)
	}
	if i.Fetcher != nil {
		i.Fetcher.Errors = s.fetcherErrors(i, nil)
	}
	for _, m := range i.remote() {
		if i.Callback != nil && m.errors != nil {
			m.ServeErrors = s.callbackErrors(i, m)
		}
		if i.Fetcher == nil {
			continue
		}
		if target := i.Fetcher.target(m); m.errors != nil || i.errors == nil && target != nil && target.errors != nil {
			m.CallErrors = s.fetcherErrors(i, m)
		}
	}
}

// target is the callback's method that a fetcher's calls, nil if it is not known.
func (f *Fetcher) target(m *Method) *Method {
	if f.Service == nil || f.Path == "" && !f.Local {
		return nil
	}
	return f.Service.answering(m.Call)
}

// shared is t, or a table of the same package that is equal.
func (s *services) shared(t *errorTable) *ErrorTable {
	for _, other := range s.tables[t.user] {
		if slices.Equal(t.Known, other.Known) {
			return other
		}
	}
	s.tables[t.user] = append(s.tables[t.user], &t.ErrorTable)
	return &t.ErrorTable
}

// chosenErrors is what i, or its method m, chooses.
func (s *services) chosenErrors(i *Interface, m *Method) errorChoice {
	switch {
	case m != nil && m.errors != nil:
		return *m.errors
	case i.errors != nil:
		return *i.errors
	}
	return s.defaultsOf(i)
}

func (s *services) defaultsOf(i *Interface) errorChoice {
	src := s.sourceOf(i.Pkg.Path())
	return src.defaultErrors(src.constraintAt(i.Pos))
}

func (s *services) callbackErrors(i *Interface, m *Method) *ErrorTable {
	t := &errorTable{checker: s.checker, user: s.sourceOf(i.Pkg.Path()), home: i.Pkg.Path()}
	t.add(s.chosenErrors(i, m))
	return s.shared(t)
}

// fetcherErrors has what the fetcher chooses. By default that is what its callback has, as far as it can be named without an import
// that may come full circle, and what its own package has.
func (s *services) fetcherErrors(i *Interface, m *Method) *ErrorTable {
	f := i.Fetcher
	user := s.sourceOf(i.Pkg.Path())
	t := &errorTable{checker: s.checker, user: user, home: user.path}
	service := f.Service
	if f.Path == "" && !f.Local {
		service = nil // whether its source is known depends on the run
	}
	if service != nil {
		t.home = service.Pkg.Path()
	}
	if i.errors != nil || m != nil && m.errors != nil {
		t.add(s.chosenErrors(i, m))
		return s.shared(t)
	}
	if service != nil {
		var target *Method
		if m != nil {
			target = f.target(m)
		}
		for _, n := range s.chosenErrors(service, target) {
			if n.src != nil && (n.src == user || imports(user, n.path) || isStandard(n.src.pkg)) {
				n.pos = token.NoPos // it is reported where it stands
				t.addOne(n)
			}
		}
	}
	if service == nil || service.Pkg != i.Pkg {
		t.add(s.defaultsOf(i))
	}
	return s.shared(t)
}

// isStandard reports whether p is of the standard library, which imports nothing else.
func isStandard(p *packages.Package) bool {
	first, _, _ := strings.Cut(p.PkgPath, "/")
	return p.Module == nil && !strings.Contains(first, ".")
}

// errorTable is being made for code in the package user. Names are short where they are of the service's package, home, or the user's own.
type errorTable struct {
	ErrorTable
	*checker
	user *source
	home string
}

func (t *errorTable) add(choice errorChoice) {
	for _, n := range choice {
		t.addOne(n)
	}
}

// addOne adds what n stands for. What a directive names and what cannot be is reported, what is there by default is left out.
func (t *errorTable) addOne(n errorName) {
	k, bad := t.resolve(n)
	k.Wire = n.name
	if n.path != t.home && n.path != t.user.path {
		k.Wire = n.path + "." + n.name
	}
	if bad == nil && slices.ContainsFunc(t.Known, func(other KnownError) bool { return other.Wire == k.Wire }) {
		bad = &badError{CodeErrorName, "another is called " + k.Wire + " already; leave one of them out"}
	}
	switch {
	case bad == nil:
		t.Known = append(t.Known, k)
	case n.pos.IsValid() && t.inTarget(n.pos):
		t.report.add(bad.rule, n.pos, n.text, bad.why)
	}
}

// badError says why an error cannot keep its identity.
type badError struct {
	rule Code
	why  string
}

var errorInterface = types.Universe.Lookup("error").Type().Underlying().(*types.Interface)

func (t *errorTable) resolve(n errorName) (KnownError, *badError) {
	bad := func(rule Code, why string, args ...any) (KnownError, *badError) {
		return KnownError{}, &badError{rule, fmt.Sprintf(why, args...)}
	}
	if n.src == nil {
		return bad(CodeErrorName, "package %s is not found; import it in this package, or write the whole import path, as in *io/fs.PathError", n.path)
	}
	n.src.parse()
	k := KnownError{Path: n.path, Package: n.src.name, Name: n.name}
	d := n.src.decls[n.name]
	switch {
	case n.src != t.user && (!importable(n.path, t.user.path) || n.src.name == "main"):
		return bad(CodeErrorName, "package %s cannot be imported here; name an error of another", n.path)
	case n.src != t.user && dependsOn(n.src.pkg, t.user.path):
		return bad(CodeErrorName, "package %s imports this one, which could not import it; move the error to this package", n.path)
	case d == nil || d.generated:
		return bad(CodeErrorName, "package %s does not declare it; %s", n.src.name, n.src.similarError(n.name))
	case n.src != t.user && !token.IsExported(n.name):
		return bad(CodeErrorName, "it is unexported in package %s; export it, or name another", n.src.name)
	case d.value != nil:
		return t.resolveVariable(k, n)
	case d.spec != nil:
		return t.resolveType(k, n, d)
	}
	return bad(CodeNoErrorValue, "it is neither a variable nor a type; name one that is an error")
}

func (t *errorTable) resolveVariable(k KnownError, n errorName) (KnownError, *badError) {
	typ := n.src.typeOf(n.name)
	switch {
	case n.star:
		return k, &badError{CodeNoErrorValue, "it is a variable; write " + strings.TrimPrefix(n.text, "*")}
	case typ == nil:
		return k, &badError{CodeErrorTravels, "its type cannot be told from its declaration; give it one, as in var " + n.name + " error = …"}
	case !types.Implements(typ, errorInterface):
		return k, &badError{CodeNoErrorValue, "it is a " + typeName(typ, n.src.types) + ", which is no error; give " + typeName(typ, n.src.types) + " a method Error() string, or name another"}
	}
	return k, nil
}

func (t *errorTable) resolveType(k KnownError, n errorName, d *decl) (KnownError, *badError) {
	obj, _ := n.src.check().Scope().Lookup(n.name).(*types.TypeName)
	switch {
	case obj == nil || known(obj.Type().Underlying()) == nil:
		return k, &badError{CodeErrorTravels, unknownType}
	case d.spec.TypeParams != nil:
		return k, &badError{CodeErrorTravels, "it is generic; name a type without type parameters, such as one defined as an instance of it"}
	case types.IsInterface(obj.Type()):
		return k, &badError{CodeErrorTravels, "it is an interface; name the types that are in it"}
	}
	value, pointer := types.Implements(obj.Type(), errorInterface), types.Implements(types.NewPointer(obj.Type()), errorInterface)
	switch {
	case !pointer:
		return k, &badError{CodeNoErrorValue, "it has no method Error() string; write one, or name another type"}
	case !value && !n.star && n.pos.IsValid():
		return k, &badError{CodeNoErrorValue, "its Error has a pointer as receiver, so only pointers to it are errors; write *" + n.text}
	}
	if field := leftBehind(obj.Type()); field != "" {
		return k, &badError{CodeErrorTravels, fmt.Sprintf("its Error is that of its embedded %s, which does not travel; write one for the whole", field)}
	}
	r := &refuser{user: t.user.types}
	if bad := r.check(obj.Type(), n.name, token.NoPos); bad != nil {
		where := ""
		if bad.path != n.name {
			where = bad.path + ": "
		}
		reason := bad.reason
		if bad.rule != CodeType {
			reason = fmt.Sprintf(strings.TrimPrefix(ruleTexts[bad.rule], "%s: "), bad.reason)
		}
		return k, &badError{CodeErrorTravels, where + reason}
	}
	k.Type, k.Pointer = t.typer.of(obj.Type()), !value
	return k, nil
}

// leftBehind is the embedded field that t has its Error from, if that does not travel: what arrives could not even tell its text. It is empty
// otherwise.
func leftBehind(t types.Type) string {
	if ownCodec(t) != nil {
		return ""
	}
	_, index, _ := types.LookupFieldOrMethod(types.NewPointer(t), true, nil, "Error")
	for _, k := range index[:max(len(index)-1, 0)] {
		if p, ok := t.Underlying().(*types.Pointer); ok {
			t = p.Elem()
		}
		s := t.Underlying().(*types.Struct)
		if f := s.Field(k); !f.Exported() || wireName(f, s.Tag(k)) == "-" {
			return f.Name()
		}
		t = s.Field(k).Type()
	}
	return ""
}

// similarError says what may be meant by name.
func (s *source) similarError(name string) string {
	best, distance := "", 3
	for _, n := range s.defaultErrors("") {
		if d := editDistance(n.name, name); d < distance {
			best, distance = n.name, d
		}
	}
	if best != "" {
		return "did you mean " + best + "?"
	}
	return "declare it, or name another"
}

// dependsOn reports whether p imports path, itself or by what it imports.
func dependsOn(p *packages.Package, path string) bool {
	seen := make(map[*packages.Package]bool)
	var walk func(*packages.Package) bool
	walk = func(p *packages.Package) bool {
		if seen[p] || isStandard(p) {
			return false
		}
		seen[p] = true
		for _, dep := range p.Imports {
			if dep.PkgPath == path || walk(dep) {
				return true
			}
		}
		return false
	}
	return walk(p)
}
