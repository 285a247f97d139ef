package controller

import (
	"fmt"
	"slices"
	"strings"

	"github.com/daffi-rpc/daffi/runtime/internal/control"
)

// about takes the labels of a node. They do not change: providers are told apart by them when they are offered.
func (s *session) about(m *control.About) *control.Failure {
	fail := func(code uint8, reason, why string) *control.Failure {
		return &control.Failure{Code: code, Reason: reason, Outcome: notRun, Node: s.name, Message: why}
	}
	if err := control.CheckLabels(m.Labels); err != nil {
		return fail(invalidArgument, reasonLimit, err.Error())
	}
	slices.SortFunc(m.Labels, control.Label.Compare)
	for i := 1; i < len(m.Labels); i++ {
		if m.Labels[i].Name == m.Labels[i-1].Name {
			return fail(invalidArgument, "", fmt.Sprintf("the node has the label %s twice", m.Labels[i].Name))
		}
	}
	c := s.c
	c.mu.Lock()
	defer c.mu.Unlock()
	if s.labels != nil || len(s.services) > 0 {
		return fail(failedPrecondition, "", "a node says what its labels are once, and before it serves anything")
	}
	s.labels, s.stoppable = m.Labels, m.Stoppable
	for _, l := range m.Labels {
		s.words += len(l.Name) + len(l.Value) + 8
	}
	c.changed(s.number)
	c.tell(&s.touched)
	return nil
}

// join lists labels for people.
func join(labels []control.Label) string {
	if len(labels) == 0 {
		return "none"
	}
	var b strings.Builder
	for i, l := range labels {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(l.String())
	}
	return b.String()
}
