package control

import "github.com/daffi-rpc/daffi/runtime/codec"

// Bounds of what describes one method, in bytes, so that a description fits into a frame. A node cuts what is longer, the controller refuses it.
const (
	MaxDoc   = 4 << 10 // of a doc comment
	MaxNames = 4 << 10 // of the names of arguments and results together, and one for each
)

// Registered is OK as an answer to [Register]. The controller wants the documentation of the methods with these indexes, which nobody has
// given yet; it may be sent with [Describe] or not.
type Registered struct{ Describe []uint32 }

// Missing answers [Register] and [Resolve], and nothing was done: the controller does not know the signatures of the methods with these
// indexes, of which it was given a hash. It wants them in [Describe], then the same question again. So a signature crosses once, from the
// first node that names it, and what is served or called is never looked at without it.
type Missing struct{ Methods []uint32 }

// Describe says what methods look like that [Missing] or [Registered] has asked for, in one message or several. The first description of
// a method with that signature stays; what nobody has asked this node for is refused.
type Describe struct {
	Service string
	Doc     string // doc comment of the service, empty but in one message
	Served  bool   // the node serves it, and the documentation is in here
	Methods []Description
}

// Description is one row of [Describe] and of [Inspected].
type Description struct {
	Name    string
	Sig     string   // in Describe its fingerprint where the signature was not asked for
	Params  []string // names of the arguments, the input sequence last; none if the source has none
	Results []string // the same of the results
	Doc     string
	Alias   string // the method that answers to Name, if it is an older name of that
	Oneway  bool
	Route   uint32   // Inspected only: two rows with one route are about one method
	Nodes   []string // Inspected only: who serves it, those with lower session numbers first
}

// NamesSize is what counts against [MaxNames].
func (d *Description) NamesSize() int {
	size := len(d.Params) + len(d.Results)
	for _, list := range [][]string{d.Params, d.Results} {
		for _, name := range list {
			size += len(name)
		}
	}
	return size
}

// Inspect asks what is known of a service. The answer comes in pages: the first question has a zero Cursor, each other one that of the answer before.
type Inspect struct {
	Service string
	After   Cursor
}

// Inspected answers [Inspect]: methods that are served, by name, and one row for each signature.
type Inspected struct {
	Doc     string
	Methods []Description
	More    bool   // there is another page
	Next    Cursor // of it
}

// Cursor is a place in what is known of a service: a method, one of its signatures, and one of the nodes that serve it.
type Cursor struct {
	Method  string
	Route   uint32
	Session uint32
}

func (m *Registered) Append(e *codec.Encoder) {
	head(e, 1, OpOK)
	codec.WriteSlice(e, m.Describe, codec.WriteUint32)
}

func (m *Registered) Read(d *codec.Decoder) error {
	m.Describe = next(d, readIndexes)
	return d.Close()
}

func (m *Missing) Append(e *codec.Encoder) {
	head(e, 1, OpMissing)
	codec.WriteSlice(e, m.Methods, codec.WriteUint32)
}

func (m *Missing) Read(d *codec.Decoder) error {
	m.Methods = next(d, readIndexes)
	return d.Close()
}

func (m *Describe) Append(e *codec.Encoder) {
	head(e, 4, OpDescribe)
	e.String(m.Service)
	e.String(m.Doc)
	e.Bool(m.Served)
	codec.WriteSlice(e, m.Methods, appendDescription)
}

func (m *Describe) Read(d *codec.Decoder) error {
	m.Service = next(d, codec.ReadString)
	m.Doc = next(d, codec.ReadString)
	m.Served = next(d, codec.ReadBool)
	m.Methods = next(d, readDescriptions)
	return d.Close()
}

func (m *Inspect) Append(e *codec.Encoder) {
	head(e, 4, OpInspect)
	e.String(m.Service)
	m.After.fields(e)
}

func (m *Inspect) Read(d *codec.Decoder) error {
	m.Service = next(d, codec.ReadString)
	m.After = readCursor(d)
	return d.Close()
}

func (m *Inspected) Append(e *codec.Encoder) {
	head(e, 6, OpInspected)
	e.String(m.Doc)
	codec.WriteSlice(e, m.Methods, appendDescription)
	e.Bool(m.More)
	m.Next.fields(e)
}

func (m *Inspected) Read(d *codec.Decoder) error {
	m.Doc = next(d, codec.ReadString)
	m.Methods = next(d, readDescriptions)
	m.More = next(d, codec.ReadBool)
	m.Next = readCursor(d)
	return d.Close()
}

func (c *Cursor) fields(e *codec.Encoder) {
	e.String(c.Method)
	e.Uint32(c.Route)
	e.Uint32(c.Session)
}

func readCursor(d *codec.Decoder) Cursor {
	return Cursor{Method: next(d, codec.ReadString), Route: next(d, codec.ReadUint32), Session: next(d, codec.ReadUint32)}
}

func appendDescription(e *codec.Encoder, m Description) {
	e.Array(9)
	e.String(m.Name)
	e.String(m.Sig)
	codec.WriteStrings(e, m.Params)
	codec.WriteStrings(e, m.Results)
	e.String(m.Doc)
	e.String(m.Alias)
	e.Bool(m.Oneway)
	e.Uint32(m.Route)
	codec.WriteStrings(e, m.Nodes)
}

func readDescriptions(d *codec.Decoder) []Description {
	return codec.ReadSlice(d, 10, func(d *codec.Decoder) (m Description) {
		row(d, func(i int) {
			switch i {
			case 0:
				m.Name = d.String()
			case 1:
				m.Sig = d.String()
			case 2:
				m.Params = codec.ReadStrings(d)
			case 3:
				m.Results = codec.ReadStrings(d)
			case 4:
				m.Doc = d.String()
			case 5:
				m.Alias = d.String()
			case 6:
				m.Oneway = d.Bool()
			case 7:
				m.Route = d.Uint32()
			case 8:
				m.Nodes = codec.ReadStrings(d)
			}
		}, 9)
		return m
	})
}
