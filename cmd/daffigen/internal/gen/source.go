package gen

import (
	"errors"
	"go/ast"
	"go/scanner"
	"go/token"
	"go/types"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/tools/go/packages"
)

// source is one package, read from its files as far as annotated interfaces need it.
//
// Type-checking all of a package and all that it imports takes seconds, and asking the go command for export data compiles every
// dependency first, which may take minutes. So only what the annotated interfaces refer to is type-checked, package by package:
// want marks declarations and what they refer to in turn, check hands the marked ones to go/types. Errors elsewhere in the
// package are not seen at all.
type source struct {
	*loader
	pkg    *packages.Package
	name   string
	path   string
	target bool   // named by the patterns
	output string // our earlier output, if there is one
	files  []*ast.File
	broken bool // a file with annotations does not parse, and that was reported

	decls      map[string]*decl   // by package-level name
	marshalers map[string][]*decl // methods that make a type encode itself, by the type's name
	kept       []*decl            // the wanted ones
	variables  map[string]bool    // whose types are wanted
	origins    map[string]origin  // of the types of some of them

	types    *types.Package
	checking bool
	errs     []types.Error
}

// decl is a declaration at package level: a type, a group of constants, one or more variables, a function or a method.
type decl struct {
	file   *ast.File
	node   ast.Decl
	spec   *ast.TypeSpec  // of a type
	value  *ast.ValueSpec // of variables
	wanted bool
	// generated is set on what stands in for a declaration that is yet to be generated.
	generated bool
}

// position is where d declares name.
func (d *decl) position(name string) token.Pos {
	pos := d.node.Pos()
	ast.Inspect(d.node, func(n ast.Node) bool {
		if id, ok := n.(*ast.Ident); ok && id.Name == name {
			pos = id.Pos()
			return false
		}
		return true
	})
	return pos
}

// marshalerNames are the methods by which a type says that it has an encoding of its own, is an error, is a lock, or can be asked whether it is valid.
var marshalerNames = []string{
	"MarshalMsg", "UnmarshalMsg", "AppendBinary", "MarshalBinary", "UnmarshalBinary", "AppendText", "MarshalText", "UnmarshalText", "Error", "Lock", "Unlock",
	"Validate",
}

func (s *source) reportSyntax(err error) {
	if list, ok := errors.AsType[scanner.ErrorList](err); ok && len(list) > 0 {
		s.report.addAt(CodeSyntax, list[0].Pos, list[0].Msg)
		s.broken = true
	}
}

// index notes the package-level declarations of f.
func (s *source) index(f *ast.File) {
	for _, node := range f.Decls {
		switch node := node.(type) {
		case *ast.GenDecl:
			s.indexGroup(f, node)
		case *ast.FuncDecl:
			d := &decl{file: f, node: node}
			if node.Recv == nil {
				s.decls[node.Name.Name] = d
			} else if name := receiverName(node); slices.Contains(marshalerNames, node.Name.Name) {
				s.marshalers[name] = append(s.marshalers[name], d)
			}
		}
	}
}

func (s *source) indexGroup(f *ast.File, group *ast.GenDecl) {
	whole := &decl{file: f, node: group} // constants may depend on their place in the group
	for _, spec := range group.Specs {
		switch spec := spec.(type) {
		case *ast.TypeSpec:
			single := &ast.GenDecl{Doc: group.Doc, TokPos: group.TokPos, Tok: token.TYPE, Specs: []ast.Spec{spec}}
			s.decls[spec.Name.Name] = &decl{file: f, node: single, spec: spec}
			s.indexMethods(spec)
		case *ast.ValueSpec:
			d := whole
			if group.Tok == token.VAR {
				single := &ast.GenDecl{Doc: group.Doc, TokPos: group.TokPos, Tok: token.VAR, Specs: []ast.Spec{spec}}
				d = &decl{file: f, node: single, value: spec}
			}
			for _, name := range spec.Names {
				s.decls[name.Name] = d
			}
		}
	}
}

// indexMethods remembers where the methods of an interface stand, for their comments.
func (s *source) indexMethods(spec *ast.TypeSpec) {
	iface, ok := spec.Type.(*ast.InterfaceType)
	if !ok {
		return
	}
	for _, field := range iface.Methods.List {
		for _, name := range field.Names {
			s.methods[name.Pos()] = field
		}
	}
}

// receiverName is the name of the type that fn is a method of, empty where it does not parse.
func receiverName(fn *ast.FuncDecl) string {
	if len(fn.Recv.List) == 0 {
		return "" // the parser accepts func () f()
	}
	for expr := fn.Recv.List[0].Type; ; {
		switch e := expr.(type) {
		case *ast.StarExpr:
			expr = e.X
		case *ast.ParenExpr:
			expr = e.X
		case *ast.IndexExpr:
			expr = e.X
		case *ast.IndexListExpr:
			expr = e.X
		case *ast.Ident:
			return e.Name
		default:
			return ""
		}
	}
}

// defined is the type of the package that name is an alias of, or name itself.
func (s *source) defined(name string) string {
	for range maxTypeDepth {
		d := s.decls[name]
		if d == nil || d.spec == nil || !d.spec.Assign.IsValid() {
			break
		}
		id, ok := d.spec.Type.(*ast.Ident)
		if !ok {
			break
		}
		name = id.Name
	}
	return name
}

// want marks the declaration of name, and what it refers to.
func (s *source) want(name string) {
	s.parse()
	d := s.decls[name]
	if d == nil {
		for _, f := range s.files {
			s.wantDot(f, name)
		}
		return
	}
	if isFunc(d) {
		return // no type depends on a function
	}
	s.keep(d)
	for _, m := range s.marshalers[name] {
		s.keep(m)
	}
}

func (s *source) keep(d *decl) {
	if d.wanted {
		return
	}
	d.wanted = true
	s.kept = append(s.kept, d)
	if fn, ok := d.node.(*ast.FuncDecl); ok {
		if fn.Recv != nil {
			s.follow(d.file, fn.Recv)
		}
		s.follow(d.file, fn.Type)
		return
	}
	s.follow(d.file, d.node)
}

// follow marks what node refers to. A type parameter may be taken for a reference too, which only costs time.
func (s *source) follow(f *ast.File, node ast.Node) {
	ast.Inspect(node, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.CommentGroup:
			return false
		case *ast.Field: // its names are declared, not referred to
			s.follow(f, n.Type)
			return false
		case *ast.SelectorExpr:
			if dep := s.imported(f, n.X); dep != nil {
				dep.want(n.Sel.Name)
				return false
			}
		case *ast.Ident:
			if s.decls[n.Name] != nil || types.Universe.Lookup(n.Name) == nil {
				s.want(n.Name)
			}
		}
		return true
	})
}

// imported is the package that expr names in f, nil if it names none.
func (s *source) imported(f *ast.File, expr ast.Expr) *source {
	id, ok := expr.(*ast.Ident)
	if !ok {
		return nil
	}
	for _, spec := range f.Imports {
		dep := s.dependency(importPath(spec))
		if dep != nil && importName(spec, dep) == id.Name {
			return dep
		}
	}
	return nil
}

// wantDot looks for name in the packages that f imports with a dot.
func (s *source) wantDot(f *ast.File, name string) {
	for _, spec := range f.Imports {
		if spec.Name == nil || spec.Name.Name != "." {
			continue
		}
		if dep := s.dependency(importPath(spec)); dep != nil {
			dep.parse()
			if dep.decls[name] != nil {
				dep.want(name)
			}
		}
	}
}

func (s *source) dependency(path string) *source {
	p := s.pkg.Imports[path]
	if p == nil || len(p.GoFiles) == 0 {
		return nil
	}
	return s.source(p)
}

func importPath(spec *ast.ImportSpec) string {
	path, _ := strconv.Unquote(spec.Path.Value)
	return path
}

func importName(spec *ast.ImportSpec, dep *source) string {
	if spec.Name != nil {
		return spec.Name.Name
	}
	return dep.name
}

// check type-checks what is wanted of the package.
func (s *source) check() *types.Package {
	if s.types != nil {
		return s.types
	}
	if s.path == "unsafe" {
		s.types = types.Unsafe
		return s.types
	}
	s.checking = true
	config := types.Config{
		IgnoreFuncBodies: true,
		FakeImportC:      true,
		Importer:         s,
		Error: func(err error) {
			if e, ok := errors.AsType[types.Error](err); ok && !e.Soft {
				e.Msg, _, _ = strings.Cut(e.Msg, "\n")
				e.Msg = strings.TrimSuffix(e.Msg, ":")
				s.errs = append(s.errs, e)
			}
		},
	}
	if s.pkg.Module != nil && s.pkg.Module.GoVersion != "" {
		config.GoVersion = "go" + s.pkg.Module.GoVersion
	}
	s.types = types.NewPackage(s.path, s.name)
	_ = types.NewChecker(&config, s.report.fset, s.types, nil).Files(s.wantedFiles()) // errors are in s.errs
	s.checking = false
	return s.types
}

var (
	errNoPackage = errors.New("its package cannot be loaded")
	errCycle     = errors.New("import cycle")
)

// Import gives the wanted part of a package to the type checker.
func (s *source) Import(path string) (*types.Package, error) {
	dep := s.dependency(path)
	switch {
	case path == "unsafe":
		return types.Unsafe, nil
	case dep == nil:
		return nil, errNoPackage
	case dep.checking:
		return nil, errCycle
	}
	return dep.check(), nil
}

// wantedFiles are the files of the package with the wanted declarations only, and the imports that those use.
func (s *source) wantedFiles() []*ast.File {
	var files []*ast.File
	for _, f := range s.files {
		pruned := &ast.File{Package: f.Package, Name: ast.NewIdent(s.name), FileStart: f.FileStart, FileEnd: f.FileEnd}
		for _, d := range s.kept {
			if d.file == f {
				pruned.Decls = append(pruned.Decls, d.node)
			}
		}
		if len(pruned.Decls) == 0 {
			continue
		}
		if group := s.usedImports(f, pruned.Decls); len(group.Specs) > 0 {
			pruned.Decls = append([]ast.Decl{group}, pruned.Decls...)
		}
		files = append(files, pruned)
	}
	return files
}

// usedImports is the import declaration that decls need.
func (s *source) usedImports(f *ast.File, decls []ast.Decl) *ast.GenDecl {
	used := make(map[string]bool)
	for _, d := range decls {
		ast.Inspect(d, func(n ast.Node) bool {
			if sel, ok := n.(*ast.SelectorExpr); ok {
				if id, ok := sel.X.(*ast.Ident); ok {
					used[id.Name] = true
				}
			}
			_, body := n.(*ast.BlockStmt)
			return !body
		})
	}
	group := &ast.GenDecl{Tok: token.IMPORT, TokPos: f.Name.End()}
	for _, spec := range f.Imports {
		path := importPath(spec)
		name := path[strings.LastIndexByte(path, '/')+1:]
		if dep := s.dependency(path); dep != nil {
			name = dep.name
		}
		if spec.Name != nil {
			name = spec.Name.Name
		}
		if used[name] || name == "." || path == "C" || path == "unsafe" && used["unsafe"] {
			group.Specs = append(group.Specs, spec)
		}
	}
	return group
}

// errorWithin is the first type error between two positions.
func (s *source) errorWithin(from, to token.Pos) (types.Error, bool) {
	for _, err := range s.errs {
		if from <= err.Pos && err.Pos <= to {
			return err, true
		}
	}
	return types.Error{}, false
}
