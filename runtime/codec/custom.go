package codec

import (
	"encoding"
	"errors"
	"fmt"
	"runtime/debug"
)

// What a method with //daffi:codec carries is a bin: the id of the codec, then what the codec made of the value. Nil is read as the zero
// value, without asking the codec.

// WriteWith writes v by the codec that is registered under name.
func WriteWith(e *Encoder, name string, v any) {
	c, err := e.scope.find(name)
	if err != nil {
		e.Fail(err)
		return
	}
	e.marshal(c, v)
}

// ReadWith reads what WriteWith wrote.
func ReadWith[T any](d *Decoder, name string) (v T) {
	c, err := d.scope.find(name)
	if err != nil {
		d.unknown(err)
		return v
	}
	if !d.unmarshal(c, &v) {
		var zero T
		return zero
	}
	return v
}

// WriteBy writes v by c, whether or not it is registered.
func WriteBy(e *Encoder, c Codec, v any) { e.marshal(registered{c, c.ID(), c.Name()}, v) }

// ReadBy reads what WriteBy wrote.
func ReadBy[T any](d *Decoder, c Codec) (v T) {
	if !d.unmarshal(registered{c, c.ID(), c.Name()}, &v) {
		var zero T
		return zero
	}
	return v
}

// marshal writes v by c.
func (e *Encoder) marshal(c registered, v any) {
	if e.err != nil {
		return
	}
	p, err := c.Marshal(e.spare(maxHeader+1), v)
	if err != nil {
		e.Fail(fmt.Errorf("codec %s%s: %w", c, e.scope, err))
		return
	}
	if e.coded(c.id, len(p)) {
		e.b = append(e.b, p...)
	}
}

// coded begins a value of the codec of that id, of n bytes, which the caller appends. They may lie in the encoder's own spare room: the
// header and the id are no longer than what was left for them, and bytes are moved as copy moves them.
func (e *Encoder) coded(id byte, n int) bool {
	n++ // the id
	switch {
	case !e.fits("an encoded value", n):
		return false
	case n < 1<<8:
		e.b = append(e.b, 0xc4, byte(n), id)
	case n < 1<<16:
		e.b = append(e.b, 0xc5, byte(n>>8), byte(n), id)
	default:
		e.b = append(e.b, 0xc6, byte(n>>24), byte(n>>16), byte(n>>8), byte(n), id)
	}
	return true
}

// unmarshal has c read a value into v, and reports whether it did. Not even a panic of c's goes further: a codec meets what others sent.
func (d *Decoder) unmarshal(c registered, v any) (ok bool) {
	p, ok := d.coded(c.id, c.name)
	if !ok {
		return false
	}
	defer func() {
		if r := recover(); r != nil {
			d.Fail(&PanicError{Codec: fmt.Sprintf("%s%s", c, d.scope), Value: r, Stack: debug.Stack()})
			ok = false
		}
	}()
	if m, measures := c.Codec.(Measurer); measures && !d.charge(max(m.Measure(p, v), 0)) {
		return false
	}
	if err := c.Unmarshal(p, v); err != nil {
		d.Fail(fmt.Errorf("codec %s%s: %w", c, d.scope, err))
		return false
	}
	return true
}

var errNoID = errors.New("a codec's id expected, an empty value found")

// coded reads what the codec of that id and name is to read, false if there is nothing.
func (d *Decoder) coded(id byte, name string) ([]byte, bool) {
	p, ok := d.own("encoded value", kindBinary, kindBinary)
	switch {
	case !ok:
		return nil, false
	case len(p) == 0:
		d.Fail(errNoID)
		return nil, false
	case p[0] != id:
		d.Fail(fmt.Errorf("codec %d (%s) expected%s, a value of codec %d found; give it one id at both nodes", id, name, d.scope, p[0]))
		return nil, false
	}
	return p[1:], true
}

// unknown fails because of a codec that is not registered. It says what id the value has.
func (d *Decoder) unknown(err error) {
	if p, ok := d.own("encoded value", kindBinary, kindBinary); ok && len(p) > 0 {
		err = fmt.Errorf("%w (the value was written by codec %d)", err, p[0])
	}
	d.Fail(err)
}

// WriteRaw writes v by the codec raw: as it is. Nil stays nil.
func WriteRaw[T ~[]byte](e *Encoder, v T) {
	if v == nil {
		e.Nil()
	} else if e.coded(rawID, len(v)) {
		e.b = append(e.b, v...)
	}
}

// ReadRaw reads what WriteRaw wrote.
func ReadRaw[T ~[]byte](d *Decoder) T {
	p, ok := d.coded(rawID, "raw")
	if !ok {
		return nil
	}
	return append(make(T, 0, len(p)), p...)
}

// WriteTextString writes a string by the codec text: as it is.
func WriteTextString[T ~string](e *Encoder, v T) {
	if e.coded(textID, len(v)) {
		e.b = append(e.b, v...)
	}
}

// ReadTextString reads what WriteTextString wrote.
func ReadTextString[T ~string](d *Decoder) T {
	p, _ := d.coded(textID, "text")
	return T(p)
}

// WriteTextValue writes by the codec text what MarshalText gives.
func WriteTextValue[T any, P interface {
	*T
	encoding.TextMarshaler
}](e *Encoder, v T) {
	WriteBy(e, textCodec{}, P(&v))
}

// ReadTextValue has UnmarshalText read what WriteTextValue wrote.
func ReadTextValue[T any, P interface {
	*T
	encoding.TextUnmarshaler
}](d *Decoder) T {
	return ReadBy[T](d, textCodec{})
}

// textCodec is the codec text for pointers to types with methods for it.
type textCodec struct{}

func (textCodec) ID() byte     { return textID }
func (textCodec) Name() string { return "text" }

func (textCodec) Marshal(dst []byte, v any) ([]byte, error) {
	p, err := v.(encoding.TextMarshaler).MarshalText()
	return append(dst, p...), err
}

func (textCodec) Unmarshal(data []byte, v any) error {
	return v.(encoding.TextUnmarshaler).UnmarshalText(data)
}
