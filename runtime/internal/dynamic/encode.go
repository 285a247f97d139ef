// Package dynamic writes and reads values by the wire signature of a method, for calls that no generated code makes. It works without reflection, so it
// takes basic types, slices and maps of them, what stands in an any, and messages.
package dynamic

import (
	"encoding"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/daffi-rpc/daffi/internal/signature"
	"github.com/daffi-rpc/daffi/runtime/codec"
)

// Problem is why a value cannot travel as a type, and where it stands within an argument.
type Problem struct {
	Path string // .Lines[3].Quantity, empty for the argument itself
	Text string // int8 wanted, string given
}

func (p *Problem) Error() string {
	if p.Path == "" {
		return p.Text
	}
	return p.Path + ": " + p.Text
}

// within puts the path to a part before that of its problem.
func within(path string, p *Problem) *Problem {
	if p != nil {
		p.Path = path + p.Path
	}
	return p
}

func wanted(t *signature.Type, v any) *Problem {
	return &Problem{Text: fmt.Sprintf("%s wanted, %s given", typeText(t), given(v))}
}

// given is what an error calls a value.
func given(v any) string {
	switch v := v.(type) {
	case nil:
		return "nil"
	case string:
		if len(v) > 32 {
			return "a string"
		}
		return fmt.Sprintf("the string %q", v)
	case int, int8, int16, int32, int64, uint, uint8, uint16, uint32, uint64, float32, float64:
		return fmt.Sprintf("%T %v", v, v)
	}
	return fmt.Sprintf("%T", v)
}

// typeText is what an error calls a type: structs are long.
func typeText(t *signature.Type) string {
	const most = 80
	text := t.String()
	if len(text) > most {
		return text[:most] + "…"
	}
	return text
}

// Write writes v as t. After a problem e must be reset.
func Write(e *codec.Encoder, t *signature.Type, v any) *Problem {
	switch t.Kind {
	case signature.Pointer:
		if v == nil {
			e.Nil()
			return nil
		}
		return Write(e, t.Elem, v)
	case signature.Slice, signature.Array:
		return writeList(e, t, v)
	case signature.Map:
		return writeMap(e, t, v)
	case signature.Struct:
		return writeStruct(e, t, v)
	case signature.Codec:
		return writeCoded(e, t, v)
	}
	return writeWord(e, t, v)
}

func writeList(e *codec.Encoder, t *signature.Type, v any) *Problem {
	if t.Kind == signature.Array && t.Elem.Kind == signature.Word && t.Elem.Name == "byte" {
		b, ok := v.([]byte)
		if !ok || int64(len(b)) != t.Len {
			return &Problem{Text: fmt.Sprintf("a []byte of %d bytes wanted, %s given", t.Len, lengthOf(v, len(b), ok))}
		}
		e.Blob(b)
		return nil
	}
	if v == nil && t.Kind == signature.Slice {
		e.Nil()
		return nil
	}
	l, ok := listOf(v)
	switch {
	case !ok:
		return wanted(t, v)
	case t.Kind == signature.Array && int64(l.n) != t.Len:
		return &Problem{Text: fmt.Sprintf("%d elements wanted, %d given", t.Len, l.n)}
	case l.null && t.Kind == signature.Slice:
		e.Nil()
		return nil
	}
	e.Array(l.n)
	defer e.Leave()
	for i := 0; i < l.n && entered(e, i); i++ {
		if p := Write(e, t.Elem, l.at(i)); p != nil {
			return within(fmt.Sprintf("[%d]", i), p)
		}
	}
	if l.n == 0 {
		e.Enter()
	}
	return nil
}

// entered goes one level down before the first element, and reports whether there is anything to write to.
func entered(e *codec.Encoder, i int) bool {
	if i == 0 {
		return e.Enter()
	}
	return e.Err() == nil
}

func lengthOf(v any, n int, bytes bool) string {
	if bytes {
		return fmt.Sprintf("one of %d", n)
	}
	return given(v)
}

func writeMap(e *codec.Encoder, t *signature.Type, v any) *Problem {
	if v == nil {
		e.Nil()
		return nil
	}
	m, ok := entriesOf(v)
	switch {
	case !ok:
		return wanted(t, v)
	case m == nil:
		e.Nil()
		return nil
	}
	e.Map(len(m))
	defer e.Leave()
	if !e.Enter() {
		return nil
	}
	for k, v := range m {
		key := k
		if text, ok := k.(string); ok { // as JSON has them
			key = keyOf(t.Key, text)
		}
		at := fmt.Sprintf("[%#v]", k)
		if p := Write(e, t.Key, key); p != nil {
			return within(at, &Problem{Text: "as a key: " + p.Error()})
		}
		if p := Write(e, t.Elem, v); p != nil {
			return within(at, p)
		}
	}
	return nil
}

// keyOf is a key that is given as text, which may be a number.
func keyOf(t *signature.Type, text string) any {
	if t.Kind == signature.Word {
		if _, integer := bits[t.Name]; integer {
			if n, err := strconv.ParseInt(text, 10, 64); err == nil {
				return n
			}
			if n, err := strconv.ParseUint(text, 10, 64); err == nil {
				return n
			}
		}
	}
	return text
}

func writeStruct(e *codec.Encoder, t *signature.Type, v any) *Problem {
	if m, ok := v.(codec.Message); ok {
		if sig := codec.MessageType(m); sig != t.String() {
			return &Problem{Text: fmt.Sprintf("%s wanted, %T given, which is %s", typeText(t), v, sig)}
		}
		codec.WriteMessage(e, m)
		return nil
	}
	m, ok := entriesOf(v)
	if !ok {
		if _, basic := listOf(v); !basic && !scalar(v) {
			return &Problem{Text: fmt.Sprintf("%s wanted, %T given: give a struct as a map[string]any, or a pointer to one that is marked //daffi:message", typeText(t), v)}
		}
		return wanted(t, v)
	}
	known := 0
	for _, f := range t.Fields {
		if _, ok := m[f.Name]; ok {
			known++
		}
	}
	if known != len(m) {
		return unknownField(t, m)
	}
	e.Map(known) // fields that are not given are zero
	defer e.Leave()
	if !e.Enter() {
		return nil
	}
	for _, f := range t.Fields {
		if v, ok := m[f.Name]; ok {
			e.String(f.Name)
			if p := Write(e, f.Type, v); p != nil {
				return within("."+f.Name, p)
			}
		}
	}
	return nil
}

func unknownField(t *signature.Type, m map[any]any) *Problem {
	var names, wrong []string
	for _, f := range t.Fields {
		names = append(names, f.Name)
	}
	for k := range maps.Keys(m) {
		if name, ok := k.(string); !ok || !slices.Contains(names, name) {
			wrong = append(wrong, fmt.Sprint(k))
		}
	}
	return &Problem{Text: fmt.Sprintf("there is no field %s, there are %v", slices.Min(wrong), names)}
}

func writeCoded(e *codec.Encoder, t *signature.Type, v any) *Problem {
	text, isText := v.(string)
	blob, isBlob := v.([]byte)
	switch t.Name {
	case "raw":
		if !isBlob && v != nil {
			return wanted(t, v)
		}
		codec.WriteRaw(e, blob)
	case "text":
		if !isText {
			return wanted(t, v)
		}
		codec.WriteTextString(e, text)
	case "json":
		if isText {
			blob = []byte(text)
		} else if !isBlob {
			return &Problem{Text: fmt.Sprintf("JSON as a string or a []byte wanted, %s given", given(v))}
		}
		codec.WriteBy(e, jsonText{}, blob)
	default:
		codec.WriteWith(e, t.Name, v)
	}
	return nil
}

// jsonText carries what is JSON already.
type jsonText struct{}

func (jsonText) ID() byte                                  { return 3 }
func (jsonText) Name() string                              { return "json" }
func (jsonText) Marshal(dst []byte, v any) ([]byte, error) { return append(dst, v.([]byte)...), nil }

func (jsonText) Unmarshal(data []byte, v any) error {
	*v.(*string) = string(data)
	return nil
}

// bits are the sizes of integers; those of unsigned ones are negative.
var bits = map[string]int{"int": 64, "int8": 8, "int16": 16, "int32": 32, "int64": 64, "uint": -64, "uint8": -8, "uint16": -16, "uint32": -32, "uint64": -64}

func writeWord(e *codec.Encoder, t *signature.Type, v any) *Problem {
	if size, ok := bits[t.Name]; ok {
		return writeInteger(e, t, size, v)
	}
	ok := true
	switch t.Name {
	case "bool":
		var b bool
		b, ok = v.(bool)
		e.Bool(b)
	case "string":
		var s string
		s, ok = v.(string)
		e.String(s)
	case "float32", "float64":
		return writeFloat(e, t, v)
	case "complex64", "complex128":
		return writeComplex(e, t, v)
	case "bytes":
		ok = writeBytes(e, v)
	case "time":
		return writeTime(e, t, v)
	case "duration":
		return writeDuration(e, t, v)
	case "error":
		ok = writeError(e, v)
	case "any":
		codec.WriteAny(e, v)
	case "binary":
		return writeBinary(e, t, v)
	case "text":
		return writeText(e, t, v)
	case "msgpack":
		return writeMsgpack(e, t, v)
	default:
		return &Problem{Text: fmt.Sprintf("values of the type %s cannot be made here: it is of a later version", t.Name)}
	}
	if !ok {
		return wanted(t, v)
	}
	return nil
}

func writeInteger(e *codec.Encoder, t *signature.Type, size int, v any) *Problem {
	i, u, ok := integer(v)
	switch {
	case !ok:
		return wanted(t, v)
	case size < 0 && i < 0, size < 0 && size > -64 && u >= 1<<-size, size > 0 && i >= 0 && u > 1<<(size-1)-1, size > 0 && i < -1<<(size-1):
		return &Problem{Text: fmt.Sprintf("%s does not hold %v", t.Name, v)}
	case i < 0:
		e.Int64(i)
	default:
		e.Uint64(u)
	}
	return nil
}

// integer is a whole number of any type: i if it is negative, else u.
func integer(v any) (i int64, u uint64, ok bool) {
	switch v := v.(type) {
	case int:
		i = int64(v)
	case int8:
		i = int64(v)
	case int16:
		i = int64(v)
	case int32:
		i = int64(v)
	case int64:
		i = v
	case uint:
		return 0, uint64(v), true
	case uint8:
		return 0, uint64(v), true
	case uint16:
		return 0, uint64(v), true
	case uint32:
		return 0, uint64(v), true
	case uint64:
		return 0, v, true
	case float32:
		return integer(float64(v))
	case float64: // as JSON has it
		if v != math.Trunc(v) || math.Abs(v) > 1<<53 {
			return 0, 0, false
		}
		i = int64(v)
	default:
		return 0, 0, false
	}
	return i, uint64(i), true
}

func writeFloat(e *codec.Encoder, t *signature.Type, v any) *Problem {
	var f float64
	switch v := v.(type) {
	case float64:
		f = v
	case float32:
		f = float64(v)
	default:
		i, u, ok := integer(v)
		if !ok {
			return wanted(t, v)
		}
		if i < 0 {
			f, u = float64(i), uint64(-i)
		} else {
			f = float64(u)
		}
		if u > 1<<53 {
			return &Problem{Text: fmt.Sprintf("%s does not hold %v exactly", t.Name, v)}
		}
	}
	if t.Name == "float64" {
		e.Float64(f)
		return nil
	}
	if math.Abs(f) > math.MaxFloat32 && !math.IsInf(f, 0) {
		return &Problem{Text: fmt.Sprintf("float32 does not hold %v", v)}
	}
	e.Float32(float32(f))
	return nil
}

func writeComplex(e *codec.Encoder, t *signature.Type, v any) *Problem {
	var c complex128
	switch v := v.(type) {
	case complex128:
		c = v
	case complex64:
		c = complex128(v)
	default:
		return wanted(t, v)
	}
	if t.Name == "complex64" {
		e.Complex64(complex64(c))
	} else {
		e.Complex128(c)
	}
	return nil
}

func writeBytes(e *codec.Encoder, v any) bool {
	switch v := v.(type) {
	case nil:
		e.Nil()
	case []byte:
		e.Blob(v)
	case string:
		e.Blob([]byte(v))
	default:
		return false
	}
	return true
}

func writeTime(e *codec.Encoder, t *signature.Type, v any) *Problem {
	switch v := v.(type) {
	case time.Time:
		e.Time(v)
		return nil
	case string:
		at, err := time.Parse(time.RFC3339Nano, v)
		if err != nil {
			return &Problem{Text: fmt.Sprintf("a time like 2006-01-02T15:04:05Z wanted, %s given", given(v))}
		}
		e.Time(at)
		return nil
	}
	return wanted(t, v)
}

func writeDuration(e *codec.Encoder, t *signature.Type, v any) *Problem {
	switch v := v.(type) {
	case time.Duration:
		e.Duration(v)
		return nil
	case string:
		d, err := time.ParseDuration(v)
		if err != nil {
			return &Problem{Text: fmt.Sprintf("a duration like 1m30s wanted, %s given", given(v))}
		}
		e.Duration(d)
		return nil
	}
	return wanted(t, v)
}

func writeError(e *codec.Encoder, v any) bool {
	switch v := v.(type) {
	case nil:
		e.Nil()
	case error:
		codec.WriteError(e, v)
	case string:
		e.String(v)
	default:
		return false
	}
	return true
}

func writeBinary(e *codec.Encoder, t *signature.Type, v any) *Problem {
	switch v := v.(type) {
	case []byte:
		e.Blob(v)
		return nil
	case encoding.BinaryMarshaler:
		b, err := v.MarshalBinary()
		if err != nil {
			return &Problem{Text: err.Error()}
		}
		e.Blob(b)
		return nil
	}
	return wanted(t, v)
}

func writeText(e *codec.Encoder, t *signature.Type, v any) *Problem {
	switch v := v.(type) {
	case string:
		e.String(v)
		return nil
	case encoding.TextMarshaler:
		b, err := v.MarshalText()
		if err != nil {
			return &Problem{Text: err.Error()}
		}
		e.String(string(b))
		return nil
	}
	return wanted(t, v)
}

var errOneValue = errors.New("not one MessagePack value")

func writeMsgpack(e *codec.Encoder, t *signature.Type, v any) *Problem {
	b, ok := v.([]byte)
	if m, marshals := v.(codec.MsgMarshaler); marshals {
		var err error
		if b, err = m.MarshalMsg(nil); err != nil {
			return &Problem{Text: err.Error()}
		}
	} else if !ok {
		return wanted(t, v)
	}
	var d codec.Decoder
	d.Reset(b)
	d.Skip()
	if d.Close() != nil {
		return &Problem{Text: errOneValue.Error()}
	}
	e.Raw(b)
	return nil
}
