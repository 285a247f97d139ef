package daffi

import (
	"context"
	"fmt"
	mathrand "math/rand/v2"
	"strings"
	"time"
)

// seat is which of several nodes that a call names it is sent to.
type seat struct {
	first int // where it began
	tried int // nodes that have not taken it
}

// names are the nodes that the call is for, none for any.
func (x *extra) names() []string {
	if x == nil {
		return nil
	}
	return x.to
}

// seek finds the session of the node that the call is for. Of several it begins with any, and leaves out those that are not there.
func (s *session) seek(ctx context.Context, p *pending, names []string, deadline time.Time, own bool) (uint32, error) {
	if p.seat.tried == 0 && len(names) > 1 {
		p.seat.first = mathrand.IntN(len(names))
	}
	for {
		number, err := s.find(ctx, names[(p.seat.first+p.seat.tried)%len(names)], p.stream != nil, deadline, own)
		switch {
		case err != nil || number != 0:
			return number, err
		case p.seat.tried+1 < len(names):
			p.seat.tried++
			continue
		case len(names) > 1:
			return 0, &Error{Code: Unavailable, Reason: ReasonNoProvider, Outcome: NotRun, Message: "no node has one of the names " + listed(names)}
		}
		return 0, &Error{Code: Unavailable, Reason: ReasonNoProvider, Outcome: NotRun, Message: fmt.Sprintf("no node is named %q", names[0])}
	}
}

// next reports whether another of the nodes that a call names may take it, which the one before has not, for the reason that e says.
func (p *pending) next(names []string, e *Error) bool {
	if e.Outcome != NotRun || p.seat.tried+1 >= len(names) {
		return false
	}
	switch e.Reason {
	case ReasonNoProvider, ReasonSchema, ReasonBusy, ReasonDraining, ReasonNodeLost:
	default:
		return false
	}
	p.seat.tried++
	return true
}

// listed are the first of names, for people.
func listed(names []string) string {
	const most = 8
	text := fmt.Sprintf("%q", names[:min(len(names), most)])
	text = strings.ReplaceAll(text[1:len(text)-1], " ", ", ")
	if len(names) > most {
		text += fmt.Sprintf(" and %d more", len(names)-most)
	}
	return text
}
