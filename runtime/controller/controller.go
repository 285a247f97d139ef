package controller

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/daffi-rpc/daffi/runtime/internal/safetext"
	"github.com/daffi-rpc/daffi/runtime/transport"
)

// Options say how a controller works. The zero value is a good default; limits must not be negative unless it says so.
type Options struct {
	// Addr is where [Listen] listens: "tcp://127.0.0.1:8888", "unix:///path/of.sock", or empty for the default unix socket of this user.
	Addr string
	// Name is what nodes see; empty means "controller".
	Name string
	// TokenFile holds the token of a TCP address, 64 hexadecimal digits. Empty means that the controller makes one, in a file that nodes
	// of the same user find by themselves.
	TokenFile string
	// TokensFile holds the hashes of the tokens of several nodes, for TLS without client certificates: on each line a token's SHA-256 in hexadecimal digits and the
	// name of the node that has it, in which one * stands for anything; what follows # is a comment. It is read again when it changes.
	TokensFile string
	// TLS has connections encrypted, nil does not. With a CAFile nodes must have certificates of that authority, and are named like them; without, they need tokens.
	TLS *TLS
	// Users are further users of this system, beside the controller's own, whose nodes may join at a unix socket. Linux only.
	Users []int
	// Insecure is why the controller listens without TLS where other hosts reach it, as a sentence that is logged at each start. Empty: it does not.
	Insecure string
	// Logger gets joins, leaves, refusals and broken links, never payloads; nil discards them.
	Logger *slog.Logger

	PingInterval     time.Duration // of a silent link; 0 means 5 s (LIM-17)
	DeadInterval     time.Duration // after which a silent node is dead; 0 means 15 s (LIM-17)
	HandshakeTimeout time.Duration // from accept, TLS handshake included, until the node has joined; 0 means 5 s (LIM-2)
	MaxMessage       int           // bytes of one message; 0 means 4 MiB (LIM-6)
	MaxNodes         int           // nodes at a time; 0 means 8 192 (LIM-4)

	// MaxPending is how many links there may be at a time that are not authenticated, without those in memory; 0 means 256 (LIM-3). For one more the oldest gives way of those
	// that have said Hello or of those that have not, whichever are more.
	MaxPending int
	// MaxPendingPerAddress is how many of them one address of TCP may have, or one /64 of IPv6; 0 means 64 (LIM-3). For one more another of that address gives way.
	MaxPendingPerAddress int
	// MaxAuthFailures is how many wrong proofs an address may send within a minute; 0 means 10, negative any number (LIM-21). With the last of them it is barred: its connections are closed
	// as they are accepted, for AuthFailurePause. Those that nodes have joined over stay. Loopback addresses are never barred: whoever has an account on the
	// host could keep everybody else out.
	MaxAuthFailures  int
	AuthFailurePause time.Duration // 0 means 1 min

	// EjectAfter is how many failures of a node in a row leave it out of the choice of calls that name no provider and have no key, for 1 s and twice as long each further time, up to 30 s
	// (LIM-42): calls that its handlers have panicked in, or that it has refused without being busy or about to leave. An error that a handler returns is none. 0 means 5; negative
	// means that no node is left out.
	EjectAfter int

	// ResumeGrace is how long a cut connection may take to come back while its node is held to be there. 0 means none where the end of a connection is the end of a
	// process (unix sockets, loopback, in memory), else 500 ms or four round trips, and 5 s after silence; negative means none. More than 0 holds
	// for every connection. Nodes have the same option, and both must allow it.
	ResumeGrace time.Duration
	// ResumeMemory bounds what is kept, for links that may resume, until their nodes have acknowledged it, in bytes; 0 means 64 MiB (LIM-27). What must be kept
	// beyond it waits.
	ResumeMemory int

	// Store keeps schedules, so that they survive the controller (SEM-12); package boltstore has one in a file. Nil means that they end with the controller. It must
	// not be shared, and is closed by whoever has opened it, after the controller.
	Store Store
	// MaxSchedules is how many schedules one node may have at a time; 0 means 1 000 (LIM-19).
	MaxSchedules int

	// Limits are bounds that few have a reason to change.
	Limits Limits

	// Policy is the file that says which node may do what (SEM-26); docs/semantics.md has its form. It is read again when it changes; one that cannot be used, or that others can write, changes nothing, and is logged. Empty
	// means that every node may call, serve, schedule and watch everything.
	Policy string
	// PolicyDryRun refuses nothing: what the policy would deny is logged, once for each node, action and method.
	PolicyDryRun bool

	// OnNodeJoined and OnNodeLeft are told who is there, one call after the other, on a goroutine of the controller's own. A node whose connection is to be resumed has not left. One that
	// blocks holds up further ones; what happens to a name meanwhile is told as what has become of it, so of a node that has come and gone nothing. Close waits for them for at most a
	// second. A panic is logged.
	OnNodeJoined func(name string)
	OnNodeLeft   func(name string, why LeftReason)
}

// TLS names the files by which the two ends of a connection know each other.
type TLS = transport.TLS

// Bounds that are not options, and defaults of [Limits].
const (
	nameWait      = 250 * time.Millisecond // for a name whose session may be about to end
	maxWaiters    = 16                     // for one name (LIM-55)
	tablePause    = 20 * time.Millisecond  // between two changes that a watcher is told of
	refuseTimeout = time.Second            // for handing over why a node was refused
	flushTimeout  = 10 * time.Second       // for handing over what is queued at a shutdown without a deadline
	drainTimeout  = 30 * time.Second       // for calls under way at one (LIM-23)
	drainTick     = 5 * time.Millisecond   // between looks at them
	maxMethods    = 1024                   // of one node (LIM-19)
	maxResolved   = 4096                   // methods in one question
	maxInterned   = 16384                  // routes that one session may add
	maxInternedBy = 8 << 20                // bytes of their names, signatures and documentation
	maxRoutes     = 1 << 20                // of all sessions that are there
	maxRouteBytes = 256 << 20              // of their names, signatures and documentation
	maxViews      = 1024                   // of one route: the choices that calls are made with
	maxViewsPart  = 4                      // of them one session may add such a part
	leastViews    = 64                     // or as many, if that is more: what a proxy remembers
	maxGroup      = 256                    // routes of one method that are compared; of further ones only equal ones meet
	maxGroupBy    = maxGroup / 4           // of them, that one session may add
	maxNamed      = 1 << 16                // routes that one session may name, old and new
	maxCompared   = 16384                  // pairs of signatures that are compared for one session
	maxAsked      = 8192                   // descriptions that one session is asked for and has not given
	pageBytes     = 56 << 10               // of one answer about a service
	tableBytes    = 48 << 10               // of the names in one node's row of the table
)

var (
	errReplaced  = errors.New("the same node joined by a newer link")
	errSlow      = errors.New("handshake took too long")
	errCrowded   = errors.New("too many links that are not authenticated")
	errBarred    = errors.New("too many wrong proofs from this address")
	errGoodbye   = errors.New("goodbye")
	errShutdown  = errors.New("controller shuts down")
	errMemory    = errors.New("the node does not take what waits for it, and memory runs short")
	errNoSession = errors.New("no such session")
	errOtherPeer = errors.New("the peer is another than the session's")
	errBadOption = errors.New("options of the controller")
)

// Controller routes calls between the nodes that joined it. Its methods may be called from any goroutine.
type Controller struct {
	opts        Options
	log         *slog.Logger
	incarnation [16]byte
	began       time.Time
	addr        string
	wrong       error        // in Options.Limits
	unlisten    func() error // ends the accept loop

	routes  *routes
	counts  counters
	access  access
	gate    *gate
	kept    *transport.KeepBudget
	memory  *memory
	closing chan struct{} // closed by Close
	compare func(caller, provider string) error

	draining atomic.Bool // no calls are let in

	schedules *scheduler

	wg sync.WaitGroup // one for each link until it has ended, and the goroutines of ours

	mu         sync.Mutex
	remarks    remarks
	closed     bool // nothing new is served
	links      map[*session]struct{}
	names      map[string]*session
	waiting    map[string][]*session // for a name, in order of arrival
	waiters    int                   // all of them
	refusing   int                   // links that are being told why they are refused
	sessions   []*session            // that joined, by number
	lastNumber uint32
	services   map[string]map[*session]*registration
	routeIndex map[routeKey]*route
	routeBytes int                   // of what is remembered of routes
	groups     map[methodKey]*group  // where the next route of a method belongs, as long as there is room
	served     map[string][]*route   // by service: those with providers, by method and number
	spoken     map[string]*service   // of which there are routes
	catchers   map[string][]provider // by prefix: who takes what nobody serves, by session number
	catching   atomic.Int32          // how many there are
	watchers   map[*session]*watcher
	revision   uint64
	ejections  uint64 // of nodes that fail
	roused     []*awaiting
	dirty      map[uint32]struct{} // sessions that changed and of which watchers were not told
	pause      *time.Timer         // runs while watchers are not told; nil otherwise
	roll       roll
	ended      []transport.Link // that the reaper is to wait for
	reaping    bool
}

// New returns a controller that listens nowhere: nodes of this process join it by [Controller.Attach].
//
// It panics if an option makes no sense or the store cannot be read, where [Listen] returns an error.
func New(o Options) *Controller {
	c := build(o)
	if err := c.check(); err != nil {
		panic(err)
	}
	if err := c.openPolicy(); err != nil {
		panic(err)
	}
	if err := c.schedules.load(); err != nil {
		panic(err)
	}
	c.watchPolicy()
	return c
}

func build(o Options) *Controller {
	c := &Controller{
		opts:       o,
		log:        o.Logger,
		began:      time.Now(),
		unlisten:   func() error { return nil },
		closing:    make(chan struct{}),
		compare:    understands,
		links:      map[*session]struct{}{},
		names:      map[string]*session{},
		waiting:    map[string][]*session{},
		services:   map[string]map[*session]*registration{},
		routeIndex: map[routeKey]*route{},
		groups:     map[methodKey]*group{},
		served:     map[string][]*route{},
		spoken:     map[string]*service{},
		catchers:   map[string][]provider{},
		watchers:   map[*session]*watcher{},
		dirty:      map[uint32]struct{}{},
	}
	if c.log == nil {
		c.log = slog.New(slog.DiscardHandler)
	}
	c.log = safetext.Logger(c.log)
	or(&c.opts.Name, "controller")
	or(&c.opts.PingInterval, 5*time.Second)
	or(&c.opts.DeadInterval, 3*c.opts.PingInterval)
	or(&c.opts.HandshakeTimeout, 5*time.Second)
	or(&c.opts.MaxMessage, transport.MaxMessage)
	or(&c.opts.MaxNodes, 8192)
	or(&c.opts.EjectAfter, ejectAfter)
	or(&c.opts.MaxPending, 256)
	or(&c.opts.MaxPendingPerAddress, 64)
	or(&c.opts.MaxAuthFailures, 10)
	or(&c.opts.AuthFailurePause, time.Minute)
	or(&c.opts.ResumeMemory, transport.KeepBytes)
	or(&c.opts.MaxSchedules, 1000)
	c.gate = newGate(&c.opts, &c.counts)
	c.wrong = c.opts.Limits.settle(&c.opts)
	c.kept = transport.NewKeepBudget(c.opts.ResumeMemory)
	c.memory = newMemory(c)
	rand.Read(c.incarnation[:])
	c.routes = newRoutes()
	c.schedules = newScheduler(c)
	return c
}

// Listen is [New] and takes nodes at the address of the options as well. Its ctx bounds only the start. If another controller listens there
// the error matches [transport.ErrInUse].
func Listen(ctx context.Context, o Options) (*Controller, error) {
	c := build(o)
	if err := c.check(); err != nil {
		return nil, err
	}
	if err := c.openPolicy(); err != nil {
		return nil, err
	}
	addr, err := transport.ParseAddr(o.Addr)
	if err != nil {
		return nil, err
	}
	ln, err := transport.Listen(ctx, addr, transport.ListenOptions{
		TokenFile: o.TokenFile, TokensFile: o.TokensFile, TLS: o.TLS, Users: o.Users, Insecure: o.Insecure, Logger: c.log,
		Report: func(err error) { c.gate.note(c.log, slog.LevelWarn, "accepting", "reason", cut(err.Error())) },
	})
	if err != nil {
		return nil, err
	}
	if err := c.schedules.load(); err != nil { // not before it is sure that the controller begins: runs do, too
		return nil, errors.Join(err, ln.Close())
	}
	c.addr = ln.Addr().String()
	c.unlisten = ln.Close
	c.log.Info("controller listens", "addr", c.addr, "name", c.opts.Name, "authenticates", ln.Authenticates())
	c.warnInsecure(ln.Authenticates())
	c.watchPolicy()
	c.wg.Go(func() { c.accept(ln) })
	return c, nil
}

// or sets what was left zero.
func or[T comparable](v *T, fallback T) {
	var zero T
	if *v == zero {
		*v = fallback
	}
}

// keepalive lets idle nodes ping first, by a sixteenth, since one Ping and its Pong tell both sides: were both to ask at the same time, as they would after each
// exchange, an idle link would cost twice as much. The controller itself looks at all links of a sixteenth at once.
func (o *Options) keepalive() transport.KeepaliveOptions {
	ping, dead := o.PingInterval, o.DeadInterval
	part := min(ping, dead-ping) / 16
	return transport.KeepaliveOptions{Ping: ping + part, Dead: dead, Stop: dead, Grid: part}
}

// check says which option makes no sense.
func (c *Controller) check() error {
	o := &c.opts
	switch {
	case c.wrong != nil:
		return c.wrong
	case transport.ValidName(o.Name) != nil:
		return fmt.Errorf("%w: Name: %w", errBadOption, transport.ValidName(o.Name))
	case o.PingInterval < time.Millisecond || o.DeadInterval <= o.PingInterval || o.DeadInterval > 24*time.Hour:
		return fmt.Errorf("%w: PingInterval is %v and DeadInterval %v: want at least 1ms, the latter longer, and at most a day",
			errBadOption, o.PingInterval, o.DeadInterval)
	case o.PolicyDryRun && o.Policy == "":
		return fmt.Errorf("%w: PolicyDryRun without a Policy: there is nothing to try", errBadOption)
	case o.HandshakeTimeout < 0 || o.MaxMessage < 0 || o.MaxMessage > 1<<30 || o.MaxNodes < 0 || o.MaxPending < 0 || o.MaxPendingPerAddress < 0 || o.AuthFailurePause < 0 || o.ResumeMemory < 0 || o.MaxSchedules < 0:
		return fmt.Errorf("%w: HandshakeTimeout, MaxMessage (at most 1 GiB), MaxNodes, MaxPending, MaxPendingPerAddress, AuthFailurePause, ResumeMemory and MaxSchedules must not be negative", errBadOption)
	}
	return nil
}

// Addr is the address that the controller listens on, in the form that nodes take, or empty if it listens nowhere.
func (c *Controller) Addr() string { return c.addr }

// Attach returns the node's end of a new link in memory. It returns [transport.ErrClosed] after Close or Shutdown.
func (c *Controller) Attach() (transport.Link, error) {
	a, b := transport.Pipe()
	if !c.serve(b, credentials{}) {
		return nil, transport.ErrClosed
	}
	return a, nil
}

// Serve authenticates the peer of l and serves it, as if it had been accepted. A nil token asks for no proof: the caller knows the peer.
func (c *Controller) Serve(l transport.Link, token []byte) { c.serve(l, credentials{token: token}) }

func (c *Controller) serve(l transport.Link, known credentials) bool {
	info := l.Info()
	v := c.gate.enter(&info, l.Close)
	if v == nil {
		l.Close(transport.ErrClosed)
		return false
	}
	return c.attend(l, known, v)
}

// accept lets in who connects.
func (c *Controller) accept(ln *transport.Listener) {
	for {
		c.gate.settle()
		conn, info, err := ln.Accept()
		if err != nil {
			return
		}
		v := c.gate.enter(&info, func(error) { conn.Close() })
		switch {
		case v == nil:
			conn.Close()
		case c.opts.TLS == nil: // nothing to wait for
			c.secure(ln, conn, info, v)
		default:
			c.wg.Go(func() { c.secure(ln, conn, info, v) })
		}
	}
}

// secure makes a link of a connection. What it waits for the gate ends by closing the connection, so it needs no time of its own.
func (c *Controller) secure(ln *transport.Listener, conn net.Conn, info transport.Info, v *visitor) {
	secured, info, err := ln.Secure(context.Background(), conn, info)
	if err != nil {
		if errors.Is(err, transport.ErrUntrusted) {
			v.fail()
		}
		if v.leave() == nil {
			c.counts.refused.Add(1)
		}
		c.gate.note(c.log, slog.LevelWarn, "connection turned away", "remote", info.Remote, "reason", cut(err.Error()))
		return
	}
	c.attend(transport.NewConn(secured, info), credentials{token: ln.Token(), tokens: ln.Tokens()}, v)
}

// attend begins to serve a link.
func (c *Controller) attend(l transport.Link, known credentials, v *visitor) bool {
	s := &session{c: c, link: l, known: known, visitor: v}
	transport.Limit(l, c.link())
	err := v.link(l.Close)
	c.mu.Lock()
	if c.closed {
		err = transport.ErrClosed
	}
	if err != nil {
		c.mu.Unlock()
		v.leave()
		l.Close(err)
		return false
	}
	c.wg.Add(1)
	c.links[s] = struct{}{}
	c.mu.Unlock()
	l.Start(s)
	return true
}

// Shutdown lets no node and no call in any more, but for calls that handlers make, and waits until those under way have ended, for at most nine tenths of what ctx allows, or
// 30 s where it has no deadline (LIM-23). Then it says goodbye to every node, and closes their links when everything queued was handed over or ctx ends. Then it is closed, as by Close. It
// may be called again, and at any time.
func (c *Controller) Shutdown(ctx context.Context) error {
	_, err := c.refuseNew()
	c.drainCalls(ctx)
	links, _ := c.refuseNew()
	timeout := flushTimeout
	if d, ok := ctx.Deadline(); ok {
		timeout = time.Until(d) + time.Second // ctx shall be what ends it
	}
	var wg sync.WaitGroup
	for _, l := range links {
		l.Enqueue(transport.Frame{Header: transport.Header{Kind: transport.Goodbye, Flags: transport.Bulk}})
		wg.Go(func() { l.Finish(errShutdown, timeout) })
	}
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	select {
	case <-done:
	case <-c.closing:
	case <-ctx.Done():
		err = errors.Join(err, ctx.Err())
	}
	c.Close()
	<-done // Close has closed the links, so Finish has nothing to wait for
	return err
}

// drainCalls waits until no call is under way. Nothing tells of that, since calls pay nothing for it: it looks now and then.
func (c *Controller) drainCalls(ctx context.Context) {
	c.draining.Store(true)
	timeout := drainTimeout
	if d, ok := ctx.Deadline(); ok {
		timeout = time.Until(d) / 10 * 9
	}
	deadline := time.Now().Add(timeout)
	tick := time.NewTicker(drainTick)
	defer tick.Stop()
	for c.busy() && time.Now().Before(deadline) {
		select {
		case <-tick.C:
		case <-c.closing:
			return
		case <-ctx.Done():
			return
		}
	}
}

// busy reports whether a node has made a call that has not ended.
func (c *Controller) busy() bool {
	c.mu.Lock()
	sessions := slices.Clone(c.sessions)
	c.mu.Unlock()
	return slices.ContainsFunc(sessions, func(s *session) bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.calls.live > 0
	})
}

// refuseNew lets nobody in from now on and returns the links that there are.
func (c *Controller) refuseNew() ([]transport.Link, error) {
	c.mu.Lock()
	c.closed = true
	if c.pause != nil {
		c.pause.Stop()
	}
	links := make([]transport.Link, 0, len(c.links))
	for s := range c.links {
		links = append(links, s.link)
	}
	c.mu.Unlock()
	c.gate.close()
	c.schedules.halt()
	return links, c.unlisten()
}

// Close ends every link at once, and returns when every goroutine of the controller has ended. Its error is about what listening has left
// behind, the same each time.
func (c *Controller) Close() error {
	links, err := c.refuseNew()
	c.mu.Lock()
	select {
	case <-c.closing:
	default:
		close(c.closing)
	}
	c.mu.Unlock()
	for _, l := range links {
		l.Close(transport.ErrClosed)
	}
	c.memory.close()
	if c.access.files != nil {
		c.access.files.Close()
	}
	c.wg.Wait()
	c.awaitHooks()
	return err
}

// reap waits for the goroutines of a link whose handler was told of its end, on a goroutine that ends when there is none left.
func (c *Controller) reap(l transport.Link) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended = append(c.ended, l)
	if !c.reaping {
		c.reaping = true
		c.wg.Go(c.reaper)
	}
}

func (c *Controller) reaper() {
	c.mu.Lock()
	for len(c.ended) > 0 {
		links := c.ended
		c.ended = nil
		c.mu.Unlock()
		for _, l := range links {
			l.Wait()
			c.wg.Done()
		}
		c.mu.Lock()
	}
	c.reaping = false
	c.mu.Unlock()
}

// batch is a list of links to flush once everything is enqueued.
type batch []transport.Link

// add notes a link. It looks back a little, so that a run of frames for few links notes each once; flushing twice does no harm.
func (b *batch) add(l transport.Link) {
	n := len(*b)
	for i := n - 1; i >= 0 && i >= n-8; i-- {
		if (*b)[i] == l {
			return
		}
	}
	*b = append(*b, l)
}

// take notes all links of another batch, which is empty then.
func (b *batch) take(other *batch) {
	for _, l := range *other {
		b.add(l)
	}
	*other = (*other)[:0]
}

// flush must not be called with a lock held.
func (b *batch) flush() {
	if w := b.flushHere(); w != nil {
		w.Elsewhere()
	}
}

// flushHere is flush, and returns work for whoever delivers, if there is just one.
func (b *batch) flushHere() (work transport.Work) {
	links := *b
	*b = nil
	for i, l := range links {
		links[i] = nil
		w := l.FlushHere()
		switch {
		case work == nil:
			work = w
		case w != nil:
			w.Elsewhere()
		}
	}
	if cap(links) <= 256 && *b == nil {
		*b = links[:0]
	}
	return work
}
