package control

import "github.com/daffi-rpc/daffi/runtime/codec"

// Stop asks a node that has said in [About] that it may be asked to shut down. It does, or sends a Stop itself, which says why not.
type Stop struct{ Refused string }

func (m *Stop) Append(e *codec.Encoder) {
	if m.Refused == "" {
		head(e, 0, OpStop)
		return
	}
	head(e, 1, OpStop)
	e.String(m.Refused)
}

func (m *Stop) Read(d *codec.Decoder) error {
	m.Refused = next(d, codec.ReadString)
	return d.Close()
}
