package controller

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/daffi-rpc/daffi/runtime/internal/control"
	"github.com/daffi-rpc/daffi/runtime/internal/safetext"
	"github.com/daffi-rpc/daffi/runtime/transport"
)

// state is how far a session is.
type state int32

const (
	awaitHello state = iota
	awaitProof
	awaitName // proved, and waits for the name that another session still holds
	refused   // told so; the link closes when that was sent
	joined
	gone
)

// session is one link and, once it has joined, the node behind it. As the link's handler it is run by one goroutine at a time, which is
// called its own below.
type session struct {
	c     *Controller
	link  transport.Link
	known credentials  // what it must show
	state atomic.Int32 // changed with the controller's lock held, but for the first steps

	// Of the handshake.
	visitor    *visitor    // nil once it has joined, which may be by another session's goroutine, with the controller's lock held
	patience   *time.Timer // while it waits for a name
	hello      transport.HelloPayload
	rawHello   []byte
	challenge  []byte
	challenged time.Time
	secret     []byte                   // its token
	resumable  *transport.ResumeOptions // nil if the link will not resume

	// Set before the session has joined, then constant.
	number    uint32
	name      string
	nameHash  uint64 // for calls with a key
	identity  string // as identityOf says
	since     time.Time
	keepalive *transport.Keepalive
	fires     bool // no node is behind it: it makes the scheduled calls of one

	// Of its own goroutine.
	touched   batch          // to flush at the end of the batch
	work      transport.Work // that the batch has led to in a node of this process
	pings     int            // in the second that began at pingsFrom
	pingsFrom time.Time
	decisions *decisions // of the policy; nil while there is none

	running  atomic.Int64 // calls that it serves, without streams that rest
	draining atomic.Bool  // changed with mu held
	health   health
	telling  atomic.Int32 // answers of providers that are not all sent

	mu        sync.Mutex
	calls     calls
	restTimer *time.Timer // of rest
	watched   bool        // it runs

	// Guarded by the controller's lock.
	services   map[string]*registration
	withheld   []*control.Register // parts that a change of the policy has taken out
	methods    int                 // of all of them
	parts      int
	words      int                 // bytes of their names and of the labels
	labels     []control.Label     // sorted; constant once anything is served
	introduced map[uint32]*route   // methods that it was told of for its prefixes, by number
	toldOf     []told              // the same, oldest first
	told       int                 // bytes that they take
	named      map[*route]struct{} // routes; what it names is remembered as long as it is there
	interned   int                 // routes that it added
	internBy   int                 // bytes of those, and of what it said of routes
	compared   int                 // pairs of signatures, because of what it named
	asked      map[*route]asking   // what it was asked to describe
	caught     map[string]bool     // prefixes of what it takes that nobody serves, and whether the policy lets it
	awaits     map[uint64]*awaiting
	awaited    int // routes of all of them

	stoppable bool
	stopping  *stopping // nil if it was not asked
}

func (s *session) is(t state) bool { return state(s.state.Load()) == t }
func (s *session) set(t state)     { s.state.Store(int32(t)) }

// send enqueues a frame of the controller's own towards the node. A node that does not take even that is dropped.
func (s *session) send(f transport.Frame) {
	s.sendTo(s, f)
}

// sendTo is send towards another session, on s's own goroutine.
func (s *session) sendTo(to *session, f transport.Frame) {
	s.touched.add(to.link)
	to.enqueue(f)
}

func (s *session) enqueue(f transport.Frame) {
	if err := s.link.Enqueue(f); errors.Is(err, transport.ErrFull) {
		s.link.Close(err)
	}
}

// HandleFrame takes one frame of the node.
func (s *session) HandleFrame(f *transport.Frame) error {
	if s.is(joined) {
		return s.frame(f)
	}
	return s.handshake(f)
}

// HandleBatch sends what the frames of one read led to.
func (s *session) HandleBatch() {
	if w := s.Work(); w != nil {
		w.Elsewhere()
	}
	s.work = s.touched.flushHere()
}

// Work implements [transport.Worker].
func (s *session) Work() transport.Work {
	w := s.work
	s.work = nil
	return w
}

func (s *session) frame(f *transport.Frame) error {
	if f.Flags&transport.Large != 0 && len(f.Payload) != 4 {
		return protocolError("large %v announced in %d bytes", f.Kind, len(f.Payload))
	}
	switch f.Kind {
	case transport.Request:
		return s.request(f)
	case transport.Data, transport.Chunk, transport.Credit, transport.Grant:
		if f.Call&transport.Served != 0 {
			return s.fromCallee(f)
		}
		return s.fromCaller(f)
	case transport.Reply, transport.Error, transport.Stop:
		if f.Call&transport.Served == 0 {
			return protocolError("%v for a call that the node made itself", f.Kind)
		}
		return s.fromCallee(f)
	case transport.Cancel:
		if f.Call&transport.Served != 0 {
			return protocolError("%v for a call that the node serves", f.Kind)
		}
		s.cancel(f)
		return nil
	case transport.Control:
		return s.control(f)
	case transport.Ping:
		return s.ping(f)
	case transport.Pong:
		return nil
	case transport.Drain:
		s.drain()
		return nil
	case transport.Goodbye:
		return errGoodbye
	}
	return protocolError("%v from a node that has joined", f.Kind)
}

// ping answers, unless there were more in a second than any interval needs (LIM-17).
func (s *session) ping(f *transport.Frame) error {
	if now := time.Now(); s.pings == 0 || now.Sub(s.pingsFrom) >= time.Second {
		s.pings, s.pingsFrom = 0, now
	}
	if s.pings++; s.pings > s.c.opts.Limits.PingsPerSecond {
		return protocolError("more than %d pings in a second", s.pings-1)
	}
	s.send(transport.Frame{Header: transport.Header{Kind: transport.Pong, Arg: f.Arg}})
	return nil
}

// drain takes the node out of the choice. The answer follows everything that was sent to it before.
func (s *session) drain() {
	s.mu.Lock()
	again := s.draining.Swap(true)
	s.mu.Unlock()
	if again {
		return
	}
	c := s.c
	c.mu.Lock()
	for _, reg := range s.services {
		reg.withdraw(s)
	}
	c.changed(s.number)
	c.tell(&s.touched)
	c.mu.Unlock()
	s.send(transport.Frame{Header: transport.Header{Kind: transport.Drain, Flags: transport.Bulk}})
}

// HandleClosed ends what the session had.
func (s *session) HandleClosed(err error) {
	if w := s.Work(); w != nil {
		w.Elsewhere()
	}
	c, b := s.c, s.touched
	c.mu.Lock()
	if s.visitor != nil {
		s.visitor.leave()
	}
	was := state(s.state.Swap(int32(gone)))
	delete(c.links, s)
	switch was {
	case awaitName:
		s.patience.Stop()
		c.forgetWaiting(s)
	case joined:
		c.depart(s)
		c.tell(&b)
	}
	c.mu.Unlock()
	if was == joined {
		s.keepalive.Stop()
		s.endCalls(&b)
		c.schedules.left(s)
		s.log(err)
		c.mu.Lock()
		c.releaseName(s, &b)
		s.stopped()
		c.unrefer(s)
		c.noteLeft(s.name, leftReason(err))
		c.tell(&b)
		c.unlock()
	} else if was != refused {
		level := slog.LevelDebug
		if errors.Is(err, transport.ErrProtocol) {
			level = slog.LevelWarn
		}
		c.gate.note(c.log, level, "link ended before its node had joined", "remote", s.link.Info().Remote, "reason", cut(err.Error()))
	}
	b.flush()
	c.reap(s.link)
}

// log says why a node left.
func (s *session) log(err error) {
	attrs := []any{"node", s.name, "session", s.number, "reason", cut(err.Error())}
	if p, ok := errors.AsType[*transport.PanicError](err); ok {
		attrs = append(attrs, "panic", fmt.Sprint(p.Value), "stack", safetext.Block(p.Stack))
	}
	switch {
	case errors.Is(err, transport.ErrProtocol):
		s.c.log.Error("node broke the protocol", attrs...)
	case errors.Is(err, errGoodbye), errors.Is(err, errShutdown), errors.Is(err, transport.ErrClosed), errors.Is(err, errReplaced):
		s.c.log.Info("node left", attrs...)
	case errors.Is(err, io.EOF):
		s.c.log.Warn("node is gone without a goodbye", attrs...)
	default:
		s.c.log.Warn("node lost", attrs...)
	}
}
