package jsoncodec

import (
	"encoding"
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync"
	"unicode"
)

// shape is what matters of a type for the memory that values of it take.
type shape struct {
	kind   kind
	size   int              // of a value itself
	elem   *shape           // of a pointer, slice, array, map or any
	key    int              // the size of a map's key
	fields map[string]field // of a struct
	folded map[string]field // the same by folded name
}

// kind is what a type makes of JSON.
type kind uint8

const (
	leaf kind = iota // nothing is behind it, or its own methods read it
	pointer
	slice
	array
	mapping
	structure
	anything
)

// field is a field of a struct, with the size of the embedded structs that pointers on the way to it lead to.
type field struct {
	shape  *shape
	way    int
	index  []int // its place, among the fields of embedded structs too
	tagged bool  // a tag names it
}

// is reports the kind of s, which may be nil.
func (s *shape) is(k kind) bool { return s != nil && s.kind == k }

// shapes remembers the shapes of types. It only grows with the types of a program.
var shapes sync.Map // of *shape, by reflect.Type

func shapeOf(t reflect.Type) *shape {
	if s, ok := shapes.Load(t); ok {
		return s.(*shape)
	}
	s := make(builder).of(t)
	shapes.Store(t, s)
	return s
}

var (
	jsonUnmarshaler = reflect.TypeFor[json.Unmarshaler]()
	textUnmarshaler = reflect.TypeFor[encoding.TextUnmarshaler]()
)

// builder makes shapes of types that may contain themselves.
type builder map[reflect.Type]*shape

func (b builder) of(t reflect.Type) *shape {
	if s := b[t]; s != nil {
		return s
	}
	s := &shape{size: int(t.Size())}
	b[t] = s
	if p := reflect.PointerTo(t); p.Implements(jsonUnmarshaler) || p.Implements(textUnmarshaler) {
		return s
	}
	switch t.Kind() {
	case reflect.Pointer:
		s.kind, s.elem = pointer, b.of(t.Elem())
	case reflect.Slice:
		s.kind, s.elem = slice, b.of(t.Elem())
	case reflect.Array:
		s.kind, s.elem = array, b.of(t.Elem())
	case reflect.Map:
		s.kind, s.elem, s.key = mapping, b.of(t.Elem()), int(t.Key().Size())
	case reflect.Struct:
		s.kind, s.fields, s.folded = structure, make(map[string]field), make(map[string]field)
		b.add(s, []embedded{{typ: t}}, make(map[reflect.Type]bool))
		for _, f := range slices.SortedFunc(maps.Keys(s.fields), func(x, y string) int { return slices.Compare(s.fields[y].index, s.fields[x].index) }) {
			s.folded[fold(f)] = s.fields[f] // the first one in the end, as encoding/json has it
		}
	case reflect.Interface:
		if t.NumMethod() == 0 {
			s.kind, s.elem, s.key = anything, s, stringSize
		}
	}
	return s
}

// embedded is a struct whose fields are those of another.
type embedded struct {
	typ   reflect.Type
	way   int
	index []int
}

// add adds the fields of one level, then those of the structs that are embedded there, which are hidden by the former. Of two fields of one name on a level
// that with a tag counts; where that does not decide, encoding/json takes neither, and either will do.
func (b builder) add(s *shape, level []embedded, seen map[reflect.Type]bool) {
	var next []embedded
	found := make(map[string]field)
	for _, e := range level {
		if seen[e.typ] {
			continue
		}
		seen[e.typ] = true
		for k := range e.typ.NumField() {
			f := e.typ.Field(k)
			tag := f.Tag.Get("json")
			name, tagged := tagName(tag)
			index := append(slices.Clip(e.index), k)
			inner, way := f.Type, e.way
			if inner.Kind() == reflect.Pointer {
				inner = inner.Elem()
				way += int(inner.Size())
			}
			switch {
			case tag == "-":
			case f.Anonymous && !tagged && inner.Kind() == reflect.Struct:
				next = append(next, embedded{inner, way, index})
			case f.IsExported():
				if !tagged {
					name = f.Name
				}
				if other, twice := found[name]; !twice || tagged && !other.tagged {
					found[name] = field{b.of(f.Type), e.way, index, tagged}
				}
			}
		}
	}
	for name, f := range found {
		if _, hidden := s.fields[name]; !hidden {
			s.fields[name] = f
		}
	}
	if len(next) > 0 {
		b.add(s, next, seen)
	}
}

// tagName is the name in a tag, if it has one that encoding/json takes.
func tagName(tag string) (name string, ok bool) {
	name, _, _ = strings.Cut(tag, ",")
	odd := func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune("!#$%&()*+-./:;<=>?@[]^_{|}~ ", r)
	}
	return name, name != "" && !strings.ContainsFunc(name, odd)
}

// fold is equal for names that differ in case alone.
func fold(name string) string {
	return strings.Map(func(r rune) rune {
		for {
			next := unicode.SimpleFold(r)
			if next <= r {
				return next
			}
			r = next
		}
	}, name)
}
