package both

import (
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"math/big"
	"net/netip"
	"net/url"
	"reflect"
	"time"

	"github.com/google/uuid"
	"github.com/shopspring/decimal"
	"pgregory.net/rapid"
)

// Values draws arguments: for types and struct fields that are listed from their generators, for others after their kind.
type Values struct {
	types  map[reflect.Type]*rapid.Generator[any]
	fields map[field]*rapid.Generator[any]
}

type field struct {
	typ  reflect.Type
	name string
}

// Of makes all values of type T come from g.
func Of[T any](g *rapid.Generator[T]) func(*Values) {
	return func(v *Values) { v.types[reflect.TypeFor[T]()] = g.AsAny() }
}

// Field makes the named field of every S come from g.
func Field[S, T any](name string, g *rapid.Generator[T]) func(*Values) {
	if f, ok := reflect.TypeFor[S]().FieldByName(name); !ok || f.Type != reflect.TypeFor[T]() {
		panic(fmt.Sprintf("%v has no %s of type %v", reflect.TypeFor[S](), name, reflect.TypeFor[T]()))
	}
	return func(v *Values) { v.fields[field{reflect.TypeFor[S](), name}] = g.AsAny() }
}

// Foreign types that reflection cannot fill.
var foreign = []func(*Values){
	Of(rapid.Custom(func(t *rapid.T) time.Time {
		return time.Unix(rapid.Int64Range(-1<<35, 1<<37).Draw(t, "s"), rapid.Int64Range(0, 1e9-1).Draw(t, "ns")).UTC()
	})),
	Of(rapid.Custom(func(t *rapid.T) uuid.UUID { return uuid.UUID(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "uuid")) })),
	Of(rapid.Custom(func(t *rapid.T) decimal.Decimal {
		return decimal.New(rapid.Int64().Draw(t, "coefficient"), rapid.Int32Range(-20, 20).Draw(t, "exponent"))
	})),
	Of(rapid.Custom(func(t *rapid.T) big.Int {
		n := new(big.Int).SetBytes(rapid.SliceOfN(rapid.Byte(), 0, 40).Draw(t, "big"))
		if rapid.Bool().Draw(t, "negative") {
			n.Neg(n)
		}
		return *n
	})),
	Of(rapid.Custom(func(t *rapid.T) netip.Addr {
		addr, _ := netip.AddrFromSlice(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "ip"))
		if rapid.Bool().Draw(t, "ip4") {
			b := addr.As16()
			return netip.AddrFrom4([4]byte(b[:4]))
		}
		return addr.WithZone(rapid.SampledFrom([]string{"", "eth0"}).Draw(t, "zone"))
	})),
	Of(rapid.Custom(func(t *rapid.T) netip.Prefix {
		b := rapid.SliceOfN(rapid.Byte(), 4, 4).Draw(t, "net")
		return netip.PrefixFrom(netip.AddrFrom4([4]byte(b)), rapid.IntRange(0, 32).Draw(t, "bits"))
	})),
	Of(rapid.Custom(func(t *rapid.T) url.URL {
		u := url.URL{Scheme: "https", Host: "example.com", Path: "/" + rapid.StringMatching(`[a-z /ä]*`).Draw(t, "path")}
		if rapid.Bool().Draw(t, "user") {
			u.User = url.UserPassword("me", rapid.StringMatching(`[a-z:@]*`).Draw(t, "password"))
		}
		u.RawQuery = url.Values{"q": {rapid.String().Draw(t, "query")}}.Encode()
		return u
	})),
	Of(rapid.Map(rapid.MapOfN(rapid.String(), rapid.Int(), 0, 3), func(v map[string]int) json.RawMessage {
		b, err := json.Marshal(v)
		if err != nil {
			panic(err)
		}
		return b
	})),
	// Bytes that are not UTF-8 are valid in a Go string.
	Of(rapid.OneOf(rapid.String(), rapid.Map(rapid.SliceOfN(rapid.Byte(), 0, 8), func(b []byte) string { return string(b) }))),
	// What an any may hold, in the form in which it arrives.
	Of(rapid.Deferred(func() *rapid.Generator[any] { return anyValue(2) })),
	Of(rapid.Custom(func(t *rapid.T) error {
		return rapid.SampledFrom([]error{nil, errors.New("first"), fmt.Errorf("second: %w", errors.ErrUnsupported)}).Draw(t, "error")
	})),
}

func anyValue(depth int) *rapid.Generator[any] {
	leaves := []*rapid.Generator[any]{
		rapid.Just[any](nil), rapid.Bool().AsAny(), rapid.Int().AsAny(), rapid.Float64().AsAny(), rapid.String().AsAny(),
		rapid.SliceOf(rapid.Byte()).AsAny(), rapid.Map(rapid.Int64(), func(n int64) time.Duration { return time.Duration(n) }).AsAny(),
	}
	if depth > 0 {
		leaves = append(leaves,
			rapid.SliceOfN(anyValue(depth-1), 0, 3).AsAny(),
			rapid.MapOfN(rapid.String(), anyValue(depth-1), 0, 3).AsAny())
	}
	return rapid.OneOf(leaves...)
}

func newValues(more []func(*Values)) *Values {
	v := &Values{types: map[reflect.Type]*rapid.Generator[any]{}, fields: map[field]*rapid.Generator[any]{}}
	for _, add := range append(foreign, more...) {
		add(v)
	}
	return v
}

// draw gives a value of type t. Below depth 0 there is nothing but what must be.
func (v *Values) draw(t *rapid.T, typ reflect.Type, label string, depth int) reflect.Value {
	out := reflect.New(typ).Elem()
	if g := v.types[typ]; g != nil {
		if drawn := g.Draw(t, label); drawn != nil {
			out.Set(reflect.ValueOf(drawn))
		}
		return out
	}
	few := func() int {
		if depth <= 0 {
			return rapid.IntRange(-1, 0).Draw(t, label+" length") // nil or empty
		}
		return rapid.IntRange(-1, 3).Draw(t, label+" length")
	}
	switch typ.Kind() {
	case reflect.Bool:
		out.SetBool(rapid.Bool().Draw(t, label))
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		low := int64(-1) << (typ.Bits() - 1)
		out.SetInt(rapid.Int64Range(low, -(low+1)).Draw(t, label))
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		out.SetUint(rapid.Uint64Range(0, 1<<(typ.Bits()-1)*2-1).Draw(t, label))
	case reflect.Float32:
		out.SetFloat(float64(rapid.Float32().Draw(t, label)))
	case reflect.Float64:
		out.SetFloat(rapid.Float64().Draw(t, label))
	case reflect.String:
		out.SetString(v.draw(t, reflect.TypeFor[string](), label, depth).String())
	case reflect.Slice:
		if n := few(); n >= 0 {
			out.Set(reflect.MakeSlice(typ, n, n))
			for i := range n {
				out.Index(i).Set(v.draw(t, typ.Elem(), label, depth-1))
			}
		}
	case reflect.Array:
		for i := range typ.Len() {
			out.Index(i).Set(v.draw(t, typ.Elem(), label, depth-1))
		}
	case reflect.Map:
		if n := few(); n >= 0 {
			out.Set(reflect.MakeMap(typ))
			for range n {
				out.SetMapIndex(v.draw(t, typ.Key(), label+" key", depth-1), v.draw(t, typ.Elem(), label, depth-1))
			}
		}
	case reflect.Pointer:
		if depth > 0 && rapid.Bool().Draw(t, label+" set") {
			out.Set(reflect.New(typ.Elem()))
			out.Elem().Set(v.draw(t, typ.Elem(), label, depth-1))
		}
	case reflect.Struct:
		for i := range typ.NumField() {
			f := typ.Field(i)
			g := v.fields[field{typ, f.Name}]
			switch {
			case g != nil:
				out.Field(i).Set(reflect.ValueOf(g.Draw(t, f.Name)))
			case !f.IsExported() || f.Tag.Get("daffi") == "-":
			default:
				out.Field(i).Set(v.draw(t, f.Type, f.Name, depth-1))
			}
		}
	default:
		t.Fatalf("no values are known of %v, for %s", typ, label)
	}
	return out
}

// errInput is what a sequence of a caller breaks with.
var errInput = errors.New("the producer's disk is full")

// input is what a caller's sequence yields, to be had more than once.
type input struct {
	typ   reflect.Type // an iter.Seq or iter.Seq2
	items []reflect.Value
	err   error
}

// isSequence reports whether typ is an iter.Seq[T], or an iter.Seq2[T, error].
func isSequence(typ reflect.Type) bool {
	if typ.Kind() != reflect.Func || typ.NumIn() != 1 || typ.NumOut() != 0 || typ.In(0).Kind() != reflect.Func {
		return false
	}
	yield := typ.In(0)
	return yield.NumIn() == 1 || yield.NumIn() == 2 && yield.In(1) == reflect.TypeFor[error]()
}

func (v *Values) input(t *rapid.T, typ reflect.Type) *input {
	in := &input{typ: typ}
	for range rapid.IntRange(0, 6).Draw(t, "items") {
		in.items = append(in.items, v.draw(t, typ.In(0).In(0), "item", 3))
	}
	if typ.In(0).NumIn() == 2 && rapid.IntRange(0, 7).Draw(t, "break") == 7 {
		in.err = errInput
	}
	return in
}

// sequence makes one of the sequences.
func (in *input) sequence() reflect.Value {
	return reflect.MakeFunc(in.typ, func(args []reflect.Value) []reflect.Value {
		yield, noError := args[0], reflect.Zero(reflect.TypeFor[error]())
		for _, item := range in.items {
			pair := []reflect.Value{item, noError}
			if !yield.Call(pair[:yield.Type().NumIn()])[0].Bool() {
				return nil
			}
		}
		if in.err != nil {
			yield.Call([]reflect.Value{reflect.Zero(yield.Type().In(0)), reflect.ValueOf(in.err)})
		}
		return nil
	})
}

// output is what a callee's sequence has yielded.
type output struct {
	Items []any
	err   error
	left  bool // by the caller, before its end
}

// drain ranges over an iter.Seq2[T, error], and leaves the loop after most items if that is not negative.
func drain(seq reflect.Value, most int) (out output) {
	for item, err := range seq.Seq2() {
		if !err.IsNil() {
			out.err = err.Interface().(error)
			continue // to see whether anything comes after it
		}
		if out.err != nil {
			out.err = fmt.Errorf("an item comes after the error %w", out.err)
		}
		out.Items = append(out.Items, item.Interface())
		if len(out.Items) == most {
			out.left = true
			break
		}
	}
	return out
}

var _ iter.Seq2[int, error] // what isSequence looks for
