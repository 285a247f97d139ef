package transport

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"
)

var (
	// ErrInUse: another controller, or another program, listens at the address.
	ErrInUse = errors.New("address in use")
	// ErrNotLoopback: the address can be reached from other hosts, which is refused without TLS.
	ErrNotLoopback = errors.New("not a loopback address")
	// ErrNoController: nobody listens at the address.
	ErrNoController = errors.New("no controller")
	// errLocked: another process holds the lock.
	errLocked = errors.New("locked")
)

// Pauses of Accept after an error of the system, doubling from the first to the last.
const (
	minAcceptPause = 5 * time.Millisecond
	maxAcceptPause = time.Second
)

// probeTimeout is how long a socket that is in the way may take to answer.
const probeTimeout = time.Second

// ListenOptions says how to listen. The zero value is a good default.
type ListenOptions struct {
	// TokenFile is where the token for a TCP address lies; "" is a file in [RuntimeDir] that is named after the address. A file that
	// is there already must hold a token and is kept, else one is made and removed by Close. Unix sockets need no token.
	TokenFile string
	// TokensFile holds the hashes of tokens of several nodes, for TLS without a CAFile; see [Tokens].
	TokensFile string
	// TLS has connections encrypted, nil does not. With a CAFile peers must have certificates, else tokens.
	TLS *TLS
	// Users are further users who may connect to a unix socket, which then has the mode 0666. Linux only.
	Users []int
	// Insecure is why an address may do without what it would need: TLS, where other hosts reach it, and a token. Empty: it may not.
	Insecure string
	// Logger gets what happens to the files of TLS and TokensFile; nil discards it.
	Logger *slog.Logger
	// Report is told what Accept overcomes by itself: the system's errors, which it retries, and peers that it turns away. It is called
	// by Accept; nil is fine.
	Report func(error)
}

// A Listener takes connections at one address: a unix socket or a port.
type Listener struct {
	ln     net.Listener
	addr   Addr
	mode   string
	token  []byte
	tokens *Tokens
	tls    Credentials
	users  []int
	report func(error)
	undo   []func() error // what Close does, last first

	closing  sync.Once
	closed   chan struct{}
	closeErr error
}

// Listen binds exactly the given address; ctx bounds only that. A TCP address that other hosts can reach needs TLS. If another controller listens there the error
// matches [ErrInUse]. What a controller that died has left behind is removed; anything else that is in the way stays and is an error.
//
// A host is bound at one address: a name that has several is refused. [::] stands for those of IPv6 alone, 0.0.0.0 for those of IPv4, and an empty host for both.
//
// A unix socket has the mode 0600 from the start. While it is listened at, a lock is held on the file of that name with .lock at the
// end, on systems that have such locks; without, two controllers that start over the remains of a third at the same moment could disturb each
// other.
func Listen(ctx context.Context, a Addr, o ListenOptions) (*Listener, error) {
	if err := a.check(); err != nil {
		return nil, fmt.Errorf("listening at %v: address %w: %s", a, err, accepted)
	}
	l := &Listener{addr: a, users: o.Users, report: o.Report, closed: make(chan struct{})}
	if l.report == nil {
		l.report = func(error) {}
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if err := l.listen(ctx, &o); err != nil {
		return nil, fmt.Errorf("listening at %v: %w", a, errors.Join(err, l.Close()))
	}
	return l, nil
}

func (l *Listener) listen(ctx context.Context, o *ListenOptions) (err error) {
	var at []netip.AddrPort
	if l.addr.Network == "tcp" {
		if at, err = resolve(ctx, l.addr.Path); err != nil {
			return err
		}
	}
	if l.mode, err = o.authenticates(l.addr, at); err != nil {
		return err
	}
	if l.addr.Network == "unix" {
		return l.listenUnix(ctx)
	}
	if o.TLS != nil {
		if l.tls, err = o.TLS.open(true, o.Logger); err != nil {
			return err
		}
		l.undo = append(l.undo, func() error { l.tls.Close(); return nil })
	}
	if err := l.listenTCP(ctx, at); err != nil {
		return err
	}
	if o.TokensFile != "" {
		if l.tokens, err = openTokens(o.TokensFile, o.TLS.Every, o.Logger); err != nil {
			return err
		}
		l.undo = append(l.undo, l.tokens.close)
		return nil
	}
	if l.mode != ByToken && l.mode != ByTokenTLS {
		return nil
	}
	return l.openToken(o.TokenFile)
}

func (l *Listener) listenUnix(ctx context.Context) error {
	path, err := filepath.Abs(l.addr.Path) // Close must find it whatever the working directory is then
	if err != nil {
		return err
	}
	if err := checkParent(path); err != nil {
		return fmt.Errorf("%w: choose a directory of this user", err)
	}
	unlock, err := lockFile(path + ".lock")
	if errors.Is(err, errLocked) {
		return fmt.Errorf("%w: another controller holds %s.lock; stop it, or choose another address", ErrInUse, path)
	}
	if err != nil {
		return err
	}
	l.undo = append(l.undo, unlock)
	if err := clearSocket(ctx, path); err != nil {
		return err
	}
	mode := os.FileMode(0o600)
	if len(l.users) > 0 {
		mode = 0o666 // and Accept looks who it is
	}
	// As it was given, since the absolute path may be too long.
	ln, err := bindSocket(ctx, l.addr.Path, mode)
	if err != nil {
		return err
	}
	l.ln = ln
	made, err := os.Lstat(path)
	l.undo = append(l.undo, ln.Close)
	if err != nil {
		return err
	}
	l.undo = append(l.undo, func() error {
		if now, err := os.Lstat(path); err != nil || !os.SameFile(now, made) {
			return nil // somebody else removed it
		}
		return os.Remove(path)
	})
	return nil
}

// clearSocket removes a socket at which nobody listens any more. The lock must be held.
func clearSocket(ctx context.Context, path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	switch {
	case info.Mode()&os.ModeSymlink != 0:
		return fmt.Errorf("%s is a symbolic link, which is not followed: remove it, or choose another address", path)
	case info.Mode()&os.ModeSocket == 0:
		return fmt.Errorf("%s is not a socket and stays: remove it, or choose another address", path)
	}
	d := net.Dialer{Timeout: probeTimeout}
	c, err := d.DialContext(ctx, "unix", path)
	if err == nil {
		c.Close()
		return fmt.Errorf("%w: somebody answers there without holding %s.lock; stop it, or choose another address", ErrInUse, path)
	}
	if !errors.Is(err, connRefused) {
		return fmt.Errorf("%s is a socket, and whether somebody listens there is not known: %w: remove it if it is a remnant", path, err)
	}
	return os.Remove(path)
}

func (l *Listener) listenTCP(ctx context.Context, at []netip.AddrPort) error {
	host, _, _ := net.SplitHostPort(l.addr.Path)
	if len(at) > 1 && !isLoopback(at) {
		return fmt.Errorf("%s has %d addresses: choose one, such as %v", host, len(at), at[0])
	}
	var config net.ListenConfig
	config.SetMultipathTCP(false) // there is one path, and it lacks socket options
	network := "tcp4"
	switch {
	case host == "":
		network = "tcp"
	case at[0].Addr().Is6():
		network = "tcp6"
	}
	ln, err := config.Listen(ctx, network, at[0].String())
	if errors.Is(err, addrInUse) {
		return fmt.Errorf("%w: another program listens there; stop it, or choose another port, or 0 for a free one", ErrInUse)
	}
	if err != nil {
		return err
	}
	l.ln = ln
	l.undo = append(l.undo, ln.Close)
	l.addr.Path = ln.Addr().(*net.TCPAddr).AddrPort().String()
	return nil
}

// openToken reads the token from file, or makes one there, or where nodes of this user find it.
func (l *Listener) openToken(file string) (err error) {
	made := true
	if file == "" {
		if file, err = tokenPath(l.ln.Addr().(*net.TCPAddr).AddrPort()); err != nil {
			return err
		}
		// Whatever is there was left behind: the port is ours.
		l.token, err = makeToken(file, true)
	} else {
		if file, err = filepath.Abs(file); err != nil {
			return err
		}
		l.token, made, err = loadOrMakeToken(file)
	}
	if err != nil {
		return err
	}
	if made {
		l.undo = append(l.undo, func() error { return removeToken(file, l.token) })
	}
	return nil
}

// Addr is the bound address: of TCP the number of the address and the port that was chosen for 0.
func (l *Listener) Addr() Addr { return l.addr }

// Authenticates says how peers are known: [ByUser] and so on.
func (l *Listener) Authenticates() string { return l.mode }

// Token is what peers must prove to know, by a Challenge of [AuthToken]; nil if they are known in another way. It must not be changed.
func (l *Listener) Token() []byte { return l.token }

// Tokens are those of which peers must show one, by a Challenge of [AuthTokenTLS]; nil if they are known in another way.
func (l *Listener) Tokens() *Tokens { return l.tokens }

// Accept waits for the next connection of a peer that may connect: on linux the process at the other end of a unix socket must be this user's, or one of
// ListenOptions.Users, elsewhere the socket's mode alone keeps others out. Nothing was read from it: see Secure. It is retried after errors of the system, and ends
// with an error that matches [net.ErrClosed] when the listener is closed.
func (l *Listener) Accept() (net.Conn, Info, error) {
	pause := minAcceptPause
	for {
		c, err := l.ln.Accept()
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return nil, Info{}, err
			}
			l.report(fmt.Errorf("accepting at %v, next try in %v: %w", l.addr, pause, err))
			timer := time.NewTimer(pause)
			select {
			case <-timer.C:
			case <-l.closed:
				timer.Stop()
				return nil, Info{}, net.ErrClosed
			}
			pause = min(2*pause, maxAcceptPause)
			continue
		}
		pause = minAcceptPause
		info, err := describe(c, l.addr, l.users)
		if err != nil {
			c.Close()
			l.report(fmt.Errorf("turned away at %v: %w", l.addr, err))
			continue
		}
		tune(c)
		return c, info, nil
	}
}

// Secure makes the handshake of TLS over a connection that Accept has returned, where the listener has TLS, and says what is known of the peer then. It waits for the
// peer until ctx ends, so call it where nobody else has to wait. It returns c and info as they are where there is no TLS. If there is an error it has closed c.
func (l *Listener) Secure(ctx context.Context, c net.Conn, info Info) (net.Conn, Info, error) {
	if l.tls == nil {
		return c, info, nil
	}
	s, known, err := l.tls.shake(ctx, c, "")
	if err != nil {
		return nil, info, fmt.Errorf("TLS with %s: %w", info.Remote, err)
	}
	info.TLS, info.Certificate = known.TLS, known.Certificate
	return s, info, nil
}

// Close ends Accept and removes the socket, the lock and the token that Listen made. It may be called more than once.
func (l *Listener) Close() error {
	l.closing.Do(func() {
		close(l.closed)
		var errs []error
		for i := len(l.undo) - 1; i >= 0; i-- {
			errs = append(errs, l.undo[i]())
		}
		l.closeErr = errors.Join(errs...)
	})
	return l.closeErr
}

// describe says who is at the other end of c. On a unix socket it must be this user, or one of users.
func describe(c net.Conn, a Addr, users []int) (Info, error) {
	if a.Network == "tcp" {
		return Info{Network: "tcp", Remote: c.RemoteAddr().String(), Local: onThisHost(c), UID: -1}, nil
	}
	info := Info{Network: "unix", Remote: a.Path, Local: true, UID: -1}
	u, ok := c.(*net.UnixConn)
	if !ok {
		return info, fmt.Errorf("%T is no connection of a unix socket", c)
	}
	uid, err := peerUID(u)
	if err != nil {
		return info, fmt.Errorf("asking for the peer's user: %w", err)
	}
	if uid >= 0 && uid != os.Geteuid() && !slices.Contains(users, uid) {
		return info, fmt.Errorf("the peer is user %d and not %d: set Users if that user is meant", uid, os.Geteuid())
	}
	info.UID = uid
	return info, nil
}

// onThisHost reports whether the other end of a TCP connection is this host's, too.
func onThisHost(c net.Conn) bool {
	remote, ok := c.RemoteAddr().(*net.TCPAddr)
	if !ok {
		return false
	}
	local, ok := c.LocalAddr().(*net.TCPAddr)
	return remote.IP.IsLoopback() || ok && remote.IP.Equal(local.IP)
}
