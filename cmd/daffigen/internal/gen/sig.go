package gen

import (
	"errors"
	"go/token"
	"go/types"
	"unicode/utf8"

	"github.com/daffi-rpc/daffi/internal/signature"
)

// signature is the canonical wire signature of m, equal at caller and callee. Package signature says what is in it.
func (m *Method) signature() string { return m.wire().String() }

// typeSignature is that of one type by itself.
func typeSignature(t *Type) string { return wireTypes{}.typ(t).String() }

// wire is the signature of m. A method that is called for each item of a sequence has that of the callback's.
func (m *Method) wire() *signature.Method {
	w := wireTypes{}
	s := &signature.Method{Params: w.of(m.sent())}
	switch {
	case m.Input != nil && m.EachItem:
		s.Params = append(s.Params, w.typ(m.item().Type))
	case m.Input != nil:
		s.Input = w.typ(m.item().Type)
	}
	if m.Output != nil {
		s.Output = w.typ(m.Output.Type)
		return s
	}
	s.Results = w.of(m.Results)
	return s
}

// signature reports a signature that others could not read.
func (c *checker) signature(name string, pos token.Pos, text string) {
	if _, err := signature.Parse(text); err != nil {
		problem := err.Error()
		if syntax, ok := errors.AsType[*signature.SyntaxError](err); ok {
			problem = "it has " + syntax.Message
		}
		c.report.add(CodeSignature, pos, name, problem)
	}
}

// wireTypes makes types of signatures. It knows the structs that it made, which may contain themselves.
type wireTypes map[*Type]*signature.Type

func (w wireTypes) of(list []*Param) []*signature.Type {
	var all []*signature.Type
	for _, p := range list {
		all = append(all, w.typ(p.Type))
	}
	return all
}

func (w wireTypes) typ(t *Type) *signature.Type {
	word := func(name string) *signature.Type { return &signature.Type{Kind: signature.Word, Name: name} }
	switch t.Kind {
	case Basic:
		return word(types.Typ[t.Basic].Name())
	case Bytes:
		return word("bytes")
	case Time:
		return word("time")
	case Duration:
		return word("duration")
	case Slice:
		return &signature.Type{Kind: signature.Slice, Elem: w.typ(t.Elem)}
	case Array:
		elem := w.typ(t.Elem)
		if t.bytes() {
			elem = word("byte")
		}
		return &signature.Type{Kind: signature.Array, Len: t.Len, Elem: elem}
	case Map:
		return &signature.Type{Kind: signature.Map, Key: w.typ(t.Key), Elem: w.typ(t.Elem)}
	case Pointer:
		return &signature.Type{Kind: signature.Pointer, Elem: w.typ(t.Elem)}
	case Error:
		return word("error")
	case Any:
		return word("any")
	case Own:
		return word(t.Codec.Sig)
	case Coded:
		return &signature.Type{Kind: signature.Codec, Name: t.By.Name}
	}
	return w.structure(t)
}

func (w wireTypes) structure(t *Type) *signature.Type {
	if known := w[t]; known != nil {
		return known
	}
	s := &signature.Type{Kind: signature.Struct}
	if t.named() {
		s.Note = types.TypeString(t.Go, (*types.Package).Name)
	}
	w[t] = s
	for _, f := range t.Fields {
		s.Fields = append(s.Fields, signature.Field{Name: f.Wire, Type: w.typ(f.Type)})
	}
	return s
}

// apart is two signatures that differ, as they are shown beside each other: long ones with … for most of what they have in common.
func apart(a, b string) (string, string) {
	const short, around = 160, 40
	if len(a)+len(b) <= short {
		return a, b
	}
	n := min(len(a), len(b))
	same := 0 // at the beginning
	for same < n && a[same] == b[same] {
		same++
	}
	rest := 0 // that is the same at the end
	for rest < n-same && a[len(a)-1-rest] == b[len(b)-1-rest] {
		rest++
	}
	cut := func(s string) string {
		from, to := max(same-around, 0), min(len(s)-rest+around, len(s))
		for from > 0 && !utf8.RuneStart(s[from]) {
			from--
		}
		for to < len(s) && !utf8.RuneStart(s[to]) {
			to++
		}
		text := s[from:to]
		if from > 0 {
			text = "…" + text
		}
		if to < len(s) {
			text += "…"
		}
		return text
	}
	return cut(a), cut(b)
}
