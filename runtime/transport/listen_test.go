package transport

import (
	"bytes"
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// testTimeout ends a test that would hang.
const testTimeout = 20 * time.Second

// listen listens until the test ends, which Close must survive.
func listen(t testing.TB, a Addr, o ListenOptions) *Listener {
	t.Helper()
	l, err := Listen(t.Context(), a, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// exchange dials l and sends a byte each way.
func exchange(t testing.TB, l *Listener, tokenFile string) (accepted, dialed Info, token []byte) {
	t.Helper()
	var group sync.WaitGroup
	defer group.Wait()
	group.Go(func() {
		for done := false; !done; {
			c, info, err := l.Accept()
			if err != nil {
				t.Error(err)
				return
			}
			c.SetDeadline(time.Now().Add(testTimeout))
			var b [1]byte
			if _, err := c.Read(b[:]); err == nil { // else another starter only looked whether somebody answers
				if _, err := c.Write(b[:]); err != nil {
					t.Error(err)
				}
				accepted, done = info, true
			}
			c.Close()
		}
	})
	c, dialed, token, err := Dial(t.Context(), l.Addr(), DialOptions{TokenFile: tokenFile})
	if err != nil {
		l.Close()
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(testTimeout))
	b := [1]byte{7}
	if _, err := c.Write(b[:]); err != nil {
		t.Error(err)
	}
	if _, err := c.Read(b[:]); err != nil || b[0] != 7 {
		t.Error(b, err)
	}
	group.Wait()
	return accepted, dialed, token
}

func TestD5Unix(t *testing.T) {
	dir := shortDir(t)
	a := Addr{"unix", filepath.Join(dir, "x.sock")}
	l := listen(t, a, ListenOptions{})
	if l.Addr() != a || l.Token() != nil {
		t.Errorf("%v, token %x", l.Addr(), l.Token())
	}
	accepted, dialed, token := exchange(t, l, filepath.Join(dir, "not looked at"))
	want := Info{Network: "unix", Remote: a.Path, Local: true, UID: -1}
	if runtime.GOOS == "linux" {
		want.UID = os.Geteuid()
	}
	if accepted != want || dialed != want || token != nil {
		t.Errorf("%+v, %+v, token %x; want %+v", accepted, dialed, token, want)
	}
	for range 2 {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}
	if left := names(t, dir); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	if _, _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept after Close: %v", err)
	}
	_, _, _, err := Dial(t.Context(), a, DialOptions{})
	if !errors.Is(err, ErrNoController) || !strings.Contains(err.Error(), "no controller at unix://"+a.Path) {
		t.Errorf("Dial after Close: %v", err)
	}
}

// Close finds what a relative path stood for, and leaves what another made since.
func TestUnixRelative(t *testing.T) {
	dir, other := shortDir(t), shortDir(t)
	t.Chdir(dir)
	l := listen(t, Addr{"unix", "x.sock"}, ListenOptions{})
	exchange(t, l, "")
	t.Chdir(other)
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if left := names(t, dir); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	l = listen(t, Addr{"unix", "x.sock"}, ListenOptions{})
	if err := os.Remove("x.sock"); err != nil {
		t.Fatal(err)
	}
	writeFile(t, "x.sock", "", 0o600)
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if left := names(t, other); !slices.Equal(left, []string{"x.sock"}) {
		t.Errorf("left: %v", left)
	}
}

// remnant makes what a controller leaves that was killed.
func remnant(t testing.TB, path string) {
	t.Helper()
	ln, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	ln.(*net.UnixListener).SetUnlinkOnClose(false)
	ln.Close()
}

func TestACC69InTheWay(t *testing.T) {
	for _, tt := range []struct {
		name  string
		setup func(path string) error
		want  string // in the error; "" for none
	}{
		{"remnant", func(path string) error { remnant(t, path); return nil }, ""},
		{"remnant with lock", func(path string) error {
			remnant(t, path)
			return os.WriteFile(path+".lock", nil, 0o600)
		}, ""},
		{"file", func(path string) error { return os.WriteFile(path, []byte("precious"), 0o600) }, "not a socket"},
		{"empty file", func(path string) error { return os.WriteFile(path, nil, 0o600) }, "not a socket"},
		{"directory", func(path string) error { return os.Mkdir(path, 0o700) }, "not a socket"},
		{"dangling link", func(path string) error { return os.Symlink("nowhere", path) }, "symbolic link"},
		{"link to a remnant", func(path string) error {
			remnant(t, path+"2")
			return os.Symlink(path+"2", path)
		}, "symbolic link"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(shortDir(t), "x.sock")
			if err := tt.setup(path); err != nil {
				t.Skip(err)
			}
			before, err := os.Lstat(path)
			if err != nil {
				t.Fatal(err)
			}
			l, err := Listen(t.Context(), Addr{"unix", path}, ListenOptions{})
			if tt.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				defer l.Close()
				exchange(t, l, "")
				return
			}
			if err == nil || !strings.Contains(err.Error(), tt.want) || errors.Is(err, ErrInUse) {
				t.Errorf("%v, want %q", err, tt.want)
			}
			if after, err := os.Lstat(path); err != nil || !os.SameFile(before, after) || after.Mode() != before.Mode() {
				t.Errorf("it was changed: %v, %v", after, err)
			}
		})
	}
}

func TestUnixInUse(t *testing.T) {
	a := Addr{"unix", filepath.Join(shortDir(t), "x.sock")}
	l := listen(t, a, ListenOptions{})
	check := func(name string) {
		t.Helper()
		_, err := Listen(t.Context(), a, ListenOptions{})
		if !errors.Is(err, ErrInUse) || !strings.Contains(err.Error(), a.String()) {
			t.Errorf("%s: %v", name, err)
		}
	}
	check("locked")
	exchange(t, l, "") // it still works
	if runtime.GOOS != "windows" {
		if err := os.Remove(a.Path + ".lock"); err != nil { // by somebody who tidies up
			t.Fatal(err)
		}
		check("lock removed")
		exchange(t, l, "")
	}
	l.Close()

	// A program without a lock that answers there is left alone too.
	ln, err := net.Listen("unix", a.Path)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	check("answers")
	if _, err := os.Lstat(a.Path); err != nil {
		t.Error(err)
	}
}

func TestUnixStarters(t *testing.T) {
	rounds, starters := 20, 20
	dir := shortDir(t)
	a := Addr{"unix", filepath.Join(dir, "x.sock")}
	for round := range rounds {
		if round%2 == 1 {
			remnant(t, a.Path)
		}
		won := make(chan *Listener, starters)
		var group sync.WaitGroup
		for range starters {
			group.Go(func() {
				l, err := Listen(t.Context(), a, ListenOptions{})
				if err == nil {
					won <- l
				} else if !errors.Is(err, ErrInUse) {
					t.Error(err)
				}
			})
		}
		group.Wait()
		if len(won) != 1 {
			t.Fatalf("%d winners", len(won))
		}
		l := <-won
		exchange(t, l, "")
		l.Close()
	}
	if left := names(t, dir); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// Whoever stops and starts at the same moment never disturbs who has the address.
func TestUnixTurns(t *testing.T) {
	a := Addr{"unix", filepath.Join(shortDir(t), "x.sock")}
	var held sync.Mutex
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			for turns := 0; turns < 20; {
				l, err := Listen(t.Context(), a, ListenOptions{})
				if errors.Is(err, ErrInUse) {
					runtime.Gosched()
					continue
				}
				if err != nil {
					t.Error(err)
					return
				}
				turns++
				if !held.TryLock() {
					t.Error("two hold the address")
					return
				}
				if _, err := os.Lstat(a.Path); err != nil {
					t.Error(err)
				}
				held.Unlock()
				l.Close()
			}
		})
	}
	group.Wait()
}

func TestACC69LongPath(t *testing.T) {
	a := Addr{"unix", filepath.Join(shortDir(t), strings.Repeat("x", 108))}
	if _, err := Listen(t.Context(), a, ListenOptions{}); err == nil || !strings.Contains(err.Error(), "shorter directory") {
		t.Errorf("Listen: %v", err)
	}
	if _, _, _, err := Dial(t.Context(), a, DialOptions{}); err == nil || !strings.Contains(err.Error(), "shorter directory") {
		t.Errorf("Dial: %v", err)
	}
	if _, err := Listen(t.Context(), Addr{"unix", "/nowhere/at/all"}, ListenOptions{}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no directory: %v", err)
	}
}

func TestD4TCP(t *testing.T) {
	dir := shortDir(t)
	t.Setenv("XDG_RUNTIME_DIR", dir)
	for host, want := range map[string]string{
		"localhost": "127.0.0.1", "127.0.0.1": "127.0.0.1", "[::1]": "[::1]", "[::ffff:127.0.0.1]": "127.0.0.1", "[::ffff:7f00:1]": "127.0.0.1",
		"[0:0:0:0:0:0:0:1]": "[::1]", "127.1.2.3": "127.1.2.3",
	} {
		l, err := Listen(t.Context(), Addr{"tcp", host + ":0"}, ListenOptions{})
		if err != nil && (want == "[::1]" || runtime.GOOS != "linux") {
			t.Logf("%s: %v", host, err) // the system has no such address
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		ip, port, err := net.SplitHostPort(l.Addr().Path)
		if err != nil || l.Addr().Network != "tcp" || port == "0" || ip != strings.Trim(want, "[]") {
			t.Errorf("%s: listens at %v, %v", host, l.Addr(), err)
		}
		checkSocketTable(t, ip, port)
		file := filepath.Join(dir, "daffi", "tcp-"+strings.ReplaceAll(ip, ":", "_")+"-"+port+".token")
		if token, err := LoadToken(file); err != nil || !bytes.Equal(token, l.Token()) || len(token) != TokenSize {
			t.Errorf("%s: token %x, %v", host, token, err)
		}
		accepted, dialed, token := exchange(t, l, "")
		if !bytes.Equal(token, l.Token()) {
			t.Errorf("%s: dialed with token %x", host, token)
		}
		if dialed != (Info{Network: "tcp", Remote: l.Addr().Path, Local: true, UID: -1}) {
			t.Errorf("%s: %+v", host, dialed)
		}
		if accepted.Remote, _, _ = net.SplitHostPort(accepted.Remote); accepted.UID != -1 || !accepted.Local || net.ParseIP(accepted.Remote) == nil {
			t.Errorf("%s: %+v", host, accepted)
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		if left := names(t, filepath.Dir(file)); len(left) > 0 {
			t.Errorf("left behind: %v", left)
		}
		if _, _, _, err := Dial(t.Context(), l.Addr(), DialOptions{}); !errors.Is(err, ErrNoController) {
			t.Errorf("%s: Dial after Close: %v", host, err)
		}
	}
}

func TestTCPNotLoopback(t *testing.T) {
	t.Setenv("XDG_RUNTIME_DIR", shortDir(t))
	for _, host := range []string{
		"", "0.0.0.0", "[::]", "[::0]", "[0:0:0:0:0:0:0:0]", "[::ffff:0.0.0.0]", "192.168.0.1", "10.0.0.1", "8.8.8.8", "[::ffff:8.8.8.8]", "[fe80::1]", "[fe80::1%lo]",
		"[::1%lo]", "[2001:db8::1]", "128.0.0.1", "126.255.255.255", "169.254.0.1", "255.255.255.255", "224.0.0.1",
	} {
		a := Addr{"tcp", host + ":0"}
		l, err := Listen(t.Context(), a, ListenOptions{})
		if err == nil {
			t.Errorf("listens at %v", l.Addr())
			l.Close()
			continue
		}
		for _, part := range []string{"not a loopback address", "TLS", "Insecure", "tcp://127.0.0.1:", "unix socket", a.String()} {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("%q: %v, want %q in it", host, err, part)
			}
		}
		a = Addr{"tcp", host + ":7"}
		if _, _, _, err := Dial(t.Context(), a, DialOptions{}); err == nil || !strings.Contains(err.Error(), "not a loopback address") {
			t.Errorf("Dial %v: %v", a, err)
		}
	}
	// A name that is not known, and spellings of numbers that some systems resolve and others do not.
	for _, host := range []string{"no-such-host.invalid", "0", "0x08080808", "8.8"} {
		if l, err := Listen(t.Context(), Addr{"tcp", host + ":0"}, ListenOptions{}); err == nil {
			t.Errorf("%s: listens at %v", host, l.Addr())
			l.Close()
		}
	}
}

func TestTCPInUse(t *testing.T) {
	dir := shortDir(t)
	t.Setenv("XDG_RUNTIME_DIR", dir)
	l := listen(t, Addr{"tcp", "127.0.0.1:0"}, ListenOptions{})
	_, err := Listen(t.Context(), l.Addr(), ListenOptions{})
	if !errors.Is(err, ErrInUse) || !strings.Contains(err.Error(), l.Addr().String()) || !strings.Contains(err.Error(), "choose another port") {
		t.Errorf("%v", err)
	}
	if token, err := LoadToken(filepath.Join(dir, "daffi", names(t, filepath.Join(dir, "daffi"))[0])); err != nil || !bytes.Equal(token, l.Token()) {
		t.Errorf("the token was changed: %v", err)
	}
	exchange(t, l, "")
}

func TestTokenFile(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("XDG_RUNTIME_DIR", filepath.Join(dir, "none")) // not needed
	file := filepath.Join(dir, "token")
	a := Addr{"tcp", "127.0.0.1:0"}

	// One that was made is removed.
	l := listen(t, a, ListenOptions{TokenFile: file})
	if _, _, token := exchange(t, l, file); !bytes.Equal(token, l.Token()) {
		t.Errorf("dialed with token %x", token)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if left := names(t, dir); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	// One that was there is kept.
	writeFile(t, file, strings.Repeat("5a", TokenSize), 0o600)
	l = listen(t, a, ListenOptions{TokenFile: file})
	if !bytes.Equal(l.Token(), bytes.Repeat([]byte{0x5a}, TokenSize)) {
		t.Errorf("token %x", l.Token())
	}
	exchange(t, l, file)
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if _, err := LoadToken(file); err != nil {
		t.Error(err)
	}
	// One that is no good stays as it is, and nobody listens.
	writeFile(t, file, "secret", 0o600)
	if _, err := Listen(t.Context(), a, ListenOptions{TokenFile: file}); err == nil || !strings.Contains(err.Error(), "64 hexadecimal digits") {
		t.Errorf("wrong contents: %v", err)
	}
	if b, err := os.ReadFile(file); string(b) != "secret" {
		t.Errorf("%q, %v", b, err)
	}
	if runtime.GOOS != "windows" {
		writeFile(t, file, strings.Repeat("5a", TokenSize), 0o644)
		if _, err := Listen(t.Context(), a, ListenOptions{TokenFile: file}); err == nil || !strings.Contains(err.Error(), "mode 0644") {
			t.Errorf("wrong mode: %v", err)
		}
	}
	if _, err := Listen(t.Context(), a, ListenOptions{TokenFile: filepath.Join(dir, "no", "token")}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no directory: %v", err)
	}
}

func TestDialWithoutToken(t *testing.T) {
	dir := shortDir(t)
	t.Setenv("XDG_RUNTIME_DIR", dir)
	l := listen(t, Addr{"tcp", "127.0.0.1:0"}, ListenOptions{})
	other := filepath.Join(dir, "other")
	check := func(tokenFile, named string) {
		t.Helper()
		_, _, _, err := Dial(t.Context(), l.Addr(), DialOptions{TokenFile: tokenFile})
		if !errors.Is(err, os.ErrNotExist) {
			t.Fatalf("%v", err)
		}
		for _, part := range []string{named, "user of the controller", "TokenFile", l.Addr().String()} {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("%v, want %q in it", err, part)
			}
		}
	}
	check(other, other)
	file, err := tokenPath(l.ln.Addr().(*net.TCPAddr).AddrPort())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	check("", file)
}

func TestBadAddr(t *testing.T) {
	for _, a := range []Addr{{}, {"udp", "127.0.0.1:1"}, {"unix", ""}, {"unix", "@x"}, {"tcp", "127.0.0.1"}} {
		if _, err := Listen(t.Context(), a, ListenOptions{}); err == nil || !strings.Contains(err.Error(), accepted) {
			t.Errorf("Listen %v: %v", a, err)
		}
		if _, _, _, err := Dial(t.Context(), a, DialOptions{}); err == nil || !strings.Contains(err.Error(), accepted) {
			t.Errorf("Dial %v: %v", a, err)
		}
	}
}

func TestDialCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	l := listen(t, Addr{"unix", filepath.Join(shortDir(t), "x.sock")}, ListenOptions{})
	if _, _, _, err := Dial(ctx, l.Addr(), DialOptions{}); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

// failingListener is one that fails as often as asked, then gives out a connection, then fails for ever.
type failingListener struct {
	net.Listener
	fail  int
	calls int
	conn  net.Conn
	ended bool
}

func (f *failingListener) Accept() (net.Conn, error) {
	f.calls++
	if f.calls != f.fail+1 {
		return nil, &net.OpError{Op: "accept", Err: os.NewSyscallError("accept4", syscall.EMFILE)}
	}
	return f.conn, nil
}

func (f *failingListener) Close() error { f.ended = true; return nil }

func TestAcceptBackoff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		here, there := net.Pipe()
		defer here.Close()
		defer there.Close()
		f := &failingListener{fail: 12, conn: tcpConn{there}}
		reports := 0
		l := &Listener{ln: f, addr: Addr{"tcp", "127.0.0.1:1"}, closed: make(chan struct{}), report: func(err error) {
			if !errors.Is(err, syscall.EMFILE) {
				t.Error(err)
			}
			reports++
		}, undo: []func() error{f.Close}}
		start := time.Now()
		c, _, err := l.Accept()
		if err != nil || c != f.conn {
			t.Fatal(c, err)
		}
		// 5 ms doubling, eight times, up to 640 ms; then 1 s.
		if took, want := time.Since(start), 255*5*time.Millisecond+4*time.Second; took != want || reports != 12 {
			t.Errorf("took %v, want %v; %d reports", took, want, reports)
		}
		time.AfterFunc(time.Hour, func() { l.Close() })
		start = time.Now()
		if _, _, err := l.Accept(); !errors.Is(err, net.ErrClosed) || time.Since(start) != time.Hour {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		synctest.Wait() // for Close, which ends Accept first
		if calls := f.calls - 13; calls > 3610 || !f.ended {
			t.Errorf("%d calls in an hour, closed %v", calls, f.ended)
		}
	})
}

// tcpConn is a pipe with the address of a TCP connection.
type tcpConn struct{ net.Conn }

func (tcpConn) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 2} }

func TestCloseEndsAccept(t *testing.T) {
	t.Setenv("XDG_RUNTIME_DIR", shortDir(t))
	for _, a := range []Addr{{"unix", filepath.Join(shortDir(t), "x.sock")}, {"tcp", "127.0.0.1:0"}} {
		l := listen(t, a, ListenOptions{})
		ended := make(chan error)
		go func() {
			_, _, err := l.Accept()
			ended <- err
		}()
		var group sync.WaitGroup
		for range 3 {
			group.Go(func() {
				if err := l.Close(); err != nil {
					t.Error(err)
				}
			})
		}
		group.Wait()
		if err := <-ended; !errors.Is(err, net.ErrClosed) {
			t.Errorf("%v: %v", a, err)
		}
	}
}
