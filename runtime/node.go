package daffi

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	mathrand "math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/daffi-rpc/daffi/runtime/codec"
	"github.com/daffi-rpc/daffi/runtime/internal/control"
	"github.com/daffi-rpc/daffi/runtime/internal/safetext"
	"github.com/daffi-rpc/daffi/runtime/transport"
)

// A Caller leads to a node: *Node. Only daffi implements it; test against a node of package daffitest, or fake your own interface.
type Caller interface{ caller() *Node }

// A Registrar can serve: *Node. Only daffi implements it.
type Registrar interface{ registrar() *Node }

// A Node is this process, or a part of it, among others that joined the same controller. It may serve, call, or both.
//
// Its methods may be used from any goroutine. A node that loses its controller joins again by itself, for ever, until it is closed.
type Node struct {
	opts   Options
	scope  codec.Scope // of every encoder and decoder of users' values
	log    *slog.Logger
	token  [16]byte      // of the session
	stop   chan struct{} // closed by Close
	runner runner
	zstd   *transport.Compressor
	kept   *transport.KeepBudget
	wrong  error // in Options.Limits

	credentials transport.Credentials // nil without TLS

	pendings  sync.Pool // of *pending
	incomings sync.Pool // of *Incoming
	services  services
	admission admission
	hooks     hooks
	work      background
	retries   retryBudget
	table     table
	leases    leases
	current   atomic.Pointer[session] // the joined one
	lates     atomic.Uint64           // frames that came for calls that had ended
	described descriptions            // for calls without generated code
	messages  forwards                // the bindings of SendMsg and RemoteWriter
	lost      losses
	posts     posts
	life      life

	mu      sync.Mutex
	started bool
	closed  bool
	drain   bool
	changed chan struct{}  // closed and replaced when a session joins or the node closes
	lastErr error          // why there is no session
	fatal   error          // why there never will be one, unless there was one before
	links   uint64         // incarnations so far
	looping chan struct{}  // closed when the loop has ended
	peering sync.WaitGroup // of what tells Options.OnPeer
	done    chan struct{}  // closed when the node is closed for good
	ends    sync.Once      // closes it
	dialing context.CancelFunc
}

func (n *Node) caller() *Node    { return n }
func (n *Node) registrar() *Node { return n }

// New returns a node that has not joined yet: register services, then call Run or Join. Nothing is checked or opened before that, but for the name in a certificate.
func New(o Options) *Node {
	n := &Node{
		opts: o, stop: make(chan struct{}), changed: make(chan struct{}), looping: make(chan struct{}), done: make(chan struct{}),
		zstd: transport.NewCompressor(),
	}
	n.opts.setDefaults()
	if n.opts.Name == "" && n.opts.TLS != nil {
		n.opts.Name = transport.CertificateName(n.opts.TLS.Name())
	}
	if n.opts.Name == "" {
		n.opts.Name = generatedName()
	}
	lim := &n.opts.Limits
	n.wrong = lim.settle(n.opts.MaxRunning, n.opts.MaxMessage, strings.HasPrefix(n.opts.Addr, "tcp:"))
	n.scope = codec.Scope{Codecs: n.opts.Codecs, Node: n.opts.Name, Depth: lim.Depth, Memory: lim.DecodeMemory}
	n.log = safetext.Logger(n.opts.Logger).With("node", n.opts.Name)
	rand.Read(n.token[:])
	n.kept = transport.NewKeepBudget(n.opts.ResumeMemory)
	n.admission.node = n
	n.retries.init(lim)
	n.hooks.limit, n.work.limit, n.lost.limit = lim.Hooks, lim.Background, lim.LostMethods
	n.table.init()
	return n
}

// Connect is New and Join.
func Connect(ctx context.Context, o Options) (*Node, error) {
	n := New(o)
	if err := n.Join(ctx); err != nil {
		n.Close()
		return nil, err
	}
	return n, nil
}

// generatedName is the program's name, as far as a node's name may have its letters, and six random digits.
func generatedName() string {
	var b strings.Builder
	for _, r := range strings.ToLower(strings.TrimSuffix(filepath.Base(os.Args[0]), ".exe")) {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			b.WriteRune(r)
		}
	}
	name := b.String()
	if name == "" {
		name = "node"
	}
	var x [3]byte
	rand.Read(x[:])
	return name[:min(len(name), 32)] + "-" + hex.EncodeToString(x[:])
}

// Name is the node's name.
func (n *Node) Name() string { return n.opts.Name }

// Join connects the node to its controller and returns when it has joined and everything registered so far is known there. It waits for
// a controller that is not there yet until ctx ends; it fails at once when waiting cannot help: wrong options, a name that is
// taken, a token that is refused. Once joined, the node stays so by itself.
func (n *Node) Join(ctx context.Context) error {
	if err := n.start(); err != nil {
		return err
	}
	hint := time.NewTimer(waitHint)
	defer hint.Stop()
	for {
		n.mu.Lock()
		changed, fatal, last, closed := n.changed, n.fatal, n.lastErr, n.closed
		n.mu.Unlock()
		switch {
		case closed:
			return errClosed
		case n.current.Load() != nil:
			return nil
		case fatal != nil:
			return fatal
		}
		select {
		case <-changed:
		case <-hint.C:
			n.warnLog().Warn("waiting for the controller", "addr", n.where(), "error", last)
		case <-ctx.Done():
			local := fmt.Sprintf("%s (%v)%s", n.where(), ctx.Err(), lastAttempt(last))
			return &Error{Code: Unavailable, Reason: ReasonLinkLost, Outcome: NotRun, cause: errors.Join(ctx.Err(), last), Message: "no controller at " + local, local: local}
		}
	}
}

// lastAttempt is what is known of why there is no controller.
func lastAttempt(err error) string {
	if err == nil {
		return "; the first attempt was still under way"
	}
	return "; last attempt: " + safetext.Line(err.Error(), safetext.MaxError)
}

// warnLog is the node's logger, or the process's where the user has set none: who waits wants to know for what, and nobody shall go without TLS unknowingly.
func (n *Node) warnLog() *slog.Logger {
	if n.log.Enabled(context.Background(), slog.LevelWarn) {
		return n.log
	}
	return safetext.Logger(slog.Default()).With("node", n.opts.Name)
}

// where is the controller's address, for people.
func (n *Node) where() string {
	if n.opts.Controller != nil {
		return "memory"
	}
	if n.opts.Addr != "" {
		return n.opts.Addr
	}
	if a, err := transport.DefaultAddr(); err == nil {
		return a.String()
	}
	return "the default unix socket"
}

// Run joins and serves until ctx ends, then drains: see Shutdown, which it gives Options.DrainTimeout. It returns nil after a clean end,
// else what kept the node from joining or draining.
func (n *Node) Run(ctx context.Context) error {
	if err := n.Join(ctx); err != nil {
		n.Close()
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	select {
	case <-ctx.Done():
	case <-n.stop:
		<-n.done
		return nil
	}
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), n.opts.DrainTimeout)
	defer cancel()
	return n.Shutdown(drain)
}

var errClosed error = &Error{Code: Unavailable, Reason: ReasonClosed, Outcome: NotRun, Message: "the node is closed"}

// start checks the options and begins to connect, once.
func (n *Node) start() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return errClosed
	}
	if n.started {
		return nil
	}
	dial, err := n.dialer()
	if err != nil {
		return err
	}
	n.started = true
	ctx, cancel := context.WithCancel(context.Background())
	n.dialing = cancel
	n.starts()
	go n.loop(ctx, dial)
	if n.opts.OnPeer != nil {
		n.peering.Go(func() { n.tellPeers(ctx) })
	}
	return nil
}

// dialer returns what makes a link and the token for it.
func (n *Node) dialer() (func(context.Context) (transport.Link, []byte, error), error) {
	invalid := func(err error) error {
		return &Error{Code: InvalidArgument, Outcome: NotRun, Message: err.Error(), cause: err}
	}
	if err := transport.ValidName(n.opts.Name); err != nil {
		return nil, invalid(fmt.Errorf("Options.Name: %w", err))
	}
	if n.wrong != nil {
		return nil, invalid(fmt.Errorf("Options.%w", n.wrong))
	}
	if n.opts.MaxMessage < 0 || n.opts.MaxMessage > maxMessage {
		return nil, invalid(fmt.Errorf("Options.MaxMessage is %d: it must be from 0 to %d", n.opts.MaxMessage, maxMessage))
	}
	if n.opts.MaxRunning < 0 || n.opts.MaxRunningPerCaller < 0 {
		return nil, invalid(fmt.Errorf("Options.MaxRunning is %d and MaxRunningPerCaller %d: they must not be negative", n.opts.MaxRunning, n.opts.MaxRunningPerCaller))
	}
	if n.opts.ResumeMemory < 0 {
		return nil, invalid(fmt.Errorf("Options.ResumeMemory is %d: it must not be negative", n.opts.ResumeMemory))
	}
	if err := control.CheckLabels(labelsOf(n.opts.Labels)); err != nil {
		return nil, invalid(fmt.Errorf("Options.Labels: %w", err))
	}
	if c := n.opts.Controller; c != nil {
		if n.opts.Addr != "" {
			return nil, invalid(errors.New("both Options.Addr and Options.Controller are set: a node joins one controller"))
		}
		if n.opts.TLS != nil {
			return nil, invalid(errors.New("both Options.TLS and Options.Controller are set: a controller in this process is joined in memory, unset one"))
		}
		return func(context.Context) (transport.Link, []byte, error) {
			l, err := c.Attach()
			return l, nil, err
		}, nil
	}
	addr, err := transport.ParseAddr(n.opts.Addr)
	if err != nil {
		return nil, invalid(err)
	}
	how := transport.DialOptions{TokenFile: n.opts.TokenFile, Users: n.opts.Users, Insecure: n.opts.Insecure}
	if n.opts.TLS != nil {
		if n.credentials, err = transport.OpenTLS(n.opts.TLS, n.log); err != nil {
			return nil, invalid(err)
		}
		how.TLS = n.credentials
	}
	if err := n.checkIdentity(addr, &how); err != nil {
		n.closeCredentials()
		return nil, invalid(err)
	}
	return func(ctx context.Context) (transport.Link, []byte, error) {
		c, info, token, err := transport.Dial(ctx, addr, how)
		if err != nil {
			return nil, nil, dialError(err)
		}
		again := func(ctx context.Context) (net.Conn, error) {
			c, _, _, err := transport.Dial(ctx, addr, how)
			return c, err
		}
		return transport.NewDialed(c, info, again), token, nil
	}, nil
}

// checkIdentity says what contradicts itself of how the node is to be known.
func (n *Node) checkIdentity(addr transport.Addr, how *transport.DialOptions) error {
	if err := how.Check(addr); err != nil {
		return err
	}
	if how.TLS != nil && how.TLS.Name() != "" && transport.CertificateName(how.TLS.Name()) != n.opts.Name {
		return fmt.Errorf("the certificate is of %s, and the node is named %q: a node is named like its certificate, also if Options.Name is empty",
			how.TLS.Name(), n.opts.Name)
	}
	if how.Insecure != "" && addr.Network == "tcp" {
		n.warnLog().Warn("the controller is reached without TLS", "addr", addr.String(), "reason", how.Insecure)
	}
	return nil
}

// closeCredentials is called once the node does not dial any more.
func (n *Node) closeCredentials() {
	if n.credentials != nil {
		n.credentials.Close()
	}
}

// dialError gives those errors of a dial a code that another attempt will not cure by itself.
func dialError(err error) error {
	code := Unknown
	switch {
	case errors.Is(err, transport.ErrNotLoopback):
		code = InvalidArgument
	case errors.Is(err, transport.ErrNotTLS):
		code = FailedPrecondition
	case errors.Is(err, transport.ErrUntrusted):
		code = Unauthenticated
	default:
		return err
	}
	return &Error{Code: code, Outcome: NotRun, Message: err.Error(), cause: err}
}

// loop makes one link after the other until the node is closed.
func (n *Node) loop(ctx context.Context, dial func(context.Context) (transport.Link, []byte, error)) {
	defer close(n.looping)
	failures, pauses := 0, 0
	for ctx.Err() == nil {
		joined, err := n.link(ctx, dial, failures+1)
		if joined {
			failures, pauses = 0, 0
		} else {
			failures++
		}
		n.mu.Lock()
		n.lastErr = err
		if !joined && permanent(err) {
			n.fatal = err
		}
		n.wake()
		stopping := n.closed || n.drain
		n.mu.Unlock()
		if stopping || ctx.Err() != nil {
			return
		}
		if failures == 1 || joined {
			n.log.Warn("not connected", "addr", n.where(), "error", err)
		}
		pause(ctx, n.backoff(pauses))
		pauses++
	}
}

// permanent reports whether the controller's refusal will be the same the next time.
func permanent(err error) bool {
	switch CodeOf(err) {
	case AlreadyExists, PermissionDenied, Unauthenticated, InvalidArgument, FailedPrecondition:
		return true
	}
	return false
}

// backoff is a pause with full jitter (LIM-18), behind so many others since the node has joined.
func (n *Node) backoff(pauses int) time.Duration {
	most := n.opts.Limits.ReconnectMin
	for range pauses {
		if most = min(2*most, n.opts.Limits.ReconnectMax); most == n.opts.Limits.ReconnectMax {
			break
		}
	}
	return time.Duration(mathrand.Int64N(int64(most)) + 1)
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// link makes one link and stays until it ends.
func (n *Node) link(ctx context.Context, dial func(context.Context) (transport.Link, []byte, error), attempt int) (joined bool, err error) {
	l, token, err := dial(ctx)
	if err != nil {
		return false, err
	}
	n.mu.Lock()
	n.links++
	s := newSession(n, l, n.links, token)
	n.mu.Unlock()
	transport.Limit(l, n.opts.Limits.link())
	l.Start(s)
	defer l.Wait()
	if err := s.join(ctx); err != nil {
		l.Close(err)
		return false, err
	}
	n.mu.Lock()
	if n.closed {
		n.mu.Unlock()
		l.Close(errClosed)
		return true, errClosed
	}
	n.current.Store(s)
	missed := n.services.list()
	n.lastErr, n.fatal = nil, nil
	n.connected(s, attempt)
	n.wake()
	n.mu.Unlock()
	n.table.joined(s)
	// What was registered while the session joined has seen no session, and the session not it. What is registered from now on is announced by whoever does it, who is told if it is refused.
	announce, cancel := context.WithTimeout(ctx, handshakeTimeout)
	err = announceAll(announce, s, missed)
	if err != nil {
		l.Close(err)
	}
	cancel()
	n.redeclare(ctx, s)
	n.log.Info("joined", "addr", n.where(), "session", s.number, "controller", s.welcome.Name, "zstd", n.opts.Compression)
	<-s.ended
	return true, s.err
}

// wake lets everybody who waits for a session look again. Call with mu held.
func (n *Node) wake() {
	close(n.changed)
	n.changed = make(chan struct{})
}

// session is the joined session; without one it waits for it until ctx ends.
func (n *Node) session(ctx context.Context) (*session, error) {
	if s := n.current.Load(); s != nil {
		return s, nil
	}
	for {
		n.mu.Lock()
		s, changed, closed, last := n.current.Load(), n.changed, n.closed, n.lastErr
		n.mu.Unlock()
		switch {
		case s != nil:
			return s, nil
		case closed:
			return nil, errClosed
		}
		select {
		case <-changed:
		case <-n.looping: // it leaves, and has lost its controller: there is no other session
			return nil, errClosed
		case <-ctx.Done():
			e := notSent(ctx, "")
			e.local = n.where() + lastAttempt(last)
			e.Message += " while waiting for the controller at " + e.local
			return nil, e
		}
	}
}

// left forgets a session that has ended.
func (n *Node) left(s *session) {
	n.current.CompareAndSwap(s, nil)
	n.table.left(s)
}

// Shutdown leaves in order: the controller stops sending calls here, running ones are waited for, and so are the node's own calls in the background and delayed ones, of which
// no further ones are taken then, and the node is closed. When ctx ends first, what still runs is cancelled, and ctx's error is returned. It may be called at any time, from any goroutine, more than once.
func (n *Node) Shutdown(ctx context.Context) error {
	n.mu.Lock()
	n.drain = true
	n.mu.Unlock()
	n.drains()
	var err error
	s := n.current.Load()
	if s != nil {
		if err = s.drainCalls(ctx); err == nil {
			err = s.served.wait(ctx)
		}
	}
	if err == nil {
		err = n.admission.drained(ctx)
	}
	if err == nil {
		err = n.work.drain(ctx)
	}
	if err != nil {
		n.Close()
		return err
	}
	flush := n.opts.DrainTimeout
	if d, ok := ctx.Deadline(); ok {
		flush = time.Until(d)
	}
	if s != nil {
		defer context.AfterFunc(ctx, func() { s.link.Close(errClosed) })()
	}
	return n.close(flush)
}

// Close leaves at once: handlers' contexts end, calls under way fail with Unavailable/closed. It takes no longer than a second, does
// not wait for handlers that ignore their context, and may be called more than once.
func (n *Node) Close() error { return n.close(closeTimeout / 2) }

// close gives what was said last the time to be sent, and handlers half of closeTimeout to end.
func (n *Node) close(flush time.Duration) error {
	n.mu.Lock()
	first := !n.closed
	n.closed = true
	started, dialing := n.started, n.dialing
	if first {
		close(n.stop)
		n.wake()
	}
	n.mu.Unlock()
	n.admission.close() // first, or what waits would run in place of what is cancelled
	n.work.close()
	if s := n.current.Load(); s != nil {
		s.goodbye(flush)
	}
	if started {
		dialing()
		<-n.looping
		n.closeCredentials()
		n.peering.Wait()
	}
	n.closes()
	defer n.ends.Do(func() { close(n.done) })
	done := make(chan struct{})
	go func() {
		n.runner.close()
		n.work.wait(context.Background())
		n.hooks.close()
		n.zstd.Close()
		close(done)
	}()
	t := time.NewTimer(closeTimeout / 2)
	defer t.Stop()
	select {
	case <-done:
	case <-t.C:
		n.log.Warn("closed while handlers or hooks were still running; they have ignored the end of their contexts")
	}
	return nil
}

// Done is closed when the node is: its links have ended, and so have its handlers and hooks, or the time that they were given.
func (n *Node) Done() <-chan struct{} { return n.done }

func (n *Node) isClosed() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.closed
}

// decompress unpacks a message of the peer, up to limit bytes, once room has let it in; see [transport.Compressor.Unpack].
func (n *Node) decompress(b []byte, limit int, room func(size int) error) (*transport.Buffer, error) {
	raw, err := n.zstd.Unpack(b, limit, room)
	if _, ok := err.(*Error); ok {
		return nil, err
	}
	if err != nil {
		return nil, &Error{Code: InvalidArgument, Reason: ReasonDecode, Message: err.Error(), cause: err}
	}
	return raw, nil
}

// compress packs a message, if it pays; w remembers for each method whether it did.
func (n *Node) compress(b []byte, w *transport.Worth) (*transport.Buffer, bool) {
	if !w.Try(len(b)) {
		return nil, false
	}
	packed := transport.NewBuffer(len(b))
	packed.B = n.zstd.Compress(packed.B, b)
	if !w.Saw(len(b), len(packed.B)) {
		packed.Release()
		return nil, false
	}
	return packed, true
}
