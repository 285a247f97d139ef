package daffi

import (
	"context"
	"log/slog"
	"math"
	"time"

	"github.com/daffi-rpc/daffi/runtime/codec"
	"github.com/daffi-rpc/daffi/runtime/transport"
)

// Options configure a node. The zero value is a node with a generated name that meets others of the same user at the default unix socket.
type Options struct {
	// Name is the node's name, unique at its controller: lower-case letters, digits, - and _, at most 64 (LIM-10). Empty: the program's
	// name and six random digits.
	Name string

	// Labels are words about the node, such as {"zone": "eu-1"}, which every node at the controller can see (Peer.Labels) and by which calls choose among
	// providers (Where). Names are of lower-case letters, digits, '.', '_' and '-'; at most 16 labels of 1 KiB together (LIM-40). They stay what they are; do not change
	// the map.
	Labels map[string]string

	// Addr is where the controller listens: "unix:///run/app.sock" or "tcp://localhost:8888". Empty: the default unix socket, in
	// $XDG_RUNTIME_DIR/daffi or, where that is unset, in $TMPDIR/daffi-<uid>.
	Addr string

	// Controller is one in this process, joined in memory; Addr must then be empty.
	Controller Controller

	// TokenFile holds the token that a controller on TCP asks for. Empty: where a controller of the same user puts it.
	TokenFile string

	// TLS has the connection encrypted: a *TLS. Nil does not. Its files say who the node is, which is then named like its certificate, and whom it believes to be the controller.
	TLS Security

	// Users are further users of this system, beside the node's own, of whom one may own the controller at a unix socket. Linux only.
	Users []int

	// Insecure is why a node goes without TLS to a controller on another host, as a sentence that is logged at each start. Empty: it does not.
	Insecure string

	// Logger gets what happens to the node's link. Nil: nothing is logged, except by Connect and Run that the controller is awaited.
	Logger *slog.Logger

	// Compression says which messages above 1 KiB are compressed with zstd. Zero: CompressAuto.
	Compression Compression

	// Timeout is the deadline of a unary call whose context has none. 0: 30 s (SEM-5); negative: no deadline.
	Timeout time.Duration

	// Codecs are what //daffi:codec may name beside raw, text and json, which need no registration. Nil: none. Codecs may be registered
	// later, too, before the first call that needs them.
	Codecs *codec.Registry

	// Interceptors run around the calls that the node makes, ServeInterceptors around those that it serves; the first is the outermost. They must not be
	// changed after New.
	Interceptors, ServeInterceptors []Interceptor

	// MaxMessage is the limit of a message, in bytes, before compression and after decompression, at most 1 GiB. 0: 4 MiB (LIM-6). The
	// controller's limit holds too. Messages that are on their way to the node at a time take at most 16 MiB, and if the limit is above that, one more
	// may be as large as the limit.
	MaxMessage int

	// MaxRunning is how many handlers run at a time. 0: 1024; calls made by handlers may use as many again (LIM-11).
	MaxRunning int

	// MaxRunningPerCaller is how many of them run for one node. 0: 256 (LIM-11).
	MaxRunningPerCaller int

	// MaxQueue is how many calls wait for a handler to end, or for the turn of a serial service; one more is refused with ResourceExhausted/busy. Of those
	// over 64 KiB as many wait as have 64 MiB together, or one that has more. 0: 1024 (LIM-11);
	// negative: none wait.
	MaxQueue int

	// ResumeGrace is how long a cut connection may take to come back while calls and streams that use it wait and nobody is told. 0: none where the end of a
	// connection is the end of a process (unix sockets, loopback, in memory), else 500 ms or four round trips, and 5 s after silence; negative: none. More
	// than 0 holds for every connection. It takes effect if the controller's allows it, too.
	ResumeGrace time.Duration

	// ResumeMemory bounds what is kept, for links that may resume, until the controller has acknowledged it, in bytes. A node that must keep more waits before it
	// sends more. 0: 64 MiB (LIM-27).
	ResumeMemory int

	// OnLost is told of one-way calls that fail when nobody waits for them any more: calls of this node with [AckNone] or [After], and calls that this node serves whose handler
	// returns an error. It runs on a goroutine of the node's, one call at a time, and may block and make calls; while 1 024 wait for it, further ones are
	// only counted (LIM-32). Nil: such calls are logged and counted; see [Node.Lost].
	OnLost func(LostCall)

	// OnConnect is told of every connection to a controller: that the node has joined, for the first time or again, or that a cut connection goes on. It may call
	// others through [NodeFrom] of ctx, which ends with the connection. The hooks of a node run one after the other, in the order of what they tell of, on a goroutine of the
	// node's own; one that blocks holds up those that follow, and nothing else. Where they are so slow that 64 events wait, times without a connection that are over are
	// left out as a whole (LIM-37). A panic is logged.
	OnConnect func(ctx context.Context, info ConnInfo)

	// OnDisconnect is told why a connection has ended for good, once for each of which OnConnect was told, but for those that were resumed. The node joins again by itself, unless it
	// was closed: then the error has reason closed.
	OnDisconnect func(err error)

	// OnState is told of every change of [Node.State], once and before what the other hooks have to say of it, also of those that the node itself brings about. The error
	// is why, nil for what should be.
	OnState func(s State, why error)

	// OnPeer is told what [Node.WatchPeers] tells.
	OnPeer func(e PeerEvent)

	// AllowRemoteStop lets the controller's StopNodes shut the node down, as by Shutdown with DrainTimeout; Run then returns nil.
	AllowRemoteStop bool

	// OnStopRequest is asked before that, among the hooks; false refuses. Nil: the node does not refuse.
	OnStopRequest func() bool

	// Limits are bounds that few have a reason to change.
	Limits Limits

	// DrainTimeout is how long Run waits for running calls after its context has ended. 0: 30 s (LIM-23).
	DrainTimeout time.Duration
}

// TLS names the files by which the two ends of a connection know each other.
type TLS = transport.TLS

// Security is a *[TLS].
type Security = transport.Security

// A Controller is one in the same process: *controller.Controller.
type Controller interface {
	// Attach returns the node's end of a new in-memory link, not yet started.
	Attach() (transport.Link, error)
}

// Compression says which messages are compressed; what arrives compressed is always understood.
type Compression uint8

const (
	CompressAuto Compression = iota // what leaves the host, as far as it pays
	CompressOn                      // everything above 1 KiB, as far as it pays
	CompressOff                     // nothing
)

func (c Compression) String() string {
	switch c {
	case CompressAuto:
		return "auto"
	case CompressOn:
		return "on"
	case CompressOff:
		return "off"
	}
	return "unknown"
}

// UnmarshalText reads "auto", "on" or "off", so that a Compression can be a command line flag.
func (c *Compression) UnmarshalText(b []byte) error {
	for _, v := range []Compression{CompressAuto, CompressOn, CompressOff} {
		if v.String() == string(b) {
			*c = v
			return nil
		}
	}
	return &Error{Code: InvalidArgument, Outcome: NotRun, Message: `compression is "auto", "on" or "off"`}
}

// MarshalText is the inverse of UnmarshalText.
func (c Compression) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// Defaults; see Options for what they mean.
const (
	defaultTimeout   = 30 * time.Second
	defaultRunning   = 1024
	defaultPerCaller = 256
	defaultQueue     = 1024
	defaultDrain     = 30 * time.Second
	creditBudget     = 16 << 20 // LIM-13, per link
	assemblyBudget   = 16 << 20 // of large messages on their way, per link (LIM-6)
	vastStep         = 4 << 20  // of a message above it that may be on its way at a time
	maxMessage       = 1 << 30
	maxHeld          = 64 << 20 // of large requests that wait to run (LIM-11)
	closeTimeout     = time.Second
	waitHint         = 3 * time.Second // after which Connect says what it waits for
	workerIdle       = 5 * time.Second
	attendFrom       = 100 * time.Millisecond // that a lone call still has at least, if its caller reads: the end of its context may be noticed 5 ms late
	maxHint          = 128 << 10              // up to which a message's buffer is made as large as the last one was
	maxAttempts      = 3                      // the first and two more (SEM-6), where the call says nothing else
	maxRetries       = 7
	retryPauseMin    = 10 * time.Millisecond
	retryPauseMax    = 100 * time.Millisecond
	backoffMin       = 50 * time.Millisecond // LIM-18
	backoffMaxLocal  = time.Second
	backoffMax       = 5 * time.Second
	handshakeTimeout = 5 * time.Second // LIM-2
	reasonNameTaken  = Reason("name_taken")
)

func (o *Options) setDefaults() {
	def(&o.Timeout, defaultTimeout)
	def(&o.MaxMessage, transport.MaxMessage)
	def(&o.MaxRunning, defaultRunning)
	def(&o.MaxRunningPerCaller, defaultPerCaller)
	def(&o.MaxQueue, defaultQueue)
	def(&o.DrainTimeout, defaultDrain)
	def(&o.ResumeMemory, transport.KeepBytes)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
}

// mostCalls is how many calls may run and wait, but for those that handlers make.
func (o *Options) mostCalls() int64 {
	return min(int64(o.MaxRunning), math.MaxInt64/2) + min(int64(max(o.MaxQueue, 0)), math.MaxInt64/2)
}

func def[T int | time.Duration](v *T, d T) {
	if *v == 0 {
		*v = d
	}
}
