package control

import "github.com/daffi-rpc/daffi/runtime/codec"

// Await asks to be answered as soon as every one of some routes has a provider, all at the same moment; at once if each has.
type Await struct {
	Routes []uint32
	Others []uint32 // routes of which another node than the one that asks must be a provider
	Nodes  []string // if there are any, a provider must be one of these
}

// Forget ends an [Await]: nobody is interested in its answer any more. It has no answer of its own.
type Forget struct{ Number uint64 } // of the message

func (m *Await) Append(e *codec.Encoder) {
	head(e, 3, OpAwait)
	codec.WriteSlice(e, m.Routes, codec.WriteUint32)
	codec.WriteSlice(e, m.Others, codec.WriteUint32)
	codec.WriteStrings(e, m.Nodes)
}

func (m *Await) Read(d *codec.Decoder) error {
	m.Routes = next(d, readIndexes)
	m.Others = next(d, readIndexes)
	m.Nodes = next(d, codec.ReadStrings)
	return d.Close()
}

func (m *Forget) Append(e *codec.Encoder) {
	head(e, 1, OpForget)
	e.Uint64(m.Number)
}

func (m *Forget) Read(d *codec.Decoder) error {
	m.Number = next(d, codec.ReadUint64)
	return d.Close()
}
