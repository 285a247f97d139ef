package transport

import (
	"errors"
	"time"
)

// A Link carries frames to one peer and delivers the peer's frames to a [Handler].
//
// All methods may be called from any goroutine, and none waits for the peer, except Finish and Wait. Flush must not be called with a lock
// held that a Handler's method takes, since a [Pipe] delivers on the goroutine that flushes.
type Link interface {
	// Start begins delivery to h. It is called once, before anything else.
	Start(h Handler)

	// Enqueue adds f to the lane that its kind and flags call for. The link takes over f.Buf in any case; a payload without one is copied.
	// It returns [ErrFull] when the queue has no room (see the table of kinds), the reason when the link is closed.
	Enqueue(f Frame) error

	// EnqueueSource adds s to the bulk lane, where it takes turns with others. A source is in the lane at most once; it says so itself.
	EnqueueSource(s Source)

	// Flush sends what was enqueued, as far as that is possible without waiting; the rest follows by itself.
	Flush()

	// FlushHere is Flush, and returns work that the caller may do where the peer is in this process and has some; nil for none.
	FlushHere() Work

	// FlushSoon is Flush on another goroutine, so that more may be enqueued meanwhile.
	FlushSoon()

	// Attend lets the caller deliver what comes until a's wait is over, or it has lasted for a while. It does nothing, and returns false, where that would
	// not spare a change of goroutines. See [Lender]. A nil a says that something is expected which is waited for in another way.
	Attend(a Attendant) bool

	// Room returns a channel that is closed when Enqueue may have room again, or the link is closed.
	Room() <-chan struct{}

	// SetMaxPayload changes the limit of received payloads; a link starts with [MaxUnproven].
	SetMaxPayload(n int)

	// Silence is the time since something was last received, or since Start.
	Silence() time.Duration

	// Awake says, now and then, that this process runs, and what is to be taken for a stop of it: that nothing was read and Awake was not called for longer than most.
	// After one the link is closed with [ErrPaused], and delivers nothing of what came meanwhile.
	Awake(most time.Duration)

	// Info describes the peer as the system knows it.
	Info() Info

	// Close ends the link at once. The peer sees the end of the connection after what was flushed before; the own handler is told err.
	// The first Close counts.
	Close(err error)

	// Finish closes the link when everything that was enqueued has been handed to the system, at the latest after timeout.
	Finish(err error, timeout time.Duration)

	// Wait returns when the handler was told of the end and every goroutine of the link has ended.
	Wait()
}

// A Handler gets what a peer sends. Its methods are called one after the other, never at the same time; they must not block and must not
// run user code.
type Handler interface {
	// HandleFrame takes one frame, of a known kind; see [Frame] for who owns the payload. An error is the peer's fault and closes the link.
	HandleFrame(f *Frame) error
	// HandleBatch follows the last frame of what one read brought: the time to flush.
	HandleBatch()
	// HandleClosed is the last call, made once: err is what Close was given, or what ended the connection (io.EOF for a plain end).
	HandleClosed(err error)
}

// A Source is a sequence of frames that the link asks for when it has room to send one. If it has a method Prompt() bool that returns true, its next
// frame takes no time to make, and whoever flushes may ask for it.
type Source interface {
	// NextFrame returns the next frame, and whether another one is ready after it. ok is false if there is none; the source has then
	// left the lane and enqueues itself again when it has one. It is called by one goroutine at a time, without a lock held.
	NextFrame() (f Frame, more, ok bool)
}

// Info describes a link's peer.
type Info struct {
	Network string // "tcp", "unix" or "memory"
	Remote  string // the peer's address, for logs
	Local   bool   // the peer is a process on this host
	UID     int    // the peer's user where the system tells (unix sockets on linux), else -1

	TLS         bool   // the connection is encrypted, and if this end has dialed, it knows that the other is the host that it meant
	Certificate string // whom the peer's certificate names, in the form daffi://cluster/name; "" if it has shown none
}

var (
	// ErrFull: the queue towards the peer has no room for this frame.
	ErrFull = errors.New("send queue is full")
	// ErrTooLong: the payload is over [MaxPayload]; the message should have been announced and sent in chunks.
	ErrTooLong = errors.New("payload is too long for a frame")
	// ErrClosed: the link was closed on this side without another reason.
	ErrClosed = errors.New("link closed")
	// ErrSilent: the peer was silent for longer than the dead interval.
	ErrSilent = errors.New("peer is silent")
	// ErrStalled: the peer took nothing for longer than [StallTimeout].
	ErrStalled = errors.New("peer takes nothing")
)

// Bounds of the queue towards one peer (LIM-14). What [Limits] has is the default of a link.
const (
	QueueBytes   = 8 << 20 // of everything that no credit covers, for a Request to find room
	QueueFrames  = 8192
	AnswerBytes  = 2 * QueueBytes // the same for what follows a Request: as much as the calls of both directions may bring at once; twice what the link's limit is
	AnswerFrames = 2 * MaxCalls
	ControlBytes = 1 << 20          // of the control lane: more means that the peer does not take what it asks for
	WindowBytes  = ControlBytes / 2 // the same for Credit and Grant, which others than the two ends may cause
	CreditBytes  = 40 << 20         // of frames that credit or a grant covers, at least MinCost for each; more means that a peer ignores them
	StallTimeout = 10 * time.Second // without progress the link is closed
	writeBatch   = MaxContent       // of one lane in one write
)

type lane uint8

const (
	controlLane lane = iota
	smallLane
	bulkLane
)

// laneOf says where a frame travels. Credit and Grant may overtake: they name a window, not a place in the call's order.
func laneOf(h *Header) lane {
	switch h.Kind {
	case Peer:
		if h.Flags&Bulk != 0 { // a farewell follows what was said on the peer's behalf, an introduction precedes it
			return bulkLane
		}
	case Request, Accepted, Reply, Error, Data, Chunk, Cancel, Stop, Drain, Goodbye:
		if h.Flags&Bulk != 0 {
			return bulkLane
		}
		return smallLane
	}
	return controlLane
}

// credited reports whether a frame's room at the destination is guaranteed by credit or a grant.
func credited(k Kind) bool { return k == Data || k == Chunk }

// charge is what a frame that credit or a grant covers takes of [CreditBytes]: a short one occupies more than it carries.
func charge(payload int) int { return HeaderSize + max(payload, MinCost) }

// window reports whether a frame says what the other end of a call may send. Nothing bounds how many of them a node forwards to another,
// so they leave room to what must not find the queue full.
func window(k Kind) bool { return k == Credit || k == Grant }

// PanicError is why a link ended whose handler has panicked on a frame, together with [ErrProtocol]. Value and Stack are for this process's own log.
type PanicError struct {
	Value any
	Stack []byte
}

func (*PanicError) Error() string { return "panic while handling a frame" }
