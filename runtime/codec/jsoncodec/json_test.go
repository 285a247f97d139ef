package jsoncodec_test

import (
	"encoding/json"
	"math"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/daffi-rpc/daffi/runtime/codec"
	"github.com/daffi-rpc/daffi/runtime/codec/jsoncodec"
	"github.com/stretchr/testify/require"
)

// item has what JSON's own rules are needed for.
type item struct {
	Name  string            `json:"name"`
	Price json.Number       `json:"price,omitempty"`
	Tags  map[string]string `json:"tags,omitempty"`
	Next  *item             `json:"next,omitempty"`
	List  []item            `json:"list,omitempty"`
	Any   any               `json:"any,omitempty"`
	When  *time.Time        `json:"when,omitempty"`
	color
}

type color struct{ Red, Green uint8 }

// loud has its methods on pointers only.
type loud struct{ s string }

func (l *loud) MarshalJSON() ([]byte, error) { return json.Marshal(strings.ToUpper(l.s)) }

func (l *loud) UnmarshalJSON(b []byte) error { return json.Unmarshal(b, &l.s) }

// trip writes v and reads it again.
func trip[T any](t *testing.T, v T) (text string, back T) {
	t.Helper()
	var e codec.Encoder
	jsoncodec.Write(&e, v)
	require.NoError(t, e.Err())
	var d codec.Decoder
	d.Reset(e.Bytes())
	id := map[byte]int{0xc4: 2, 0xc5: 3, 0xc6: 5}[e.Bytes()[0]]
	require.EqualValues(t, 3, e.Bytes()[id])
	back = jsoncodec.Read[T](&d)
	require.NoError(t, d.Close())
	return string(e.Bytes()[id+1:]), back
}

func TestTrip(t *testing.T) {
	when := time.Unix(1, 0).UTC()
	v := item{Name: `<"&>`, Price: "1.10", Tags: map[string]string{"a": "b"}, Next: &item{}, List: []item{{Any: []any{nil, true, "x", 1.5}}}, When: &when, color: color{1, 2}}
	text, back := trip(t, v)
	require.Equal(t, v, back)
	require.Contains(t, text, `{"name":"<\"&>","price":1.10,`)

	text, quiet := trip(t, loud{"abc"})
	require.Equal(t, `"ABC"`, text)
	require.Equal(t, loud{"ABC"}, quiet)

	text, none := trip[*item](t, nil)
	require.Equal(t, "null", text)
	require.Nil(t, none)
}

func TestRefused(t *testing.T) {
	var e codec.Encoder
	jsoncodec.Write(&e, math.NaN())
	require.EqualError(t, e.Err(), "encode: codec 3 (json): json: unsupported value: NaN")
	for text, want := range map[string]string{
		"":                          "unexpected end of JSON input",
		"{":                         "unexpected end of JSON input",
		`{} {}`:                     "invalid character '{' after top-level value",
		`{"name":1}`:                "json: cannot unmarshal number into Go struct field item.name of type string",
		strings.Repeat("[", 20_000): "exceeded max depth",
	} {
		var d codec.Decoder
		d.Reset(message(text))
		d.SetBudget(16 << 20)
		require.Zero(t, jsoncodec.Read[item](&d))
		require.ErrorIs(t, d.Err(), codec.ErrDecode)
		require.ErrorContains(t, d.Err(), "decode: codec 3 (json): ")
		require.ErrorContains(t, d.Err(), want)
	}
}

// message is text as the codec writes it.
func message(text string) []byte {
	n := len(text) + 1
	return append([]byte{0xc6, byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n), 3}, text...)
}

// wide is large in memory and nothing in JSON.
type wide struct {
	Wide [128]int
	Next *wide
}

// named has what a tag calls as another field is called: that one is hidden.
type named struct {
	List  string
	Items []wide `json:"List"`
}

// misnamed has a name that JSON's tags cannot say, so the field's own counts.
type misnamed struct {
	//lint:ignore SA5008 it is to be ignored
	List []wide `json:"a\\b"`
}

// cased has two names that differ in case alone, the first of which a third one means.
type cased struct {
	Items []wide `json:"list"`
	upper
}

type upper struct {
	Text string `json:"LIST"`
}

// repeat is a JSON text that is long enough for the most that any message may take.
func repeat(open, part, end string) string {
	return open + strings.Repeat(part, (300<<10)/len(part)) + end
}

// bombs are texts that ask for much memory.
var bombs = []struct{ name, text string }{
	{"empty objects", repeat("[{}", ",{}", "]")},
	{"empty arrays", repeat("[[]", ",[]", "]")},
	{"nulls", repeat("[0", ",0", "]")},
	{"small objects", repeat(`[{"a":1}`, `,{"a":1}`, "]")},
	{"members", repeat(`{"":0`, `,"":0`, "}")},
	{"list", repeat(`{"List":[{}`, ",{}", "]}")},
	{"deep", strings.Repeat(`{"Next":`, 9999) + "null" + strings.Repeat("}", 9999)},
	{"deep arrays", strings.Repeat("[", 9999) + strings.Repeat("]", 9999)},
	{"deep members", strings.Repeat(`{"":`, 9999) + "0" + strings.Repeat("}", 9999)},
	{"open", strings.Repeat("[", 300<<10)},
	{"quotes", strings.Repeat(`"\`, 150<<10)},
	{"spaces", repeat("[", "[ ", "")},
}

// most is how much may be allocated for a message of n bytes. What a slice has outgrown is garbage at once and comes on top of what is
// held at any time, less than once more.
func most(n int) uint64 { return uint64(min(256<<10+2*64*n, 2*16<<20)) }

// TestMemory reads bombs into types that would make much of them.
func TestMemory(t *testing.T) {
	for _, bomb := range bombs {
		for name, read := range map[string]func(*codec.Decoder){
			"any":     func(d *codec.Decoder) { jsoncodec.Read[any](d) },
			"wide":    func(d *codec.Decoder) { jsoncodec.Read[wide](d) },
			"wides":   func(d *codec.Decoder) { jsoncodec.Read[[]wide](d) },
			"pointer": func(d *codec.Decoder) { jsoncodec.Read[[]*wide](d) },
			"maps":    func(d *codec.Decoder) { jsoncodec.Read[[]map[string]wide](d) },
			"map":     func(d *codec.Decoder) { jsoncodec.Read[map[string]map[string]any](d) },
			"items":   func(d *codec.Decoder) { jsoncodec.Read[[]item](d) },
			"named":   func(d *codec.Decoder) { jsoncodec.Read[named](d) },
			"mis":     func(d *codec.Decoder) { jsoncodec.Read[misnamed](d) },
			"cased":   func(d *codec.Decoder) { jsoncodec.Read[cased](d) },
			"nested":  func(d *codec.Decoder) { jsoncodec.Read[[][][]string](d) },
		} {
			data := message(bomb.text)
			var d codec.Decoder
			d.Reset(data)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			read(&d)
			runtime.ReadMemStats(&after)
			if took := after.TotalAlloc - before.TotalAlloc; took > most(len(data)) {
				t.Errorf("%s as %s: %d bytes took %d bytes of memory", bomb.name, name, len(data), took)
			}
		}
	}
}

// TestOrdinary reads what is large but no bomb.
func TestOrdinary(t *testing.T) {
	items := make([]item, 5_000)
	numbers := make([]int, 400_000)
	words := make(map[string]any)
	for k := range items {
		items[k] = item{Name: "item", Price: "1.25", Tags: map[string]string{"color": "green"}, Next: &item{Name: "next"}}
		numbers[k] = k
		words[strings.Repeat("w", k%7)+time.Duration(k).String()] = map[string]any{"n": float64(k), "s": "text"}
	}
	_, i := trip(t, items)
	require.Equal(t, items, i)
	_, n := trip(t, numbers)
	require.Equal(t, numbers, n)
	_, w := trip(t, words)
	require.Equal(t, words, w)
}

// FuzzRead reads anything into some types. What is accepted can be written, and is read again as the same; memory is bounded.
func FuzzRead(f *testing.F) {
	for _, text := range []string{`null`, `{"name":"x","list":[{},{"any":{"a":[1,"b",null]}}],"Red":1}`, `[[[]]]`, `{"a":{"b":{}}}`, `[{},{},{}]`, "\"\\u00e9\""} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		check[any](t, text)
		check[item](t, text)
		check[[]wide](t, text)
		check[map[string][]*item](t, text)
	})
}

func check[T any](t *testing.T, text string) {
	data := message(text)
	var d codec.Decoder
	d.Reset(data)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	v := jsoncodec.Read[T](&d)
	runtime.ReadMemStats(&after)
	if took := after.TotalAlloc - before.TotalAlloc; took > most(len(data)) {
		t.Errorf("%q took %d bytes", text, took)
	}
	if d.Err() != nil {
		return
	}
	once, again := trip(t, v)
	if twice, _ := trip(t, again); once != twice { // an empty list that was left out is nil
		t.Errorf("%q is %s, and again %s", text, once, twice)
	}
}

// BenchmarkRead reads a text of a megabyte, as items.
func BenchmarkRead(b *testing.B) {
	var e codec.Encoder
	items := make([]item, 10_000)
	for k := range items {
		items[k] = item{Name: "item", Price: "1.25", Tags: map[string]string{"color": "green"}, Next: &item{Name: "next"}}
	}
	jsoncodec.Write(&e, items)
	var d codec.Decoder
	b.SetBytes(int64(e.Len()))
	for b.Loop() {
		d.Reset(e.Bytes())
		jsoncodec.Read[[]item](&d)
		if d.Err() != nil {
			b.Fatal(d.Err())
		}
	}
}
