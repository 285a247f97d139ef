package daffi

import (
	"sync"
	"time"

	"github.com/daffi-rpc/daffi/runtime/internal/control"
)

// table is the node's copy of the controller's table. It is asked for when somebody first wants to see it, and kept up to date from
// then on: the snapshot and the changes after it come from one place in one order, so no change is missed between them.
type table struct {
	mu      sync.Mutex
	wanted  bool
	of      *session // whose rows these are; nil before the whole table has come
	coming  *session // whose rows are on their way
	rows    map[uint32]*tableRow
	changed chan struct{} // closed and replaced with every change
}

// tableRow is one node. It is replaced, not changed.
type tableRow struct {
	control.Node
	since time.Time // when it has joined
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
		t.coming, t.of, t.rows = s, nil, map[uint32]*tableRow{}
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
		r := &tableRow{Node: n}
		if before := t.rows[n.Session]; before != nil {
			r.since = before.since
		} else {
			r.since = time.Now().Add(-time.Duration(n.Age) * time.Second)
		}
		t.rows[n.Session] = r
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
