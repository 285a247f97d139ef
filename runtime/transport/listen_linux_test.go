package transport

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// checkSocketTable looks up who listens at a port, on any address: it must be ip alone.
func checkSocketTable(t *testing.T, ip, port string) {
	t.Helper()
	n, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	addr := netip.MustParseAddr(ip)
	b := addr.AsSlice()
	for i := 0; i < len(b); i += 4 { // words in the order of the processor
		slices.Reverse(b[i : i+4])
	}
	want := []string{fmt.Sprintf("%X:%04X", b, n)}
	var got []string
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		text, err := os.ReadFile(table)
		if err != nil {
			continue // no such family
		}
		for line := range strings.Lines(string(text)) {
			f := strings.Fields(line)
			if len(f) > 3 && f[3] == "0A" && strings.HasSuffix(f[1], fmt.Sprintf(":%04X", n)) {
				got = append(got, f[1])
			}
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("listening at %q, want %q", got, want)
	}
}

// The socket is never there with another mode, whatever the umask is.
func TestD5SocketMode(t *testing.T) {
	for _, umask := range []int{0, 0o022, 0o777} {
		for name, bind := range map[string]func(path string) (net.Listener, error){
			"Private": func(path string) (net.Listener, error) { return bindPrivate(t.Context(), path, 0o600) },
			"Aside":   func(path string) (net.Listener, error) { return bindAside(t.Context(), path, 0o600) },
		} {
			if umask == 0o777 && name == "Aside" && os.Geteuid() != 0 {
				continue // its directory is of no use then
			}
			t.Run(fmt.Sprintf("%s/%03o", name, umask), func(t *testing.T) {
				defer syscall.Umask(syscall.Umask(umask))
				dir := shortDir(t)
				if err := os.Chmod(dir, 0o700); err != nil {
					t.Fatal(err)
				}
				path := filepath.Join(dir, "x.sock")
				var stop atomic.Bool
				polled := make(chan int)
				go func() {
					seen := 0
					for !stop.Load() {
						info, err := os.Lstat(path)
						if err != nil {
							continue
						}
						seen++
						if mode := info.Mode().Perm(); mode&^0o600 != 0 || mode != 0o600 && umask != 0o777 {
							t.Errorf("mode %#o", mode)
							break
						}
					}
					polled <- seen
				}()
				for range 200 {
					ln, err := bind(path)
					if err != nil {
						t.Error(err)
						break
					}
					info, err := os.Lstat(path)
					if err != nil || info.Mode() != os.ModeSocket|0o600 {
						t.Errorf("%v, %v", info, err)
					}
					c, err := net.Dial("unix", path)
					if err != nil {
						t.Error(err)
					} else {
						c.Close()
					}
					ln.Close()
					os.Remove(path)
				}
				stop.Store(true)
				t.Logf("seen %d times", <-polled)
				if left := names(t, dir); len(left) > 0 {
					t.Errorf("left behind: %v", left)
				}
			})
		}
	}
}

// as runs f on a thread whose user is uid; the thread ends with it.
func as(t *testing.T, uid int, f func()) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can be another user")
	}
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked
		keep := ^uintptr(0)
		_, _, errno := syscall.RawSyscall(syscall.SYS_SETRESUID, keep, uintptr(uid), keep)
		if errno != 0 {
			done <- errno
			return
		}
		f()
		done <- nil
	}()
	if err := <-done; err != nil {
		t.Skip(err)
	}
}

func TestACC69OtherUser(t *testing.T) {
	const stranger = 12345
	dir := shortDir(t)
	if err := os.Chmod(dir, 0o711); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "x.sock")
	var reports []error
	l := listen(t, Addr{"unix", path}, ListenOptions{Report: func(err error) { reports = append(reports, err) }})
	as(t, stranger, func() {
		if _, err := net.Dial("unix", path); !errors.Is(err, os.ErrPermission) {
			t.Errorf("dialed a socket of mode 0600: %v", err)
		}
	})
	// Should the mode ever be lost, the user still counts.
	if err := os.Chmod(path, 0o666); err != nil {
		t.Fatal(err)
	}
	var conn net.Conn
	as(t, stranger, func() {
		var err error
		if conn, err = net.Dial("unix", path); err != nil {
			t.Error(err)
		}
	})
	if t.Failed() {
		return
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(testTimeout))
	accepted, _, _ := exchange(t, l, "") // of us, who came later
	if accepted.UID != os.Geteuid() {
		t.Errorf("%+v", accepted)
	}
	if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, io.EOF) && !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the stranger reads: %v", err)
	}
	if len(reports) != 1 || !strings.Contains(reports[0].Error(), "user 12345") {
		t.Errorf("%v", reports)
	}

	// And nobody listens in our place.
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	squatted := filepath.Join(dir, "y.sock")
	var ln net.Listener
	as(t, stranger, func() {
		var err error
		if ln, err = net.Listen("unix", squatted); err != nil {
			t.Error(err)
		}
	})
	if t.Failed() {
		return
	}
	defer ln.Close()
	if _, _, _, err := Dial(t.Context(), Addr{"unix", squatted}, DialOptions{}); err == nil || !strings.Contains(err.Error(), "user 12345") {
		t.Errorf("dialed another user's socket: %v", err)
	}
	if _, err := Listen(t.Context(), Addr{"unix", filepath.Join(dir, "z.sock")}, ListenOptions{}); err == nil || !strings.Contains(err.Error(), "every user") {
		t.Errorf("listens where anyone can replace the socket: %v", err)
	}
	if err := os.Chmod(dir, 0o777|os.ModeSticky); err != nil {
		t.Fatal(err)
	}
	as(t, stranger, func() { writeFile(t, filepath.Join(dir, "z.sock.lock"), "", 0o666) })
	if _, err := Listen(t.Context(), Addr{"unix", filepath.Join(dir, "z.sock")}, ListenOptions{}); err == nil {
		t.Error("took another user's file as a lock")
	}
	remove := filepath.Join(dir, "w.sock.lock")
	if err := os.Symlink(filepath.Join(dir, "elsewhere"), remove); err != nil {
		t.Fatal(err)
	}
	if _, err := Listen(t.Context(), Addr{"unix", filepath.Join(dir, "w.sock")}, ListenOptions{}); !errors.Is(err, syscall.ELOOP) {
		t.Errorf("followed a link to its lock: %v", err)
	}
}

func TestTune(t *testing.T) {
	t.Setenv("XDG_RUNTIME_DIR", shortDir(t))
	l := listen(t, Addr{"tcp", "127.0.0.1:0"}, ListenOptions{})
	c, _, _, err := Dial(t.Context(), l.Addr(), DialOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	d, _, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	for name, c := range map[string]net.Conn{"dialed": c, "accepted": d} {
		raw, err := c.(*net.TCPConn).SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		raw.Control(func(fd uintptr) {
			for _, o := range []struct{ level, option, want int }{
				{syscall.IPPROTO_TCP, tcpUserTimeout, int(15 * time.Second / time.Millisecond)},
				{syscall.IPPROTO_TCP, tcpNotSentLowat, 16 << 10},
				{syscall.SOL_SOCKET, syscall.SO_SNDBUF, 2 * 128 << 10}, // linux counts its own needs as well
				{syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 1},
			} {
				if got, err := syscall.GetsockoptInt(int(fd), o.level, o.option); err != nil || got != o.want {
					t.Errorf("%s: option %d is %d, %v; want %d", name, o.option, got, err, o.want)
				}
			}
		})
	}
	tune(nil)
	here, there := net.Pipe()
	tune(here)
	here.Close()
	there.Close()
}

// Other users may connect where they are named, and nobody else; and one of them may own the controller where a node names it.
func TestSEM25Users(t *testing.T) {
	const friend, stranger = 12345, 12346
	dir := shortDir(t)
	if err := os.Chmod(dir, 0o711); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "x.sock")
	reports := make(chan error, 10)
	l := listen(t, Addr{"unix", path}, ListenOptions{Users: []int{friend}, Report: func(err error) { reports <- err }})
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o666 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	exchange(t, l, "") // the own user
	for _, uid := range []int{stranger, friend} {
		as(t, uid, func() {
			c, err := net.Dial("unix", path)
			if err != nil {
				t.Error(err)
				return
			}
			t.Cleanup(func() { c.Close() })
		})
	}
	if t.Failed() {
		return
	}
	c, info, err := l.Accept()
	if err != nil || info.UID != friend {
		t.Fatal(info, err)
	}
	c.Close()
	if err := <-reports; !strings.Contains(err.Error(), "user 12346") || !strings.Contains(err.Error(), "Users") {
		t.Error(err)
	}

	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	theirs := filepath.Join(dir, "y.sock")
	var ln net.Listener
	as(t, friend, func() { ln, err = net.Listen("unix", theirs) })
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	conn, info, _, err := Dial(t.Context(), Addr{"unix", theirs}, DialOptions{Users: []int{friend}})
	if err != nil || info.UID != friend {
		t.Fatal(info, err)
	}
	conn.Close()
}
