package control

import "github.com/daffi-rpc/daffi/runtime/codec"

// The messages about methods that nobody serves.
const (
	OpCatch     Op = 35 // node: [Catch]; answered OK or Failed
	OpUncatch   Op = 36 // node: [Uncatch]; answered OK
	OpIntroduce Op = 37 // controller, without a number: [Introduce]
)

// Catch says that the sending node takes calls without streams of methods that nobody serves, whose full names begin with a prefix and a dot; an empty prefix is for all.
// The longest prefix that any node has decides. It does so when it is answered OK.
type Catch struct{ Prefix string }

// Uncatch says that it does so no longer.
type Uncatch struct{ Prefix string }

// Introduce tells a node what the method is that Requests with this number in the route field call, which it does not serve itself. It comes before the
// first of them, and again when others have come in between. Numbers are from [Introduced] on.
type Introduce struct {
	Number  uint32
	Service string
	Method  string
	Sig     string // the caller's signature
}

// Introduced is the first number that a controller gives to a method towards a callee; those below it are the callee's own.
const Introduced = 1 << 31

func (m *Catch) Append(e *codec.Encoder) {
	head(e, 1, OpCatch)
	e.String(m.Prefix)
}

func (m *Catch) Read(d *codec.Decoder) error {
	m.Prefix = next(d, codec.ReadString)
	return d.Close()
}

func (m *Uncatch) Append(e *codec.Encoder) {
	head(e, 1, OpUncatch)
	e.String(m.Prefix)
}

func (m *Uncatch) Read(d *codec.Decoder) error {
	m.Prefix = next(d, codec.ReadString)
	return d.Close()
}

func (m *Introduce) Append(e *codec.Encoder) {
	head(e, 4, OpIntroduce)
	e.Uint32(m.Number)
	e.String(m.Service)
	e.String(m.Method)
	e.String(m.Sig)
}

func (m *Introduce) Read(d *codec.Decoder) error {
	m.Number = next(d, codec.ReadUint32)
	m.Service = next(d, codec.ReadString)
	m.Method = next(d, codec.ReadString)
	m.Sig = next(d, codec.ReadString)
	return d.Close()
}
