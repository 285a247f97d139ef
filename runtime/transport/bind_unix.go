//go:build unix

package transport

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
)

// bindSocket listens at a unix socket that has that mode from the moment it is there. The umask is the process's, so it stays out of this.
func bindSocket(ctx context.Context, path string, mode os.FileMode) (net.Listener, error) {
	if runtime.GOOS == "linux" {
		ln, err := bindPrivate(ctx, path, mode)
		if ln != nil || err != nil {
			return ln, err
		}
	}
	return bindAside(ctx, path, mode)
}

// bindPrivate gives the mode to the socket before it has a name. Linux makes the file with it, less the umask. Where that did not
// come true it returns neither a listener nor an error.
func bindPrivate(ctx context.Context, path string, mode os.FileMode) (net.Listener, error) {
	config := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		var chmodErr error
		err := c.Control(func(fd uintptr) { chmodErr = syscall.Fchmod(int(fd), uint32(mode)) })
		return errors.Join(err, chmodErr)
	}}
	ln, err := config.Listen(ctx, "unix", path)
	if err != nil {
		return nil, err
	}
	info, err := os.Lstat(path)
	if err == nil && info.Mode().Perm()&^mode != 0 {
		return nil, ln.Close() // removes the file
	}
	if err == nil && info.Mode().Perm() != mode {
		err = os.Chmod(path, mode) // what the umask took
	}
	if err != nil {
		ln.Close()
		return nil, err
	}
	ln.(*net.UnixListener).SetUnlinkOnClose(false) // Listener.Close does it, while it has the lock
	return ln, nil
}

// bindAside binds in a new directory that nobody else can enter, and moves the socket to its place when it has its mode.
func bindAside(ctx context.Context, path string, mode os.FileMode) (net.Listener, error) {
	dir, err := os.MkdirTemp(filepath.Dir(path), ".d") // its mode is 0700
	if err != nil {
		return nil, err
	}
	defer os.Remove(dir)
	aside := filepath.Join(dir, "s")
	if err := checkSocketPath(aside); err != nil {
		return nil, fmt.Errorf("the place where the socket is made %w", err)
	}
	ln, err := new(net.ListenConfig).Listen(ctx, "unix", aside)
	if err != nil {
		return nil, err
	}
	if err = os.Chmod(aside, mode); err == nil {
		err = os.Rename(aside, path)
	}
	if err != nil {
		ln.Close()
		return nil, err
	}
	ln.(*net.UnixListener).SetUnlinkOnClose(false)
	return ln, nil
}
