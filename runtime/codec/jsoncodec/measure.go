package jsoncodec

import (
	"bytes"
	"encoding/json"
	"reflect"
)

// Measure implements [codec.Measurer]. It walks through the text as encoding/json will, along the type, and adds up what that allocates.
// What it does with a text that is not JSON does not matter: encoding/json allocates nothing for that.
func (jsonCodec) Measure(data []byte, v any) int {
	s := scale{data: data}
	s.value(shapeOf(reflect.TypeOf(v).Elem()), 0)
	return s.size
}

// What Go allocates for parts of JSON.
const (
	maxDepth   = 10_000 // at which encoding/json gives up
	growth     = 3      // of a slice: what it has in reserve, and what it has just outgrown
	mapGrowth  = 4      // of a map
	mapSize    = 48     // an empty map
	mapSlots   = 8      // that the first entry of a map brings with it
	inSlot     = 128    // up to which a key or value is kept in its slot
	sliceSize  = 24     // a header in an interface
	stringSize = 16
	numberSize = 8
)

// scale is a walk through a text.
type scale struct {
	data []byte
	at   int
	size int // so far
}

// value walks through one value, which is read into a value of the shape as, or into nothing, if that is nil.
func (s *scale) value(as *shape, depth int) {
	c := s.next()
	for k := 0; as != nil && as.kind == pointer && c != 'n' && k < maxDepth; k++ { // a type may point to itself
		s.size += as.elem.size
		as = as.elem
	}
	switch {
	case depth > maxDepth:
		s.at = len(s.data)
	case c == '{':
		s.at++
		s.object(as, depth+1)
	case c == '[':
		s.at++
		s.array(as, depth+1)
	case c == '"':
		s.text()
		if as.is(anything) {
			s.size += stringSize
		}
	default:
		for s.at < len(s.data) && !bytes.ContainsRune([]byte(" \t\r\n,]}"), rune(s.data[s.at])) {
			s.at++
		}
		if as.is(anything) {
			s.size += numberSize
		}
	}
}

// next is the first byte that is no space, 0 at the end.
func (s *scale) next() byte {
	for ; s.at < len(s.data); s.at++ {
		switch c := s.data[s.at]; c {
		case ' ', '\t', '\r', '\n':
		default:
			return c
		}
	}
	return 0
}

// text walks through a string and returns it in its quotes.
func (s *scale) text() []byte {
	start := s.at
	for s.at++; s.at < len(s.data) && s.data[s.at] != '"'; s.at++ {
		if s.data[s.at] == '\\' {
			s.at++
		}
	}
	s.at = min(s.at+1, len(s.data))
	return s.data[start:s.at]
}

// more passes the comma before the next part of an object or array, or its end, and reports whether there is such a part.
func (s *scale) more(n int, end byte) bool {
	switch c := s.next(); {
	case c == 0 || c == end:
		s.at = min(s.at+1, len(s.data))
		return false
	case n > 0:
		s.at++ // the comma
		s.next()
	}
	return true
}

func (s *scale) object(as *shape, depth int) {
	isMap := as.is(mapping) || as.is(anything)
	if isMap {
		s.size += mapSize + as.elem.size
	}
	for n := 0; s.more(n, '}'); n++ {
		if s.next() != '"' {
			s.at = len(s.data)
			return
		}
		key := s.text()
		s.next()
		s.at++ // the colon
		var member *shape
		switch {
		case isMap:
			s.size += as.member(n)
			member = as.elem
		case as.is(structure):
			f := as.field(key)
			s.size += f.way
			member = f.shape
		}
		s.value(member, depth)
	}
}

func (s *scale) array(as *shape, depth int) {
	var elem *shape
	each := 0
	switch {
	case as.is(slice):
		elem, each = as.elem, growth*as.elem.size
	case as.is(anything):
		elem, each = as.elem, growth*as.elem.size
		s.size += sliceSize
	case as.is(array):
		elem = as.elem
	}
	for n := 0; s.more(n, ']'); n++ {
		s.size += each
		before := s.at
		if s.value(elem, depth); s.at == before {
			s.at = len(s.data) // no JSON
		}
	}
}

// member is what the n-th entry of a map takes, beside what its key and value refer to.
func (s *shape) member(n int) int {
	slot, outside := 1, stringSize+s.key // a key is made before it is put there
	for _, size := range [2]int{s.key, s.elem.size} {
		if size > inSlot {
			slot, outside = slot+8, outside+size
		} else {
			slot += size
		}
	}
	switch {
	case n == 0:
		return mapSlots*slot + outside
	case n < mapSlots:
		return outside
	}
	return mapGrowth*slot + outside
}

// field finds a field as encoding/json does: by its name, or else whatever the case. Most keys are plain, and cost nothing to look up.
func (s *shape) field(quoted []byte) field {
	key := quoted[1:max(len(quoted)-1, 1)]
	if f, ok := s.fields[string(key)]; ok {
		return f
	}
	var upper [64]byte
	if folded, ok := appendUpper(upper[:0], key); ok {
		return s.folded[string(folded)]
	}
	var name string
	if json.Unmarshal(quoted, &name) != nil {
		return field{}
	}
	if f, ok := s.fields[name]; ok {
		return f
	}
	return s.folded[fold(name)]
}

// appendUpper appends key in upper case, which is how [fold] writes ASCII, if it is as short as its capacity and plain.
func appendUpper(dst, key []byte) ([]byte, bool) {
	if len(key) > cap(dst) {
		return nil, false
	}
	for _, c := range key {
		switch {
		case c == '\\' || c >= 0x80:
			return nil, false
		case 'a' <= c && c <= 'z':
			c -= 'a' - 'A'
		}
		dst = append(dst, c)
	}
	return dst, true
}
