package codec

import (
	"encoding"
	"errors"
)

// Types that encode themselves travel as what their methods give: WriteSlice(e, v.Addrs, WriteBinaryAppend[netip.Addr]). The methods
// may be those of T or of *T. What an Unmarshal method does with its bytes, which are bounded, is its own affair; it must copy those
// that it keeps.

// MsgMarshaler is implemented by types for which github.com/tinylib/msgp generates code. MarshalMsg appends.
type MsgMarshaler interface {
	MarshalMsg([]byte) ([]byte, error)
}

// MsgUnmarshaler reads what MsgMarshaler wrote. UnmarshalMsg returns what it leaves.
type MsgUnmarshaler interface {
	UnmarshalMsg([]byte) ([]byte, error)
}

var (
	errOneValue = errors.New("MarshalMsg must write exactly one value")
	errLeft     = errors.New("UnmarshalMsg left a part of its value")
)

// WriteMsg writes the value that MarshalMsg gives.
func WriteMsg[T any, P interface {
	*T
	MsgMarshaler
}](e *Encoder, v T) {
	p, err := P(&v).MarshalMsg(e.spare(0))
	if err == nil {
		var d Decoder // not to write what would not be a message
		d.Reset(p)
		d.depth = e.depth
		d.Skip()
		if d.Close() != nil {
			err = errOneValue
		}
	}
	if err != nil {
		e.Fail(err)
		return
	}
	e.Raw(p)
}

// WriteBinaryAppend writes what AppendBinary gives.
func WriteBinaryAppend[T any, P interface {
	*T
	encoding.BinaryAppender
}](e *Encoder, v T) {
	p, err := P(&v).AppendBinary(e.spare(maxHeader))
	e.binary(p, err)
}

// WriteBinary writes what MarshalBinary gives.
func WriteBinary[T any, P interface {
	*T
	encoding.BinaryMarshaler
}](e *Encoder, v T) {
	p, err := P(&v).MarshalBinary()
	e.binary(p, err)
}

// WriteTextAppend writes what AppendText gives.
func WriteTextAppend[T any, P interface {
	*T
	encoding.TextAppender
}](e *Encoder, v T) {
	p, err := P(&v).AppendText(e.spare(maxHeader))
	e.text(p, err)
}

// WriteText writes what MarshalText gives.
func WriteText[T any, P interface {
	*T
	encoding.TextMarshaler
}](e *Encoder, v T) {
	p, err := P(&v).MarshalText()
	e.text(p, err)
}

// maxHeader is the size of the longest header of bytes or text.
const maxHeader = 5

// spare is room to append to behind what is written, with space for a header before it. There may be none.
func (e *Encoder) spare(header int) []byte {
	if at := len(e.b) + header; at <= cap(e.b) {
		return e.b[at:at]
	}
	return nil
}

// binary writes p, which may lie in the encoder's own spare room: headers are no longer than what was left for them, and bytes are
// moved as copy moves them.
func (e *Encoder) binary(p []byte, err error) {
	if err != nil {
		e.Fail(err)
		return
	}
	if p == nil {
		p = []byte{}
	}
	e.Blob(p)
}

func (e *Encoder) text(p []byte, err error) {
	switch n := len(p); {
	case err != nil:
		e.Fail(err)
		return
	case n < 32:
		e.b = append(e.b, 0xa0|byte(n))
	case !e.fits("a text", n):
		return
	case n < 1<<8:
		e.b = append(e.b, 0xd9, byte(n))
	case n < 1<<16:
		e.b = append(e.b, 0xda, byte(n>>8), byte(n))
	default:
		e.b = append(e.b, 0xdb, byte(n>>24), byte(n>>16), byte(n>>8), byte(n))
	}
	e.b = append(e.b, p...)
}

// ReadMsg has UnmarshalMsg read one value. Nil gives the zero T, as for the others: no method is called for it.
func ReadMsg[T any, P interface {
	*T
	MsgUnmarshaler
}](d *Decoder) (v T) {
	start := d.pos
	if d.Null() {
		return v
	}
	d.Skip()
	if d.err != nil || !d.charge(d.pos-start) {
		return v
	}
	left, err := P(&v).UnmarshalMsg(d.b[start:d.pos:d.pos])
	if err == nil && len(left) > 0 {
		err = errLeft
	}
	return unmarshaled(d, v, err)
}

// ReadBinary has UnmarshalBinary read bytes.
func ReadBinary[T any, P interface {
	*T
	encoding.BinaryUnmarshaler
}](d *Decoder) (v T) {
	if p, ok := d.own("binary", kindBinary, kindString); ok {
		err := P(&v).UnmarshalBinary(p)
		return unmarshaled(d, v, err)
	}
	return v
}

// ReadText has UnmarshalText read a text.
func ReadText[T any, P interface {
	*T
	encoding.TextUnmarshaler
}](d *Decoder) (v T) {
	if p, ok := d.own("text", kindString, kindString); ok {
		err := P(&v).UnmarshalText(p)
		return unmarshaled(d, v, err)
	}
	return v
}

// own reads the bytes for an Unmarshal method, false if there are none.
func (d *Decoder) own(what string, k, or kind) ([]byte, bool) {
	if d.Null() {
		return nil, false
	}
	p := d.payload(what, k, or)
	if d.err != nil || !d.charge(len(p)) {
		return nil, false
	}
	return p[:len(p):len(p)], true
}

// unmarshaled is v, or nothing if there is an error.
func unmarshaled[T any](d *Decoder, v T, err error) T {
	if err != nil {
		d.Fail(err)
		var zero T
		return zero
	}
	return v
}
