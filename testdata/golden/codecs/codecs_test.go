package codecs

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"reflect"
	"testing"

	"github.com/daffi-rpc/daffi/runtime/codec"
	"github.com/daffi-rpc/daffi/runtime/codec/jsoncodec"
	"github.com/daffi-rpc/daffi/testdata/goldentest"
)

// table is a codec of strings that are in it. Some make it misbehave.
type table struct {
	id    byte
	codes map[string]string
}

func newTable(id byte) table {
	return table{id, map[string]string{"Hello World": "h", "Bye": "b", "": "", "panic": "p"}}
}

func (t table) ID() byte     { return t.id }
func (t table) Name() string { return "my-table" }

var errNotInTable = errors.New("not in the table")

func (t table) Marshal(dst []byte, v any) ([]byte, error) {
	text := reflect.ValueOf(v).String() // of a Title, too
	code, ok := t.codes[text]
	switch {
	case text == "marshal panics":
		panic("no code for this")
	case text == "big":
		return append(dst, make([]byte, 1<<20)...), nil
	case !ok:
		return nil, fmt.Errorf("%q is %w", text, errNotInTable)
	}
	return append(dst, code...), nil
}

func (t table) Unmarshal(data []byte, v any) error {
	if string(data) == "p" {
		panic("no text for this")
	}
	for text, code := range t.codes {
		if code == string(data) {
			reflect.ValueOf(v).Elem().SetString(text)
			return nil
		}
	}
	return fmt.Errorf("%q is %w", data, errNotInTable)
}

// shapes is a codec of interfaces and functions: a Square by its side, a function as nothing.
type shapes struct{}

func (shapes) ID() byte     { return 41 }
func (shapes) Name() string { return "shapes" }

func (shapes) Marshal(dst []byte, v any) ([]byte, error) {
	switch v := v.(type) {
	case Square:
		return binary.BigEndian.AppendUint64(dst, math.Float64bits(float64(v))), nil
	case [1]float64:
		return binary.BigEndian.AppendUint64(dst, math.Float64bits(v[0])), nil
	}
	return dst, nil
}

func (shapes) Unmarshal(data []byte, v any) error {
	if len(data) != 8 {
		return nil
	}
	f := math.Float64frombits(binary.BigEndian.Uint64(data))
	switch v := v.(type) {
	case *Shape:
		*v = Square(f)
	case *[1]float64:
		v[0] = f
	}
	return nil
}

// registry has both codecs, the table under the given id.
func registry(t testing.TB, id byte) *codec.Registry {
	r := new(codec.Registry)
	for _, c := range []codec.Codec{newTable(id), shapes{}} {
		if err := r.Register(c); err != nil {
			t.Fatal(err)
		}
	}
	return r
}

func golden(t testing.TB) []goldentest.Type {
	scope := &codec.Scope{Codecs: registry(t, 40), Node: "golden"}
	entry := Entry{ID: "1", Body: []byte(`{"a":[1,2]}`), Extra: []any{"x", nil, 1.5, map[string]any{"k": true}}, Next: &Entry{ID: "2", Body: []byte("null")}}
	return []goldentest.Type{
		goldentest.Of(jsoncodec.Write[Entry], jsoncodec.Read[Entry], entry),
		goldentest.Of(jsoncodec.Write[[]*Entry], jsoncodec.Read[[]*Entry], []*Entry{nil, &entry}),
		goldentest.Of(jsoncodec.Write[any], jsoncodec.Read[any], any([]any{map[string]any{"a": 1.0}, map[string]any{"a": 1.0}})),
		goldentest.Of(codec.WriteRaw[Blob], codec.ReadRaw[Blob], Blob("abc"), Blob{}),
		goldentest.Of(codec.WriteTextString[Title], codec.ReadTextString[Title], "a title"),
		goldentest.In(scope, writeMyTableString, readMyTableString, "Hello World"),
		goldentest.In(scope, writeArea, readShapesFloat64x1, [1]float64{4}),
		goldentest.In(scope, writeCount, goldentest.Results(readClientCountResult), ClientCountResult{7, map[string]int{"a": 1}}),
		goldentest.In(scope, writeTranslate, goldentest.Results(readClientTranslateResult), ClientTranslateResult{"Hello World", "Bye"}),
	}
}

func writeArea(e *codec.Encoder, v [1]float64) { codec.WriteWith(e, "shapes", v) }

func writeCount(e *codec.Encoder, v ClientCountResult) {
	e.Array(2)
	jsoncodec.Write(e, v.N)
	jsoncodec.Write(e, v.PerPage)
}

func writeTranslate(e *codec.Encoder, v ClientTranslateResult) {
	e.Array(2)
	codec.WriteWith(e, "my-table", v.R0)
	codec.WriteWith(e, "my-table", v.R1)
}

func TestGolden(t *testing.T) { goldentest.Run(t, golden(t)...) }

func FuzzGolden(f *testing.F) { goldentest.Fuzz(f, golden(f)...) }

func BenchmarkGolden(b *testing.B) { goldentest.Bench(b, golden(b)...) }
