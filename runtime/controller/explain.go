package controller

import (
	"fmt"

	"github.com/daffi-rpc/daffi/internal/signature"
	"github.com/daffi-rpc/daffi/runtime/internal/control"
)

// mismatch is a provider that a caller does not reach, with what to find out why.
type mismatch struct {
	to             *session
	caller, callee string // signatures
	apart          bool   // they were not compared, since there are too many
}

// explain says why no provider of r can be picked, or not the wanted one.
func (s *session) explain(r *route, wanted uint32) *control.Failure {
	if r.base != nil {
		return s.explainView(r, wanted)
	}
	f, other := s.look(r, wanted)
	if other == nil {
		return f
	}
	// Without the lock, and only for a call that has failed: what the signatures have between them may take a while to find.
	f.Node = other.to.name
	why := understands(other.caller, other.callee)
	if why == nil && other.apart {
		why = fmt.Errorf("more than %d signatures of this method were named, or %d by one node, so only equal ones meet", maxGroup, maxGroupBy)
	}
	if why == nil { // it drains, or came just now: the same call again finds out
		f.Reason, f.Message = reasonDraining, "the node is shutting down"
		return f
	}
	f.Code, f.Reason = failedPrecondition, reasonSchema
	mine, its := differing(other.caller, other.callee)
	f.Message = fmt.Sprintf("%s; the caller's signature of %v is %#q, that of node %q is %#q", cut(why.Error()), r, mine, other.to.name, its)
	return f
}

// look is explain, but for the provider whose signature is the reason, if there is one: the one that joined first.
func (s *session) look(r *route, wanted uint32) (*control.Failure, *mismatch) {
	c := s.c
	c.mu.Lock()
	defer c.mu.Unlock()
	if r.unasked() {
		return unknownRoute(r.number), nil
	}
	f := &control.Failure{Code: unavailable, Outcome: notRun, Method: r.String()}
	providers := c.services[r.service]
	if wanted != 0 {
		s := s.visible(wanted)
		if s == nil {
			f.Reason, f.Message = reasonStaleRoute, "the node has left"
			return f, nil
		}
		f.Node = s.name
		reg := s.services[r.service]
		if reg == nil {
			f.Reason = reasonNoProvider
			f.Message = fmt.Sprintf("node %q does not serve %s", s.name, r.service)
			return f, nil
		}
		providers = map[*session]*registration{s: reg}
	}
	var first *session
	for s, reg := range providers {
		m, ok := reg.methods[r.method]
		switch {
		case !ok:
		case r.reaches(m.route):
			// It drains, or it came just now: the same call again finds out.
			f.Reason, f.Message, f.Node = reasonDraining, "the node is shutting down", s.name
			return f, nil
		case first == nil || s.number < first.number:
			first = s
		}
	}
	switch {
	case first != nil:
		to := providers[first].methods[r.method].route
		m := mismatch{to: first, apart: r.group != to.group}
		m.caller, _ = r.signature()
		m.callee, _ = to.signature()
		return f, &m
	case s.anyKnown(r.service, providers):
		f.Code = unimplemented
		f.Message = fmt.Sprintf("%s is served, but not with a method %s", r.service, r.method)
	default:
		f.Reason = reasonNoProvider
		f.Message = fmt.Sprintf("no node serves %s; WaitMethod waits for one", r.service)
	}
	return f, nil
}

// understands says why a caller of one signature cannot call a provider of the other, nil if it can. A signature that cannot be read, of a
// later version perhaps, understands only the same.
func understands(caller, provider string) error {
	a, err := signature.Parse(caller)
	if err != nil {
		return fmt.Errorf("the caller's signature is not known here: %w", err)
	}
	b, err := signature.Parse(provider)
	if err != nil {
		return fmt.Errorf("the provider's signature is not known here: %w", err)
	}
	return signature.Compatible(a, b)
}

// differing cuts two signatures, which may be as long as a frame, to what shows their difference.
func differing(a, b string) (string, string) {
	const before, most = 64, 192
	same := 0
	for same < min(len(a), len(b)) && a[same] == b[same] {
		same++
	}
	part := func(s string) string {
		lead, tail := "", ""
		if same > 2*before {
			lead, s = "…", s[same-before:]
		}
		if len(s) > most {
			s, tail = s[:most], "…"
		}
		return lead + s + tail
	}
	return part(a), part(b)
}
