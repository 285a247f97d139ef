package jsoncodec

import (
	"encoding"
	"encoding/json"
	"reflect"
	"sync"
)

// grain is what parts of a JSON text may take in memory when they are read into a value of one type: the worst case of what the type has.
type grain struct {
	array   int // an array, beside its elements
	element int // an element of an array
	object  int // an object with its first members
	empty   int // one without any
	member  int // a further member of an object
	target  int // what a pointer leads to, whatever it stands in
}

// What Go takes for what JSON does not say the type of, and for what it does not make visible.
const (
	maxDepth   = 10_000      // at which encoding/json gives up
	anySize    = 16 + 16     // an interface, and a string's header or a number behind it
	sliceSize  = 24          // a slice's header, behind an interface
	mapSize    = 48          // an empty map
	mapSlots   = 8           // that the first entry of a map brings with it
	growth     = 2           // of a slice: what it outgrows, and what it has in reserve
	mapGrowth  = 4           // of a map
	stringSize = 16          // a key's bytes, if they are few
	anySlot    = 16 + 16 + 1 // a string and an interface in a map
)

// Measure implements [codec.Measurer].
func (jsonCodec) Measure(data []byte, v any) int {
	return grainOf(reflect.TypeOf(v).Elem()).weigh(data)
}

// weigh goes through a text, which need not be JSON, and adds up what its parts may take. Where there is an element or a member there
// is a comma, or the beginning of the array or object.
func (g grain) weigh(data []byte) (size int) {
	var inObject []bool        // of each open bracket
	some := func(k int) bool { // whether there is something behind a bracket
		for k++; k < len(data); k++ {
			switch data[k] {
			case ' ', '\t', '\r', '\n':
			case ']', '}':
				return false
			default:
				return true
			}
		}
		return false
	}
	for k := 0; k < len(data); k++ {
		switch data[k] {
		case '"':
			for k++; k < len(data) && data[k] != '"'; k++ {
				if data[k] == '\\' {
					k++
				}
			}
		case '[':
			size += g.array
			if some(k) {
				size += g.element + g.target
			}
			inObject = append(inObject, false)
		case '{':
			if some(k) {
				size += g.object + g.target
			} else {
				size += g.empty
			}
			inObject = append(inObject, true)
		case ']', '}':
			inObject = inObject[:max(len(inObject)-1, 0)]
		case ',':
			if n := len(inObject); n > 0 && inObject[n-1] {
				size += g.member + g.target
			} else {
				size += g.element + g.target
			}
		}
		if len(inObject) > maxDepth {
			break
		}
	}
	return size
}

// grains remembers what was found out of a type. It only grows with the types of a program.
var grains sync.Map // of grain, by reflect.Type

func grainOf(t reflect.Type) grain {
	if g, ok := grains.Load(t); ok {
		return g.(grain)
	}
	var g grain
	g.add(t, make(map[reflect.Type]bool))
	grains.Store(t, g)
	return g
}

var (
	jsonUnmarshaler = reflect.TypeFor[json.Unmarshaler]()
	textUnmarshaler = reflect.TypeFor[encoding.TextUnmarshaler]()
)

// add makes g as coarse as t needs it.
func (g *grain) add(t reflect.Type, seen map[reflect.Type]bool) {
	p := reflect.PointerTo(t)
	if seen[t] || p.Implements(jsonUnmarshaler) || p.Implements(textUnmarshaler) {
		return // what those take is their own affair
	}
	seen[t] = true
	switch t.Kind() {
	case reflect.Pointer:
		g.target = max(g.target, int(t.Elem().Size()))
		g.add(t.Elem(), seen)
	case reflect.Slice:
		g.element = max(g.element, growth*int(t.Elem().Size()))
		g.add(t.Elem(), seen)
	case reflect.Array:
		g.add(t.Elem(), seen)
	case reflect.Map:
		slot := int(t.Key().Size()) + int(t.Elem().Size()) + 1
		g.objects(mapSlots*slot, mapGrowth*slot+stringSize)
		g.add(t.Elem(), seen)
	case reflect.Interface:
		g.array = sliceSize
		g.element = max(g.element, growth*anySize)
		g.objects(mapSlots*anySlot, mapGrowth*anySlot+anySize)
	case reflect.Struct:
		for k := range t.NumField() {
			if f := t.Field(k); f.IsExported() || f.Anonymous {
				g.add(f.Type, seen)
			}
		}
	}
}

func (g *grain) objects(slots, member int) {
	g.empty = mapSize
	g.object = max(g.object, mapSize+slots)
	g.member = max(g.member, member)
}
