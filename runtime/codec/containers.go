package codec

import (
	"errors"
	"slices"
	"unsafe"
)

// firstBytes bounds what a slice takes before its first elements have proved to be there.
const firstBytes = 4096

var (
	errNaN       = errors.New("NaN as a map's key")
	errDuplicate = errors.New("the same key twice in a map")
)

// sizeOf is the Go size of a T.
func sizeOf[T any]() int {
	var v T
	return int(unsafe.Sizeof(v))
}

// WriteSlice writes s with one call of write for each element.
func WriteSlice[T any](e *Encoder, s []T, write func(*Encoder, T)) {
	if s == nil {
		e.Nil()
		return
	}
	WriteArray(e, s, write)
}

// WriteArray is WriteSlice for all of an array: v.Sum[:]. It writes no nil.
func WriteArray[T any](e *Encoder, s []T, write func(*Encoder, T)) {
	e.Array(len(s))
	if e.Enter() {
		for i := range s {
			write(e, s[i])
		}
	}
	e.Leave()
}

// WriteStrings is WriteSlice for strings. Having no func value it keeps the slice, which often is a variadic's, on its
// caller's stack.
func WriteStrings(e *Encoder, s []string) {
	if s == nil {
		e.Nil()
		return
	}
	e.Array(len(s))
	if e.Enter() {
		for i := range s {
			e.String(s[i])
		}
	}
	e.Leave()
}

// WriteMap writes m with one call of each func for each entry.
func WriteMap[K comparable, V any](e *Encoder, m map[K]V, key func(*Encoder, K), value func(*Encoder, V)) {
	if m == nil {
		e.Nil()
		return
	}
	e.Map(len(m))
	if e.Enter() {
		for k, v := range m {
			if k != k { // nobody could look it up, and decoders refuse it
				e.Fail(errNaN)
				break
			}
			key(e, k)
			value(e, v)
		}
	}
	e.Leave()
}

// WritePtr writes what p points to.
func WritePtr[T any](e *Encoder, p *T, write func(*Encoder, T)) {
	if p == nil {
		e.Nil()
		return
	}
	if e.follow() {
		write(e, *p)
	}
	e.pointers--
}

// ReadSlice reads a slice with one call of read for each element, which takes at least min bytes (zero means one).
func ReadSlice[T any](d *Decoder, min int, read func(*Decoder) T) (s []T) {
	n, ok := d.array(min)
	if !ok || !d.chargeEach(n, sizeOf[T]()) {
		return nil
	}
	if d.Enter() {
		s = make([]T, 0, first[T](n))
		for len(s) < n && d.err == nil {
			s = append(room(d, s, n), read(d))
		}
	}
	d.Leave()
	return s
}

// ReadArrayInto reads an array of exactly len(s) elements into all of an array: v.Sum[:].
func ReadArrayInto[T any](d *Decoder, s []T, read func(*Decoder) T) {
	if !d.exactly(len(s)) {
		return
	}
	if d.Enter() {
		for i := range s {
			s[i] = read(d)
		}
	}
	d.Leave()
}

// exactly reads the header of an array of n elements.
func (d *Decoder) exactly(n int) bool {
	switch h := d.head(); {
	case h.kind != kindArray:
		d.expected("array")
	case h.n != uint64(n):
		d.failAt(d.pos, "array of %d expected, %d elements found", n, h.n)
	default:
		d.pos += h.size
	}
	return d.err == nil
}

// ReadStrings is ReadSlice for strings.
func ReadStrings(d *Decoder) (s []string) {
	n, ok := d.array(1)
	if !ok || !d.chargeEach(n, sizeOf[string]()) {
		return nil
	}
	if d.Enter() {
		s = make([]string, 0, first[string](n))
		for len(s) < n && d.err == nil {
			s = append(room(d, s, n), d.String())
		}
	}
	d.Leave()
	return s
}

// first is the capacity a slice of n starts with.
func first[T any](n int) int { return min(n, 1+firstBytes/max(sizeOf[T](), 1)) }

// room makes place for the next one of n elements. All of them are charged already, but not what is given up here.
func room[T any](d *Decoder, s []T, n int) []T {
	switch {
	case len(s) < cap(s):
		return s
	case d.charge(cap(s) * sizeOf[T]()):
		return slices.Grow(s, n-len(s))
	default:
		return nil
	}
}

// ReadMap reads a map with one call of each func for each entry; an entry takes at least min bytes (zero means two).
func ReadMap[K comparable, V any](d *Decoder, min int, key func(*Decoder) K, value func(*Decoder) V) (m map[K]V) {
	n, ok := d.mapping(min)
	if !ok || !d.chargeMap(n, sizeOf[K](), sizeOf[V]()) {
		return nil
	}
	if d.Enter() {
		m = make(map[K]V, first[K](n))
		for i := 0; i < n; i++ {
			k := key(d)
			v := value(d)
			if d.err != nil {
				break
			}
			m[k] = v
			if len(m) != i+1 {
				d.failAt(d.pos, "%w", errDuplicate)
			} else if k != k {
				d.failAt(d.pos, "%w", errNaN)
			}
		}
	}
	d.Leave()
	return m
}

// chargeMap takes from the budget what a Go map of n entries occupies, about: 48 bytes and, if it has entries, 8 slots or
// more while it grows, with a byte of control each. A key or value of more than 128 bytes is kept outside its slot.
func (d *Decoder) chargeMap(n, key, value int) bool {
	slot, outside := 1, 0
	for _, size := range [2]int{key, value} {
		if size > 128 {
			slot, outside = slot+8, outside+size
		} else {
			slot += size
		}
	}
	switch {
	case n == 0:
		return d.charge(48)
	case n <= 8:
		return d.charge(48+8*slot) && d.chargeEach(n, outside)
	default:
		return d.charge(48) && d.chargeEach(n, 4*slot+outside)
	}
}

// ReadPtr reads a new T, or nil.
func ReadPtr[T any](d *Decoder, read func(*Decoder) T) (p *T) {
	if d.Null() || !d.charge(max(sizeOf[T](), 1)) {
		return nil
	}
	if d.follow() {
		v := read(d)
		p = &v
	}
	d.pointers--
	return p
}
