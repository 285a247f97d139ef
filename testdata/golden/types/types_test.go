package types

import (
	"math"
	"testing"
	"time"

	"github.com/daffi-rpc/daffi/runtime/codec"
	"github.com/daffi-rpc/daffi/testdata/goldentest"
)

var at = time.Date(2024, 2, 29, 12, 30, 15, 123456789, time.UTC)

func pointer[T any](v T) *T { return &v }

func golden() []goldentest.Type {
	it := Item{ID: "i", Old: -1, Both: 1 << 40, Odd: "o"}
	containers := Containers{
		Strings:  []string{"", "a"},
		Smalls:   []Small{1, 255},
		Blobs:    []Blob{nil, {}, {1}},
		Nested:   [][]string{nil, {"x"}},
		TagLists: []Tags{nil, {"t"}},
		Items:    []Item{it},
		Pointers: []*Item{nil, &it},
		Array:    [3]Item{1: it},
		Arrays:   [][2]string{{"a", "b"}},
		Bytes4:   [4]byte{1, 2, 3, 4},
		ByKey:    map[string]Item{"k": it},
		ByArray:  map[[2]int8]string{{1, -1}: "v"},
		ByTime:   map[time.Duration]time.Time{time.Second: at},
		Deep:     map[Name]map[int][]*Level{"n": {1: {nil, pointer(Level(2))}}},
		PtrPtr:   pointer(pointer(7)),
		PtrTime:  &at,
	}
	containers.Anon.A = 1
	containers.Anon.B = append(containers.Anon.B, struct {
		C string `daffi:"c"`
	}{"c"})
	page := Page[Item]{Items: []Item{it}, Token: "next"}
	return []goldentest.Type{
		goldentest.Of(writeBasics, readBasics, Basics{
			true, math.MinInt, math.MinInt8, math.MinInt16, math.MinInt32, math.MinInt64, math.MaxUint, math.MaxUint8, math.MaxUint16,
			math.MaxUint32, math.MaxUint64, math.MaxFloat32, math.SmallestNonzeroFloat64, 1 + 2i, -1 - 2i, "s\xff", 'é', 'b', []byte{0}, at, -time.Hour,
		}),
		goldentest.Of(writeNamedOnes, readNamedOnes, NamedOnes{
			Flag: true, Level: -3, Small: 200, Ratio: 0.5, Wave: 1i, Name: "n", Blob: Blob{}, Delay: 5, Names: Names{"a"}, Tags: Tags{},
			Grid: Grid{{1, 2}, {3, 4}}, Hash: Hash{31: 1}, Scores: Scores{"a": {1, 2}, "b": nil}, Link: &it, Text: "t",
		}),
		goldentest.Of(writeContainers, readContainers, containers, Containers{
			Strings: []string{}, Items: []Item{}, ByKey: map[string]Item{}, Deep: map[Name]map[int][]*Level{"": nil},
		}),
		goldentest.Of(writePageItem, readPageItem, page),
		goldentest.Of(writePageStrings, readPageStrings, Page[[]string]{Items: [][]string{{"a"}, nil}}),
		goldentest.Of(writePairNamePageItem, readPairNamePageItem, Pair[Name, Page[Item]]{"k", page, map[Name]Page[Item]{"m": page}}),
		goldentest.Of(writeEmpty, readEmpty),
		goldentest.Of(writeStruct3, readStruct3, struct{ X, Y int }{1, 2}),
		goldentest.Of(writeStruct4, readStruct4),
		goldentest.Of(writeIntx2, readIntx2, [2]int{1, 2}),
		goldentest.Of(writeLevels, readLevels, []Level{1}),
		goldentest.Of(writeLink, readLink, &it),
		goldentest.Of(func(e *codec.Encoder, v Links) { codec.WriteSlice(e, v, writeLink) }, readLinks, Links{nil, &it}),
	}
}

func TestGolden(t *testing.T) { goldentest.Run(t, golden()...) }

func FuzzGolden(f *testing.F) { goldentest.Fuzz(f, golden()...) }

func BenchmarkGolden(b *testing.B) { goldentest.Bench(b, golden()...) }

// TestTags checks the names that travel.
func TestTags(t *testing.T) {
	want := []string{"id", "old_name", "both", "with space"}
	for k, name := range itemFields {
		if name != want[k] {
			t.Errorf("field %d is called %q, not %q", k, name, want[k])
		}
	}
	if len(itemFields) != len(want) {
		t.Errorf("%q", itemFields)
	}
}
