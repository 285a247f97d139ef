package gen

import (
	"bytes"
	"cmp"
	"fmt"
	"go/types"
	"slices"
	"strings"
	"time"

	"github.com/dave/jennifer/jen"
)

// emitter renders one package's model. It decides nothing.
type emitter struct {
	*namer
	file  *jen.File
	todo  []helper // functions of types that were referred to and are not built yet
	asked map[string]bool
}

// helper is a function that others need, with what stands above it.
type helper struct {
	place int // in the file, among helpers
	build func() []jen.Code
	code  []jen.Code
}

// emit renders the generated file of p.
func emit(p *Package, n *namer) ([]byte, error) {
	e := &emitter{namer: n, file: jen.NewFilePathName(p.Path, p.Name), asked: make(map[string]bool)}
	e.file.HeaderComment(header)
	e.importHints()
	e.version()
	e.stale()
	for _, i := range p.Interfaces {
		if i.Callback != nil {
			e.callback(i)
		}
		if i.Fetcher != nil {
			e.fetcher(i)
		}
	}
	for _, m := range p.Messages {
		e.message(m)
	}
	e.helpers()
	var buf bytes.Buffer
	if err := e.file.Render(&buf); err != nil {
		return nil, fmt.Errorf("render %s: %w", p.File, err)
	}
	return constrained(groupImports(buf.Bytes()), p.Constraint), nil
}

// helpers emits the functions that others need, those of one type together.
func (e *emitter) helpers() {
	for k := 0; k < len(e.todo); k++ { // building one may ask for more
		e.todo[k].code = e.todo[k].build()
	}
	slices.SortStableFunc(e.todo, func(a, b helper) int { return cmp.Compare(a.place, b.place) })
	for _, h := range e.todo {
		for _, code := range h.code {
			e.file.Add(code).Line()
		}
	}
}

// later makes sure that the function called name will be there.
func (e *emitter) later(name string, place int, build func() []jen.Code) *jen.Statement {
	if !e.asked[name] {
		e.asked[name] = true
		e.todo = append(e.todo, helper{place: place, build: build})
	}
	return jen.Id(name)
}

// importHints tells jennifer what each package is called. It writes a name into the import block where the path does not tell.
func (e *emitter) importHints() {
	for path, name := range e.imports {
		if path[strings.LastIndexByte(path, '/')+1:] == name {
			e.file.ImportName(path, name)
		} else {
			e.file.ImportAlias(path, name)
		}
	}
}

// comment writes lines as // comments.
func (e *emitter) comment(lines ...string) {
	for _, line := range lines {
		switch {
		case line == "":
			e.file.Comment("//")
		case strings.HasPrefix(line, "\t"):
			e.file.Comment("//" + line)
		default:
			e.file.Comment("// " + line)
		}
	}
}

// doc is the source's comment on m, or else the given sentence.
func (e *emitter) doc(m *Method, otherwise string) {
	if len(m.Doc) > 0 {
		e.comment(m.Doc...)
		return
	}
	e.comment(otherwise)
}

// calls says in a sentence what the proxy's method does.
func (m *Method) calls() string {
	switch {
	case m.Event:
		return m.Name + m.sends(" to every provider", "all are", "their ends")
	case m.Oneway:
		return m.Name + m.sends("", "it is", "its end")
	case m.EachItem:
		return m.Name + " calls " + m.Call + " for every item and waits for the end of the last call."
	case m.Output != nil:
		return m.Name + " calls " + m.Call + " when its sequence is ranged over, which can be done once."
	case len(m.Results) == 0:
		return m.Name + " calls " + m.Call + " and waits for its end."
	case len(m.Results) == 1:
		return m.Name + " calls " + m.Call + " and waits for its result."
	}
	return m.Name + " calls " + m.Call + " and waits for its results."
}

// sends ends the sentence on a method that is one-way.
func (m *Method) sends(to, until, end string) string {
	if m.Level == None {
		return " queues a call of " + m.Call + to + " and waits for nothing."
	}
	return " sends a call of " + m.Call + to + " and waits until " + until + " " + levelWords[m.Level] + ", not for " + end + "."
}

// parameters writes the parameters of m: a, b string, items ...int, in iter.Seq[T].
func (n *namer) parameters(m *Method, l *locals) []jen.Code {
	fixed := m.Params
	if m.Variadic {
		fixed = fixed[:len(fixed)-1]
	}
	list := n.grouped(l.params, fixed)
	if m.Variadic {
		last := len(fixed)
		list = append(list, jen.Id(l.params[last]).Op("...").Add(n.spelled(m.Params[last].Go.(*types.Slice).Elem())))
	}
	if m.Input != nil {
		list = append(list, jen.Id(l.input).Add(n.sequenceType(m.Input.Go, m.Input.Fallible)))
	}
	return list
}

// grouped writes names with their types, and the type once for neighbours that have the same: a, b string.
func (n *namer) grouped(names []string, params []*Param) []jen.Code {
	var list []jen.Code
	for k := 0; k < len(params); {
		var same []string
		typ := params[k].Go
		for ; k < len(params) && types.Identical(params[k].Go, typ); k++ {
			same = append(same, names[k])
		}
		list = append(list, jen.List(ids(same)...).Add(n.spelled(typ)))
	}
	return list
}

// arguments writes what is passed for the parameters of m: a, items..., in.
func arguments(m *Method, l *locals) []jen.Code {
	var list []jen.Code
	for k := range m.Params {
		arg := jen.Id(l.params[k])
		if m.Variadic && k == len(m.Params)-1 {
			arg.Op("...")
		}
		list = append(list, arg)
	}
	return list
}

// rows is a composite literal with one element per line.
func rows(elements ...jen.Code) *jen.Statement {
	return jen.Custom(jen.Options{Open: "{", Close: "}", Separator: ",", Multi: true}, elements...)
}

// pair is Name: value in a composite literal.
func pair(name string, value jen.Code) *jen.Statement { return jen.Id(name).Op(":").Add(value) }

// duration writes 5 * time.Second.
func duration(d time.Duration) *jen.Statement {
	for _, unit := range []struct {
		size time.Duration
		name string
	}{
		{time.Hour, "Hour"}, {time.Minute, "Minute"}, {time.Second, "Second"},
		{time.Millisecond, "Millisecond"}, {time.Microsecond, "Microsecond"},
	} {
		switch {
		case d == unit.size:
			return jen.Qual(pathTime, unit.name)
		case d%unit.size == 0:
			return jen.Lit(int(d/unit.size)).Op("*").Qual(pathTime, unit.name)
		}
	}
	return jen.Lit(int(d)).Op("*").Qual(pathTime, "Nanosecond")
}

// groupImports separates the standard library from the rest in the import block, as hand-written files have it.
func groupImports(src []byte) []byte {
	const open = "\nimport (\n"
	start := bytes.Index(src, []byte(open))
	if start < 0 {
		return src
	}
	start += len(open)
	size := bytes.Index(src[start:], []byte(")\n"))
	var std, others []string
	for line := range strings.Lines(string(src[start : start+size])) {
		_, path, _ := strings.Cut(line, `"`)
		first, _, _ := strings.Cut(path, "/")
		if strings.Contains(first, ".") {
			others = append(others, line)
		} else {
			std = append(std, line)
		}
	}
	if len(std) > 0 && len(others) > 0 {
		std = append(std, "\n")
	}
	block := strings.Join(std, "") + strings.Join(others, "")
	return append(append(bytes.Clone(src[:start]), block...), src[start+size:]...)
}
