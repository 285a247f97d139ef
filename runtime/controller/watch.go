package controller

import (
	"time"

	"github.com/daffi-rpc/daffi/runtime/codec"
	"github.com/daffi-rpc/daffi/runtime/internal/control"
	"github.com/daffi-rpc/daffi/runtime/transport"
)

// watcher tells one node of the table and its changes. It is a source of its link, so messages are made only as fast as the node takes
// them, and what changes meanwhile is told once, as it is then. The controller's lock guards it.
type watcher struct {
	s      *session
	number uint64              // of the question, until all of the answer was sent
	cursor uint32              // last session that the answer told of
	all    bool                // the answer is complete
	again  bool                // it was, or part of it, and is told again since the policy is another
	dirty  map[uint32]struct{} // sessions that changed since they were told of
	queued bool                // it is in the link's lane
}

// watch makes the node a watcher. One that watches already is told everything again.
func (s *session) watch(number uint64) {
	c := s.c
	c.mu.Lock()
	w := c.watchers[s]
	if w == nil {
		w = &watcher{s: s}
		c.watchers[s] = w
	}
	w.number, w.cursor, w.all, w.again = number, 0, false, false
	w.dirty = map[uint32]struct{}{}
	w.enqueue()
	c.mu.Unlock()
	s.touched.add(s.link)
}

// restart has all of the table told again, as changes. Whom the node may not see any more has left. Call with the lock held, and flush the link afterwards.
func (w *watcher) restart() {
	w.cursor, w.all, w.again = 0, false, true
	w.enqueue()
}

// changed notes that the row of a session is not what watchers were told. Call with the lock held; [Controller.tell] follows.
func (c *Controller) changed(session uint32) {
	c.revision++
	if len(c.watchers) > 0 {
		c.dirty[session] = struct{}{}
	}
}

// tell lets watchers know of changes: the first at once, those that follow closely together (tablePause); those who wait for a provider are answered at
// once. Call with the lock held, and flush the links afterwards.
func (c *Controller) tell(b *batch) {
	c.rouse(b)
	if len(c.dirty) == 0 || c.pause != nil || c.closed {
		return
	}
	for s, w := range c.watchers {
		for n := range c.dirty {
			w.note(n)
		}
		if w.enqueue() {
			b.add(s.link)
		}
	}
	clear(c.dirty)
	c.pause = time.AfterFunc(tablePause, c.tellLate)
}

// tellLate ends a pause.
func (c *Controller) tellLate() {
	var b batch
	c.mu.Lock()
	c.pause = nil
	c.tell(&b)
	c.mu.Unlock()
	b.flush()
}

// note takes up a change, unless the answer has yet to come to that session.
func (w *watcher) note(session uint32) {
	if w.all || session <= w.cursor {
		w.dirty[session] = struct{}{}
	}
}

// enqueue puts the watcher into its link's lane if it has something to tell and is not there.
func (w *watcher) enqueue() bool {
	if w.queued || w.all && len(w.dirty) == 0 {
		return false
	}
	w.queued = true
	w.s.link.EnqueueSource(w)
	return true
}

// NextFrame makes the next message out of what is to be told now.
func (w *watcher) NextFrame() (f transport.Frame, more, ok bool) {
	c := w.s.c
	c.mu.Lock()
	defer c.mu.Unlock()
	if w.all && len(w.dirty) == 0 {
		w.queued = false
		return f, false, false
	}
	m := control.Table{Revision: c.revision}
	size := 0
	add := func(s *session) bool {
		row, ok := w.s.rowOf(s)
		if ok {
			m.Nodes = append(m.Nodes, row)
		}
		size += s.words + len(s.name) + 16 // also where there is nothing to tell: the lock is not held for longer than a full message takes
		return ok
	}
	left := func(session uint32) {
		m.Left = append(m.Left, session)
		size += 5
	}
	i, found := c.sessionAt(w.cursor)
	if found {
		i++
	}
	for ; !w.all && i < len(c.sessions) && size+c.sessions[i].words < tableBytes+1<<10; i++ {
		w.cursor = c.sessions[i].number
		switch {
		case add(c.sessions[i]):
			m.Nodes[len(m.Nodes)-1].Age = uint32(time.Since(c.sessions[i].since) / time.Second)
		case w.again:
			left(w.cursor)
		}
	}
	number := w.number
	w.all = w.all || i >= len(c.sessions)
	for n := range w.dirty {
		if !w.all {
			break
		}
		s := c.session(n)
		if s != nil && size+s.words >= tableBytes+1<<10 {
			break
		}
		if s == nil || !add(s) { // nobody the node may know of: it may have known it before
			left(n)
		}
		delete(w.dirty, n)
		if size >= tableBytes {
			break
		}
	}
	m.More = !w.all || len(w.dirty) > 0
	if !m.More {
		w.number = 0
	}
	w.queued = m.More
	f.Header = transport.Header{Kind: transport.Control, Call: number}
	f.Buf = transport.NewBuffer(size + 64)
	var e codec.Encoder
	e.Reset(f.Buf.B)
	m.Append(&e)
	f.Buf.B = e.Bytes()
	f.Payload = f.Buf.B
	return f, m.More, true
}
