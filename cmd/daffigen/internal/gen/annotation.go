package gen

import (
	"fmt"
	"go/ast"
	"go/token"
	"go/types"
	"maps"
	"slices"
	"strings"
)

// prefix begins every directive, after the slashes.
const prefix = "daffi:"

// directive is one //daffi: comment.
type directive struct {
	pos  token.Pos
	word string
	args []string
	text string // of the comment
}

// argument is one of a list of names, with its place.
type argument struct {
	text string
	pos  token.Pos
}

// list reads arguments that commas or spaces separate.
func (d directive) list() []argument { return d.separated(", \t") }

// fields reads arguments that spaces separate.
func (d directive) fields() []argument { return d.separated(" \t") }

func (d directive) separated(by string) []argument {
	var args []argument
	start := len("//" + prefix + d.word)
	text, _, _ := strings.Cut(d.text[start:], " //") // what follows is an ordinary comment
	from := -1
	for k, r := range text + " " {
		switch separates := strings.ContainsRune(by, r); {
		case !separates && from < 0:
			from = k
		case separates && from >= 0:
			args = append(args, argument{text[from:k], d.pos + token.Pos(start+from)})
			from = -1
		}
	}
	return args
}

// place says what a directive may stand on.
type place int

const (
	notYet      place = 0
	onInterface place = 1
	onMethod    place = 2
	onMessage   place = 4
)

// words are the directives that exist, with what they stand on.
var words = map[string]place{
	"callback":   onInterface,
	"fetcher":    onInterface,
	"alias":      onMethod,
	"oneway":     onMethod,
	"timeout":    onMethod,
	"local":      onMethod,
	"idempotent": onMethod,
	"serial":     onInterface | onMethod,
	"codec":      onInterface | onMethod,
	"key":        onMethod,
	"event":      onMethod,
	"map":        onMethod,
	"errors":     onInterface | onMethod,
	"object":     notYet,
	"message":    onMessage,
	"transfer":   notYet,
}

// parseDirective reads one comment.
func parseDirective(c *ast.Comment) (directive, bool) {
	text, ok := strings.CutPrefix(c.Text, "//"+prefix)
	if !ok {
		return directive{}, false
	}
	text, _, _ = strings.Cut(text, " //") // what follows is an ordinary comment
	fields := strings.Fields(text)
	if len(fields) == 0 || strings.HasPrefix(text, " ") {
		fields = append([]string{""}, fields...)
	}
	return directive{pos: c.Slash, word: fields[0], args: fields[1:], text: c.Text}, true
}

// directives reads the raw comments, since [ast.CommentGroup.Text] leaves directives out.
func directives(groups ...*ast.CommentGroup) []directive {
	var list []directive
	for _, group := range groups {
		if group == nil {
			continue
		}
		for _, c := range group.List {
			if d, ok := parseDirective(c); ok {
				list = append(list, d)
			}
		}
	}
	return list
}

// docLines is a comment's text without slashes and directives.
func docLines(groups ...*ast.CommentGroup) []string {
	for _, group := range groups {
		if text := strings.TrimRight(group.Text(), "\n"); text != "" {
			return strings.Split(text, "\n")
		}
	}
	return nil
}

// annotation is a type declaration with a callback, fetcher or message directive.
type annotation struct {
	src      *source
	spec     *ast.TypeSpec
	doc      []string // its comment
	callback *directive
	fetcher  *directive
	codec    *directive // of all methods
	message  *directive
	errors   *directive
	serial   *directive
}

// isInterface reports whether a is that of a service or of its callers.
func (a annotation) isInterface() bool { return a.callback != nil || a.fetcher != nil }

// annotations finds the annotated types of a target and reports directives that do not exist.
func (s *source) annotations() []annotation {
	if s.broken {
		return nil
	}
	for _, f := range s.files {
		s.checkWords(f)
	}
	return slices.DeleteFunc(s.annotated(), func(a annotation) bool { return !a.declared() })
}

// declared reports whether the name of a is that of its type and of nothing else, and says so if not.
func (a annotation) declared() bool {
	name, pos, report := a.spec.Name.Name, a.spec.Name.Pos(), a.src.report
	switch d := a.src.decls[name]; {
	case name == "_" && a.isInterface():
		report.add(CodeNoInterface, pos, name, "no name, so nothing can refer to it", "give it one")
	case name == "_":
		report.add(CodeMessage, pos, name, "nothing can refer to it; give it a name")
	case name == "init" || name == "main" && a.src.name == "main":
		report.add(CodeUnresolved, pos, name+" is a name that Go keeps for a function")
	case d == nil || d.spec != a.spec:
		report.add(CodeUnresolved, pos, name+" is declared twice in this package")
	default:
		return true
	}
	return false
}

// annotated finds the annotated types of the package.
func (s *source) annotated() []annotation {
	var found []annotation
	for _, f := range s.files {
		for _, node := range f.Decls {
			group, ok := node.(*ast.GenDecl)
			if !ok || group.Tok != token.TYPE {
				continue
			}
			for _, spec := range group.Specs {
				if a, ok := s.annotation(group, spec.(*ast.TypeSpec)); ok {
					found = append(found, a)
				}
			}
		}
	}
	return found
}

// annotation reads the directives of one type.
func (s *source) annotation(group *ast.GenDecl, spec *ast.TypeSpec) (annotation, bool) {
	a := annotation{src: s, spec: spec}
	list := directives(spec.Doc)
	a.doc = docLines(spec.Doc)
	if !group.Lparen.IsValid() {
		list = append(directives(group.Doc), list...)
		a.doc = docLines(spec.Doc, group.Doc)
	}
	for _, d := range list {
		switch d.word {
		case "callback":
			s.once(&a.callback, d)
		case "fetcher":
			s.once(&a.fetcher, d)
		case "message":
			s.once(&a.message, d)
		}
	}
	if !a.isInterface() {
		return a, a.message != nil
	}
	for _, d := range list {
		switch d.word { // they say nothing of a type that is no interface
		case "codec":
			s.once(&a.codec, d)
		case "errors":
			s.once(&a.errors, d)
		case "serial":
			s.once(&a.serial, d)
		}
	}
	return a, true
}

// once stores d unless there is one already.
func (s *source) once(at **directive, d directive) {
	s.used[d.pos] = true
	if *at != nil {
		s.report.add(CodeTwice, d.pos, d.word)
		return
	}
	*at = &d
}

// checkWords reports the directives of f that do not exist or are not supported.
func (s *source) checkWords(f *ast.File) {
	for _, group := range f.Comments {
		for _, c := range group.List {
			s.checkSpace(c)
			d, ok := parseDirective(c)
			if !ok {
				continue
			}
			switch where, known := words[d.word]; {
			case !known:
				s.report.add(CodeUnknownWord, d.pos, d.word, suggestion(d.word))
				s.used[d.pos] = true
			case where == notYet:
				s.report.add(CodeNotYet, d.pos, d.word)
				s.used[d.pos] = true
			}
		}
	}
}

// checkSpace reports a directive that a space or a capital letter makes an ordinary comment.
func (s *source) checkSpace(c *ast.Comment) {
	text := strings.TrimLeft(strings.TrimPrefix(c.Text, "//"), " \t")
	if strings.HasPrefix(c.Text, "//"+prefix) || len(text) < len(prefix) || !strings.EqualFold(text[:len(prefix)], prefix) {
		return
	}
	word, _, _ := strings.Cut(strings.ToLower(text[len(prefix):]), " ")
	if _, known := words[word]; known {
		s.report.add(CodeSpace, c.Slash, word)
	}
}

// checkPlaces reports the directives that nothing made use of.
func (s *source) checkPlaces() {
	if s.broken {
		return
	}
	for _, f := range s.files {
		for _, group := range f.Comments {
			for _, d := range directives(group) {
				if s.used[d.pos] {
					continue
				}
				s.report.add(CodePlacement, d.pos, d.word, cures[words[d.word]])
			}
		}
	}
}

// cures say where a directive belongs.
var cures = map[place]string{
	onInterface: "put it directly above the type declaration of an interface",
	onMethod:    "put it directly above a method of an annotated interface",
	onMessage:   "put it directly above a type declaration",

	onInterface | onMethod: "put it directly above an annotated interface, or one of its methods",
}

// suggestion lists what may be meant by word.
func suggestion(word string) string {
	known := slices.DeleteFunc(slices.Sorted(maps.Keys(words)), func(w string) bool { return words[w] == notYet })
	return oneOf(word, "//"+prefix, known)
}

// oneOf lists known, and before it what of it, written after before, is nearest to word.
func oneOf(word, before string, known []string) string {
	best, distance := "", 3
	for _, w := range known {
		if d := editDistance(strings.ToLower(word), w); d < distance {
			best, distance = w, d
		}
	}
	list := "use one of " + strings.Join(known, ", ")
	if best != "" {
		return fmt.Sprintf("did you mean %s%s? %s", before, best, list)
	}
	return list
}

// editDistance is how many letters must be inserted, dropped or changed to make b of a.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}

// splitArguments separates key=value arguments from the others.
func (d directive) splitArguments() (plain []string, keyed map[string]string) {
	keyed = make(map[string]string)
	for _, arg := range d.args {
		if key, value, ok := strings.Cut(arg, "="); ok {
			keyed[key] = value
		} else {
			plain = append(plain, arg)
		}
	}
	return plain, keyed
}

// givenTwice reports a key=value argument whose key is that of one before it.
func (c *checker) givenTwice(d *directive) {
	seen := make(map[string]bool)
	for _, arg := range d.args {
		key, _, ok := strings.Cut(arg, "=")
		if ok && seen[key] {
			c.report.add(CodeArgument, d.pos, d.word, key+"= is given twice; keep one")
		}
		seen[key] = seen[key] || ok
	}
}

// declareGenerated adds the names that will be generated for an annotated interface to those that the source may refer to, so
// that a signature resolves that names one of them. What the user declares goes first.
func (a annotation) declareGenerated() {
	iface, ok := a.spec.Type.(*ast.InterfaceType)
	if !ok || a.fetcher == nil {
		return
	}
	file := a.src.fileOf(a.spec.Pos())
	names := interfaceNames(a.spec.Name.Name)
	a.src.declare(file, names.proxy(), &ast.StructType{Fields: new(ast.FieldList)})
	a.src.declare(file, names.calls(), &ast.StructType{Fields: new(ast.FieldList)})
	for _, field := range iface.Methods.List {
		fn, ok := field.Type.(*ast.FuncType)
		if !ok || len(field.Names) == 0 || fn.Results.NumFields() < 3 {
			continue
		}
		a.src.declare(file, names.results(field.Names[0].Name), resultStruct(fn.Results))
	}
}

// resultStruct is the struct of a method's results, without the error.
func resultStruct(results *ast.FieldList) *ast.StructType {
	var names []string
	var exprs []ast.Expr
	for _, field := range results.List {
		for _, name := range field.Names {
			names, exprs = append(names, name.Name), append(exprs, field.Type)
		}
		if len(field.Names) == 0 {
			names, exprs = append(names, ""), append(exprs, field.Type)
		}
	}
	last := len(exprs) - 1
	fields := new(ast.FieldList)
	for i, name := range resultFields(names[:last]) {
		fields.List = append(fields.List, &ast.Field{Names: []*ast.Ident{ast.NewIdent(name)}, Type: exprs[i]})
	}
	return &ast.StructType{Fields: fields}
}

func (s *source) declare(f *ast.File, name string, typ ast.Expr) {
	if s.decls[name] != nil {
		return
	}
	spec := &ast.TypeSpec{Name: ast.NewIdent(name), Type: typ}
	s.decls[name] = &decl{file: f, spec: spec, generated: true, node: &ast.GenDecl{Tok: token.TYPE, Specs: []ast.Spec{spec}}}
}

// fileOf is the file of the package that pos is in, nil if it is in none.
func (s *source) fileOf(pos token.Pos) *ast.File {
	for _, f := range s.files {
		if f.FileStart <= pos && pos < f.FileEnd {
			return f
		}
	}
	return nil
}

func (s *source) contains(pos token.Pos) bool { return s.fileOf(pos) != nil }

// reference is what a fetcher directive names: a callback by import path and name, or, without a path, a callback of the same
// package or a wire name.
func (a annotation) reference() (path, name string) {
	plain, _ := a.fetcher.splitArguments()
	if len(plain) == 0 {
		return "", a.spec.Name.Name
	}
	ref := plain[0]
	dot := strings.LastIndexByte(ref, '.')
	switch {
	case dot < 0:
		return "", ref
	case strings.LastIndexByte(ref, '/') > dot:
		return "", ref // not understood, and not found
	case strings.Contains(ref, "/"):
		return ref[:dot], ref[dot+1:]
	}
	// shop.Service is meant as in Go, if the file imports shop. Else it is a wire name with a dot in it.
	for _, spec := range a.src.fileOf(a.spec.Pos()).Imports {
		dep := a.src.dependency(importPath(spec))
		if dep != nil && importName(spec, dep) == ref[:dot] {
			return dep.path, ref[dot+1:]
		}
	}
	return "", ref
}

// object is what the type checker made of the annotated type.
func (a annotation) object() *types.TypeName {
	obj, _ := a.src.types.Scope().Lookup(a.spec.Name.Name).(*types.TypeName)
	return obj
}
