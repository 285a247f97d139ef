//go:build !unix

package transport

import (
	"context"
	"net"
	"os"
)

// bindSocket listens at a unix socket. Files have no mode here: the directory must keep others out.
func bindSocket(ctx context.Context, path string, _ os.FileMode) (net.Listener, error) {
	ln, err := new(net.ListenConfig).Listen(ctx, "unix", path)
	if err != nil {
		return nil, err
	}
	ln.(*net.UnixListener).SetUnlinkOnClose(false) // Listener.Close does it
	return ln, nil
}
