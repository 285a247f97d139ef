package codec

import "iter"

// Fields reads a struct, one level down: it yields the index in names of each field that the message has, for the loop's
// body to read the value. A body that reads nothing leaves the value to be skipped, as are fields that names does not
// have. Nil has no fields; in an array they stand in the order of names. One of the first 64 fields may not come twice;
// of later ones the last counts. Leaving the loop skips the rest.
func (d *Decoder) Fields(names []string) iter.Seq[int] {
	// Inlined where it is ranged over, so that neither this nor the loop's body goes to the heap.
	return func(yield func(int) bool) { d.fields(names, yield) }
}

func (d *Decoder) fields(names []string, yield func(int) bool) {
	n, positional, ok := d.structure()
	if !ok {
		return
	}
	if d.Enter() {
		if positional {
			d.positions(n, len(names), yield)
		} else {
			d.named(n, names, yield)
		}
	}
	d.Leave()
}

// structure reads the header of a struct, and whether its fields are told by position.
func (d *Decoder) structure() (n int, positional, ok bool) {
	if d.Null() {
		return 0, false, false
	}
	switch h := d.head(); h.kind {
	case kindMap:
		n, ok = d.count(h, 2)
	case kindArray:
		n, ok = d.count(h, 1)
		positional = true
	default:
		d.expected("struct")
	}
	return n, positional, ok
}

func (d *Decoder) named(n int, names []string, yield func(int) bool) {
	var seen uint64
	next := 0 // peers write fields in the order that we expect, mostly
	for ; n > 0; n-- {
		at := d.pos
		key := d.text("field name")
		i := next
		if i >= len(names) || string(key) != names[i] {
			i = index(names, key)
		}
		if i < 0 {
			d.Skip()
		} else {
			next = i + 1
			if i < 64 {
				if seen&(1<<i) != 0 {
					d.failAt(at, "field %s twice", names[i])
				}
				seen |= 1 << i
			}
			if !d.field(i, yield) {
				d.skip(2 * (n - 1))
				return
			}
		}
		if d.err != nil {
			return
		}
	}
}

func (d *Decoder) positions(n, known int, yield func(int) bool) {
	for i := range min(n, known) {
		if !d.field(i, yield) {
			known = i + 1
			break
		}
		if d.err != nil {
			return
		}
	}
	d.skip(n - known)
}

// field has one value read, or skipped, and reports whether more are wanted.
func (d *Decoder) field(i int, yield func(int) bool) bool {
	at := d.pos
	more := yield(i)
	if d.pos == at {
		d.Skip()
	}
	return more
}

func index(names []string, key []byte) int {
	for i, name := range names {
		if string(key) == name {
			return i
		}
	}
	return -1
}
