// Package control holds the messages that a node and its controller exchange in Control, Error and Peer frames.
//
// Each is a MessagePack array whose first element says what it is. Both sides skip elements that they do not know at the end of an array,
// so that later versions may add some. A message of a node carries a number in the frame's call field, and the answer to it
// carries the same; what the controller says by itself carries 0.
package control

import (
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
	OpTargets    Op = 15 // node: [Targets]; answered [Sessions], in one or more messages, or Failed
	OpSessions   Op = 16
	OpAbout      Op = 17 // node: [About]; answered OK or Failed
	OpSelect     Op = 18 // node: [Select]; answered [Routes], [Missing] or Failed

	OpSchedule    Op = 20 // node: [Schedule]; answered [Scheduled] or Failed
	OpScheduled   Op = 21
	OpTasks       Op = 22 // node: [Tasks]; answered [TaskList]
	OpTaskList    Op = 23
	OpTaskControl Op = 24 // node: [TaskControl]; answered [TaskState] or Failed
	OpTaskState   Op = 25
	OpAwaitRuns   Op = 26 // node: [AwaitRuns]; answered [Runs], as late as that may be, or Failed
	OpRuns        Op = 27

	OpAwait  Op = 31 // node: [Await]; answered OK, as late as that may be, or Failed
	OpForget Op = 32 // node, without a number: [Forget]
	OpStop   Op = 30 // controller, without a number: [Stop]; node: the same, if it does not
)

// Known reports whether op is one of this version. Their numbers have gaps.
func (op Op) Known() bool {
	switch op {
	case OpCatch, OpUncatch, OpIntroduce:
		return true
	case OpOK, OpFailed, OpRegister, OpUnregister, OpResolve, OpRoutes, OpFind, OpFound, OpWatch, OpTable, OpMissing, OpDescribe, OpInspect, OpInspected,
		OpTargets, OpSessions, OpAbout, OpSelect, OpAwait, OpForget, OpSchedule, OpScheduled, OpTasks, OpTaskList, OpTaskControl, OpTaskState, OpAwaitRuns, OpRuns, OpStop:
		return true
	}
	return false
}

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
	Part    uint32  // which of the registrations that together make what the node serves of the service; they have no method in common
	Balance Balance // of the calls of its methods, unless they say something else
}

// Unregister says that it does so no longer.
type Unregister struct {
	Service string
	Part    uint32
}

// Resolve asks for routes.
type Resolve struct {
	Service string
	Methods []Method // Number is not used
}

// Routes answers [Resolve], in the same order.
type Routes struct {
	Routes []Route
}

// NoRoute is the number of a method of which the controller's policy does not let the node know. There is no such route; a Request with it fails with PermissionDenied.
const NoRoute = 1<<32 - 1

// Route is one answer.
type Route struct {
	Number uint32 // or [NoRoute]
	Remote bool   // a provider may be on another host, so compression may pay
}

// Find asks for the session of the node of that name.
type Find struct{ Node string }

// Found answers [Find]; 0 means that there is none.
type Found struct{ Session uint32 }

// Targets asks who serves a route at this moment, beside the node that asks.
type Targets struct {
	Route uint32
	Named bool // their names are wanted, too
}

// Sessions answers [Targets] with session numbers, at least one. What does not fit into one frame comes in several, all but the last with the frame's flag
// More; together they are the providers of one moment.
type Sessions struct {
	Numbers []uint32
	Names   []string // of the nodes of these numbers, if they were asked for; none from a controller that does not know the question
}

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
	Labels   []Label // sorted by name
	Age      uint32  // seconds since it has joined; in the answer, whereas one that is told of later has just joined, or was told of before
}

// Service is what a node serves.
type Service struct {
	Name    string
	Methods []string
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
	n := 2
	switch {
	case m.Balance != BalanceDefault:
		n = 4
	case m.Part != 0:
		n = 3
	}
	head(e, n, OpRegister)
	e.String(m.Service)
	appendMethods(e, m.Methods)
	if n > 2 {
		e.Uint32(m.Part)
	}
	if n > 3 {
		e.Uint8(uint8(m.Balance))
	}
}

func (m *Register) Read(d *codec.Decoder) error {
	m.Service = next(d, codec.ReadString)
	m.Methods = next(d, readMethods)
	m.Part = next(d, codec.ReadUint32)
	m.Balance = Balance(next(d, codec.ReadUint8))
	return d.Close()
}

func (m *Unregister) Append(e *codec.Encoder) {
	if m.Part == 0 {
		head(e, 1, OpUnregister)
		e.String(m.Service)
		return
	}
	head(e, 2, OpUnregister)
	e.String(m.Service)
	e.Uint32(m.Part)
}

func (m *Unregister) Read(d *codec.Decoder) error {
	m.Service = next(d, codec.ReadString)
	m.Part = next(d, codec.ReadUint32)
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

func (m *Targets) Append(e *codec.Encoder) {
	n := 1
	if m.Named {
		n = 2
	}
	head(e, n, OpTargets)
	e.Uint32(m.Route)
	if m.Named {
		e.Bool(true)
	}
}

func (m *Targets) Read(d *codec.Decoder) error {
	m.Route = next(d, codec.ReadUint32)
	m.Named = next(d, codec.ReadBool)
	return d.Close()
}

func (m *Sessions) Append(e *codec.Encoder) {
	n := 1
	if len(m.Names) > 0 {
		n = 2
	}
	head(e, n, OpSessions)
	codec.WriteSlice(e, m.Numbers, codec.WriteUint32)
	if len(m.Names) > 0 {
		codec.WriteStrings(e, m.Names)
	}
}

func (m *Sessions) Read(d *codec.Decoder) error {
	m.Numbers = next(d, func(d *codec.Decoder) []uint32 { return codec.ReadSlice(d, 1, codec.ReadUint32) })
	m.Names = next(d, codec.ReadStrings)
	return d.Close()
}

func (m *Table) Append(e *codec.Encoder) {
	head(e, 4, OpTable)
	e.Uint64(m.Revision)
	codec.WriteSlice(e, m.Nodes, func(e *codec.Encoder, n Node) {
		fields := 3
		switch {
		case n.Age > 0:
			fields = 5
		case len(n.Labels) > 0:
			fields = 4
		}
		e.Array(fields)
		e.Uint32(n.Session)
		e.String(n.Name)
		codec.WriteSlice(e, n.Services, func(e *codec.Encoder, s Service) {
			e.Array(2)
			e.String(s.Name)
			codec.WriteStrings(e, s.Methods)
		})
		if fields > 3 {
			appendLabels(e, n.Labels)
		}
		if fields > 4 {
			e.Uint32(n.Age)
		}
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
		case 3:
			n.Labels = readLabels(d)
		case 4:
			n.Age = d.Uint32()
		}
	}, 5)
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
