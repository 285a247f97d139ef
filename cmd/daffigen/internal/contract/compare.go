package contract

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/daffi-rpc/daffi/internal/signature"
)

// Change is what changed of one method, or of a service where Method is empty.
type Change struct {
	Service, Method string
	signature.Change
}

// String is one line: what changed, its class, why.
func (c Change) String() string {
	name := c.Service
	if c.Method != "" {
		name += "." + c.Method
	}
	class := c.Class.String()
	if c.Class == signature.NeedsOrder {
		class += fmt.Sprintf(" (%v)", c.Order)
	}
	return name + ": " + class + ": " + strings.Join(c.Reasons, "; ")
}

// Compare tells what changed, sorted by name.
//
// What callers can name must be there: a service or method that is gone is breaking, unless another method answers to its name. A new
// method needs providers first. Whether a call waits for its end is the caller's choice, and providers serve both, so becoming oneway or
// ceasing to be is safe on the wire.
func Compare(before, after *Contract) []Change {
	var d difference
	for _, s := range before.Services {
		now := after.service(s.Name)
		if now == nil {
			d.add(s.Name, "", change(signature.Breaking, "the service is gone"))
			continue
		}
		for _, m := range s.Methods {
			d.method(s, m, now)
		}
		for _, m := range now.Methods {
			d.newNames(s, now, m)
		}
	}
	for _, s := range after.Services {
		if before.service(s.Name) == nil {
			d.add(s.Name, "", change(signature.Safe, "the service is new"))
		}
	}
	slices.SortFunc(d.list, func(a, b Change) int {
		return cmp.Or(cmp.Compare(a.Service, b.Service), cmp.Compare(a.Method, b.Method))
	})
	return d.list
}

func change(class signature.Class, reason string) signature.Change {
	return signature.Change{Class: class, Reasons: []string{reason}}
}

type difference struct{ list []Change }

// add notes x, if anything changed.
func (d *difference) add(service, method string, x signature.Change) {
	if len(x.Reasons) > 0 {
		d.list = append(d.list, Change{service, method, x})
	}
}

// method compares what answers to the names of m with m.
func (d *difference) method(s *Service, m *Method, now *Service) {
	for _, name := range m.names() {
		other := now.answering(name)
		switch {
		case other == nil && name == m.Name:
			d.add(s.Name, name, change(signature.Breaking, "the method is gone; if another replaces it, say //daffi:alias "+name+" there"))
		case other == nil:
			d.add(s.Name, name, change(signature.Breaking, m.Name+" does not answer to this older name any more; say //daffi:alias "+name+" there"))
		case name == m.Name || other != now.answering(m.Name):
			d.add(s.Name, name, compare(name, m, other))
		}
	}
}

// compare tells what changed for those who call name, to which m answered and other answers.
func compare(name string, m, other *Method) signature.Change {
	x := signature.Compare(m.Signature, other.Signature)
	switch {
	case other.Name == m.Name:
	case name == other.Name:
		x.Reasons = append(x.Reasons, "it is a method of its own now, and was "+m.Name)
	default:
		x.Reasons = append(x.Reasons, other.Name+" answers to it now")
	}
	switch {
	case other.Oneway && !m.Oneway:
		x.Reasons = append(x.Reasons, "it is oneway now; callers that wait for the reply are answered all the same")
	case m.Oneway && !other.Oneway:
		x.Reasons = append(x.Reasons, "it was oneway; callers that do not wait are served all the same")
	}
	return x
}

// newNames notes the names of m that nothing answered to before.
func (d *difference) newNames(was, now *Service, m *Method) {
	for _, name := range m.names() {
		if was.answering(name) != nil {
			continue
		}
		reason := "the method is new"
		if name != m.Name {
			reason = "it is a new name for " + m.Name
		}
		x := change(signature.NeedsOrder, reason)
		x.Order = signature.ProvidersFirst
		d.add(now.Name, name, x)
	}
}
