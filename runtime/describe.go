package daffi

import (
	"context"
	"fmt"
	"slices"
	"unicode/utf8"

	"github.com/daffi-rpc/daffi/internal/signature"
	"github.com/daffi-rpc/daffi/runtime/codec"
	"github.com/daffi-rpc/daffi/runtime/internal/control"
	"github.com/daffi-rpc/daffi/runtime/transport"
)

// ServiceInfo is what the nodes at a controller have published of a service.
type ServiceInfo struct {
	Name    string
	Doc     string // of the annotated interface, without comment signs
	Methods []MethodInfo
}

// MethodInfo is a method of a service, or one of its versions: nodes that serve it with different signatures make several of one name.
type MethodInfo struct {
	Name      string
	Signature string   // of what travels: (string,[]int)(bool)
	Params    []string // names of the arguments, the input sequence last; empty if the source has none
	Results   []string // names of the results; empty if the source has none
	Doc       string   // without comment signs; of the first node that has served this signature
	Alias     string   // the method that answers to Name, if Name is an older name of that
	Oneway    bool
	Nodes     []string // who serves it, sorted
}

// maxInspected bounds what one Describe takes, in bytes of names, signatures and comments.
const maxInspected = 16 << 20

// Describe says what is known of a service: its methods, sorted by name, and who serves them. It works without generated code of that service. If
// no node serves it the error is NotFound/no_provider; [Node.WaitMethod] waits for one. Nodes that come or go meanwhile may be in it or not.
func (n *Node) Describe(ctx context.Context, service string) (*ServiceInfo, error) {
	s, err := n.session(ctx)
	if err != nil {
		return nil, err
	}
	info := &ServiceInfo{Name: service}
	q := control.Inspect{Service: service}
	var last uint32 // route of the last row
	for size := 0; ; {
		op, d, err := s.exchange(ctx, q.Append)
		if err != nil {
			return nil, err
		}
		var a control.Inspected
		if err := a.Read(d); err != nil || op != control.OpInspected || a.More && a.Next == q.After {
			return nil, badAnswer("a question for a service", err)
		}
		info.Doc += a.Doc
		for i := range a.Methods {
			m := &a.Methods[i]
			if m.Route != last {
				info.Methods = append(info.Methods, MethodInfo{Name: m.Name, Signature: m.Sig, Params: m.Params, Results: m.Results, Doc: m.Doc, Alias: m.Alias, Oneway: m.Oneway})
				last = m.Route
			}
			if k := len(info.Methods); k > 0 {
				info.Methods[k-1].Nodes = append(info.Methods[k-1].Nodes, m.Nodes...)
			}
		}
		if !a.More {
			break
		}
		if size += transport.MaxPayload; size >= maxInspected {
			return nil, &Error{Code: ResourceExhausted, Reason: ReasonTooLarge, Outcome: NotRun,
				Message: fmt.Sprintf("what is known of %s takes more than %d bytes", service, maxInspected)}
		}
		q.After = a.Next
	}
	for i := range info.Methods {
		slices.Sort(info.Methods[i].Nodes)
	}
	return info, nil
}

// badAnswer is the error of an answer that makes no sense.
func badAnswer(to string, err error) *Error {
	e := &Error{Code: Internal, Reason: ReasonProtocol, Outcome: NotRun, Message: "the controller's answer to " + to + " cannot be used", cause: err}
	if err != nil {
		e.Message += ": " + err.Error()
	}
	return e
}

// description is what a node publishes of a method, within its bounds: a longer comment is cut, longer names are left out.
func description(d control.Description) control.Description {
	d.Doc = clip(d.Doc, control.MaxDoc)
	if d.NamesSize() > control.MaxNames {
		d.Params, d.Results = nil, nil
	}
	return d
}

// clip shortens s to n bytes at most.
func clip(s string, n int) string {
	const mark = "…"
	if len(s) <= n {
		return s
	}
	end := n - len(mark)
	for end > 0 && !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end] + mark
}

// checkSignature refuses what is too long to be compared with others.
func checkSignature(method, sig string) *Error {
	if len(sig) <= signature.MaxText {
		return nil
	}
	return &Error{Code: InvalidArgument, Reason: ReasonTooLarge, Outcome: NotRun, Method: method, Message: fmt.Sprintf(
		"the signature of %s has %d bytes, more than %d: its types have too many fields to be compared; send a part of it as bytes, or as a type that encodes itself",
		method, len(sig), signature.MaxText)}
}

// agree is exchange for a question that names methods by fingerprints: the controller answers it once it was given, by describe, the
// signatures that it asks back for. It keeps them, so that is done once for a signature, by the first node that names it.
func (s *session) agree(ctx context.Context, question func(*codec.Encoder), describe func(missing []uint32) error) (control.Op, *codec.Decoder, error) {
	for range 2 {
		op, d, err := s.exchange(ctx, question)
		if err != nil || op != control.OpMissing {
			return op, d, err
		}
		var m control.Missing
		if err := m.Read(d); err != nil {
			return 0, nil, badAnswer("names of methods", err)
		}
		if err := describe(m.Methods); err != nil {
			return 0, nil, err
		}
	}
	return 0, nil, badAnswer("signatures", fmt.Errorf("it asks for them again"))
}

// describe sends rows in as many messages as they need.
func (s *session) describe(ctx context.Context, m control.Describe, rows []control.Description) error {
	for len(rows) > 0 {
		n, size := 0, len(m.Service)+len(m.Doc)
		for n < len(rows) {
			r := &rows[n]
			size += 64 + len(r.Name) + len(r.Sig) + len(r.Doc) + len(r.Alias) + r.NamesSize() + len(r.Params) + len(r.Results)
			if size > transport.MaxContent && n > 0 {
				break
			}
			n++
		}
		m.Methods = rows[:n]
		if _, _, err := s.exchange(ctx, m.Append); err != nil {
			return err
		}
		rows, m.Doc = rows[n:], ""
	}
	return nil
}

// rowsOf picks the rows that the controller has asked for.
func rowsOf(indexes []uint32, n int, row func(i int) control.Description) ([]control.Description, error) {
	var rows []control.Description
	for _, i := range indexes {
		if uint64(i) >= uint64(n) || len(rows) >= n {
			return nil, badAnswer("names of methods", fmt.Errorf("it asks for method %d of %d", i, n))
		}
		rows = append(rows, row(int(i)))
	}
	return rows, nil
}
