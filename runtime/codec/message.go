package codec

import (
	"errors"
	"fmt"
)

// A Message is a pointer to a type that is marked //daffi:message: daffigen writes the method. It can be written and read by itself, and
// may stand in an any, where it arrives as what it is on the wire: a struct as a map[string]any.
type Message interface {
	DaffiMessage() Form
}

// A Form is how one message is written and read. Only [FormOf] makes one.
type Form interface {
	of() any
	sig() string
	write(e *Encoder)
	read(d *Decoder, last bool)
	fresh(d *Decoder) any
}

// FormOf is what generated code returns from DaffiMessage.
func FormOf[T any](p *T, signature string, write func(*Encoder, T), read func(*Decoder) T) Form {
	return &form[T]{p, signature, write, read}
}

type form[T any] struct {
	p         *T
	signature string
	writer    func(*Encoder, T)
	reader    func(*Decoder) T
}

func (f *form[T]) of() any          { return f.p }
func (f *form[T]) sig() string      { return f.signature }
func (f *form[T]) write(e *Encoder) { WritePtr(e, f.p, f.writer) }

// read replaces the message if all is well. Nothing may follow the last one.
func (f *form[T]) read(d *Decoder, last bool) {
	if f.p == nil {
		d.Fail(errNilMessage)
		return
	}
	v := f.reader(d)
	if last {
		_ = d.Close() // its error sticks
	}
	if d.err == nil {
		*f.p = v
	}
}

// fresh reads a new message, of which it returns the pointer; nil for nil.
func (f *form[T]) fresh(d *Decoder) any { return ReadPtr(d, f.reader) }

var errNilMessage = errors.New("a message cannot be read into nil; give a pointer to one")

// formOf is the form of m itself. A struct has the method also where it only embeds a message, of which it would be a part.
func formOf(m Message) (f Form, err error) {
	if m == nil {
		return nil, errNilMessage
	}
	defer func() {
		if recover() != nil { // a nil pointer has no part whose method that is
			err = fmt.Errorf("%T only embeds a message; mark it //daffi:message itself", m)
		}
	}()
	f = m.DaffiMessage()
	if f.of() != any(m) {
		return nil, fmt.Errorf("%T only embeds the message %T; mark it //daffi:message itself", m, f.of())
	}
	return f, nil
}

// MessageType is the canonical wire signature of m's type, which is equal at all that understand each other, and "" if m is no
// message itself but embeds one. It may be asked of a nil pointer.
func MessageType(m Message) string {
	f, err := formOf(m)
	if err != nil {
		return ""
	}
	return f.sig()
}

// WriteMessage writes m; a nil pointer is nil.
func WriteMessage(e *Encoder, m Message) {
	f, err := formOf(m)
	if err != nil {
		e.Fail(err)
		return
	}
	f.write(e)
}

// ReadMessage replaces what m points to by the message that comes next, or, after an error, leaves it as it was. Nil is read as the zero
// value.
func ReadMessage(d *Decoder, m Message) {
	f, err := formOf(m)
	if err != nil {
		d.Fail(err)
		return
	}
	f.read(d, false)
}

// ReadNew reads a message of m's type, a new one, or a nil pointer for nil. m itself is only asked for its type, and may be a nil pointer.
func ReadNew[M Message](d *Decoder, m M) M {
	f, err := formOf(m)
	if err != nil {
		d.Fail(err)
		return m
	}
	v, ok := f.fresh(d).(M)
	if !ok {
		d.Fail(fmt.Errorf("%T only embeds a message; mark it //daffi:message itself", m))
	}
	return v
}

// Marshal encodes m. Its error wraps [ErrEncode].
func Marshal(m Message) ([]byte, error) {
	var e Encoder
	WriteMessage(&e, m)
	if e.err != nil {
		return nil, e.err
	}
	return e.b, nil
}

// Unmarshal reads what [Marshal] wrote into m, within the limits of every message. Bytes behind the message are refused. Its error wraps
// [ErrDecode], and m is then as it was.
func Unmarshal(data []byte, m Message) error {
	f, err := formOf(m)
	if err != nil {
		return within(ErrDecode, err)
	}
	var d Decoder
	d.Reset(data)
	f.read(&d, true)
	return d.err
}
