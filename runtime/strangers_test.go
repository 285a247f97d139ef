package daffi_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/daffi-rpc/daffi/internal/authority"
	daffi "github.com/daffi-rpc/daffi/runtime"
	"github.com/daffi-rpc/daffi/runtime/controller"
	"github.com/daffi-rpc/daffi/runtime/internal/testkit"
	"github.com/daffi-rpc/daffi/runtime/transport"
)

// besieged is a controller that strangers connect to.
type besieged struct {
	*controller.Controller
	testing.TB
	limit time.Duration // LIM-2
	node  daffi.Options // of a node that may join
	kinds map[string]func(c net.Conn)
	slow  []byte      // what those say that send a byte now and then
	trust *tls.Config // of strangers
}

// strangerHello is the frame that a node begins with.
func strangerHello() []byte {
	h := transport.HelloPayload{Name: "stranger", Incarnation: 1}
	return transport.AppendFrame(nil, &transport.Header{Kind: transport.Hello}, transport.AppendHello(nil, &h))
}

// halfClientHello is a part of a record of TLS.
var halfClientHello = append(clientHello(512), make([]byte, 200)...)

// clientHello is the beginning of a record of that length, and of the message in it.
func clientHello(length int) []byte {
	n := length - 4
	return []byte{22, 3, 1, byte(length >> 8), byte(length), 1, 0, byte(n >> 8), byte(n), 3, 3}
}

// besiege starts a controller for each kind of address.
func besiege(t *testing.T, limit time.Duration, f func(b *besieged)) {
	hello := strangerHello()
	says := map[string][]byte{
		"silent": nil, "half a Hello": hello[:len(hello)/2], "no Proof": hello,
		"a large frame": transport.AppendFrame(nil, &transport.Header{Kind: transport.Hello}, make([]byte, transport.MaxUnproven))[:transport.MaxUnproven],
	}
	say := func(b []byte) func(net.Conn) { return func(c net.Conn) { c.Write(b) } }
	for _, network := range []string{"unix", "tcp", "tls"} {
		t.Run(network, func(t *testing.T) {
			t.Setenv("XDG_RUNTIME_DIR", t.TempDir()) // where the token lies
			b := &besieged{TB: t, limit: limit, slow: hello, kinds: map[string]func(net.Conn){"slow": nil}}
			o := controller.Options{Addr: "tcp://127.0.0.1:0", HandshakeTimeout: b.limit}
			switch network {
			case "unix":
				o.Addr = "unix://" + filepath.Join(t.TempDir(), "s")
			case "tls":
				b.encrypt(t.TempDir(), &o)
			}
			for kind, text := range says {
				b.kinds[kind] = say(text)
				if network == "tls" && kind != "silent" {
					b.kinds[kind] = b.behind(text)
				}
			}
			if network == "tls" {
				b.slow = halfClientHello
				b.kinds["half a ClientHello"] = say(halfClientHello)
				b.kinds["the header of a ClientHello of 4 KiB"] = say(clientHello(transport.MaxUnproven))
				b.kinds["nothing but TLS"] = b.behind(nil)
			}
			c, err := controller.Listen(t.Context(), o)
			require.NoError(t, err)
			defer c.Close()
			b.Controller, b.node.Addr = c, c.Addr()
			f(b)
		})
	}
}

// encrypt has the controller and the good node use TLS, with a token.
func (b *besieged) encrypt(dir string, o *controller.Options) {
	a, err := authority.New("test", time.Hour)
	require.NoError(b, err)
	pair, err := a.Issue(authority.Request{Name: "controller", Controller: true, Hosts: []string{"127.0.0.1"}})
	require.NoError(b, err)
	file := func(name string) string { return filepath.Join(dir, name) }
	require.NoError(b, pair.Write(file("c.crt"), file("c.key"), false))
	require.NoError(b, a.WriteCertificate(file("ca.crt")))
	o.TLS, o.TokenFile = &transport.TLS{CertFile: file("c.crt"), KeyFile: file("c.key")}, file("token")
	b.node.TLS, b.node.TokenFile = &daffi.TLS{CAFile: file("ca.crt")}, file("token")
	b.trust = &tls.Config{RootCAs: x509.NewCertPool(), ServerName: "127.0.0.1", NextProtos: []string{"daffi/1"}}
	b.trust.RootCAs.AddCert(a.Certificate())
}

// behind makes the handshake of TLS, as anybody can, and then says something.
func (b *besieged) behind(text []byte) func(net.Conn) {
	return func(c net.Conn) {
		s := tls.Client(c, b.trust)
		if s.Handshake() == nil { // else it had to give way
			s.Write(text)
		}
	}
}

// dial connects as a stranger does.
func (b *besieged) dial() net.Conn {
	a, err := transport.ParseAddr(b.Addr())
	require.NoError(b, err)
	for range 1000 {
		c, err := net.Dial(a.Network, a.Path)
		if err == nil {
			return c
		}
		time.Sleep(time.Millisecond) // the queue of a unix socket is full
	}
	b.Fatal("nobody can connect")
	return nil
}

// joins measures how long a good node needs.
func (b *besieged) joins(when string) {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.Context(), 30*time.Second)
	defer cancel()
	begin := time.Now()
	o := b.node
	o.Name = "good"
	n, err := daffi.Connect(ctx, o)
	require.NoError(b, err, when)
	b.Logf("%s: a good node has joined after %v, %+v", when, time.Since(begin).Round(10*time.Microsecond), short(b.Stats()))
	require.NoError(b, n.Close())
}

func short(st controller.Stats) string {
	return fmt.Sprintf("%d wait, %d gave way, %d were slow", st.Pending, st.Dropped, st.Slow)
}

// closed fails the test unless the controller has closed a stranger's connection.
func (b *besieged) closed(c net.Conn) {
	b.Helper()
	c.SetReadDeadline(time.Now().Add(b.limit + 30*time.Second))
	n, err := io.Copy(io.Discard, c)
	var late net.Error
	if late, _ = err.(net.Error); late != nil && late.Timeout() {
		b.Errorf("the connection is still there after %v, which has sent %d bytes", b.limit, n)
	}
	c.Close()
}

// TestACC45SlowLoris has strangers connect and do nothing, or next to nothing. They are closed after LIM-2 at the latest, a good node joins meanwhile, and what they take is bounded.
func TestACC45SlowLoris(t *testing.T) {
	besiege(t, testkit.Full(time.Second, 5*time.Second), func(b *besieged) {
		n := testkit.Full(1000, 5000)
		groups := [][]string{nil}
		for kind := range b.kinds {
			if testkit.Night() {
				groups = append(groups, []string{kind})
			} else {
				groups[0] = append(groups[0], kind)
			}
		}
		for _, kinds := range groups {
			if len(kinds) > 0 {
				b.hold(n, kinds)
			}
		}
	})
}

// hold has n strangers connect, of these kinds in turn, and waits until they are closed.
func (b *besieged) hold(n int, kinds []string) {
	what := strings.Join(kinds, ", ")
	before := runtime.NumGoroutine()
	var conns, slow []net.Conn
	most := 0
	for i := range n {
		c := b.dial()
		conns = append(conns, c)
		if do := b.kinds[kinds[i%len(kinds)]]; do != nil {
			do(c)
		} else {
			slow = append(slow, c)
		}
		most = max(most, runtime.NumGoroutine()-before)
	}
	var wg sync.WaitGroup
	defer wg.Wait()
	stop := make(chan struct{})
	defer close(stop)
	wg.Go(func() {
		for i := range b.slow {
			for _, c := range slow {
				c.Write(b.slow[i : i+1])
			}
			select {
			case <-stop:
				return
			case <-time.After(b.limit / 5):
			}
		}
	})
	b.joins(what)
	most = max(most, runtime.NumGoroutine()-before)
	for _, c := range conns {
		b.closed(c)
	}
	st := b.Stats()
	b.Logf("%s: %d goroutines at most, %s", what, most, short(st))
	require.LessOrEqual(b, most, 2*256) // 256 that wait, 64 that leave, and those of the test and the node
	require.Eventually(b, func() bool { return b.Stats().Links == 0 }, 30*time.Second, time.Millisecond, "links are left")
	require.Zero(b, b.Stats().Pending)
}

// TestACC45Memory measures what a stranger takes: at most 16 KiB, both ends of the connection together.
func TestACC45Memory(t *testing.T) {
	if raceEnabled {
		t.Skip("memory is counted without the race detector, by make plain")
	}
	besiege(t, time.Minute, func(b *besieged) {
		for kind, do := range b.kinds {
			if do == nil {
				continue
			}
			const n = 64     // of one address
			most := 17 << 10 // 16 KiB, and its other end
			if b.trust != nil {
				most *= 2 // both ends have what TLS itself takes
			}
			before := held()
			var conns []net.Conn
			for range n {
				c := b.dial()
				do(c)
				conns = append(conns, c)
			}
			require.Eventually(b, func() bool { return b.Stats().Pending == n }, 30*time.Second, time.Millisecond)
			time.Sleep(10 * time.Millisecond) // what was sent is read
			each := (held() - before) / n
			pending := b.Stats().Pending
			b.Logf("%s: %d bytes for each", kind, each)
			if pending == n {
				require.LessOrEqual(b, each, most, kind)
			}
			for _, c := range conns {
				c.Close()
			}
			require.Eventually(b, func() bool { return b.Stats().Links == 0 }, 30*time.Second, time.Millisecond)
		}
	})
}

// held is what the process has of memory in objects and stacks.
func held() int {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC() // pools
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc + m.StackInuse)
}

// TestACC45Reconnect has strangers connect again as fast as they can, with whatever they say, and keep their latest connections. A good node joins meanwhile.
func TestACC45Reconnect(t *testing.T) {
	besiege(t, 5*time.Second, func(b *besieged) {
		for kind, do := range b.kinds {
			if kind != "silent" && kind != "no Proof" && !testkit.Night() {
				continue
			}
			var wg sync.WaitGroup
			ctx, cancel := context.WithCancel(t.Context())
			defer wg.Wait()
			defer cancel()
			count := make([]int, 2)
			for i := range count {
				wg.Go(func() {
					kept := make([]net.Conn, 150)
					for ; ctx.Err() == nil; count[i]++ {
						at := &kept[count[i]%len(kept)]
						abort(*at)
						if *at = b.dial(); do != nil {
							do(*at)
						}
					}
					for _, c := range kept {
						abort(c)
					}
				})
			}
			time.Sleep(testkit.Full(50*time.Millisecond, time.Second))
			for range testkit.Full(1, 20) {
				b.joins(kind)
			}
			cancel()
			wg.Wait()
			b.Logf("%s: %d connections", kind, count[0]+count[1])
		}
	})
}

// abort closes a connection without leaving its port in use.
func abort(c net.Conn) {
	if c == nil {
		return
	}
	if c, ok := c.(*net.TCPConn); ok {
		c.SetLinger(0)
	}
	c.Close()
}
