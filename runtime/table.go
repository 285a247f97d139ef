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
	bytes   int           // that the rows take
	short   bool          // some were left out
	changed chan struct{} // closed and replaced with every change
}

// tableRow is one node. It is replaced, not changed.
type tableRow struct {
	control.Node
	since time.Time // when it has joined
	size  int
}

// rowSize is about what a row takes.
func rowSize(n *control.Node) int {
	const row, word = 256, 32
	size := row + len(n.Name)
	for _, s := range n.Services {
		size += 2*word + len(s.Name)
		for _, m := range s.Methods {
			size += word + len(m)
		}
	}
	for _, l := range n.Labels {
		size += 2*word + len(l.Name) + len(l.Value)
	}
	return size
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
		t.coming, t.of, t.rows, t.bytes, t.short = s, nil, map[uint32]*tableRow{}, 0, false
	}
	t.mu.Unlock()
	if first {
		s.watch()
	}
}

// apply takes a snapshot or a change from the reader. What has no room is left out, and logged once (LIM-72).
func (t *table) apply(s *session, m *control.Table) {
	t.mu.Lock()
	was := t.short
	if t.coming == s {
		t.take(s, m)
	}
	short := t.short && !was
	t.mu.Unlock()
	if short {
		s.node.log.Warn("the controller has more nodes and methods than there is room for, so Peers and what waits for them miss some; Limits.TableBytes is the bound", "bytes", s.node.opts.Limits.TableBytes)
	}
}

func (t *table) take(s *session, m *control.Table) {
	for _, session := range m.Left {
		t.drop(session)
	}
	for _, n := range m.Nodes {
		r := &tableRow{Node: n, since: time.Now().Add(-time.Duration(n.Age) * time.Second), size: rowSize(&n)}
		if before := t.rows[n.Session]; before != nil {
			r.since = before.since
		}
		t.drop(n.Session)
		if t.bytes+r.size > s.node.opts.Limits.TableBytes {
			t.short = true
			continue
		}
		t.rows[n.Session] = r
		t.bytes += r.size
	}
	if !m.More {
		t.of = s
	}
	t.wake()
}

func (t *table) drop(session uint32) {
	if r := t.rows[session]; r != nil {
		t.bytes -= r.size
		delete(t.rows, session)
	}
}

// left drops the rows of a session that has ended.
func (t *table) left(s *session) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.coming == s {
		t.coming, t.of, t.rows, t.bytes = nil, nil, nil, 0
		t.wake()
	}
}

func (t *table) wake() {
	close(t.changed)
	t.changed = make(chan struct{})
}
