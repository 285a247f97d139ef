package gen

import (
	"fmt"
	"go/token"
	"go/types"
	"path"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/tools/go/types/typeutil"
)

// The packages that generated code imports for itself.
const (
	pathContext = "context"
	pathIter    = "iter"
	pathTime    = "time"
	pathDaffi   = "github.com/daffi-rpc/daffi/runtime"
	pathCodec   = "github.com/daffi-rpc/daffi/runtime/codec"
	pathJSON    = "github.com/daffi-rpc/daffi/runtime/codec/jsoncodec"
)

// bindingField is the only field of proxies and calls.
const bindingField = "b"

// namesOf are the names that users of generated code see. They follow from the interface's name alone.
type namesOf struct{ iface string }

func interfaceNames(iface string) namesOf { return namesOf{iface} }

func (n namesOf) proxy() string           { return n.iface + "Proxy" }
func (n namesOf) calls() string           { return n.iface + "Calls" }
func (n namesOf) create() string          { return n.verb("new") + upperFirst(n.iface) }
func (n namesOf) register() string        { return n.verb("register") + upperFirst(n.iface) }
func (n namesOf) wire() string            { return n.iface + "Name" }
func (n namesOf) method(m string) string  { return n.iface + upperFirst(m) + "Method" }
func (n namesOf) sub(m string) string     { return n.iface + upperFirst(m) + "Name" }
func (n namesOf) results(m string) string { return n.iface + upperFirst(m) + "Result" }

// verb is exported as the interface is.
func (n namesOf) verb(s string) string {
	if token.IsExported(n.iface) {
		return upperFirst(s)
	}
	return s
}

// namer chooses every identifier of one generated file.
type namer struct {
	pkg     *Package
	report  *report
	taken   map[string]string        // package-level names: the user's (empty), ours with what they are for
	private map[string]string        // what an unexported name of ours is for, to the name
	types   map[string]*typeutil.Map // what the functions of a type are for, by its codec and by type
	all     []*Type
	imports map[string]string // by path
	outer   scope             // what no parameter or local may be called

	errorTables map[*ErrorTable]string // their functions
}

func newNamer(p *Package, r *report) *namer {
	n := &namer{
		pkg:     p,
		report:  r,
		taken:   make(map[string]string),
		private: make(map[string]string),
		types:   make(map[string]*typeutil.Map),
		imports: make(map[string]string),
		outer:   make(scope),

		errorTables: make(map[*ErrorTable]string),
	}
	for name := range p.Declared {
		n.taken[name] = ""
	}
	n.predeclared()
	for _, i := range p.Interfaces {
		n.publicNames(i)
	}
	n.tableNames(p.Interfaces)
	for _, i := range p.Interfaces {
		n.privateNames(i)
		for _, p := range i.values() {
			n.typeNames(p.Type)
		}
		i.tables(func(t *ErrorTable, _ string) {
			for _, k := range t.Known {
				if k.Type != nil {
					n.typeNames(k.Type)
				}
			}
		})
	}
	for _, m := range p.Messages {
		n.typeNames(m.Type)
	}
	n.importNames()
	n.reserve()
	return n
}

// predeclared reports types and constants of the language whose names the user has given to something else, since generated code
// uses them.
func (n *namer) predeclared() {
	for _, name := range types.Universe.Names() {
		_, builtin := types.Universe.Lookup(name).(*types.Builtin)
		if _, declared := n.pkg.Declared[name]; declared && !builtin {
			n.claim(n.pkg.annotated()[0], name, "what it means in Go")
		}
	}
}

// publicNames claims the names of i that users see; they are never changed.
func (n *namer) publicNames(i *Interface) {
	names := interfaceNames(i.Name)
	if i.Callback != nil {
		n.claim(i, names.register(), i.Name)
		n.claim(i, names.wire(), i.Name)
		for _, m := range i.remote() {
			n.claim(i, names.method(m.Name), i.Name+"."+m.Name)
		}
		for _, m := range i.below() {
			n.claim(i, names.sub(m.Name), i.Name+"."+m.Name)
		}
	}
	if i.Fetcher == nil {
		return
	}
	n.claim(i, names.create(), i.Name)
	n.claim(i, names.proxy(), i.Name)
	n.claim(i, names.calls(), i.Name)
	for _, m := range i.Methods {
		if len(m.Results) > 1 {
			n.claim(i, names.results(m.Name), i.Name+"."+m.Name)
		}
	}
}

func (n *namer) claim(i *Interface, name, owner string) {
	other, taken := n.taken[name]
	imported, isImported := n.pkg.Imported[name]
	switch {
	case isImported:
		n.report.add(CodeNameTaken, i.Pos, name, owner, n.report.position(imported))
	case taken && other == "":
		n.report.add(CodeNameTaken, i.Pos, name, owner, n.report.position(n.pkg.Declared[name]))
	case taken:
		n.report.add(CodeGeneratedName, i.Pos, name, other, owner)
	}
	n.taken[name] = owner
}

// privateNames chooses the names of i that only generated code sees.
func (n *namer) privateNames(i *Interface) {
	lower := lowerFirst(i.Name)
	if i.Callback != nil {
		n.choose("service "+i.Name, lower+"Desc")
		for _, m := range i.Methods {
			verb := "serve"
			if m.Sub != nil {
				verb = "register"
			}
			n.choose("serve "+i.Name+"."+m.Name, verb+upperFirst(i.Name)+m.Name)
		}
	}
	if i.Fetcher != nil {
		n.choose("client "+i.Name, lower+"Client")
		for _, m := range i.Methods {
			n.choose("index "+i.Name+"."+m.Name, lower+m.Name)
			if len(m.Results) > 1 {
				n.choose("read "+i.Name+"."+m.Name, "read"+upperFirst(interfaceNames(i.Name).results(m.Name)))
			}
		}
	}
}

// choose finds a free name like name, and remembers what it is for.
func (n *namer) choose(purpose, name string) string {
	free := name
	for k := 2; n.isTaken(free); k++ {
		free = name + strconv.Itoa(k)
	}
	n.taken[free] = purpose
	n.private[purpose] = free
	return free
}

// chooseAll numbers base until none of the names made of it is taken.
func (n *namer) chooseAll(base string, names map[string]func(base string) string) {
	free := base
	for k := 2; n.anyTaken(free, names); k++ {
		free = base + strconv.Itoa(k)
	}
	for purpose, name := range names {
		n.choose(purpose, name(free))
	}
}

func (n *namer) anyTaken(base string, names map[string]func(base string) string) bool {
	for _, name := range names {
		if n.isTaken(name(base)) {
			return true
		}
	}
	return false
}

func (n *namer) isTaken(name string) bool {
	_, taken := n.taken[name]
	_, imported := n.pkg.Imported[name]
	return taken || imported
}

func (n *namer) service(i *Interface) string            { return n.private["service "+i.Name] }
func (n *namer) serve(i *Interface, m *Method) string   { return n.private["serve "+i.Name+"."+m.Name] }
func (n *namer) client(i *Interface) string             { return n.private["client "+i.Name] }
func (n *namer) index(i *Interface, m *Method) string   { return n.private["index "+i.Name+"."+m.Name] }
func (n *namer) readAll(i *Interface, m *Method) string { return n.private["read "+i.Name+"."+m.Name] }

// typeNames chooses names for the functions of t and of the types in it.
func (n *namer) typeNames(t *Type) {
	known := n.types[t.by()]
	if known == nil {
		known = new(typeutil.Map)
		n.types[t.by()] = known
	}
	if known.At(t.Go) != nil {
		return
	}
	key := "type " + strconv.Itoa(len(n.all))
	known.Set(t.Go, key)
	n.all = append(n.all, t)
	n.chooseAll(codecBase(t.by())+n.base(t.Go), map[string]func(base string) string{
		"write " + key:  func(base string) string { return "write" + base },
		"read " + key:   func(base string) string { return "read" + base },
		"result " + key: func(base string) string { return "read" + base + "Result" },
		"fields " + key: func(base string) string { return lowerFirst(base) + "Fields" },
	})
	for _, f := range t.Fields {
		n.typeNames(f.Type)
	}
	if t.Key != nil {
		n.typeNames(t.Key)
	}
	if t.Elem != nil {
		n.typeNames(t.Elem)
	}
}

func (n *namer) of(verb string, t *Type) string {
	key, _ := n.types[t.by()].At(t.Go).(string)
	return n.private[verb+" "+key]
}

func (n *namer) write(t *Type) string      { return n.of("write", t) }
func (n *namer) read(t *Type) string       { return n.of("read", t) }
func (n *namer) readResult(t *Type) string { return n.of("result", t) }
func (n *namer) fields(t *Type) string     { return n.of("fields", t) }

// base is a type's name in the names of functions: Item, NastyItem, PageItem, Strings, ItemPtr, StringIntMap, Float64x4.
func (n *namer) base(t types.Type) string {
	switch t := types.Unalias(t).(type) {
	case *types.Named:
		name := upperFirst(t.Obj().Name())
		if pkg := t.Obj().Pkg(); pkg != nil && pkg != n.pkg.Types && !isNamed(t, "time", "Time") && !isNamed(t, "time", "Duration") {
			name = upperFirst(pkg.Name()) + name
		}
		for arg := range t.TypeArgs().Types() {
			name += n.base(arg)
		}
		return name
	case *types.Basic:
		return upperFirst(types.Typ[t.Kind()].Name())
	case *types.Slice:
		if isByte(t.Elem()) {
			return "Bytes"
		}
		return plural(n.base(t.Elem()))
	case *types.Array:
		return fmt.Sprintf("%sx%d", n.base(t.Elem()), t.Len())
	case *types.Map:
		return n.base(t.Key()) + n.base(t.Elem()) + "Map"
	case *types.Pointer:
		return n.base(t.Elem()) + "Ptr"
	case *types.Interface:
		if t.Empty() {
			return "Any"
		}
		return "Error"
	}
	return "Struct"
}

// codecBase is a codec's name in the names of functions: Table, MyTable.
func codecBase(codec string) string {
	var b strings.Builder
	for _, word := range strings.FieldsFunc(codec, func(r rune) bool { return r == '-' || r == '_' }) {
		b.WriteString(upperFirst(word))
	}
	if codec == "json" {
		return "JSON"
	}
	return b.String()
}

func plural(s string) string {
	if strings.HasSuffix(s, "s") {
		return s + "List"
	}
	return s + "s"
}

// importNames chooses what each imported package is called in the file.
func (n *namer) importNames() {
	used := make(scope)
	for name := range n.taken {
		used.add(name)
	}
	name := func(path, pkg string) {
		if n.imports[path] == "" && path != n.pkg.Path {
			n.imports[path] = used.take(pkg)
		}
	}
	name(pathContext, "context")
	name(pathDaffi, "daffi")
	name(pathCodec, "codec")
	for _, i := range n.pkg.Interfaces {
		for _, m := range i.Methods {
			if m.Sub != nil && m.Sub.Iface != nil {
				name(m.Sub.Iface.Pkg.Path(), m.Sub.Iface.Pkg.Name())
			}
			if m.Input != nil || m.Output != nil {
				name(pathIter, "iter")
			}
			if m.Timeout > 0 {
				name(pathTime, "time")
			}
		}
		if f := i.Fetcher; f != nil && f.Importable {
			name(f.Service.Pkg.Path(), f.Service.Pkg.Name())
		}
		i.tables(func(t *ErrorTable, _ string) {
			for _, k := range t.Known {
				name(k.Path, k.Package)
			}
		})
		for _, m := range i.Methods {
			if m.Map != nil || spellable(i) { // the latter for emitter.stale
				n.spelling().packages(m.Func.Type(), func(p *types.Package) { name(p.Path(), p.Name()) })
			}
		}
		for _, p := range i.values() {
			if p.Type.By != nil {
				name(p.Type.By.Path, path.Base(p.Type.By.Path))
			}
			n.spelling().packages(p.Go, func(p *types.Package) { name(p.Path(), p.Name()) })
		}
	}
	for _, t := range n.all {
		spelling{}.packages(t.Go, func(p *types.Package) { name(p.Path(), p.Name()) })
	}
}

// reserve notes what parameters and locals must not be called: imports, our names, the user's types, what is predeclared.
func (n *namer) reserve() {
	for _, name := range n.imports {
		n.outer.add(name)
	}
	for name, purpose := range n.taken {
		if purpose != "" {
			n.outer.add(name)
		}
	}
	for _, name := range n.pkg.Types.Scope().Names() {
		n.outer.add(name)
	}
	for _, name := range types.Universe.Names() {
		n.outer.add(name)
	}
}

func upperFirst(s string) string {
	r, size := utf8.DecodeRuneInString(s)
	return string(unicode.ToUpper(r)) + s[size:]
}

// lowerFirst lowers the first word: item, httpServer, id.
func lowerFirst(s string) string {
	runes := []rune(s)
	for k, r := range runes {
		next := k+1 < len(runes) && unicode.IsLower(runes[k+1])
		if !unicode.IsUpper(r) || k > 0 && next {
			break
		}
		runes[k] = unicode.ToLower(r)
	}
	return string(runes)
}
