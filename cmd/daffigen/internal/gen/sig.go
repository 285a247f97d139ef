package gen

import (
	"go/token"
	"go/types"
	"strconv"
	"strings"
)

// signature is the canonical wire signature of m, equal at caller and callee: arguments and results in parentheses, an input
// sequence as last argument with <, an output sequence with > in place of results. It has no names but those of fields.
//
//	(string,int)(float64,int)    (string,<bytes)(int)    (string)>{ID string;Next *$0}    ([32]byte)([]time)
//
// A type that encodes itself is msgpack, binary or text, after what it gives. $n stands for the n-th struct of the signature, counted from 0, wherever it comes again.
func signature(m *Method) string {
	var w sigWriter
	w.WriteByte('(')
	w.params(m.sent())
	if m.Input != nil && !m.EachItem {
		w.comma(len(m.sent()))
		w.WriteByte('<')
	}
	if m.Input != nil {
		w.typ(m.item().Type)
	}
	w.WriteByte(')')
	if m.Output != nil {
		w.WriteByte('>')
		w.typ(m.Output.Type)
		return w.String()
	}
	w.WriteByte('(')
	w.params(m.Results)
	w.WriteByte(')')
	return w.String()
}

type sigWriter struct {
	strings.Builder
	structs []*Type
}

func (w *sigWriter) comma(i int) {
	if i > 0 {
		w.WriteByte(',')
	}
}

func (w *sigWriter) params(list []*Param) {
	for i, p := range list {
		w.comma(i)
		w.typ(p.Type)
	}
}

func (w *sigWriter) typ(t *Type) {
	switch t.Kind {
	case Basic:
		w.WriteString(types.Typ[t.Basic].Name())
	case Bytes:
		w.WriteString("bytes")
	case Time:
		w.WriteString("time")
	case Duration:
		w.WriteString("duration")
	case Slice:
		w.WriteString("[]")
		w.typ(t.Elem)
	case Array:
		w.WriteString("[" + strconv.FormatInt(t.Len, 10) + "]")
		if t.bytes() {
			w.WriteString("byte") // travels as bytes do, unlike an array of a type defined as uint8
			return
		}
		w.typ(t.Elem)
	case Map:
		w.WriteString("map[")
		w.typ(t.Key)
		w.WriteByte(']')
		w.typ(t.Elem)
	case Pointer:
		w.WriteByte('*')
		w.typ(t.Elem)
	case Error:
		w.WriteString("error")
	case Any:
		w.WriteString("any")
	case Own:
		w.WriteString(t.Codec.Sig)
	case Struct:
		w.structure(t)
	}
}

func (w *sigWriter) structure(t *Type) {
	for i, s := range w.structs {
		if s == t {
			w.WriteString("$" + strconv.Itoa(i))
			return
		}
	}
	w.structs = append(w.structs, t)
	w.WriteByte('{')
	for i, f := range t.Fields {
		if i > 0 {
			w.WriteByte(';')
		}
		name := f.Wire
		if !token.IsIdentifier(name) {
			name = strconv.Quote(name)
		}
		w.WriteString(name + " ")
		w.typ(f.Type)
	}
	w.WriteByte('}')
}
