// Package codec turns Go values into MessagePack and back. Generated code calls it; it uses no reflection and knows no
// types but the basic ones, so everything about a user's types is in the generated functions.
//
// An [Encoder] appends to a slice and a [Decoder] reads from one. Both remember their first error, after which writes
// mean nothing and reads give zero values, so that generated code has no error branches: the runtime asks Err once.
//
// # Shape of the functions for a struct
//
// A struct is a map keyed by field name. For
//
//	type Item struct {
//		ID   string
//		Kind Kind // type Kind uint8
//		Sum  [4]float64
//		Hash [32]byte
//		Tags []string
//		Cost map[string]int
//		Next *Item
//	}
//
// the generated code is
//
//	var itemFields = []string{"ID", "Kind", "Sum", "Hash", "Tags", "Cost", "Next"}
//
//	func writeItem(e *codec.Encoder, v Item) {
//		e.Struct(7)
//		e.Key("ID").String(v.ID)
//		e.Key("Kind").Uint8(uint8(v.Kind))
//		codec.WriteArray(e.Key("Sum"), v.Sum[:], codec.WriteFloat64)
//		e.Key("Hash").Blob(v.Hash[:])
//		codec.WriteStrings(e.Key("Tags"), v.Tags)
//		codec.WriteMap(e.Key("Cost"), v.Cost, codec.WriteString, codec.WriteInt)
//		codec.WritePtr(e.Key("Next"), v.Next, writeItem)
//		e.Leave()
//	}
//
//	func readItem(d *codec.Decoder) (v Item) {
//		for i := range d.Fields(itemFields) {
//			switch i {
//			case 0:
//				v.ID = d.String()
//			case 1:
//				v.Kind = Kind(d.Uint8())
//			case 2:
//				codec.ReadArrayInto(d, v.Sum[:], codec.ReadFloat64)
//			case 3:
//				d.BlobInto(v.Hash[:])
//			case 4:
//				v.Tags = codec.ReadStrings(d)
//			case 5:
//				v.Cost = codec.ReadMap(d, 2, codec.ReadString, codec.ReadInt)
//			case 6:
//				v.Next = codec.ReadPtr(d, readItem)
//			}
//		}
//		return v
//	}
//
// [Decoder.Fields] yields the index of each field that the message has, in the message's order. It skips fields that it
// does not know and values that the loop's body did not read, refuses a field that comes twice, accepts nil (no fields)
// and an array (fields by position), and counts depth. Elements of a named basic type in a slice, map or pointer take
// the functions whose names end in Of: codec.ReadSlice(d, 1, codec.ReadUint8Of[Kind]).
//
// # Wire form
//
//	bool, nil       bool, nil
//	integers        the shortest of MessagePack's integers that holds the value; any of them is accepted, range-checked
//	float32/64      float 32/64; either is accepted, and an integer, if the value fits exactly
//	complex64/128   array of real and imaginary part
//	string          str; the bytes travel unchanged, whether or not they are UTF-8
//	[]byte          bin; str is accepted too
//	time.Time       the standard timestamp extension, -1, in any of its three forms; read as UTC
//	time.Duration   integer, nanoseconds
//	slice, [N]T     array; an array must have exactly N elements
//	map             map, in Go's random order; NaN as a key is refused, as is a key that comes twice
//	struct          map from field name to value, as declared; an array in the order of the fields is accepted
//	pointer         the value
//	error           its text, as str
//	any             what it holds, if that is nil or one of bool, integer, float, string, []byte, time.Time, []any and
//	                map[string]any; a time.Duration in it is extension 1, eight bytes of nanoseconds; a [Message] travels too
//	                and arrives as what it is on the wire
//
// Types that encode themselves travel as what they give: the value that MarshalMsg writes, AppendBinary's or MarshalBinary's
// bytes as bin, AppendText's or MarshalText's text as str. Nil is read as their zero value.
//
// What a method carries whose annotation names a [Codec] is bin: the codec's id in one byte, then what the codec made of the value. The
// ids below 32 are daffi's own: 1 is raw, bytes as they are; 2 is text, a string or what MarshalText gives; 3 is json.
//
// A nil slice, map, []byte or pointer is nil, and an empty one is empty: they arrive as they were. A pointer to one of
// these cannot tell "points to nil" from nil and arrives as nil. In an any, nil slices and maps arrive as nil, and an integer
// arrives as an int, or as an int64 or uint64 if it does not fit. An error arrives as one with the same text, equal to no other.
//
// # Limits
//
// A decoder believes no count: one that the rest of the message cannot hold is refused before anything is allocated, and
// slices and maps grow as their elements arrive. Values nest at most 64 deep, in both directions; every slice, array, map
// and struct is a level. What a message may occupy in memory is 64 KiB and 64 bytes per byte of message, at
// most 16 MiB; see [Decoder.SetBudget].
package codec
