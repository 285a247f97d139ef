package daffi

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/daffi-rpc/daffi/runtime/codec"
	"github.com/daffi-rpc/daffi/runtime/internal/control"
	"github.com/daffi-rpc/daffi/runtime/internal/safetext"
	"github.com/daffi-rpc/daffi/runtime/transport"
)

// session is one link to the controller, from the handshake to its end. It implements [transport.Handler]: what the reader alone touches is
// marked so and needs no lock.
type session struct {
	node        *Node
	link        transport.Link
	incarnation uint64
	token       []byte // shared with the controller, nil where none is needed
	number      uint32
	limit       int  // of a message
	zstd        bool // the controller takes compressed messages
	welcome     transport.WelcomePayload

	stage     stage                    // reader
	hello     []byte                   // reader
	resumable *transport.ResumeOptions // reader: nil if the link will not resume
	greeted   time.Time                // when the Hello was sent
	nonce     [32]byte
	keepalive atomic.Pointer[transport.Keepalive]

	calls      slots
	alone      atomic.Bool // the latest call had no other beside it
	gathering  atomic.Bool // a caller is about to flush, for all who have enqueued
	expiry     expiry
	served     serving
	credits    credits
	assemblies assemblies
	peers      map[uint32]*peer       // reader: who calls here
	crowded    bool                   // reader: more call here than the node knows, so that one whom it does not know may be any of them
	unserved   map[uint32]*introduced // reader: methods that it does not serve, by number
	learned    []lesson               // reader: how it was told of them, oldest first
	lessons    uint64                 // reader: how many there were
	taught     int                    // reader: bytes that those take
	announced  atomic.Int64           // large requests that are on their way
	quick      []*Incoming            // reader: calls of this batch whose handlers return at once
	now        time.Time              // reader: of this batch, zero if nobody has asked yet

	ctl struct {
		sync.Mutex
		next    uint64
		waiting map[uint64]chan answerFrame
		err     error
	}
	finding   sync.Map      // name → uint32, sessions that Find has found
	snapshots chan struct{} // holds one for each question for providers that is under way

	ready   chan struct{} // closed when the handshake has ended, joinErr is how
	joinErr error
	drained chan struct{} // closed when the controller sends nothing more
	once    struct{ ready, drained sync.Once }
	ended   chan struct{} // closed when the link is gone, err is why
	err     error
}

type stage uint8

const (
	awaitChallenge stage = iota
	awaitWelcome
	joined
)

// peer is a node that calls here.
type peer struct {
	name  string
	fired bool // the controller makes the calls, for its schedules

	// Protected by the node's admission.
	sessions  int // of this name that are there
	running   int
	waiting   int // calls
	held      int // bytes of the large ones among them
	arguments int // bytes of those that run
}

func newSession(n *Node, l transport.Link, incarnation uint64, token []byte) *session {
	s := &session{
		node: n, link: l, incarnation: incarnation, token: token,
		limit: n.opts.MaxMessage,
		peers: map[uint32]*peer{}, snapshots: make(chan struct{}, maxSnapshots),
		ready: make(chan struct{}), drained: make(chan struct{}), ended: make(chan struct{}),
	}
	s.credits.init(&n.opts.Limits)
	s.assemblies.free = assemblyBudget + maxWrap
	s.expiry.start = time.Now()
	s.ctl.waiting = map[uint64]chan answerFrame{}
	rand.Read(s.nonce[:])
	return s
}

// send enqueues a frame that must not get lost and lets another goroutine flush it, so that locks may be held. Where there is no room
// for such a frame the peer does not take what it asks for: the link is closed.
func (s *session) send(f transport.Frame) {
	if err := s.link.Enqueue(f); err != nil {
		s.link.Close(err)
		return
	}
	s.link.FlushSoon()
}

// sendInBatch is send on the reader: HandleBatch flushes.
func (s *session) sendInBatch(f transport.Frame) {
	if err := s.link.Enqueue(f); err != nil {
		s.link.Close(err)
	}
}

// answer enqueues a frame of the reader's; HandleBatch flushes it.
func (s *session) answer(f transport.Frame) error { return s.link.Enqueue(f) }

// join makes the handshake and registers what the node serves.
func (s *session) join(ctx context.Context) error {
	h := transport.HelloPayload{Features: transport.FeatureZstd, Session: s.node.token, Incarnation: s.incarnation, Nonce: s.nonce, Name: s.node.opts.Name}
	if transport.OffersResume(s.link, s.node.opts.ResumeGrace) {
		h.Features |= transport.FeatureResume
	}
	s.hello = transport.AppendHello(nil, &h)
	s.greeted = time.Now()
	if err := s.link.Enqueue(transport.Frame{Header: transport.Header{Kind: transport.Hello}, Payload: s.hello}); err != nil {
		return err
	}
	s.link.Flush()
	ctx, cancel := context.WithTimeout(ctx, handshakeTimeout)
	defer cancel()
	select {
	case <-s.ready:
	case <-s.ended:
		return dialError(fmt.Errorf("the connection ended during the handshake: %w", s.err))
	case <-ctx.Done():
		return fmt.Errorf("no answer to the handshake: %w", ctx.Err())
	}
	if s.joinErr != nil {
		return s.joinErr
	}
	if err := s.introduce(ctx); err != nil {
		return err
	}
	return announceAll(ctx, s, s.node.services.list())
}

// HandleFrame implements [transport.Handler].
func (s *session) HandleFrame(f *transport.Frame) error {
	if s.stage != joined {
		return s.handshake(f)
	}
	switch f.Kind {
	case transport.Ping:
		return s.answer(transport.Frame{Header: transport.Header{Kind: transport.Pong, Arg: f.Arg}})
	case transport.Pong:
		return nil
	case transport.Goodbye:
		return errGoodbye
	case transport.Drain:
		s.once.drained.Do(func() { close(s.drained) })
		return nil
	case transport.Control:
		return s.control(f)
	case transport.Peer:
		return s.peerFrame(f)
	case transport.Request:
		return s.request(f)
	case transport.Accepted, transport.Reply, transport.Error, transport.Data, transport.Chunk, transport.Credit, transport.Cancel,
		transport.Stop, transport.Grant:
		if f.Call&transport.Served != 0 {
			return s.servedFrame(f)
		}
		return s.callFrame(f)
	}
	return fmt.Errorf("%w: a controller sends no %v", transport.ErrProtocol, f.Kind)
}

// HandleBatch implements [transport.Handler].
func (s *session) HandleBatch() {
	s.now = time.Time{}
	s.runQuick()
	s.link.Flush()
}

// Work implements [transport.Worker]: a call that was alone may run where it was read.
func (s *session) Work() transport.Work {
	if len(s.quick) == 0 {
		return nil
	}
	in := s.quick[0]
	s.forgetQuick()
	return s.node.runner.lone(in)
}

// Lends implements [transport.Lender].
func (s *session) Lends() bool {
	return s.alone.Load() && s.calls.none() && s.node.services.none()
}

// begin runs a call of the reader's that was admitted.
func (s *session) begin(in *Incoming) {
	if in.plain() && in.method.pace.quick() {
		s.quick = append(s.quick, in)
		return
	}
	s.node.runner.run(in)
}

// runQuick runs those that were read together. One that is the only call that the node serves at this moment is left to Work.
func (s *session) runQuick() {
	switch len(s.quick) {
	case 0:
		return
	case 1:
		if s.served.single() {
			return
		}
		s.node.runner.run(s.quick[0])
	default:
		s.node.runner.runAll(s.quick, s.link)
	}
	s.forgetQuick()
}

func (s *session) forgetQuick() {
	clear(s.quick)
	s.quick = s.quick[:0]
}

var errGoodbye = errors.New("the controller has closed the connection")

// handshake takes the frames before the session is joined.
func (s *session) handshake(f *transport.Frame) error {
	switch {
	case f.Kind == transport.Refuse:
		r, err := transport.ParseRefuse(f.Payload)
		if err != nil {
			return fmt.Errorf("%w: %w", transport.ErrProtocol, err)
		}
		s.settle(&Error{Code: Code(r.Code), Reason: Reason(r.Reason), Outcome: NotRun, Message: r.Message})
		return errors.New("refused by the controller")
	case f.Kind == transport.Challenge && s.stage == awaitChallenge:
		return s.challenge(f.Payload)
	case f.Kind == transport.Welcome && s.stage == awaitWelcome:
		w, err := transport.ParseWelcome(f.Payload)
		if err != nil {
			return fmt.Errorf("%w: %w", transport.ErrProtocol, err)
		}
		s.welcome, s.number, s.stage = w, w.Session, joined
		s.limit = min(s.limit, int(min(w.MessageLimit, 1<<30)))
		s.link.SetMaxPayload(transport.MaxPayload)
		s.makeResumable()
		ping, dead := min(w.Ping, longestDead/3), min(w.Dead, longestDead)
		s.keepalive.Store(transport.NewKeepalive(s.link, transport.KeepaliveOptions{Ping: ping, Dead: dead, Stop: longestStop(ping, dead)}))
		s.settle(nil)
		return nil
	}
	return fmt.Errorf("%w: %v during the handshake", transport.ErrProtocol, f.Kind)
}

// longestDead is the longest silence that a controller may be asked to take (LIM-17). A node waits no longer, whatever the controller says.
const longestDead = 24 * time.Hour

// longestStop is how long the node may not run until the controller may hold it for dead. What the controller heard last may be as old as the interval of its pings, and some time
// passes on the way. Where the intervals are nearly equal that would be less than what passes between two reads of an idle link.
func longestStop(ping, dead time.Duration) time.Duration {
	return max(dead-ping-ping/4, ping+(dead-ping)/4)
}

// challenge proves the token, after the controller has.
func (s *session) challenge(payload []byte) error {
	c, err := transport.ParseChallenge(payload)
	if err != nil {
		return fmt.Errorf("%w: %w", transport.ErrProtocol, err)
	}
	var proof [transport.ProofSize]byte
	switch {
	case c.Auth == transport.AuthNone && s.token == nil:
	case c.Auth == transport.AuthToken && s.token != nil:
		want := transport.ControllerProof(s.token, s.hello, payload)
		if !transport.EqualProof(want[:], c.Proof[:]) {
			err := &Error{Code: Unauthenticated, Outcome: NotRun, local: s.node.where(), Message: fmt.Sprintf(
				"whoever listens at %s does not know the token; it is another program, or the token file is of another controller", s.node.where())}
			s.settle(err)
			return err
		}
		proof = transport.NodeProof(s.token, s.hello, payload)
	case c.Auth == transport.AuthTokenTLS && s.token != nil && s.link.Info().TLS: // never to anybody but the host that was meant
		copy(proof[:], s.token)
	default:
		err := &Error{Code: Unauthenticated, Outcome: NotRun, local: s.node.where(), Message: s.asksInVain(c.Auth)}
		s.settle(err)
		return err
	}
	if c.Features&transport.FeatureResume != 0 && transport.OffersResume(s.link, s.node.opts.ResumeGrace) {
		s.resumable = &transport.ResumeOptions{Secret: transport.ResumeSecret(s.token, s.hello, payload), RTT: time.Since(s.greeted)}
	}
	s.stage, s.zstd = awaitWelcome, c.Features&transport.FeatureZstd != 0
	return s.answer(transport.Frame{Header: transport.Header{Kind: transport.Proof}, Payload: transport.AppendProof(nil, proof)})
}

// asksInVain says why the node does not give the controller the proof that it asks for.
func (s *session) asksInVain(auth uint8) string {
	switch where := s.node.where(); {
	case auth == transport.AuthNone:
		return fmt.Sprintf("the controller at %s asks for no token: it is another one than was meant, or Options.TokenFile is to be unset", where)
	case s.token == nil:
		return fmt.Sprintf("the controller at %s asks for a token: set Options.TokenFile", where)
	default:
		return fmt.Sprintf("the controller at %s asks for the token itself, which is given away over TLS only: set Options.TLS", where)
	}
}

// makeResumable lets the link outlive its connection, if both sides want that.
func (s *session) makeResumable() {
	if s.resumable == nil {
		return
	}
	n, o := s.node, s.resumable
	o.Session, o.Controller, o.Grace, o.Budget = s.number, s.welcome.Incarnation, n.opts.ResumeGrace, n.kept
	o.Pause = func(failures int) time.Duration { return n.backoff(min(failures, 3)) } // for as long as the session is held, a controller that is there again is soon found
	o.Cut = func(err error) {
		n.log.Info("connection lost, resuming", "addr", n.where(), "error", err)
		n.cut(s, err)
	}
	o.Back = func(err error) {
		if err == nil {
			n.back(s)
			n.log.Info("resumed", "addr", n.where(), "session", s.number)
		}
	}
	transport.MakeResumable(s.link, *o)
}

// settle ends the handshake.
func (s *session) settle(err error) {
	s.once.ready.Do(func() {
		s.joinErr = err
		close(s.ready)
	})
}

// HandleClosed implements [transport.Handler].
func (s *session) HandleClosed(err error) {
	for _, in := range s.quick {
		s.node.runner.run(in)
	}
	s.forgetQuick()
	if k := s.keepalive.Load(); k != nil {
		k.Stop()
	}
	if s.node.isClosed() { // whichever end of the link was first to act on the goodbye
		err = errClosed
	}
	s.err = err
	s.node.left(s)
	s.node.disconnected(s, err)
	if s.stage == joined && !errors.Is(err, errClosed) {
		attrs := []any{"addr", s.node.where(), "error", err}
		if p, ok := errors.AsType[*transport.PanicError](err); ok {
			attrs = append(attrs, "panic", fmt.Sprint(p.Value), "stack", safetext.Block(p.Stack))
		}
		s.node.log.Warn("link lost", attrs...)
	}
	code, reason, outcome, text := Unavailable, ReasonLinkLost, MayHaveRun, "the link to the controller was lost: "+linkError(err)
	switch {
	case s.stage != joined && errors.Is(err, transport.ErrUntrusted): // as one hears after the own end of TLS is content
		code, reason, outcome, text = Unauthenticated, "", NotRun, err.Error()
	case errors.Is(err, errClosed):
		reason, text = ReasonClosed, "the node was closed"
	case errors.Is(err, transport.ErrProtocol):
		code, reason = Internal, ReasonProtocol
	}
	lost := &Error{Code: code, Reason: reason, Outcome: outcome, Message: text, local: localPart(err), cause: errors.Unwrap(err)}
	for _, p := range s.calls.close(lost) {
		p.fail(lost)
	}
	s.expiry.close()
	s.served.close(lost)
	for _, p := range s.peers {
		s.node.admission.parts(p)
	}
	s.assemblies.close()
	s.ctl.Lock()
	s.ctl.err = lost
	for _, c := range s.ctl.waiting {
		close(c)
	}
	s.ctl.waiting = nil
	s.ctl.Unlock()
	if errors.Is(err, transport.ErrUntrusted) { // a controller says after the handshake of TLS what it thinks of the certificate
		s.settle(dialError(err))
	}
	s.settle(lost)
	s.once.drained.Do(func() { close(s.drained) })
	close(s.ended)
}

// linkError is why a link ended, for people.
func linkError(err error) string {
	if errors.Is(err, io.EOF) {
		return "the controller has gone"
	}
	return safetext.Line(err.Error(), safetext.MaxError)
}

// localPart is what of linkError no other node is told.
func localPart(err error) string {
	if errors.Is(err, io.EOF) {
		return ""
	}
	return linkError(err)
}

// goodbye leaves, once what was enqueued before is with the system, at the latest after timeout.
func (s *session) goodbye(timeout time.Duration) {
	s.link.Enqueue(transport.Frame{Header: transport.Header{Kind: transport.Goodbye, Flags: transport.Bulk}})
	s.link.Finish(errClosed, timeout)
	<-s.ended
}

// drainCalls asks the controller to send no more calls, and returns when it has stopped.
func (s *session) drainCalls(ctx context.Context) error {
	s.send(transport.Frame{Header: transport.Header{Kind: transport.Drain, Flags: transport.Bulk}})
	select {
	case <-s.drained:
		return nil
	case <-ctx.Done():
		return contextError(ctx, "")
	}
}

// question is a control message of the node whose answer is awaited.
type question struct {
	s      *session
	id     uint64
	frames chan answerFrame
	more   bool // what answer gave last is not all
}

type answerFrame struct {
	buf  *transport.Buffer
	more bool // others follow
}

// ask sends a control message whose answer has at most that many frames.
func (s *session) ask(write func(*codec.Encoder), frames int) (*question, error) {
	var e codec.Encoder
	e.Reset(make([]byte, 0, 256))
	write(&e)
	if err := e.Err(); err != nil {
		return nil, err
	}
	q := &question{s: s, frames: make(chan answerFrame, frames)}
	s.ctl.Lock()
	if err := s.ctl.err; err != nil {
		s.ctl.Unlock()
		return nil, err
	}
	s.ctl.next++
	q.id = s.ctl.next
	s.ctl.waiting[q.id] = q.frames
	s.ctl.Unlock()
	if err := s.link.Enqueue(transport.Frame{Header: transport.Header{Kind: transport.Control, Call: q.id}, Payload: e.Bytes()}); err != nil {
		q.forget()
		switch {
		case errors.Is(err, transport.ErrFull):
			err = &Error{Code: ResourceExhausted, Reason: ReasonBusy, Outcome: NotRun, cause: err, Message: "the controller takes nothing"}
		case errors.Is(err, transport.ErrTooLong):
			err = &Error{Code: InvalidArgument, Reason: ReasonTooLarge, Outcome: NotRun, cause: err, Message: fmt.Sprintf(
				"the names of what is served or called take %d bytes, more than the %d that one message to the controller may have: split the service", e.Len(), transport.MaxPayload)}
		default:
			err = &Error{Code: Unavailable, Reason: ReasonLinkLost, Outcome: NotRun, cause: err, Message: "the link to the controller was lost: " + linkError(err), local: localPart(err)}
		}
		return nil, err
	}
	s.link.Flush()
	s.alone.Store(false)
	s.link.Attend(nil)
	return q, nil
}

func (q *question) forget() {
	q.s.ctl.Lock()
	delete(q.s.ctl.waiting, q.id)
	q.s.ctl.Unlock()
}

// answer waits for the next frame of the answer.
func (q *question) answer(ctx context.Context) (control.Op, *codec.Decoder, error) {
	select {
	case f, ok := <-q.frames:
		if !ok {
			q.s.ctl.Lock()
			defer q.s.ctl.Unlock()
			return 0, nil, q.s.ctl.err
		}
		q.more = f.more
		d := new(codec.Decoder)
		d.Reset(f.buf.B) // left to the collector: control messages are rare
		op := control.ReadOp(d)
		if op == control.OpFailed {
			var f control.Failure
			if err := f.Read(d); err != nil {
				return 0, nil, err
			}
			return 0, nil, errorOf(&f)
		}
		return op, d, d.Err()
	case <-ctx.Done():
		q.forget()
		return 0, nil, notSent(ctx, "")
	}
}

// exchange sends a control message and returns the answer.
func (s *session) exchange(ctx context.Context, write func(*codec.Encoder)) (control.Op, *codec.Decoder, error) {
	q, err := s.ask(write, 1)
	if err != nil {
		return 0, nil, err
	}
	return q.answer(ctx)
}

// control takes a control message from the reader.
func (s *session) control(f *transport.Frame) error {
	if f.Call != 0 {
		more := f.Flags&transport.More != 0
		s.ctl.Lock()
		c := s.ctl.waiting[f.Call]
		if !more {
			delete(s.ctl.waiting, f.Call)
		}
		s.ctl.Unlock()
		if c == nil {
			return nil
		}
		select {
		case c <- answerFrame{f.Own(), more}:
			return nil
		default:
			return fmt.Errorf("%w: an answer of more than %d frames", transport.ErrProtocol, cap(c))
		}
	}
	var d codec.Decoder
	d.Reset(f.Payload)
	switch control.ReadOp(&d) {
	case control.OpTable:
		var t control.Table
		if err := t.Read(&d); err != nil {
			return fmt.Errorf("%w: %w", transport.ErrProtocol, err)
		}
		s.node.table.apply(s, &t)
	case control.OpStop:
		s.node.stopRequested(s)
	case control.OpIntroduce:
		var m control.Introduce
		if err := m.Read(&d); err != nil {
			return fmt.Errorf("%w: %w", transport.ErrProtocol, err)
		}
		return s.learn(&m)
	}
	return nil // what this version does not know is not for it
}

// peerFrame introduces a node that is about to call, or says that one has left.
func (s *session) peerFrame(f *transport.Frame) error {
	if len(f.Payload) == 0 {
		if p := s.peers[f.Header.Peer]; p != nil {
			delete(s.peers, f.Header.Peer)
			s.node.admission.parts(p)
		}
		return nil
	}
	if s.peers[f.Header.Peer] != nil {
		return fmt.Errorf("%w: session %d was introduced twice", transport.ErrProtocol, f.Header.Peer)
	}
	if len(f.Payload) > transport.MaxName {
		return fmt.Errorf("%w: session %d was introduced by a name of %d bytes", transport.ErrProtocol, f.Header.Peer, len(f.Payload))
	}
	if len(s.peers) >= s.node.opts.Limits.Callers {
		s.crowded = true
		return nil
	}
	s.peers[f.Header.Peer] = s.node.admission.meets(string(f.Payload), f.Arg == 1)
	return nil
}

// remaining is what a deadline leaves, for the header of a Request; 0 for none.
func remaining(deadline time.Time) (uint64, bool) {
	if deadline.IsZero() {
		return 0, true
	}
	d := time.Until(deadline)
	return uint64(max(d, 0)), d > 0
}

// watch asks for the table and its changes. The answer comes like every change of it.
func (s *session) watch() { s.tell(func(e *codec.Encoder) { control.AppendPlain(e, control.OpWatch) }) }

// tell sends a control message that is not answered by its number.
func (s *session) tell(write func(*codec.Encoder)) {
	var e codec.Encoder
	e.Reset(make([]byte, 0, 32))
	write(&e)
	s.send(transport.Frame{Header: transport.Header{Kind: transport.Control}, Payload: e.Bytes()})
}
