package transport

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"time"
)

// Times of resumable links.
const (
	minGrace      = 500 * time.Millisecond // after a cut, or 4 round trips
	silentGrace   = 5 * time.Second        // after silence
	attemptTime   = time.Second            // for one attempt to resume, or 4 round trips
	ackBytes      = 256 << 10              // received, after which an Ack is sent at once
	ackDelay      = 100 * time.Millisecond // after which one is sent for less
	ackPatience   = 10 * ackDelay          // for which one is waited at least, whatever the limit for stalls
	resumeMessage = HeaderSize + resumeSize

	resendTimes = 4                     // of what the peer has received, and beside it
	resendLink  = 16                    // times what the link may keep,
	resendFree  = resendLink * KeepLink // or this if that is more, are sent again at most (LIM-67)
)

var (
	// ErrNotResumed: the link was cut, and the peer did not let it go on.
	ErrNotResumed = errors.New("not resumed")
	errNewer      = errors.New("the peer came over a new connection")
)

// Redial makes another connection to where a link leads. An error that matches [ErrNoController] ends the link.
type Redial func(context.Context) (net.Conn, error)

// ResumeOptions are what both ends of a resumable link agree on, and what is this end's own.
type ResumeOptions struct {
	Secret     [ProofSize]byte // see ResumeSecret
	Session    uint32          // of the Welcome
	Controller [16]byte        // incarnation, of the Welcome

	Grace  time.Duration           // how long a cut link may wait; 0: 500 ms or four round trips, and 5 s after silence
	RTT    time.Duration           // of the handshake
	Budget *KeepBudget             // for what is kept
	Pause  func(int) time.Duration // after the n-th attempt that has failed, where this end dials
	Cut    func(error)             // is told why when the link is cut; it must not block
	Back   func(error)             // is told when the link goes on, or why not; it must not block
}

// keep is what a resumable link has beyond others: what it keeps, and how it comes back. The queue's lock guards what is not said to be another's.
type keep struct {
	ResumeOptions
	kept
	link *conn

	down    atomic.Bool // there is no connection; changed with the lock held
	cause   error       // why
	until   time.Time   // when it is too late to resume
	offer   *handOver   // a connection to go on with, where this end was dialed
	attempt uint64      // the last one
	resent  uint64      // bytes that were sent again, or will be
	stop    func()      // ends an attempt; nil if there is none
	full    bool        // the writer waits for an Ack, or for the budget
	stall   *time.Timer // while it does
	waits   bool        // it is on the list of the budget, whose lock guards this
	ackDue  bool
	freed   chan struct{} // closed when nobody writes any more; nil when nobody waits
	offered chan struct{} // has an element when there was an offer
	ended   chan struct{} // closed with the link

	received atomic.Uint64 // up to which all was delivered
	told     atomic.Uint64 // up to which the peer knows of it
	timing   atomic.Bool   // an Ack will be sent
	timer    *time.Timer
}

// OffersResume reports whether the end that has dialed l can resume it and, with that grace, wants to: 0 is for links that leave the host, less than 0 for none.
func OffersResume(l Link, grace time.Duration) bool {
	c, ok := l.(*conn)
	return ok && c.redial != nil && TakesResume(l, grace)
}

// TakesResume is [OffersResume] for the end that was dialed.
func TakesResume(l Link, grace time.Duration) bool {
	_, ok := l.(*conn)
	return ok && (grace > 0 || grace == 0 && !l.Info().Local)
}

// MakeResumable makes l, for which [OffersResume] or [TakesResume] holds, resume when it is cut: its Close with [ErrSilent] is then a cut, too. Each side calls
// it when the handshake is over, before anything else is enqueued or delivered; the controller does so before it enqueues the Welcome.
func MakeResumable(l Link, o ResumeOptions) {
	c := l.(*conn)
	k := &keep{ResumeOptions: o, link: c, offered: make(chan struct{}, 1), ended: make(chan struct{})}
	k.budget = o.Budget
	c.w.q.mu.Lock()
	defer c.w.q.mu.Unlock()
	k.limit = c.w.q.limits.KeptBytes
	if c.w.q.err != nil {
		return
	}
	k.timer = time.AfterFunc(time.Hour, k.sendAck)
	k.timer.Stop()
	c.w.keep = k
	c.keep.Store(k)
}

func resumable(l Link) (*conn, bool) {
	c, ok := l.(*conn)
	return c, ok && c.keep.Load() != nil
}

// Suspended says how long a link that was cut may still be resumed; 0 if it is not cut.
func Suspended(l Link) time.Duration {
	c, ok := l.(*conn)
	if !ok {
		return 0
	}
	c.w.q.mu.Lock()
	defer c.w.q.mu.Unlock()
	if k := c.w.keep; k != nil && k.down.Load() && c.w.q.err == nil {
		return max(time.Until(k.until), 1)
	}
	return 0
}

// flows reports whether something that is numbered may be written now. Call with the lock held, as what follows.
func (k *keep) flows() bool { return !k.down.Load() && k.open() }

// ready reports whether anything may.
func (k *keep) ready() bool {
	switch {
	case k.down.Load():
		return false
	case k.ackDue:
		return true
	case !k.link.w.pending():
		return false
	case k.open():
		return true
	}
	k.full = true
	if k.stall == nil {
		k.stall = time.AfterFunc(k.patience(), k.stalled)
	}
	if k.bytes < k.limit { // else only an Ack helps
		k.budget.wait(k)
	}
	return k.open() // there may have been room just before
}

// patience is for how long the peer may acknowledge nothing.
func (k *keep) patience() time.Duration { return max(k.link.w.q.limits.StallTimeout, ackPatience) }

// stalled ends a link whose peer acknowledges nothing.
func (k *keep) stalled() {
	k.link.w.q.mu.Lock()
	full := k.full && !k.open()
	k.link.w.q.mu.Unlock()
	if full {
		k.link.fail(ErrStalled)
	}
}

// calm forgets that the writer had to wait.
func (k *keep) calm() {
	k.full = false
	if k.stall != nil {
		k.stall.Stop()
		k.stall = nil
	}
}

// rest is called when nobody writes any more. It reports whether that is because everything was sent.
func (k *keep) rest() bool {
	if k.freed != nil {
		close(k.freed)
		k.freed = nil
	}
	return !k.down.Load() && !k.link.w.pending()
}

// takeBlock is the writer's: an Ack goes before everything else, and also where nothing else may go.
func (k *keep) takeBlock() (b block) {
	if k.ackDue && !k.down.Load() {
		k.ackDue = false
		received := k.received.Load()
		k.told.Store(received)
		b.buf = NewBuffer(HeaderSize)
		b.buf.B = AppendHeader(b.buf.B, &Header{Kind: Ack, Arg: received}, 0)
		return b
	}
	if !k.flows() {
		return b
	}
	if b = k.link.w.takeQueued(); b.buf != nil && !b.apart {
		k.addBlock(b)
	}
	return b
}

// took is the reader's: everything before that offset was delivered.
func (k *keep) took(received uint64) {
	k.received.Store(received)
	switch unknown := received - k.told.Load(); {
	case unknown >= ackBytes:
		k.sendAck()
	case unknown > 0 && !k.timing.Load() && !k.timing.Swap(true):
		k.timer.Reset(ackDelay)
	}
}

func (k *keep) sendAck() {
	k.timing.Store(false)
	w := &k.link.w
	w.q.mu.Lock()
	k.ackDue = k.received.Load() != k.told.Load()
	w.q.mu.Unlock()
	w.flush()
}

// acknowledged takes an Ack.
func (l *conn) acknowledged(offset uint64) error {
	l.w.q.mu.Lock()
	k := l.w.keep
	if err := k.check(offset); err != nil {
		l.w.q.mu.Unlock()
		return err
	}
	k.trim(offset)
	waited := k.full
	k.calm()
	l.w.q.mu.Unlock()
	k.budget.wake()
	if waited {
		l.w.flush()
	}
	return nil
}

// check refuses an offset of the peer's that cannot be.
func (k *keep) check(offset uint64) error {
	if offset < k.acked || offset > k.sent {
		return fmt.Errorf("%w: the peer has received up to %d, was sent up to %d and had acknowledged %d", ErrProtocol, offset, k.sent, k.acked)
	}
	return nil
}

// close is called once the link has ended.
func (k *keep) close() {
	k.trim(k.sent)
	k.calm()
	k.timer.Stop()
	if k.stop != nil {
		k.stop()
	}
	if k.offer != nil {
		k.offer.c.Close()
		k.offer = nil
	}
	if k.freed != nil { // whoever writes still fails soon, but nobody goes on
		close(k.freed)
		k.freed = nil
	}
	close(k.ended)
}

// suspend gives the connection up. It returns false if that is the end of the link.
func (l *conn) suspend(err error) bool {
	if l.keep.Load() == nil || errors.Is(err, ErrStalled) && l.Silence() < l.keep.Load().patience()/2 { // it is there and does not want
		return false
	}
	l.w.q.mu.Lock()
	defer l.w.q.mu.Unlock()
	if l.w.q.err != nil {
		return false
	}
	if !l.w.keep.down.Load() {
		l.w.keep.cut(err)
	}
	return true
}

// silent gives the connection up on which nothing was heard for dead. The peer may have found the same a moment before, and have come back: another connection has not been silent.
func (l *conn) silent(dead time.Duration) {
	l.w.q.mu.Lock()
	defer l.w.q.mu.Unlock()
	if l.w.q.err == nil && l.Silence() >= dead {
		l.w.keep.cut(ErrSilent)
	}
}

func (k *keep) cut(err error) {
	grace := k.Grace
	if grace == 0 {
		grace = max(minGrace, 4*k.RTT)
		if n := net.Error(nil); errors.Is(err, ErrSilent) || errors.Is(err, ErrStalled) || errors.As(err, &n) && n.Timeout() {
			grace = max(silentGrace, grace)
		}
	}
	k.down.Store(true)
	k.cause, k.until, k.ackDue = err, time.Now().Add(grace), false
	k.calm()
	k.link.c.Close()
}

// revive is the reader's, when reading has failed: it returns nil when the link goes on over another connection.
func (l *conn) revive(err error) error {
	l.lost, l.failed = nil, nil
	l.r.from, l.r.to = 0, 0 // what has come of a frame comes again
	if !l.suspend(err) {
		return err
	}
	k := l.w.keep
	l.w.q.mu.Lock()
	cause := k.cause
	l.w.q.mu.Unlock()
	if k.Cut != nil {
		k.Cut(cause)
	}
	why := error(nil)
	if l.redial != nil {
		why = k.goBack()
	} else {
		why = k.await()
	}
	if why != nil {
		why = fmt.Errorf("%w, and was %w: %w", cause, ErrNotResumed, why)
	}
	if k.Back != nil {
		k.Back(why)
	}
	return why
}

var (
	errTooLate = errors.New("in time")
	errEnded   = errors.New("the link was closed")
)

// await waits for the peer to come back.
func (k *keep) await() error {
	t := time.NewTimer(time.Until(k.until))
	defer t.Stop()
	for {
		select {
		case <-k.offered:
		case <-k.ended:
			return errEnded
		case <-t.C:
			return errTooLate
		}
		k.link.w.q.mu.Lock()
		o := k.offer
		k.offer = nil
		k.link.w.q.mu.Unlock()
		if o == nil {
			continue
		}
		answer := k.payload(o.ask.Attempt, true)
		return k.install(o.c, o.ask.Received, &answer)
	}
}

// payload is a Resume of this end.
func (k *keep) payload(attempt uint64, answers bool) ResumePayload {
	p := ResumePayload{Session: k.Session, Controller: k.Controller, Attempt: attempt, Received: k.link.count}
	p.Prove(k.Secret, answers)
	return p
}

func appendResumeFrame(p *ResumePayload) []byte {
	b := AppendHeader(make([]byte, 0, resumeMessage), &Header{Kind: Resume}, resumeSize)
	return AppendResume(b, p)
}

// install goes on over c: after what is to be said first, if anything, everything from an offset on is sent again.
func (k *keep) install(c net.Conn, from uint64, first *ResumePayload) error {
	w := &k.link.w
	w.q.mu.Lock()
	defer w.q.mu.Unlock()
	for w.busy && w.q.err == nil {
		if k.freed == nil {
			k.freed = make(chan struct{})
		}
		freed := k.freed
		w.q.mu.Unlock()
		<-freed
		w.q.mu.Lock()
	}
	if w.q.err != nil {
		c.Close()
		return errEnded
	}
	if err := k.check(from); err != nil {
		c.Close()
		return err
	}
	k.trim(from)
	k.link.turns.mu.Lock()
	k.link.c = c
	k.link.turns.mu.Unlock()
	w.try.init(c)
	k.received.Store(k.link.count)
	k.told.Store(k.link.count)
	k.link.heard.Store(int64(time.Since(k.link.base)))
	k.link.rouse()
	k.down.Store(false)
	w.busy = true
	w.wg.Go(func() { k.resend(first) })
	return nil
}

// resend writes what the peer may have missed, then all that waits.
func (k *keep) resend(first *ResumePayload) {
	w := &k.link.w
	var err error
	if first != nil {
		err = w.writeFull(net.Buffers{appendResumeFrame(first)}, 0)
	}
	w.q.mu.Lock()
	next := k.acked
	for err == nil && w.q.err == nil && !k.down.Load() {
		next = max(next, k.acked)
		list, size := k.from(next, writeBatch)
		if size == 0 {
			break
		}
		w.q.mu.Unlock()
		bufs := make(net.Buffers, len(list))
		for i := range list {
			bufs[i] = list[i].b
		}
		err = w.writeFull(bufs, 0)
		for i := range list {
			list[i].buf.Release()
		}
		next += uint64(size)
		w.q.mu.Lock()
	}
	w.q.mu.Unlock()
	if err != nil {
		k.link.fail(err)
	}
	w.drainAll()
}

// goBack dials until the peer lets the link go on, or does not.
func (k *keep) goBack() error {
	ctx, cancel := context.WithDeadline(context.Background(), k.until)
	defer cancel()
	k.link.w.q.mu.Lock()
	k.stop = cancel
	if k.link.w.q.err != nil {
		cancel()
	}
	k.link.w.q.mu.Unlock()
	defer func() {
		k.link.w.q.mu.Lock()
		k.stop = nil
		k.link.w.q.mu.Unlock()
	}()
	last := errTooLate
	for n := 0; ; n++ {
		if n > 0 {
			t := time.NewTimer(k.Pause(n))
			select {
			case <-t.C:
			case <-ctx.Done():
				t.Stop()
			}
		}
		if ctx.Err() != nil {
			return last
		}
		c, received, err := k.knock(ctx)
		if err == nil {
			return k.install(c, received, nil)
		}
		if errors.Is(err, ErrNoController) || errors.Is(err, ErrProtocol) || errors.Is(err, errRefused) {
			return err
		}
		last = err
	}
}

var errRefused = errors.New("the controller refuses")

// knock makes one attempt: it returns a connection over which the link goes on, and up to which offset the peer has received.
func (k *keep) knock(ctx context.Context) (net.Conn, uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, max(attemptTime, 4*k.RTT))
	defer cancel()
	c, err := k.link.redial(ctx)
	if err != nil {
		return nil, 0, err
	}
	unhook := context.AfterFunc(ctx, func() { c.Close() })
	k.attempt++
	ask := k.payload(k.attempt, false)
	answer, err := exchangeResume(c, &ask)
	switch {
	case !unhook():
		err = context.Cause(ctx)
	case err != nil:
	case answer.Session != k.Session || answer.Controller != k.Controller || answer.Attempt != k.attempt || !answer.proves(k.Secret, true):
		err = fmt.Errorf("%w: another program listens there now, or cannot prove that it is the controller", errRefused)
	}
	if err != nil {
		c.Close()
		return nil, 0, err
	}
	return c, answer.Received, nil
}

// exchangeResume sends a Resume and reads the answer, and nothing behind it.
func exchangeResume(c net.Conn, ask *ResumePayload) (answer ResumePayload, err error) {
	if _, err := c.Write(appendResumeFrame(ask)); err != nil {
		return answer, err
	}
	head := make([]byte, HeaderSize)
	if _, err := io.ReadFull(c, head); err != nil {
		return answer, err
	}
	h, n, err := ParseHeader(head, MaxUnproven)
	if err != nil {
		return answer, err
	}
	payload := make([]byte, n)
	if _, err := io.ReadFull(c, payload); err != nil {
		return answer, err
	}
	switch h.Kind {
	case Resume:
		return ParseResume(payload)
	case Refuse:
		r, err := ParseRefuse(payload)
		if err != nil {
			return answer, err
		}
		return answer, fmt.Errorf("%w: %.256q", errRefused, r.Message)
	}
	return answer, fmt.Errorf("%w: %v in answer to a Resume", ErrProtocol, h.Kind)
}

// handOver is the error by which a handler gives the connection of its own link to another link.
type handOver struct {
	to  *conn
	ask ResumePayload
	c   net.Conn
}

func (h *handOver) Error() string {
	return fmt.Sprintf("its connection goes on as that of session %d", h.ask.Session)
}

// HandOver checks a Resume that has come over a new link, of which it must be the first frame, against the link that it is for. The handler of the new one, which
// must not have sent anything, returns the result over from HandleFrame: that ends the new link, and its connection becomes that of the
// other, which is cut if it was not yet. If the Resume is not right nothing has changed, and refused says why.
func HandOver(to Link, ask *ResumePayload) (over, refused error) {
	c, ok := to.(*conn)
	if !ok {
		return nil, errors.New("this link is not resumable")
	}
	c.w.q.mu.Lock()
	defer c.w.q.mu.Unlock()
	k := c.w.keep
	switch {
	case k == nil || c.w.q.err != nil:
		return nil, errors.New("this link is not resumable")
	case ask.Session != k.Session || ask.Controller != k.Controller || !ask.proves(k.Secret, false):
		return nil, errors.New("the proof is wrong")
	case ask.Attempt <= k.attempt:
		return nil, errors.New("this attempt was made before")
	}
	if err := k.check(ask.Received); err != nil {
		return nil, err
	}
	free := max(resendFree, resendLink*min(uint64(k.limit), 1<<50))
	if k.resent += k.sent - ask.Received; k.resent > free && k.resent-free > resendTimes*ask.Received {
		return nil, errors.New("it was resumed too often for what it has received")
	}
	k.attempt = ask.Attempt
	return &handOver{to: c, ask: *ask}, nil
}

// give is the reader's: it ends the link without its connection.
func (l *conn) give(over *handOver) {
	mine := false
	l.closing.Do(func() {
		over.c = l.w.close(over)
		mine = true
	})
	switch {
	case !mine:
	case l.extra:
		over.c.Close()
	default:
		over.to.adopt(over)
	}
}

// adopt offers the reader another connection.
func (l *conn) adopt(o *handOver) {
	l.w.q.mu.Lock()
	k := l.w.keep
	before := k.offer
	if l.w.q.err != nil {
		before = o
	} else {
		k.offer = o
		if !k.down.Load() {
			k.cut(errNewer)
		}
	}
	l.w.q.mu.Unlock()
	if before != nil {
		before.c.Close()
	}
	select {
	case k.offered <- struct{}{}:
	default:
	}
}
