package transport

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
)

// Addr says where a controller listens.
type Addr struct {
	Network string // "tcp" or "unix"
	Path    string // host:port, or the path of a socket
}

// accepted are the forms that ParseAddr understands, for its errors.
const accepted = `want "tcp://127.0.0.1:7070", "unix:///absolute/path.sock", "unix://relative/path.sock", or "" for the default`

// ParseAddr reads tcp://host:port, unix:///absolute/path or unix://relative/path. An empty text is [DefaultAddr].
func ParseAddr(s string) (Addr, error) {
	if s == "" {
		return DefaultAddr()
	}
	network, path, ok := strings.Cut(s, "://")
	a := Addr{Network: network, Path: path}
	if !ok {
		return Addr{}, fmt.Errorf("address %q names no network: %s", s, accepted)
	}
	if err := a.check(); err != nil {
		return Addr{}, fmt.Errorf("address %q %w: %s", s, err, accepted)
	}
	return a, nil
}

// String is the form that ParseAddr reads.
func (a Addr) String() string { return a.Network + "://" + a.Path }

// check says what is wrong with an address that stays so whatever the system's state is.
func (a Addr) check() error {
	switch a.Network {
	case "tcp":
		host, port, err := net.SplitHostPort(a.Path)
		if err != nil {
			return errors.New("has no host and port")
		}
		if strings.ContainsAny(host, "/?#@ \t\r\n\x00") {
			return errors.New("has a bad host")
		}
		if _, err := parsePort(port); err != nil {
			return err
		}
	case "unix":
		switch {
		case a.Path == "" || strings.HasSuffix(a.Path, "/"):
			return errors.New("has no file name")
		case strings.HasPrefix(a.Path, "@"):
			// The net package takes it for an abstract socket, which any user can connect to.
			return errors.New(`begins with "@", as only abstract sockets do, which are not supported`)
		case strings.Contains(a.Path, "\x00"):
			return errors.New("has a zero byte")
		}
		return checkSocketPath(a.Path)
	default:
		return fmt.Errorf("is of network %q, which is not known", a.Network)
	}
	return nil
}

func parsePort(s string) (uint16, error) {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' { // a sign, or the name of a service
			return 0, fmt.Errorf("has port %q, which is no number", s)
		}
	}
	n, err := strconv.ParseUint(s, 10, 16)
	if err != nil {
		return 0, fmt.Errorf("has port %q, which is not from 0 to 65535", s)
	}
	return uint16(n), nil
}

// checkSocketPath refuses a path that does not fit the system's address of a socket, zero byte included.
func checkSocketPath(path string) error {
	limit := 104
	if runtime.GOOS == "linux" || runtime.GOOS == "windows" {
		limit = 108
	}
	if len(path) >= limit {
		return fmt.Errorf("has a socket path of %d bytes: this system allows %d, choose a shorter directory", len(path), limit-1)
	}
	return nil
}

// DefaultAddr is the unix socket default.sock in [RuntimeDir].
func DefaultAddr() (Addr, error) {
	dir, err := RuntimeDir()
	if err != nil {
		return Addr{}, err
	}
	a := Addr{Network: "unix", Path: filepath.Join(dir, "default.sock")}
	if err := a.check(); err != nil {
		return Addr{}, fmt.Errorf("default address %v %w", a, err)
	}
	return a, nil
}

// RuntimeDir returns the directory of this user's sockets and tokens, $XDG_RUNTIME_DIR/daffi or else $TMPDIR/daffi-<uid>, and makes it if
// need be. It is an error if anyone else could have put something there.
func RuntimeDir() (string, error) {
	dir, cure := os.Getenv("XDG_RUNTIME_DIR"), "set XDG_RUNTIME_DIR to a directory of this user, or unset it"
	if filepath.IsAbs(dir) {
		dir = filepath.Join(dir, "daffi")
	} else {
		dir, cure = filepath.Join(os.TempDir(), "daffi"), "set TMPDIR to a directory that only this user can write"
		if uid := os.Geteuid(); uid >= 0 { // elsewhere the temporary directory is the user's own
			dir += "-" + strconv.Itoa(uid)
		}
	}
	if err := checkParent(dir); err != nil {
		return "", fmt.Errorf("directory for sockets: %w: %s", err, cure)
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return "", fmt.Errorf("directory for sockets: %w: %s", err, cure)
	}
	info, err := os.Lstat(dir)
	if err != nil {
		return "", fmt.Errorf("directory for sockets: %w: %s", err, cure)
	}
	switch {
	case info.Mode()&os.ModeSymlink != 0:
		return "", fmt.Errorf("directory for sockets: %s is a symbolic link: remove it, or %s", dir, cure)
	case !info.IsDir():
		return "", fmt.Errorf("directory for sockets: %s is not a directory: remove it, or %s", dir, cure)
	}
	if err := checkPrivate(dir, info); err != nil {
		return "", fmt.Errorf("directory for sockets: %w, or %s", err, cure)
	}
	return dir, nil
}

// resolve returns the addresses that host:port stands for, the first of which is the one to bind or dial. An empty host is every address, of both families.
func resolve(ctx context.Context, hostport string) ([]netip.AddrPort, error) {
	host, p, err := net.SplitHostPort(hostport)
	if err != nil {
		return nil, err
	}
	port, err := parsePort(p)
	if err != nil {
		return nil, fmt.Errorf("address %s %w", hostport, err)
	}
	var found []netip.Addr
	if host == "localhost" {
		found = []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1})}
	} else if ip, err := netip.ParseAddr(host); err == nil {
		found = []netip.Addr{ip}
	} else if host == "" {
		found = []netip.Addr{netip.IPv6Unspecified()}
	} else if found, err = net.DefaultResolver.LookupNetIP(ctx, "ip", host); err != nil {
		return nil, err
	}
	var all []netip.AddrPort
	for _, ip := range found {
		if at := netip.AddrPortFrom(ip.Unmap(), port); !slices.Contains(all, at) {
			all = append(all, at)
		}
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%s has no address", host)
	}
	slices.SortStableFunc(all, func(a, b netip.AddrPort) int { return a.Addr().BitLen() - b.Addr().BitLen() }) // IPv4 before IPv6
	return all, nil
}

// isLoopback reports whether all of these are addresses that no other host can reach.
func isLoopback(all []netip.AddrPort) bool {
	return !slices.ContainsFunc(all, func(at netip.AddrPort) bool { return !at.Addr().IsLoopback() || at.Addr().Zone() != "" })
}

// notLoopback is the error for addresses of which some are not.
func notLoopback(all []netip.AddrPort) error {
	i := slices.IndexFunc(all, func(at netip.AddrPort) bool { return !isLoopback([]netip.AddrPort{at}) })
	return fmt.Errorf("%v is %w, and other hosts can reach it: set TLS, or Insecure to the reason why this is to go without; or use tcp://127.0.0.1:%d or a unix socket",
		all[i], ErrNotLoopback, all[i].Port())
}
