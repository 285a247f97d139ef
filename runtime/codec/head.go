package codec

import "encoding/binary"

// A kind is a family of MessagePack types, as errors name them.
type kind uint8

const (
	kindEnd kind = iota // no header, or half of one
	kindInvalid
	kindNil
	kindBool
	kindInt
	kindFloat
	kindString
	kindBinary
	kindArray
	kindMap
	kindExtension
)

func (k kind) String() string {
	return [...]string{
		"end", "invalid", "nil", "bool", "int", "float", "string", "binary", "array", "map", "extension",
	}[k]
}

// A head is a value's first bytes, understood.
type head struct {
	n    uint64 // elements of an array, pairs of a map, bytes after the header of anything else
	size int    // bytes of the header
	kind kind
}

// heads are the types from 0xc0 to 0xdf: width bytes of length follow the first byte, more is added to it.
var heads = [32]struct {
	kind        kind
	width, more uint8
}{
	{kindNil, 0, 0}, {kindInvalid, 0, 0}, {kindBool, 0, 0}, {kindBool, 0, 0},
	{kindBinary, 1, 0}, {kindBinary, 2, 0}, {kindBinary, 4, 0},
	{kindExtension, 1, 1}, {kindExtension, 2, 1}, {kindExtension, 4, 1},
	{kindFloat, 0, 4}, {kindFloat, 0, 8},
	{kindInt, 0, 1}, {kindInt, 0, 2}, {kindInt, 0, 4}, {kindInt, 0, 8},
	{kindInt, 0, 1}, {kindInt, 0, 2}, {kindInt, 0, 4}, {kindInt, 0, 8},
	{kindExtension, 0, 2}, {kindExtension, 0, 3}, {kindExtension, 0, 5}, {kindExtension, 0, 9}, {kindExtension, 0, 17},
	{kindString, 1, 0}, {kindString, 2, 0}, {kindString, 4, 0},
	{kindArray, 2, 0}, {kindArray, 4, 0},
	{kindMap, 2, 0}, {kindMap, 4, 0},
}

// head looks at the header that comes next without passing it.
func (d *Decoder) head() head {
	if d.pos >= len(d.b) {
		return head{}
	}
	switch c := d.b[d.pos]; {
	case c < 0x80 || c >= 0xe0:
		return head{0, 1, kindInt}
	case c < 0x90:
		return head{uint64(c & 0xf), 1, kindMap}
	case c < 0xa0:
		return head{uint64(c & 0xf), 1, kindArray}
	case c < 0xc0:
		return head{uint64(c & 0x1f), 1, kindString}
	default:
		return longHead(d.b[d.pos:])
	}
}

func longHead(p []byte) head {
	t := heads[p[0]&0x1f]
	h := head{uint64(t.more), 1 + int(t.width), t.kind}
	if len(p) < h.size {
		return head{}
	}
	switch t.width {
	case 1:
		h.n += uint64(p[1])
	case 2:
		h.n += uint64(binary.BigEndian.Uint16(p[1:]))
	case 4:
		h.n += uint64(binary.BigEndian.Uint32(p[1:]))
	}
	return h
}
