package gen

import (
	"cmp"
	"fmt"
	"go/ast"
	"go/token"
	"go/types"
	"maps"
	"path/filepath"
	"slices"
	"strings"
)

// checker turns annotated types into the model and reports what cannot be.
type checker struct {
	*loader
	typer    typer
	reported map[string]bool // refusals, so that a bad type is explained once
	broken   bool            // the method at hand has a type that cannot travel
	codec    string          // of the method at hand, if it has one
}

// iface makes the model of one annotated type, nil if it cannot.
func (c *checker) iface(a annotation) *Interface {
	obj := a.object()
	named, _ := obj.Type().(*types.Named)
	switch {
	case named == nil || !types.IsInterface(named):
		if err, ok := a.src.errorWithin(a.spec.Pos(), a.spec.End()); ok {
			c.unresolved(a.src, err, a.spec.Name.Pos())
		} else {
			is, cure := notInterface(a)
			c.report.add(CodeNoInterface, a.spec.Name.Pos(), a.spec.Name.Name, is, cure)
		}
		return nil
	case named.TypeParams().Len() > 0:
		c.report.add(CodeGeneric, a.spec.Name.Pos(), a.spec.Name.Name)
		return nil
	case !named.Underlying().(*types.Interface).IsMethodSet():
		c.report.add(CodeConstraint, a.spec.Name.Pos(), a.spec.Name.Name)
		return nil
	}
	i := &Interface{Name: obj.Name(), Doc: a.doc, Pkg: a.src.types, Pos: a.spec.Name.Pos(), Broken: make(map[string]bool)}
	c.roles(i, a)
	if a.codec != nil {
		c.interfaceCodec(i, *a.codec)
	}
	if a.errors != nil {
		choice := c.chosen[a.errors.pos]
		i.errors = &choice
	}
	for _, fn := range c.methodsOf(a.src, named.Underlying().(*types.Interface), a.spec) {
		if m := c.method(i, a.src, fn); m != nil {
			i.Methods = append(i.Methods, m)
		} else {
			i.Broken[fn.Name()] = true
		}
	}
	return i
}

// notInterface says what an annotated type is instead, and what to do.
func notInterface(a annotation) (is, cure string) {
	if a.spec.Assign.IsValid() && types.IsInterface(a.object().Type()) {
		return "an alias, which has no name of its own", "take the = away, or embed what it stands for: type " + a.spec.Name.Name + " interface{ … }"
	}
	return "not an interface", "annotate an interface type"
}

// roles reads the arguments of the callback and fetcher directives.
func (c *checker) roles(i *Interface, a annotation) {
	if d := a.callback; d != nil {
		i.Callback = &Callback{Wire: i.Name, Pos: d.pos}
		if name := c.callbackName(d); name != "" {
			i.Callback.Wire = name
		}
	}
	if d := a.fetcher; d != nil {
		i.Fetcher = &Fetcher{Prepare: "Prepare", Pos: d.pos}
		i.Fetcher.Path, i.Fetcher.Ref = a.reference()
		c.fetcherArguments(i.Fetcher, d)
	}
	if d := a.serial; d != nil {
		i.Serial = c.needsCallback(i, *d)
		c.noArguments(*d)
	}
}

func (c *checker) callbackName(d *directive) string {
	c.givenTwice(d)
	plain, keyed := d.splitArguments()
	for _, key := range slices.Sorted(maps.Keys(keyed)) {
		name := keyed[key]
		if key != "name" || !isServiceName(name) {
			c.report.add(CodeArgument, d.pos, d.word, fmt.Sprintf("%s=%s is not understood; write name= and letters, digits, dots, dashes or underscores", key, name))
			return ""
		}
	}
	if len(plain) > 0 {
		c.report.add(CodeArgument, d.pos, d.word, fmt.Sprintf("%q is not understood; a wire name is given as name=%[1]s", plain[0]))
	}
	return keyed["name"]
}

// isServiceName keeps wire names to what is safe in logs, paths and subjects.
func isServiceName(s string) bool { return isMadeOf(s, "_-.") && strings.Trim(s, ".") == s }

// isMadeOf reports whether s has nothing but ASCII letters, digits and the given marks, and has some.
func isMadeOf(s, marks string) bool {
	for _, r := range s {
		if !(strings.ContainsRune(marks, r) || '0' <= r && r <= '9' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z') {
			return false
		}
	}
	return s != ""
}

func (c *checker) fetcherArguments(f *Fetcher, d *directive) {
	c.givenTwice(d)
	plain, keyed := d.splitArguments()
	if len(plain) > 1 {
		c.report.add(CodeArgument, d.pos, d.word, fmt.Sprintf("%q is one too many; name one service", plain[1]))
	}
	if len(plain) > 0 && (strings.Contains(f.Ref, "/") || f.Path != "" && !isImportPath(f.Path)) {
		c.report.add(CodeArgument, d.pos, d.word, fmt.Sprintf("%q is no service; name a callback, as in Cart or example.com/shop.Cart, or give a name on the wire", plain[0]))
	}
	for key, name := range keyed { // what is reported is sorted later
		switch {
		case key != "prepare":
			c.report.add(CodeArgument, d.pos, d.word, fmt.Sprintf("%s= is not understood; only prepare= is", key))
		case !token.IsIdentifier(name) || name == "_" || name == bindingField:
			c.report.add(CodeArgument, d.pos, d.word, fmt.Sprintf("prepare=%s is no name for a method; use an identifier such as Calls", name))
		default:
			f.Prepare = name
		}
	}
}

// methodsOf lists the methods of an interface as they stand in the source, embedded ones after its own.
func (c *checker) methodsOf(src *source, t *types.Interface, spec *ast.TypeSpec) []*types.Func {
	var list []*types.Func
	seen := make(map[string]bool)
	var walk func(t *types.Interface)
	walk = func(t *types.Interface) {
		own := slices.Collect(t.ExplicitMethods())
		slices.SortFunc(own, func(a, b *types.Func) int {
			return comparePositions(c.report.position(a.Pos()), c.report.position(b.Pos()))
		})
		for _, fn := range own {
			if !seen[fn.Id()] {
				seen[fn.Id()] = true
				list = append(list, fn)
			}
		}
		for e := range t.EmbeddedTypes() {
			if embedded, ok := e.Underlying().(*types.Interface); ok {
				walk(embedded)
			} else if err, ok := src.errorWithin(spec.Pos(), spec.End()); ok {
				c.unresolved(src, err, spec.Name.Pos())
			}
		}
	}
	walk(t)
	return list
}

// unresolved reports a type error, once.
func (c *checker) unresolved(src *source, err types.Error, at token.Pos) {
	if err.Pos.IsValid() && src.target {
		at = err.Pos
	}
	c.compilerError(err, at, "")
}

// compilerError reports a type error, once for each cause: a name that is not declared is one, wherever it is used.
func (c *checker) compilerError(err types.Error, at token.Pos, where string) {
	key := fmt.Sprint(cmp.Or(err.Pos, at), err.Msg)
	if strings.HasPrefix(err.Msg, "undefined: ") {
		key = filepath.Dir(c.report.position(cmp.Or(err.Pos, at)).Filename) + err.Msg
	}
	if !c.reported[key] {
		c.reported[key] = true
		c.report.add(CodeUnresolved, at, where+err.Msg)
	}
}

// method makes the model of one method, nil if it is not on the wire or cannot be.
func (c *checker) method(i *Interface, src *source, fn *types.Func) *Method {
	field := c.methods[fn.Pos()]
	m := &Method{Name: fn.Name(), Func: fn, Pos: fn.Pos(), Call: fn.Name(), Codec: i.Codec, Sub: subOf(fn.Signature())}
	if !src.contains(fn.Pos()) && !c.inTarget(fn.Pos()) {
		m.Pos = i.Pos // an embedded method of another module is reported where it is embedded
	}
	if field != nil {
		m.Doc = docLines(field.Doc, field.Comment)
		c.methodDirectives(i, m, directives(field.Doc))
		if err, ok := src.errorWithin(field.Pos(), field.End()); ok {
			c.unresolved(src, err, m.Pos)
			return nil
		}
	}
	if m.Local {
		m.Sub = nil
		return m
	}
	if !fn.Exported() {
		cure := ""
		if i.Fetcher == nil {
			cure = ", or keep it off the wire with //daffi:local"
		}
		c.report.add(CodeUnexported, m.Pos, i.Name+"."+m.Name, cure)
		return nil
	}
	if m.Sub != nil {
		return m
	}
	before := len(c.report.list)
	c.broken, c.codec = false, m.Codec
	c.shape(i, m, src, fn.Type().(*types.Signature))
	if c.broken || len(c.report.list) > before {
		return nil
	}
	c.conflicts(i, m)
	if m.Map == nil { // else what is sent is not known yet
		c.signature(i.Name+"."+m.Name, m.Pos, m.signature())
	}
	return m
}

// inTarget reports whether pos is in a file of a package that the patterns name.
func (c *checker) inTarget(pos token.Pos) bool {
	for _, s := range c.sources {
		if s.target && s.contains(pos) {
			return true
		}
	}
	return false
}

// shape reads the signature of m.
func (c *checker) shape(i *Interface, m *Method, src *source, sig *types.Signature) {
	name := i.Name + "." + m.Name
	params, results := vars(sig.Params()), vars(sig.Results())
	if len(params) == 0 || !isNamed(params[0].Type(), "context", "Context") {
		local := ""
		if i.Fetcher == nil {
			local = ", or keep the method here with //daffi:local"
		}
		c.report.add(CodeNoContext, m.Pos, name, local)
		params = slices.DeleteFunc(params, func(v *types.Var) bool { return isNamed(v.Type(), "context", "Context") }) // one message for one cause
	} else {
		m.Context = params[0].Name()
		params = params[1:]
	}
	c.parameters(i, m, src, params, sig.Variadic())
	c.results(i, m, src, results)
}

// at is where a parameter or result of m is reported: where it stands, or where m is if that is another place than its own.
func (m *Method) at(v *types.Var) token.Pos {
	if m.Pos != m.Func.Pos() {
		return m.Pos
	}
	return cmp.Or(v.Pos(), m.Pos)
}

func vars(t *types.Tuple) []*types.Var { return slices.Collect(t.Variables()) }

func (c *checker) parameters(i *Interface, m *Method, src *source, params []*types.Var, variadic bool) {
	name := i.Name + "." + m.Name
	m.Variadic = variadic
	for n, p := range params {
		at := m.at(p)
		item, seq := sequence(p.Type())
		if seq == noSequence {
			if m.Map != nil { // what its function makes of it travels
				m.Params = append(m.Params, &Param{Name: p.Name(), Go: p.Type()})
			} else if w := c.travels(src, i, p, at, name, fmt.Sprint("argument ", n+1)); w != nil {
				m.Params = append(m.Params, &Param{Name: p.Name(), Go: p.Type(), Type: w, Validates: validates(p.Type())})
			}
			continue
		}
		switch {
		case n < len(params)-1:
			c.report.add(CodeSequence, at, name, "a sequence must be the last parameter; move it to the end, and take only one")
		case seq == badSequence:
			c.report.add(CodeSequence, at, name, "the second type of an input sequence must be error; take iter.Seq2[T, error]")
		case seq == plainSequence && i.Callback != nil:
			c.report.add(CodeUncheckedSeq, at, name, typeName(item, src.types))
		case m.Map != nil:
			m.Input = &Sequence{Param: Param{Name: p.Name(), Go: item}, Fallible: seq == fallibleSequence}
		default:
			if w := c.itemTravels(src, i, item, at, name, p.Name()); w != nil {
				m.Input = &Sequence{Param: Param{Name: p.Name(), Go: item, Type: w, Validates: validates(item)}, Fallible: seq == fallibleSequence}
			}
		}
	}
}

// validates reports whether a variable of type t has the method Validate() error, by a value or a pointer.
func validates(t types.Type) bool {
	obj, _, _ := types.LookupFieldOrMethod(t, true, nil, "Validate")
	fn, ok := obj.(*types.Func)
	if !ok {
		return false
	}
	sig := fn.Signature()
	return sig.Params().Len() == 0 && sig.Results().Len() == 1 && types.Identical(sig.Results().At(0).Type(), types.Universe.Lookup("error").Type())
}

func (c *checker) results(i *Interface, m *Method, src *source, results []*types.Var) {
	name := i.Name + "." + m.Name
	for _, r := range results {
		at := m.at(r)
		item, seq := sequence(r.Type())
		if seq == noSequence {
			continue
		}
		switch {
		case len(results) > 1:
			c.report.add(CodeSequence, at, name, "a sequence must be the only result; return an iter.Seq2[T, error] alone, its errors are its pairs'")
		case seq != fallibleSequence:
			c.report.add(CodeSequence, at, name, "a sequence of results may break; return an iter.Seq2[T, error]")
		default:
			if w := c.itemTravels(src, i, item, at, name, "its results"); w != nil {
				m.Output = &Param{Name: r.Name(), Go: item, Type: w}
			}
		}
		return
	}
	last := len(results) - 1
	if last < 0 || !types.Identical(results[last].Type(), types.Universe.Lookup("error").Type()) {
		c.report.add(CodeNoError, m.Pos, name)
		return
	}
	m.Error = results[last].Name()
	for n, r := range results[:last] {
		if w := c.travels(src, i, r, m.at(r), name, fmt.Sprint("result ", n+1)); w != nil {
			m.Results = append(m.Results, &Param{Name: r.Name(), Go: r.Type(), Type: w})
		}
	}
}

// The kinds of sequences.
const (
	noSequence = iota
	plainSequence
	fallibleSequence
	badSequence
)

// sequence takes an iter.Seq or iter.Seq2 apart.
func sequence(t types.Type) (item types.Type, kind int) {
	named, ok := types.Unalias(t).(*types.Named)
	switch {
	case !ok || named.TypeArgs().Len() == 0:
		return nil, noSequence
	case isNamed(named, "iter", "Seq"):
		return named.TypeArgs().At(0), plainSequence
	case !isNamed(named, "iter", "Seq2"):
		return nil, noSequence
	case types.Identical(named.TypeArgs().At(1), types.Universe.Lookup("error").Type()):
		return named.TypeArgs().At(0), fallibleSequence
	}
	return nil, badSequence
}

// travels gives the wire type of a parameter or result, or explains why there is none. Place stands for its name where it has none.
func (c *checker) travels(src *source, i *Interface, v *types.Var, at token.Pos, method, place string) *Type {
	path := v.Name()
	if path == "" || path == "_" {
		path = place
	}
	return c.itemTravels(src, i, v.Type(), at, method, path)
}

func (c *checker) itemTravels(src *source, i *Interface, t types.Type, at token.Pos, method, path string) *Type {
	if c.codec != "" {
		return c.coded(src, t, at, method+": "+path)
	}
	root := path
	if obj := typeObject(t); obj != nil && !types.IsInterface(t) {
		root = typeName(t, src.types)
	}
	r := &refuser{user: src.types}
	bad := r.check(t, root, token.NoPos)
	if bad == nil {
		return c.typer.of(t)
	}
	where := method + ": " + bad.path
	if bad.path == path && bad.reason != unknownType {
		where = method + ": " + path + " " + typeName(t, src.types)
	}
	c.refused(bad, at, where)
	return nil
}

// refused reports why a type cannot travel: once for each field.
func (c *checker) refused(bad *refusal, at token.Pos, where string) {
	c.broken = true
	if bad.pos.IsValid() {
		key := fmt.Sprint(bad.rule, bad.pos, bad.reason)
		if c.reported[key] {
			return
		}
		c.reported[key] = true
	}
	if err, ok := c.typeError(bad, at); ok {
		c.compilerError(err, at, where+": ")
		return
	}
	c.report.add(bad.rule, at, where, bad.reason)
}

// typeError is the compiler's error behind a refusal, if there is one.
func (c *checker) typeError(bad *refusal, at token.Pos) (types.Error, bool) {
	if err, ok := c.errorAt(bad.pos); ok || bad.reason != unknownType {
		return err, ok
	}
	for _, s := range c.sources {
		file := s.fileOf(cmp.Or(bad.pos, at))
		if file == nil {
			continue
		}
		for _, spec := range file.Imports {
			if err, ok := s.errorWithin(spec.Pos(), spec.End()); ok {
				return err, true
			}
		}
	}
	return types.Error{}, false
}

// errorAt is the type error in the line of pos, in whatever package.
func (c *checker) errorAt(pos token.Pos) (types.Error, bool) {
	line := c.report.position(pos)
	for _, s := range c.sources {
		for _, err := range s.errs {
			if at := c.report.position(err.Pos); at.Filename == line.Filename && at.Line == line.Line {
				return err, true
			}
		}
	}
	return types.Error{}, false
}
