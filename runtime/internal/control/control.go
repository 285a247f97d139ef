// Package control holds the messages that a node and its controller exchange in Control, Error and Peer frames.
//
// Each is a MessagePack array whose first element says what it is. Both sides skip elements that they do not know at the end of an array,
// so that later versions may add some. A message of a node carries a number in the frame's call field, and the answer to it
// carries the same; what the controller says by itself carries 0.
package control

import (
	"bytes"
	"fmt"

	"github.com/daffi-rpc/daffi/runtime/codec"
)

// Op is the first element of a message.
type Op uint8

// The messages; numbers are the wire's.
const (
	OpOK         Op = 1 // answer: done; to Register a [Registered]
	OpFailed     Op = 2 // answer: a [Failure]
	OpRegister   Op = 3 // node: [Register]; answered OK, [Missing] or Failed
	OpUnregister Op = 4 // node: [Unregister]; answered OK
	OpResolve    Op = 5 // node: [Resolve]; answered [Routes], [Missing] or Failed
	OpRoutes     Op = 6
	OpFind       Op = 7 // node: [Find]; answered [Found]
	OpFound      Op = 8
	OpWatch      Op = 9 // node: asks for a [Table] as answer, in one or more messages, and for every change of it from then on
	OpTable      Op = 10
	OpMissing    Op = 11
	OpDescribe   Op = 12 // node: [Describe]; answered OK or Failed
	OpInspect    Op = 13 // node: [Inspect]; answered [Inspected]
	OpInspected  Op = 14
)

// Bounds of what describes one method, in bytes, so that a description fits into a frame. A node cuts what is longer, the controller refuses it.
const (
	MaxDoc   = 4 << 10 // of a doc comment
	MaxNames = 4 << 10 // of the names of arguments and results together, and one for each
)

// Method is a method of a registered service.
type Method struct {
	Name   string
	Sig    string // fingerprint of the canonical wire signature: the signature itself if it is short, else # and its hash
	Number uint32 // what the node wants to see in the route field of requests for it
}

// Register says that the sending node serves a service from now on. It does so when it is answered OK.
type Register struct {
	Service string
	Methods []Method
}

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

// Unregister says that it does so no longer.
type Unregister struct{ Service string }

// Resolve asks for routes.
type Resolve struct {
	Service string
	Methods []Method // Number is not used
}

// Routes answers [Resolve], in the same order.
type Routes struct {
	Routes []Route
}

// Route is one answer.
type Route struct {
	Number uint32
	Remote bool // a provider may be on another host, so compression may pay
}

// Find asks for the session of the node of that name.
type Find struct{ Node string }

// Found answers [Find]; 0 means that there is none.
type Found struct{ Session uint32 }

// Table is what a watching node is told: everything as an answer to OpWatch, then changes. What does not fit into one frame comes in
// several messages, all but the last with More; the answer is complete, and the table as it was at one moment, after the last. A node
// may be told of again without a change, and that one has left that it was never told of.
type Table struct {
	Revision uint64 // grows with every change; changes that are told together are skipped
	Nodes    []Node // in the answer all, later those that joined or changed, whole
	Left     []uint32
	More     bool
}

// Node is one row of a [Table].
type Node struct {
	Session  uint32
	Name     string
	Services []Service
}

// Service is what a node serves.
type Service struct {
	Name    string
	Methods []string
}

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

// Each Append function appends the whole message to e; each Read function reads what follows the operation, which [ReadOp] has read.

// ReadOp opens a message and reads its operation.
func ReadOp(d *codec.Decoder) Op {
	d.Open()
	if !d.Next() {
		d.Fail(fmt.Errorf("control message without an operation"))
		return 0
	}
	return Op(d.Uint8())
}

func head(e *codec.Encoder, n int, op Op) {
	e.Array(n + 1)
	e.Uint8(uint8(op))
}

// AppendPlain appends a message that has no fields: OpOK, OpWatch.
func AppendPlain(e *codec.Encoder, op Op) { head(e, 0, op) }

func (m *Register) Append(e *codec.Encoder) {
	head(e, 2, OpRegister)
	e.String(m.Service)
	appendMethods(e, m.Methods)
}

func (m *Register) Read(d *codec.Decoder) error {
	m.Service = next(d, codec.ReadString)
	m.Methods = next(d, readMethods)
	return d.Close()
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

func (m *Unregister) Append(e *codec.Encoder) {
	head(e, 1, OpUnregister)
	e.String(m.Service)
}

func (m *Unregister) Read(d *codec.Decoder) error {
	m.Service = next(d, codec.ReadString)
	return d.Close()
}

func (m *Resolve) Append(e *codec.Encoder) {
	head(e, 2, OpResolve)
	e.String(m.Service)
	appendMethods(e, m.Methods)
}

func (m *Resolve) Read(d *codec.Decoder) error {
	m.Service = next(d, codec.ReadString)
	m.Methods = next(d, readMethods)
	return d.Close()
}

func (m *Routes) Append(e *codec.Encoder) {
	head(e, 1, OpRoutes)
	codec.WriteSlice(e, m.Routes, func(e *codec.Encoder, r Route) {
		e.Array(2)
		e.Uint32(r.Number)
		e.Bool(r.Remote)
	})
}

func (m *Routes) Read(d *codec.Decoder) error {
	m.Routes = next(d, func(d *codec.Decoder) []Route {
		return codec.ReadSlice(d, 3, func(d *codec.Decoder) (r Route) {
			row(d, func(i int) {
				switch i {
				case 0:
					r.Number = d.Uint32()
				case 1:
					r.Remote = d.Bool()
				}
			}, 2)
			return r
		})
	})
	return d.Close()
}

func (m *Find) Append(e *codec.Encoder) {
	head(e, 1, OpFind)
	e.String(m.Node)
}

func (m *Find) Read(d *codec.Decoder) error {
	m.Node = next(d, codec.ReadString)
	return d.Close()
}

func (m *Found) Append(e *codec.Encoder) {
	head(e, 1, OpFound)
	e.Uint32(m.Session)
}

func (m *Found) Read(d *codec.Decoder) error {
	m.Session = next(d, codec.ReadUint32)
	return d.Close()
}

func (m *Table) Append(e *codec.Encoder) {
	head(e, 4, OpTable)
	e.Uint64(m.Revision)
	codec.WriteSlice(e, m.Nodes, func(e *codec.Encoder, n Node) {
		e.Array(3)
		e.Uint32(n.Session)
		e.String(n.Name)
		codec.WriteSlice(e, n.Services, func(e *codec.Encoder, s Service) {
			e.Array(2)
			e.String(s.Name)
			codec.WriteStrings(e, s.Methods)
		})
	})
	codec.WriteSlice(e, m.Left, codec.WriteUint32)
	e.Bool(m.More)
}

func (m *Table) Read(d *codec.Decoder) error {
	m.Revision = next(d, codec.ReadUint64)
	m.Nodes = next(d, func(d *codec.Decoder) []Node { return codec.ReadSlice(d, 4, readNode) })
	m.Left = next(d, func(d *codec.Decoder) []uint32 { return codec.ReadSlice(d, 1, codec.ReadUint32) })
	m.More = next(d, codec.ReadBool)
	return d.Close()
}

func readNode(d *codec.Decoder) (n Node) {
	row(d, func(i int) {
		switch i {
		case 0:
			n.Session = d.Uint32()
		case 1:
			n.Name = d.String()
		case 2:
			n.Services = codec.ReadSlice(d, 3, readService)
		}
	}, 3)
	return n
}

func readService(d *codec.Decoder) (s Service) {
	row(d, func(i int) {
		switch i {
		case 0:
			s.Name = d.String()
		case 1:
			s.Methods = codec.ReadStrings(d)
		}
	}, 2)
	return s
}

// AppendTo appends f as the payload of an Error frame.
func (f *Failure) AppendTo(e *codec.Encoder) {
	e.Array(f.size())
	f.fields(e)
}

// Append appends f as an answer.
func (f *Failure) Append(e *codec.Encoder) {
	head(e, f.size(), OpFailed)
	f.fields(e)
}

func (f *Failure) size() int {
	if len(f.Identities) > 0 {
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
	if len(f.Identities) > 0 {
		codec.WriteSlice(e, f.Identities, func(e *codec.Encoder, i Identity) {
			e.Array(2)
			e.String(i.Name)
			e.Blob(i.Value)
		})
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
	return d.Close()
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

func appendMethods(e *codec.Encoder, ms []Method) {
	codec.WriteSlice(e, ms, func(e *codec.Encoder, m Method) {
		e.Array(3)
		e.String(m.Name)
		e.String(m.Sig)
		e.Uint32(m.Number)
	})
}

func readMethods(d *codec.Decoder) []Method {
	return codec.ReadSlice(d, 4, func(d *codec.Decoder) (m Method) {
		row(d, func(i int) {
			switch i {
			case 0:
				m.Name = d.String()
			case 1:
				m.Sig = d.String()
			case 2:
				m.Number = d.Uint32()
			}
		}, 3)
		return m
	})
}

func readIndexes(d *codec.Decoder) []uint32 { return codec.ReadSlice(d, 1, codec.ReadUint32) }

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

// next reads one field of the message, zero if an older peer left it out.
func next[T any](d *codec.Decoder, read func(*codec.Decoder) T) (v T) {
	if d.Next() {
		v = read(d)
	}
	return v
}

// row reads an inner array of which this version knows the first n elements.
func row(d *codec.Decoder, read func(i int), n int) {
	have := d.Array(1)
	for i := range have {
		if d.Err() != nil {
			return
		}
		if i < n {
			read(i)
		} else {
			d.Skip()
		}
	}
}
