package transport

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"time"
)

// Socket options of both sides; see tune.
const (
	sendBuffer  = 128 << 10
	userTimeout = 15 * time.Second // the dead interval of LIM-17
)

// DialOptions says how to connect. The zero value is a good default for a controller on this host.
type DialOptions struct {
	// TokenFile is where the token for a TCP address lies; "" is where a controller of this user on this host puts it. Unix sockets need no token, nor do nodes with a certificate.
	TokenFile string
	// TLS has the connection encrypted, nil does not. It is read again for each connection.
	TLS Credentials
	// Users are further users of whom one may listen at a unix socket. Linux only.
	Users []int
	// Insecure is why the connection may do without TLS where the controller is on another host, and without a token where there is no TokenFile. Empty: it may not.
	Insecure string
}

// Check says what of the options contradicts itself or the address, however it is with the controller.
func (o *DialOptions) Check(a Addr) error {
	certificate := o.TLS != nil && o.TLS.Name() != ""
	switch {
	case a.Network == "unix" && o.TLS != nil:
		return errors.New("TLS is set, which a unix socket does not have: unset it, or dial a TCP address")
	case a.Network != "unix" && len(o.Users) > 0:
		return errors.New("option Users is set, which is for unix sockets: unset it, or dial a unix socket")
	case len(o.Users) > 0 && runtime.GOOS != "linux":
		return errors.New("option Users is set: only linux tells who is at the other end of a unix socket; unset it")
	case o.TLS != nil && o.Insecure != "":
		return errors.New("both TLS and Insecure are set: unset one")
	case certificate && o.TokenFile != "":
		return errors.New("both TLS.CertFile and TokenFile are set: a node is known by a certificate or by a token; unset one")
	case o.TLS != nil && !certificate && o.TokenFile == "":
		return errors.New("TLS is set and nothing says who this node is: set TLS.CertFile and TLS.KeyFile, or TokenFile")
	}
	return nil
}

// Dial connects to a controller. If nobody listens the error matches [ErrNoController].
//
// Over TCP it also reads the token, unless the node has a certificate; to other hosts it needs TLS. Over a unix socket there is no token; on linux the process that
// listens must be this user's, or one of DialOptions.Users.
func Dial(ctx context.Context, a Addr, o DialOptions) (net.Conn, Info, []byte, error) {
	err := a.check()
	if err != nil {
		return nil, Info{}, nil, fmt.Errorf("dialing %v: address %w: %s", a, err, accepted)
	}
	if err = o.Check(a); err != nil {
		return nil, Info{}, nil, fmt.Errorf("dialing %v: %w", a, err)
	}
	c, err := dial(ctx, a, o.TLS == nil && o.Insecure == "")
	if err != nil {
		return nil, Info{}, nil, err
	}
	connected, info, token, err := o.introduce(ctx, c, a)
	if err != nil {
		c.Close()
		return nil, Info{}, nil, fmt.Errorf("dialing %v: %w", a, err)
	}
	return connected, info, token, nil
}

// introduce finds out who the other end of c is, and what it will ask for.
func (o *DialOptions) introduce(ctx context.Context, c net.Conn, a Addr) (net.Conn, Info, []byte, error) {
	info, err := describe(c, a, o.Users)
	if err != nil {
		return nil, info, nil, err
	}
	tune(c)
	if a.Network == "unix" {
		return c, info, nil, nil
	}
	var token []byte
	if o.needsToken() {
		if token, err = dialToken(c, o.TokenFile); err != nil {
			return nil, info, nil, err
		}
	}
	if o.TLS == nil {
		return c, info, token, nil
	}
	o.TLS.refresh()
	host, _, err := net.SplitHostPort(a.Path)
	if err != nil {
		return nil, info, nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, tlsTime)
	defer cancel()
	s, known, err := o.TLS.shake(ctx, c, host)
	if err != nil {
		return nil, info, nil, err
	}
	info.TLS, info.Certificate = known.TLS, known.Certificate
	return s, info, token, nil
}

// needsToken reports whether a controller on TCP is shown a token.
func (o *DialOptions) needsToken() bool {
	switch {
	case o.TokenFile != "":
		return true
	case o.TLS != nil:
		return o.TLS.Name() == ""
	}
	return o.Insecure == ""
}

// dial connects, where that is asked for only to a host that is this one for sure.
func dial(ctx context.Context, a Addr, loopback bool) (net.Conn, error) {
	var d net.Dialer
	d.SetMultipathTCP(false)
	network, to := a.Network, a.Path
	if a.Network == "tcp" && loopback {
		at, err := resolve(ctx, a.Path)
		if err == nil && !isLoopback(at) {
			err = notLoopback(at)
		}
		if err != nil {
			return nil, fmt.Errorf("dialing %v: %w", a, err)
		}
		to = at[0].String()
	}
	c, err := d.DialContext(ctx, network, to)
	switch {
	case err == nil:
		return c, nil
	case errors.Is(err, connRefused), errors.Is(err, os.ErrNotExist):
		return nil, fmt.Errorf("%w at %v: %w", ErrNoController, a, err)
	case a.Network == "unix" && errors.Is(err, os.ErrPermission):
		return nil, fmt.Errorf("dialing %v: it belongs to another user: %w", a, err)
	}
	return nil, fmt.Errorf("dialing %v: %w", a, err)
}

func dialToken(c net.Conn, file string) (token []byte, err error) {
	if file == "" {
		// After connecting, since a name may stand for more than one address.
		if file, err = tokenPath(c.RemoteAddr().(*net.TCPAddr).AddrPort()); err != nil {
			return nil, err
		}
	}
	if token, err = LoadToken(file); err != nil {
		return nil, fmt.Errorf("%w: run as the user of the controller, or set TokenFile to a file with its token, or TLS if it listens with that", err)
	}
	return token, nil
}
