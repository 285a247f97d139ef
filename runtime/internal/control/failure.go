package control

import (
	"bytes"

	"github.com/daffi-rpc/daffi/runtime/codec"
	"github.com/daffi-rpc/daffi/runtime/internal/safetext"
)

// Failure is how a call or a control message failed: the payload of an Error frame, and of OpFailed.
type Failure struct {
	Code    uint8
	Reason  string
	Outcome uint8
	Message string
	Node    string
	Method  string
	// Identities are what the caller may find in the error with errors.Is and errors.As. The element is left out where there are none.
	Identities []Identity
	// Metadata is what the handler sends to a caller that has asked for it. The element is left out where there is none.
	Metadata map[string]string
}

// Identity names one error of the tables that both sides have for a service or a method of it, with its value where it has one.
type Identity struct {
	Name  string
	Value []byte // a MessagePack value, nil of a variable
}

// What the identities of one error may take (LIM-26).
const (
	MaxIdentities    = 16
	MaxIdentityBytes = 16 << 10 // of all names and values
)

// AddIdentity appends next to list, unless it is there or there is no room for it.
func AddIdentity(list []Identity, next Identity) []Identity {
	size := len(next.Name) + len(next.Value)
	for _, i := range list {
		if i.Name == next.Name && bytes.Equal(i.Value, next.Value) {
			return list
		}
		size += len(i.Name) + len(i.Value)
	}
	if len(list) == MaxIdentities || size > MaxIdentityBytes {
		return list
	}
	return append(list, next)
}

// AppendTo appends f as the payload of an Error frame.
func (f *Failure) AppendTo(e *codec.Encoder) {
	e.Array(f.size())
	f.fields(e)
}

// Append appends f as an answer. Its message may quote what was asked, so it is cut (LIM-68).
func (f *Failure) Append(e *codec.Encoder) {
	short := *f
	short.Message = safetext.Cut(f.Message, safetext.MaxError)
	head(e, f.size(), OpFailed)
	short.fields(e)
}

func (f *Failure) size() int {
	switch {
	case len(f.Metadata) > 0:
		return 8
	case len(f.Identities) > 0:
		return 7
	}
	return 6
}

func (f *Failure) fields(e *codec.Encoder) {
	e.Uint8(f.Code)
	e.String(f.Reason)
	e.Uint8(f.Outcome)
	e.String(f.Message)
	e.String(f.Node)
	e.String(f.Method)
	size := f.size()
	if size > 6 {
		codec.WriteSlice(e, f.Identities, func(e *codec.Encoder, i Identity) {
			e.Array(2)
			e.String(i.Name)
			e.Blob(i.Value)
		})
	}
	if size > 7 {
		codec.WriteMap(e, f.Metadata, codec.WriteString, codec.WriteString)
	}
}

// ReadFrom reads the payload of an Error frame.
func (f *Failure) ReadFrom(d *codec.Decoder) error {
	d.Open()
	return f.Read(d)
}

func (f *Failure) Read(d *codec.Decoder) error {
	f.Code = next(d, codec.ReadUint8)
	f.Reason = next(d, codec.ReadString)
	f.Outcome = next(d, codec.ReadUint8)
	f.Message = next(d, codec.ReadString)
	f.Node = next(d, codec.ReadString)
	f.Method = next(d, codec.ReadString)
	for _, i := range next(d, readIdentities) {
		f.Identities = AddIdentity(f.Identities, i)
	}
	f.Metadata = next(d, readMetadata)
	return d.Close()
}

func readMetadata(d *codec.Decoder) map[string]string {
	return codec.ReadMap(d, 2, codec.ReadString, codec.ReadString)
}

func readIdentities(d *codec.Decoder) []Identity {
	return codec.ReadSlice(d, 3, func(d *codec.Decoder) (i Identity) {
		row(d, func(k int) {
			switch k {
			case 0:
				i.Name = d.String()
			case 1:
				i.Value = d.Blob()
			}
		}, 2)
		return i
	})
}

// PeekFailure reads what comes first in the payload of an Error frame.
func PeekFailure(d *codec.Decoder) (code uint8, reason string, outcome uint8) {
	d.Open()
	return next(d, codec.ReadUint8), next(d, codec.ReadString), next(d, codec.ReadUint8)
}
