// Package jsoncodec is the codec that generated code uses where //daffi:codec json stands. It is a package of its own so that programs
// without it link no encoding by reflection; nothing needs to be registered.
//
// What encoding/json says of tags, methods and types holds, with two differences: MarshalJSON and MarshalText are called also where only a
// pointer has them, and <, > and & are not escaped, since nobody puts the text into a web page. What a value may take in memory is bounded
// as that of every message is: by 64 KiB and 64 bytes per byte of it, at most 16 MiB.
package jsoncodec

import (
	"encoding/json"

	"github.com/daffi-rpc/daffi/runtime/codec"
)

// Write writes v.
func Write[T any](e *codec.Encoder, v T) { codec.WriteBy(e, jsonCodec{}, &v) }

// Read reads what Write wrote.
func Read[T any](d *codec.Decoder) T { return codec.ReadBy[T](d, jsonCodec{}) }

// jsonCodec implements [codec.Codec] and [codec.Measurer] for pointers.
type jsonCodec struct{}

func (jsonCodec) ID() byte     { return 3 }
func (jsonCodec) Name() string { return "json" }

func (jsonCodec) Marshal(dst []byte, v any) ([]byte, error) {
	out := text(dst)
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return out[:len(out)-1], nil // without the newline
}

// text is a slice that is written to.
type text []byte

func (t *text) Write(p []byte) (int, error) {
	*t = append(*t, p...)
	return len(p), nil
}

func (jsonCodec) Unmarshal(data []byte, v any) error { return json.Unmarshal(data, v) }
