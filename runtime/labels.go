package daffi

import (
	"context"
	"slices"

	"github.com/daffi-rpc/daffi/runtime/internal/control"
)

// Where limits a call to nodes whose Options.Labels has that value under that name. Of several all must hold. If no provider has them the error is
// Unavailable/no_provider and says which labels there are.
func Where(label, value string) CallOption {
	return CallOption{func(o *callOptions) {
		o.choice.Where = append(slices.Clone(o.choice.Where), control.Label{Name: label, Value: value})
		o.choice.Sort()
	}}
}

// labelsOf is m as it is sent.
func labelsOf(m map[string]string) []control.Label {
	labels := make([]control.Label, 0, len(m))
	for name, value := range m {
		labels = append(labels, control.Label{Name: name, Value: value})
	}
	slices.SortFunc(labels, control.Label.Compare)
	return labels
}

// labelMap is the inverse of labelsOf.
func labelMap(labels []control.Label) map[string]string {
	if len(labels) == 0 {
		return nil
	}
	m := make(map[string]string, len(labels))
	for _, l := range labels {
		m[l.Name] = l.Value
	}
	return m
}

// introduce tells the controller of the node's labels, and whether it may be asked to shut down. One that knows nothing of labels takes no calls that ask for them either.
func (s *session) introduce(ctx context.Context) error {
	if len(s.node.opts.Labels) == 0 && !s.node.opts.AllowRemoteStop {
		return nil
	}
	m := control.About{Labels: labelsOf(s.node.opts.Labels), Stoppable: s.node.opts.AllowRemoteStop}
	_, _, err := s.exchange(ctx, m.Append)
	if CodeOf(err) == Unimplemented {
		s.node.log.Warn("the controller is of an earlier version, which does not take labels, nor stop nodes")
		return nil
	}
	return err
}
