package messages

import (
	"errors"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/daffi-rpc/daffi/runtime/codec"
	"github.com/daffi-rpc/daffi/testdata/golden/messages/away"
	"github.com/daffi-rpc/daffi/testdata/goldentest"
)

func order() Order {
	return Order{
		ID: "1", Lines: []Line{{"tea", 2}, {}}, Due: time.Unix(3, 4).UTC(), Next: &Order{ID: "2"}, Note: []any{1, "x"},
		From: away.Place{Lat: 1, Lon: -2.5, Near: []*away.Place{nil, {Lon: 3}}},
	}
}

func golden() []goldentest.Type {
	return []goldentest.Type{
		goldentest.Of(writeOrder, readOrder, order()),
		goldentest.Of(writeEmbedding, readEmbedding, Embedding{Line{"tea", 1}, "x"}),
		goldentest.Of(writeNothing, readNothing),
		goldentest.Of(writeTags, readTags, Tags{"a", ""}),
		goldentest.Of(writePrices, readPrices, prices{"tea": 1.5}),
		goldentest.Of(writeGrid, readGrid, Grid{{1, 2}, {3, 4}}),
	}
}

func TestGolden(t *testing.T) { goldentest.Run(t, golden()...) }

func FuzzGolden(f *testing.F) { goldentest.Fuzz(f, golden()...) }

func BenchmarkGolden(b *testing.B) { goldentest.Bench(b, golden()...) }

// messages are one of each type, with an empty one beside it.
func messages() map[codec.Message]codec.Message {
	o, word := order(), Word{[]string{"a", "b"}}
	return map[codec.Message]codec.Message{
		&o: new(Order), &Line{"tea", 2}: new(Line), &Embedding{Line{"tea", 1}, "x"}: new(Embedding), &Nothing{}: new(Nothing),
		&Tags{"a", ""}: new(Tags), &prices{"tea": 1.5}: new(prices), &Grid{{1, 2}, {3, 4}}: new(Grid), &word: new(Word),
		&away.Place{Lat: 1}: new(away.Place),
	}
}

// TestTrip takes messages through Marshal and Unmarshal. A failure leaves what was there.
func TestTrip(t *testing.T) {
	for m, to := range messages() {
		b, err := codec.Marshal(m)
		if err != nil {
			t.Errorf("%T: %v", m, err)
			continue
		}
		if err := codec.Unmarshal(b, to); err != nil || !reflect.DeepEqual(m, to) {
			t.Errorf("%+v became %+v, error %v", m, to, err)
		}
		for _, bad := range [][]byte{nil, b[:len(b)-1], append(b, 0xc0), {0xc1}, {0xdd, 0xff, 0xff, 0xff, 0xff}} {
			if err := codec.Unmarshal(bad, to); !errors.Is(err, codec.ErrDecode) {
				t.Errorf("%T: % x is accepted: %v", m, bad, err)
			}
			if !reflect.DeepEqual(m, to) {
				t.Errorf("a failure has changed %+v to %+v", m, to)
			}
		}
	}
	if err := codec.Unmarshal([]byte{0xc0}, (*Order)(nil)); !errors.Is(err, codec.ErrDecode) {
		t.Error(err)
	}
	if b, err := codec.Marshal((*Order)(nil)); err != nil || string(b) != "\xc0" {
		t.Errorf("% x %v", b, err)
	}
}

// TestType wants the same signature of a type by itself, in another package's types, and of a nil pointer.
func TestType(t *testing.T) {
	const place = "{Lat float64;Lon float64;Near []*$0}"
	if got := codec.MessageType((*away.Place)(nil)); got != place {
		t.Error(got)
	}
	if got := codec.MessageType(new(Order)); !strings.HasSuffix(got, ";From "+strings.ReplaceAll(place, "$0", "$2")+"}") {
		t.Error(got)
	}
	if got := codec.MessageType(new(Word)); got != "text" {
		t.Error(got)
	}
}

// TestEmbedded has a struct that embeds a message and is none: it would leave its own fields behind.
func TestEmbedded(t *testing.T) {
	for _, m := range []codec.Message{&Unmarked{Line: new(Line)}, Unmarked{Line: new(Line)}, Unmarked{}, (*Unmarked)(nil)} {
		if got := codec.MessageType(m); got != "" {
			t.Error(got)
		}
		if _, err := codec.Marshal(m); !errors.Is(err, codec.ErrEncode) || !strings.Contains(err.Error(), "only embeds ") {
			t.Error(err)
		}
		if err := codec.Unmarshal([]byte{0x80}, m); !errors.Is(err, codec.ErrDecode) {
			t.Error(err)
		}
		var e codec.Encoder
		if codec.WriteAny(&e, m); !errors.Is(e.Err(), codec.ErrEncode) {
			t.Error(e.Err())
		}
	}
}

// TestAny puts messages into an any, where they arrive as what they are on the wire.
func TestAny(t *testing.T) {
	loop := &Order{ID: "loop"}
	loop.Note = loop
	for _, test := range []struct {
		in   any
		want any
		err  error
	}{
		{&Line{"tea", 2}, map[string]any{`the "sku"`: "tea", "Quantity": 2}, nil},
		{[]any{&Tags{"a"}, &Nothing{}}, []any{[]any{"a"}, map[string]any{}}, nil},
		{map[string]any{"p": &prices{"x": 1.5}, "nil": (*Order)(nil)}, map[string]any{"p": map[string]any{"x": 1.5}, "nil": nil}, nil},
		{&Word{[]string{"a"}}, "a", nil},
		{Line{}, nil, codec.ErrEncode},
		{loop, nil, codec.ErrDepth},
	} {
		var e codec.Encoder
		codec.WriteAny(&e, test.in)
		if !errors.Is(e.Err(), test.err) {
			t.Errorf("%T: %v", test.in, e.Err())
			continue
		}
		if test.err != nil {
			continue
		}
		var d codec.Decoder
		d.Reset(e.Bytes())
		if got := codec.ReadAny(&d); d.Err() != nil || !reflect.DeepEqual(got, test.want) {
			t.Errorf("%T became %#v, error %v", test.in, got, d.Err())
		}
	}
}

// TestDepth reads a message that is nested as deep as it may be, and one level deeper.
func TestDepth(t *testing.T) {
	chain := func(n int) *Order {
		o := new(Order)
		for range n - 1 {
			o = &Order{Next: o}
		}
		return o
	}
	b, err := codec.Marshal(chain(64 - 1)) // the last has a place in it
	if err != nil || codec.Unmarshal(b, new(Order)) != nil {
		t.Error(err)
	}
	if _, err := codec.Marshal(chain(65)); !errors.Is(err, codec.ErrDepth) {
		t.Error(err)
	}
}

// FuzzUnmarshal reads anything as every message. What is accepted can be written, and read again as the same; memory is bounded.
func FuzzUnmarshal(f *testing.F) {
	for m := range messages() {
		b, err := codec.Marshal(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add([]byte{0xdd, 0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, to := range messages() {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			err := codec.Unmarshal(data, to)
			runtime.ReadMemStats(&after)
			if took := after.TotalAlloc - before.TotalAlloc; took > uint64(min(128<<10+64*len(data), 17<<20)) {
				t.Errorf("%T: % x took %d bytes", to, data, took)
			}
			if err != nil {
				continue
			}
			once, err := codec.Marshal(to)
			again := reflect.New(reflect.TypeOf(to).Elem()).Interface().(codec.Message)
			if err == nil {
				err = codec.Unmarshal(once, again)
			}
			twice, errTwice := codec.Marshal(again)
			if err != nil || errTwice != nil || len(once) != len(twice) { // the order of maps is random, and NaN is equal to nothing
				t.Errorf("%T: % x is %+v, and again %+v, errors %v, %v", to, data, to, again, err, errTwice)
			}
		}
	})
}
