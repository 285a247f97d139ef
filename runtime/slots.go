package daffi

import (
	"sync"
	"time"

	"github.com/daffi-rpc/daffi/runtime/transport"
)

// slots names the calls that a node has under way by slot and generation, so that a reply finds its caller by an index, and one that comes
// too late finds nobody.
type slots struct {
	mu    sync.Mutex
	items []slot
	free  []uint32
	used  int
	err   error // why no more calls are taken
}

type slot struct {
	generation uint64
	p          *pending
	asm        *assembly // of a large reply
}

// add gives p an id. It fails when the table was closed, or transport.MaxCalls are under way. open, if it is not nil, makes p ready for frames
// of that id, or says why it cannot.
func (t *slots) add(p *pending, open func(id uint64) error) (id uint64, alone bool, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.err != nil {
		return 0, false, t.err
	}
	var i uint32
	switch n := len(t.free); {
	case n > 0:
		i = t.free[n-1]
		t.free = t.free[:n-1]
	case len(t.items) < transport.MaxCalls:
		i = uint32(len(t.items))
		t.items = append(t.items, slot{})
	default:
		return 0, false, transport.ErrFull
	}
	s := &t.items[i]
	s.generation++
	id = transport.CallID(i, s.generation)
	if open != nil {
		if err := open(id); err != nil {
			t.free = append(t.free, i)
			return 0, false, err
		}
	}
	s.p = p
	t.used++
	return id, t.used == 1, nil
}

// none reports whether there is no call.
func (t *slots) none() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.used == 0
}

// stream is the stream of that id, nil if it has ended or is none.
func (t *slots) stream(id uint64) *stream {
	t.mu.Lock()
	defer t.mu.Unlock()
	if s := t.find(id); s != nil {
		return s.p.stream
	}
	return nil
}

// large is the large request that the call of that id has announced, nil if there is none.
func (t *slots) large(id uint64) *largeSender {
	t.mu.Lock()
	defer t.mu.Unlock()
	if s := t.find(id); s != nil {
		return s.p.large
	}
	return nil
}

// setLarge enters the large request of a call that is still there.
func (t *slots) setLarge(id uint64, l *largeSender) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.find(id)
	if s != nil {
		s.p.large = l
	}
	return s != nil
}

// assembly is the large reply of the call of that id. With a != nil it is set, if the call is still there.
func (t *slots) assembly(id uint64, a *assembly) *assembly {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.find(id)
	if s == nil {
		return nil
	}
	if a != nil {
		s.asm = a
	}
	return s.asm
}

// find is the live slot of id. Call with the lock held.
func (t *slots) find(id uint64) *slot {
	i := transport.SlotOf(id)
	if int(i) >= len(t.items) {
		return nil
	}
	s := &t.items[i]
	if s.p == nil || s.generation != transport.GenerationOf(id) {
		return nil
	}
	return s
}

// remove ends the call of that id: whoever gets it from here owns its end.
func (t *slots) remove(id uint64) *pending {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.find(id)
	if s == nil {
		return nil
	}
	return t.take(transport.SlotOf(id))
}

// take empties the i-th slot, which is live. Call with the lock held.
func (t *slots) take(i uint32) *pending {
	s := &t.items[i]
	p := s.p
	s.p = nil
	if s.asm != nil {
		s.asm.drop()
		s.asm = nil
	}
	t.used--
	t.free = append(t.free, i)
	return p
}

// expired ends the calls whose deadlines have passed, as remove does, and tells when the next one will have; zero if there is none.
func (t *slots) expired(now time.Time) (list []*pending, next time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i := range t.items {
		p := t.items[i].p
		switch {
		case p == nil || p.due.IsZero():
		case !p.due.After(now):
			list = append(list, t.take(uint32(i)))
		case next.IsZero() || p.due.Before(next):
			next = p.due
		}
	}
	return list, next
}

// close ends all calls and refuses further ones with err.
func (t *slots) close(err error) []*pending {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.err != nil {
		return nil
	}
	t.err = err
	var ps []*pending
	for i := range t.items {
		if p := t.items[i].p; p != nil {
			ps = append(ps, p)
			t.items[i].p = nil
			if a := t.items[i].asm; a != nil {
				a.drop()
			}
		}
	}
	t.items, t.free, t.used = nil, nil, 0
	return ps
}
