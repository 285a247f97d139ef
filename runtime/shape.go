package daffi

import (
	"fmt"
	"time"

	"github.com/daffi-rpc/daffi/internal/signature"
	"github.com/daffi-rpc/daffi/runtime/codec"
)

// shape is how values of one type travel, for those who have no generated code: [Handle], [HandleMsg] and [SendMsg].
type shape[T any] struct {
	sig   *signature.Type // nil for struct{}, which is nothing
	write func(*codec.Encoder, T)
	read  func(*codec.Decoder) T
	valid func(T) error // asks the value whether it is valid; nil if it cannot be asked
}

// validator is what a message is that can say whether it is valid.
type validator interface{ Validate() error }

// shapeOf finds the shape of T without reflection: it is among those of the basic types, or T is a message.
func shapeOf[T any]() (shape[T], error) {
	var v T
	if _, none := any(&v).(*struct{}); none {
		return shape[T]{read: func(*codec.Decoder) (v T) { return v }, write: func(*codec.Encoder, T) {}}, nil
	}
	for _, find := range basics {
		if s, ok := find(&v).(shape[T]); ok {
			return s, nil
		}
	}
	if m, ok := any(v).(codec.Message); ok {
		sig, err := messageSig(m)
		s := shape[T]{sig: &signature.Type{Kind: signature.Pointer, Elem: sig},
			write: func(e *codec.Encoder, v T) { codec.WriteMessage(e, any(v).(codec.Message)) },
			read:  func(d *codec.Decoder) T { v, _ := codec.ReadNew(d, m).(T); return v }}
		if _, ok := any(v).(validator); ok {
			none := any(v)
			s.valid = func(v T) error {
				if any(v) == none {
					return nil
				}
				return any(v).(validator).Validate()
			}
		}
		return s, err
	}
	if m, ok := any(&v).(codec.Message); ok {
		sig, err := messageSig(m)
		s := shape[T]{sig: sig,
			write: func(e *codec.Encoder, v T) { codec.WriteMessage(e, any(&v).(codec.Message)) },
			read:  func(d *codec.Decoder) (v T) { codec.ReadMessage(d, any(&v).(codec.Message)); return v }}
		if _, ok := any(&v).(validator); ok {
			s.valid = func(v T) error { return any(&v).(validator).Validate() }
		}
		return s, err
	}
	return shape[T]{}, fmt.Errorf("%s cannot travel without generated code; use a basic type, a slice or map of those, any, or a struct that is marked //daffi:message", typeName[T]())
}

func typeName[T any]() string { return fmt.Sprintf("%T", *new(T)) }

// messageSig is the type of a message on the wire.
func messageSig(m codec.Message) (*signature.Type, error) {
	text := codec.MessageType(m)
	if text == "" {
		return nil, fmt.Errorf("%T only embeds a message; mark it //daffi:message itself", m)
	}
	parsed, err := signature.Parse("(" + text + ")()")
	if err != nil {
		return nil, fmt.Errorf("%T: %w", m, err)
	}
	return parsed.Params[0], nil
}

// basics find the shape of what they are given a pointer to: of a basic type, of a pointer to one, or of slices and maps of them.
var basics = []func(any) any{
	basic("bytes", codec.WriteBlob, codec.ReadBlob), // before uint8: []byte is bytes
	basic("bool", codec.WriteBool, codec.ReadBool),
	basic("string", codec.WriteString, codec.ReadString),
	basic("int", codec.WriteInt, codec.ReadInt),
	basic("int8", codec.WriteInt8, codec.ReadInt8),
	basic("int16", codec.WriteInt16, codec.ReadInt16),
	basic("int32", codec.WriteInt32, codec.ReadInt32),
	basic("int64", codec.WriteInt64, codec.ReadInt64),
	basic("uint", codec.WriteUint, codec.ReadUint),
	basic("uint8", codec.WriteUint8, codec.ReadUint8),
	basic("uint16", codec.WriteUint16, codec.ReadUint16),
	basic("uint32", codec.WriteUint32, codec.ReadUint32),
	basic("uint64", codec.WriteUint64, codec.ReadUint64),
	basic("float32", codec.WriteFloat32, codec.ReadFloat32),
	basic("float64", codec.WriteFloat64, codec.ReadFloat64),
	basic("complex64", codec.WriteComplex64, codec.ReadComplex64),
	basic("complex128", codec.WriteComplex128, codec.ReadComplex128),
	basic("time", func(e *codec.Encoder, v time.Time) { e.Time(v) }, codec.ReadTime),
	basic("duration", codec.WriteDuration, codec.ReadDuration),
	basic("any", codec.WriteAny, codec.ReadAny),
}

func basic[E any](word string, write func(*codec.Encoder, E), read func(*codec.Decoder) E) func(any) any {
	elem := &signature.Type{Kind: signature.Word, Name: word}
	of := func(k signature.Kind, t *signature.Type) *signature.Type {
		if k == signature.Map {
			return &signature.Type{Kind: k, Key: &signature.Type{Kind: signature.Word, Name: "string"}, Elem: t}
		}
		return &signature.Type{Kind: k, Elem: t}
	}
	writeSlice := func(e *codec.Encoder, v []E) { codec.WriteSlice(e, v, write) }
	readSlice := func(d *codec.Decoder) []E { return codec.ReadSlice(d, 1, read) }
	return func(p any) any {
		switch p.(type) {
		case *E:
			return shape[E]{sig: elem, write: write, read: read}
		case **E:
			return shape[*E]{sig: of(signature.Pointer, elem), write: func(e *codec.Encoder, v *E) { codec.WritePtr(e, v, write) },
				read: func(d *codec.Decoder) *E { return codec.ReadPtr(d, read) }}
		case *[]E:
			return shape[[]E]{sig: of(signature.Slice, elem), write: writeSlice, read: readSlice}
		case *[][]E:
			return shape[[][]E]{sig: of(signature.Slice, of(signature.Slice, elem)), write: func(e *codec.Encoder, v [][]E) { codec.WriteSlice(e, v, writeSlice) },
				read: func(d *codec.Decoder) [][]E { return codec.ReadSlice(d, 1, readSlice) }}
		case *map[string]E:
			return shape[map[string]E]{sig: of(signature.Map, elem), write: func(e *codec.Encoder, v map[string]E) { codec.WriteMap(e, v, codec.WriteString, write) },
				read: func(d *codec.Decoder) map[string]E { return codec.ReadMap(d, 2, codec.ReadString, read) }}
		case *map[string][]E:
			return shape[map[string][]E]{sig: of(signature.Map, of(signature.Slice, elem)), write: func(e *codec.Encoder, v map[string][]E) { codec.WriteMap(e, v, codec.WriteString, writeSlice) },
				read: func(d *codec.Decoder) map[string][]E { return codec.ReadMap(d, 2, codec.ReadString, readSlice) }}
		}
		return nil
	}
}

// methodSig is the signature of a method of one argument and one result, as the generator writes it. Types that are equal are one.
func methodSig(in, out *signature.Type) string {
	var m signature.Method
	if in != nil {
		m.Params = []*signature.Type{in}
	}
	if out != nil {
		m.Results = []*signature.Type{unify(in, out)}
	}
	return m.String()
}

// unify is out, made of in's struct if theirs is the same.
func unify(in, out *signature.Type) *signature.Type {
	mine, its := in, out
	if mine != nil && mine.Kind == signature.Pointer {
		mine = mine.Elem
	}
	if its.Kind == signature.Pointer {
		its = its.Elem
	}
	switch {
	case mine == nil || mine.Kind != signature.Struct || its.Kind != signature.Struct || mine.String() != its.String():
		return out
	case out.Kind == signature.Pointer:
		return &signature.Type{Kind: signature.Pointer, Elem: mine}
	}
	return mine
}
