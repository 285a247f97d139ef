// Package types has every type that travels.
package types

import (
	"context"
	"time"
)

// Named basic types.
type (
	Flag  bool
	Level int
	Small uint8
	Ratio float32
	Wave  complex64
	Name  string
	Blob  []byte
	Delay time.Duration
)

// Named composite types.
type (
	Names  []Name
	Tags   []string
	Grid   [2][2]int
	Hash   [32]byte
	Scores map[Name][]Level
	Link   *Item
	Text   = string
)

// Basics has a field of every basic type.
type Basics struct {
	Bool       bool
	Int        int
	Int8       int8
	Int16      int16
	Int32      int32
	Int64      int64
	Uint       uint
	Uint8      uint8
	Uint16     uint16
	Uint32     uint32
	Uint64     uint64
	Float32    float32
	Float64    float64
	Complex64  complex64
	Complex128 complex128
	String     string
	Rune       rune
	Byte       byte
	Bytes      []byte
	Time       time.Time
	Duration   time.Duration
}

// NamedOnes has a field of every named type.
type NamedOnes struct {
	Flag   Flag
	Level  Level
	Small  Small
	Ratio  Ratio
	Wave   Wave
	Name   Name
	Blob   Blob
	Delay  Delay
	Names  Names
	Tags   Tags
	Grid   Grid
	Hash   Hash
	Scores Scores
	Link   Link
	Text   Text
}

// Containers nests them.
type Containers struct {
	Strings  []string
	Smalls   []Small
	Blobs    []Blob
	Nested   [][]string
	TagLists []Tags
	Items    []Item
	Pointers []*Item
	Array    [3]Item
	Arrays   [][2]string
	Bytes4   [4]byte
	ByKey    map[string]Item
	ByArray  map[[2]int8]string
	ByTime   map[time.Duration]time.Time
	Deep     map[Name]map[int][]*Level
	PtrPtr   **int
	PtrTime  *time.Time
	Anon     struct {
		A int
		B []struct {
			C string `daffi:"c"`
		}
	}
}

// Item has tags.
type Item struct {
	ID      string `daffi:"id" json:"ID"`
	Old     int    `msgpack:"old_name,omitempty"`
	Both    int    `daffi:"both" msgpack:"neither"`
	Odd     string `daffi:"with space"`
	Skipped func() `daffi:"-"`
	hidden  chan int
}

// Page is generic.
type Page[T any] struct {
	Items []T
	Token string
}

// Pair has two type parameters.
type Pair[K comparable, V any] struct {
	Key   K
	Value V
	All   map[K]V
}

// Empty has nothing to say.
type Empty struct{}

// Types takes and returns them.
//
//daffi:callback
//daffi:fetcher
type Types interface {
	Basics(ctx context.Context, v Basics) (Basics, error)
	NamedOnes(ctx context.Context, v NamedOnes) (NamedOnes, error)
	Containers(ctx context.Context, v Containers) (*Containers, error)
	Pages(ctx context.Context, a Page[Item], b Page[[]string]) (Pair[Name, Page[Item]], error)
	Array(ctx context.Context, hash Hash, grid Grid, ids [2]string) ([2]Item, error)
	Empty(ctx context.Context, v Empty, anonymous struct{ X, Y int }) (struct{}, error)
	Direct(ctx context.Context, at time.Time, d time.Duration, blob Blob, text Text, texts []Text) (Delay, error)
	Levels(ctx context.Context, levels ...Level) (map[Level]bool, error)
	Maps(ctx context.Context, m Scores, n map[bool][]byte) (Links, error)
	Ratio(ctx context.Context, r *Ratio, w []Wave) (Link, error)
}

// Links is a slice of pointers.
type Links []Link

var _ = Item{}.hidden
