package daffi

import "sync"

// merge is the outputs of a broadcast, which one consumer takes: those that have something, in the order in which they got it, so that each has its turn.
type merge struct {
	mu   sync.Mutex
	list []*part
	wake chan struct{}
}

// part is one of them.
type part struct {
	of     *merge
	copied *copied
	listed bool // protected by of.mu
}

// ready says that the part may have something. It may be called with the receiver's lock held.
func (p *part) ready() {
	m := p.of
	m.mu.Lock()
	if !p.listed {
		p.listed = true
		m.list = append(m.list, p)
	}
	m.mu.Unlock()
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

// next waits for a part that may have something.
func (m *merge) next() *part {
	for {
		m.mu.Lock()
		if len(m.list) > 0 {
			p := m.list[0]
			m.list[0], m.list = nil, m.list[1:]
			p.listed = false
			m.mu.Unlock()
			return p
		}
		m.mu.Unlock()
		<-m.wake
	}
}
