package transport

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"time"
)

// Socket options of both sides; see tune.
const (
	sendBuffer  = 128 << 10
	userTimeout = 15 * time.Second // the dead interval of LIM-17
)

// Dial connects to a controller. If nobody listens the error matches [ErrNoController].
//
// Over TCP, which must be to a loopback address, it also reads the token, from tokenFile or, if that is empty, from where a controller of
// this user puts it. Over a unix socket there is no token; on linux the process that listens must be this user's.
func Dial(ctx context.Context, a Addr, tokenFile string) (net.Conn, Info, []byte, error) {
	if err := a.check(); err != nil {
		return nil, Info{}, nil, fmt.Errorf("dialing %v: address %w: %s", a, err, accepted)
	}
	c, err := dial(ctx, a)
	if err != nil {
		return nil, Info{}, nil, err
	}
	info, err := describe(c, a)
	if err != nil {
		c.Close()
		return nil, Info{}, nil, fmt.Errorf("dialing %v: %w", a, err)
	}
	var token []byte
	if a.Network == "tcp" {
		if token, err = dialToken(c, tokenFile); err != nil {
			c.Close()
			return nil, Info{}, nil, fmt.Errorf("dialing %v: %w", a, err)
		}
	}
	tune(c)
	return c, info, token, nil
}

func dial(ctx context.Context, a Addr) (net.Conn, error) {
	var d net.Dialer
	d.SetMultipathTCP(false)
	network, to := a.Network, a.Path
	if a.Network == "tcp" {
		ip, err := loopback(ctx, a.Path)
		if err != nil {
			return nil, fmt.Errorf("dialing %v: %w", a, err)
		}
		to = ip.String()
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
		return nil, fmt.Errorf("%w: run as the user of the controller, or set TokenFile to a file with its token", err)
	}
	return token, nil
}
