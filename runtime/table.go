package daffi

import (
	"context"
	"slices"
	"strings"
	"sync"

	"github.com/daffi-rpc/daffi/runtime/internal/control"
)

// Peer is a node at the same controller.
type Peer struct {
	Name     string
	Services []string          // sorted
	Labels   map[string]string // Options.Labels of that node; nil if it has none
}

// table is the node's copy of the controller's table. It is asked for when somebody first wants to see it, and kept up to date from
// then on: the snapshot and the changes after it come from one place in one order, so no change is missed between them.
type table struct {
	mu      sync.Mutex
	wanted  bool
	of      *session // whose rows these are; nil before the whole table has come
	coming  *session // whose rows are on their way
	rows    map[uint32]control.Node
	changed chan struct{} // closed and replaced with every change
}

func (t *table) init() { t.changed = make(chan struct{}) }

// joined asks a new session for the table, if somebody wants it.
func (t *table) joined(s *session) {
	t.mu.Lock()
	wanted := t.wanted
	t.mu.Unlock()
	if wanted {
		t.ask(s)
	}
}

// ask sends the request, once for each session.
func (t *table) ask(s *session) {
	t.mu.Lock()
	t.wanted = true
	first := t.coming != s
	if first {
		t.coming, t.of, t.rows = s, nil, map[uint32]control.Node{}
	}
	t.mu.Unlock()
	if first {
		s.watch()
	}
}

// apply takes a snapshot or a change from the reader.
func (t *table) apply(s *session, m *control.Table) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.coming != s {
		return
	}
	for _, n := range m.Nodes {
		t.rows[n.Session] = n
	}
	for _, session := range m.Left {
		delete(t.rows, session)
	}
	if !m.More {
		t.of = s
	}
	t.wake()
}

// left drops the rows of a session that has ended.
func (t *table) left(s *session) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.coming == s {
		t.coming, t.of, t.rows = nil, nil, nil
		t.wake()
	}
}

func (t *table) wake() {
	close(t.changed)
	t.changed = make(chan struct{})
}

// wait returns when ok holds for the table, which it is called for under the lock with every change.
func (n *Node) wait(ctx context.Context, ok func(rows map[uint32]control.Node) bool) error {
	for {
		s, err := n.session(ctx)
		if err != nil {
			return err
		}
		n.table.ask(s)
		n.table.mu.Lock()
		done := n.table.of == s && ok(n.table.rows)
		changed := n.table.changed
		n.table.mu.Unlock()
		if done {
			return nil
		}
		select {
		case <-changed:
		case <-s.ended:
		case <-ctx.Done():
			return notSent(ctx, "")
		}
	}
}

// WaitNode returns when a node of that name has joined, at once if it is there. It ends with ctx.
func (n *Node) WaitNode(ctx context.Context, name string) error {
	err := n.wait(ctx, func(rows map[uint32]control.Node) bool {
		for _, r := range rows {
			if r.Name == name {
				return true
			}
		}
		return false
	})
	return waitError(err, "node "+name)
}

// WaitMethod returns when a node offers the method, "Service.Method", or, without a method, the service; at once if one does. It ends with
// ctx. A call made after that finds a provider, unless it has left again.
func (n *Node) WaitMethod(ctx context.Context, method string) error {
	err := n.wait(ctx, func(rows map[uint32]control.Node) bool {
		for _, r := range rows {
			for _, s := range r.Services {
				if s.Name == method {
					return true
				}
				if name, ok := strings.CutPrefix(method, s.Name+"."); ok && slices.Contains(s.Methods, name) {
					return true
				}
			}
		}
		return false
	})
	return waitError(err, method)
}

// waitError says what was waited for.
func waitError(err error, what string) error {
	e, ok := err.(*Error)
	if !ok {
		return err
	}
	x := *e
	x.Message = "waiting for " + what + ": " + x.Message
	return &x
}

// Peers lists the nodes at the controller, sorted by name, this one among them.
func (n *Node) Peers(ctx context.Context) ([]Peer, error) {
	var peers []Peer
	err := n.wait(ctx, func(rows map[uint32]control.Node) bool {
		peers = make([]Peer, 0, len(rows))
		for _, r := range rows {
			p := Peer{Name: r.Name, Labels: labelMap(r.Labels)}
			for _, s := range r.Services {
				p.Services = append(p.Services, s.Name)
			}
			slices.Sort(p.Services)
			peers = append(peers, p)
		}
		slices.SortFunc(peers, func(a, b Peer) int { return strings.Compare(a.Name, b.Name) })
		return true
	})
	return peers, err
}
