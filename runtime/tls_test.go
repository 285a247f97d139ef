package daffi_test

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/daffi-rpc/daffi/internal/authority"
	daffi "github.com/daffi-rpc/daffi/runtime"
	"github.com/daffi-rpc/daffi/runtime/controller"
	"github.com/daffi-rpc/daffi/runtime/internal/rawpeer"
	"github.com/daffi-rpc/daffi/runtime/internal/testkit"
	"github.com/daffi-rpc/daffi/runtime/transport"
)

// cluster has an authority and the files of its certificates.
type cluster struct {
	t   testing.TB
	dir string
	a   *authority.Authority
}

func newCluster(t testing.TB) *cluster {
	a, err := authority.New("shop", 0)
	require.NoError(t, err)
	c := &cluster{t: t, dir: t.TempDir(), a: a}
	require.NoError(t, a.WriteCertificate(c.ca()))
	return c
}

func (c *cluster) ca() string { return filepath.Join(c.dir, "authority.pem") }

// issue makes a certificate, or another in the place of that of the name.
func (c *cluster) issue(name string) *daffi.TLS {
	c.t.Helper()
	r := authority.Request{Name: name, Controller: name == "controller"}
	if r.Controller {
		r.Hosts = []string{"127.0.0.1"}
	}
	pair, err := c.a.Issue(r)
	require.NoError(c.t, err)
	cert, key := authority.Files(c.dir, name)
	require.NoError(c.t, pair.Write(cert, key, true))
	return &daffi.TLS{CertFile: cert, KeyFile: key, CAFile: c.ca()}
}

// token writes a token and returns its file and its hash.
func (c *cluster) token(name string, b byte) (file, hash string) {
	token := []byte(strings.Repeat(string(rune(b)), transport.TokenSize))
	file = filepath.Join(c.dir, name)
	require.NoError(c.t, os.WriteFile(file, []byte(hex.EncodeToString(token)+"\n"), 0o600))
	return file, fmt.Sprintf("%x", sha256.Sum256(token))
}

func (c *cluster) listen(o controller.Options) *controller.Controller {
	c.t.Helper()
	o.Addr = "tcp://127.0.0.1:0"
	ctl, err := controller.Listen(c.t.Context(), o)
	require.NoError(c.t, err)
	c.t.Cleanup(func() { ctl.Close() })
	return ctl
}

// fails joins, and returns the error.
func (c *cluster) fails(o daffi.Options) error {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), 10*time.Second)
	defer cancel()
	n, err := daffi.Connect(ctx, o)
	if err == nil {
		n.Close()
		c.t.Fatal("joined")
	}
	return err
}

// exercise makes calls of every size between two nodes.
func exercise(t *testing.T, server, client *daffi.Node) {
	t.Helper()
	_, err := testkit.RegisterKit(server, new(testkit.Impl))
	require.NoError(t, err)
	p := testkit.NewKit(client)
	for _, size := range []int{0, 1, 16 << 10, 64 << 10, 1 << 20} {
		b := []byte(strings.Repeat("x", size))
		got, err := p.Echo(t.Context(), b)
		require.NoError(t, err)
		require.Equal(t, size, len(got))
	}
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			got, err := p.Echo(t.Context(), []byte("hello"))
			if err != nil || string(got) != "hello" {
				t.Errorf("%q, %v", got, err)
			}
		})
	}
	wg.Wait()
	n := 0
	for b, err := range p.Blobs(t.Context(), 100, 10_000) {
		require.NoError(t, err)
		require.Len(t, b, 10_000)
		n++
	}
	require.Equal(t, 100, n)
}

// TestSEM25Certificates lets nodes join that have certificates, under the names in them and no others.
func TestSEM25Certificates(t *testing.T) {
	c := newCluster(t)
	ctl := c.listen(controller.Options{TLS: c.issue("controller")})
	server := connect(t, daffi.Options{Addr: ctl.Addr(), TLS: c.issue("server")})
	require.Equal(t, "server", server.Name())
	client := connect(t, daffi.Options{Addr: ctl.Addr(), TLS: c.issue("client"), Name: "client"})
	exercise(t, server, client)

	err := c.fails(daffi.Options{Addr: ctl.Addr(), TLS: c.issue("worker"), Name: "server"})
	requireError(t, err, daffi.InvalidArgument, "", daffi.NotRun)
	require.ErrorContains(t, err, "daffi://shop/worker")

	// Who says something else than the certificate, without asking us.
	p := c.raw(ctl, c.issue("worker"), "")
	r := p.Hello(t, transport.HelloPayload{Name: "admin", Incarnation: 1}, nil)
	refuse, err := transport.ParseRefuse(r.Payload)
	require.NoError(t, err)
	require.Equal(t, uint8(daffi.PermissionDenied), refuse.Code)
	require.Contains(t, refuse.Message, `"worker"`)
	require.Contains(t, refuse.Message, `"admin"`)

	// Another cluster's authority, nobody's, and none.
	other := newCluster(t)
	err = c.fails(daffi.Options{Addr: ctl.Addr(), TLS: other.issue("worker")})
	requireError(t, err, daffi.Unauthenticated, "", daffi.NotRun)
	require.ErrorContains(t, err, "of no authority in")
	mixed := other.issue("worker")
	mixed.CAFile = c.ca()
	err = c.fails(daffi.Options{Addr: ctl.Addr(), TLS: mixed})
	requireError(t, err, daffi.Unauthenticated, "", daffi.NotRun)
	require.ErrorContains(t, err, "does not accept the certificate of "+mixed.CertFile)
	token, _ := c.token("token", 1)
	err = c.fails(daffi.Options{Addr: ctl.Addr(), TLS: &daffi.TLS{CAFile: c.ca()}, TokenFile: token})
	requireError(t, err, daffi.Unauthenticated, "", daffi.NotRun)
	require.ErrorContains(t, err, "TLS.CertFile is not set")

	// One end without TLS.
	err = c.fails(daffi.Options{Addr: ctl.Addr(), TokenFile: token})
	requireError(t, err, daffi.FailedPrecondition, "tls", daffi.NotRun)
	require.ErrorContains(t, err, "set Options.TLS")
	plain := c.listen(controller.Options{TokenFile: token})
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	_, err = daffi.Connect(ctx, daffi.Options{Addr: plain.Addr(), TLS: c.issue("worker")})
	require.ErrorContains(t, err, "as one does that is without TLS")
}

// raw joins by hand.
func (c *cluster) raw(ctl *controller.Controller, files *daffi.TLS, tokenFile string) *rawpeer.Peer {
	c.t.Helper()
	creds, err := transport.OpenTLS(files, nil)
	require.NoError(c.t, err)
	c.t.Cleanup(creds.Close)
	addr, err := transport.ParseAddr(ctl.Addr())
	require.NoError(c.t, err)
	conn, info, _, err := transport.Dial(c.t.Context(), addr, transport.DialOptions{TLS: creds, TokenFile: tokenFile})
	require.NoError(c.t, err)
	p := rawpeer.New(transport.NewConn(conn, info)).Start()
	c.t.Cleanup(p.Close)
	return p
}

// TestSEM25Tokens lets nodes join that have tokens, over TLS: of one that all have, or one of several that are bound to names.
func TestSEM25Tokens(t *testing.T) {
	c := newCluster(t)
	files := c.issue("controller")
	alone := &daffi.TLS{CertFile: files.CertFile, KeyFile: files.KeyFile, Every: 5 * time.Millisecond}
	trust := &daffi.TLS{CAFile: c.ca()}
	one, oneHash := c.token("one", 1)
	two, twoHash := c.token("two", 2)

	shared := c.listen(controller.Options{TLS: alone, TokenFile: one})
	exercise(t, connect(t, daffi.Options{Name: "server", Addr: shared.Addr(), TLS: trust, TokenFile: one}), connect(t, daffi.Options{Name: "client", Addr: shared.Addr(), TLS: trust, TokenFile: one}))
	requireError(t, c.fails(daffi.Options{Name: "wrong", Addr: shared.Addr(), TLS: trust, TokenFile: two}), daffi.Unauthenticated, "", daffi.NotRun)

	list := filepath.Join(c.dir, "tokens")
	require.NoError(t, os.WriteFile(list, []byte(oneHash+" server # the only one\n"), 0o644))
	several := c.listen(controller.Options{TLS: alone, TokensFile: list})
	server := connect(t, daffi.Options{Name: "server", Addr: several.Addr(), TLS: trust, TokenFile: one})
	err := c.fails(daffi.Options{Name: "other", Addr: several.Addr(), TLS: trust, TokenFile: one})
	requireError(t, err, daffi.PermissionDenied, "", daffi.NotRun)
	require.ErrorContains(t, err, `"other"`)
	requireError(t, c.fails(daffi.Options{Name: "client-1", Addr: several.Addr(), TLS: trust, TokenFile: two}), daffi.Unauthenticated, "", daffi.NotRun)
	require.NoError(t, os.WriteFile(list, []byte(oneHash+" server\n"+twoHash+" client-*\n"), 0o644))
	require.Eventually(t, func() bool {
		n, err := daffi.Connect(t.Context(), daffi.Options{Name: "client-1", Addr: several.Addr(), TLS: trust, TokenFile: two})
		if err == nil {
			exercise(t, server, n)
			n.Close()
		}
		return err == nil
	}, 10*time.Second, 20*time.Millisecond)
}

// A node shows its token to nobody whom it does not know, whatever it is asked for.
func TestSEM25TokenStaysAtHome(t *testing.T) {
	c := newCluster(t)
	token, _ := c.token("token", 1)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer ln.Close()
	got := make(chan transport.Kind, 10)
	go func() {
		conn, err := ln.Accept()
		if err != nil {
			return
		}
		p := rawpeer.New(transport.NewConn(conn, transport.Info{Network: "tcp"})).Start()
		defer p.Close()
		p.Expect(t, transport.Hello)
		p.Send(transport.Frame{Header: transport.Header{Kind: transport.Challenge}, Payload: transport.AppendChallenge(nil, &transport.ChallengePayload{Auth: transport.AuthTokenTLS})})
		for {
			f, ok := p.Poll()
			if ok {
				got <- f.Kind
			}
			select {
			case <-t.Context().Done():
				return
			case <-time.After(time.Millisecond):
			}
		}
	}()
	err = c.fails(daffi.Options{Name: "node", Addr: "tcp://" + ln.Addr().String(), TokenFile: token})
	requireError(t, err, daffi.Unauthenticated, "", daffi.NotRun)
	require.ErrorContains(t, err, "set Options.TLS")
	require.Empty(t, got)
}

// A node that goes without TLS says so, and why.
func TestSEM25Insecure(t *testing.T) {
	ctl, err := controller.Listen(t.Context(), controller.Options{Addr: "tcp://0.0.0.0:0", Insecure: "a test"})
	require.NoError(t, err)
	defer ctl.Close()
	addr := strings.Replace(ctl.Addr(), "0.0.0.0", "127.0.0.1", 1)
	exercise(t, connect(t, daffi.Options{Name: "server", Addr: addr, Insecure: "a test"}), connect(t, daffi.Options{Name: "client", Addr: addr, Insecure: "a test"}))
}

// serialAt is that of the certificate which a controller shows.
func serialAt(t *testing.T, addr string) string {
	conn, err := tls.Dial("tcp", strings.TrimPrefix(addr, "tcp://"), &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"daffi/1"}})
	require.NoError(t, err)
	defer conn.Close()
	return conn.ConnectionState().PeerCertificates[0].SerialNumber.String()
}

// cutter is a way to a controller that can be cut.
type cutter struct {
	addr  string
	mu    sync.Mutex
	conns []net.Conn
}

func newCutter(t *testing.T, to string) *cutter {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	c := &cutter{addr: "tcp://" + ln.Addr().String()}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			near, err := ln.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("tcp", strings.TrimPrefix(to, "tcp://"))
			if err != nil {
				near.Close()
				continue
			}
			c.mu.Lock()
			c.conns = append(c.conns, near, far)
			c.mu.Unlock()
			var both sync.WaitGroup
			for _, ways := range [][2]net.Conn{{near, far}, {far, near}} {
				both.Go(func() {
					io.Copy(ways[0], ways[1])
					ways[0].(*net.TCPConn).CloseWrite() // what comes the other way is not lost, such as a Goodbye
				})
			}
			wg.Go(func() {
				both.Wait()
				near.Close()
				far.Close()
			})
		}
	})
	t.Cleanup(func() {
		ln.Close()
		c.cut()
		wg.Wait()
	})
	return c
}

func (c *cutter) cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, conn := range c.conns {
		conn.Close()
	}
	c.conns = nil
}

// TestACC62Rotation renews the certificates of a controller and its nodes under load, and the authority that they come from, puts files in their place that are no good, and has the nodes come back and
// join anew at times: no call fails.
func TestACC62Rotation(t *testing.T) {
	rotations, rate := testkit.Full(15, 100), testkit.Full(300, 1000)
	c := newCluster(t)
	files := c.issue("controller")
	files.Every = 5 * time.Millisecond
	ctl := c.listen(controller.Options{TLS: files, ResumeGrace: 10 * time.Second})
	way := newCutter(t, ctl.Addr())
	nodes := []*daffi.TLS{c.issue("server"), c.issue("client")}
	server := connect(t, daffi.Options{Addr: way.addr, TLS: nodes[0], ResumeGrace: 10 * time.Second})
	_, err := testkit.RegisterKit(server, new(testkit.Impl))
	require.NoError(t, err)
	client := connect(t, daffi.Options{Addr: way.addr, TLS: nodes[1], ResumeGrace: 10 * time.Second})
	p := testkit.NewKit(client)
	require.NoError(t, p.WaitReady(t.Context()))

	var calls, failed atomic.Int64
	stop := make(chan struct{})
	var wg sync.WaitGroup
	const callers = 16
	for range callers {
		wg.Go(func() {
			tick := time.NewTicker(time.Second * callers / time.Duration(rate))
			defer tick.Stop()
			for {
				select {
				case <-stop:
					return
				case <-tick.C:
				}
				calls.Add(1)
				if _, err := p.Echo(context.Background(), []byte("hello")); err != nil {
					failed.Add(1)
					t.Error(err)
				}
			}
		})
	}
	defer func() {
		close(stop)
		wg.Wait()
		t.Logf("%d rotations, %d calls, %d failed", rotations, calls.Load(), failed.Load())
		require.Zero(t, failed.Load())
		require.Positive(t, calls.Load())
	}()
	change := func(f func()) { // until the controller has it
		before := serialAt(t, ctl.Addr())
		f()
		require.Eventually(t, func() bool { return serialAt(t, ctl.Addr()) != before }, 10*time.Second, 5*time.Millisecond)
	}
	all := func() { c.issue("controller"); c.issue("server"); c.issue("client") }
	comeBack := func() {
		before := ctl.Stats().Resumed
		way.cut()
		require.Eventually(t, func() bool { return ctl.Stats().Resumed >= before+2 }, 10*time.Second, 5*time.Millisecond)
	}
	spoils := []func(file string){
		func(file string) { require.NoError(t, os.Remove(file)) },
		func(file string) { require.NoError(t, os.Truncate(file, 100)) },
		func(file string) { require.NoError(t, os.Truncate(file, 0)) },
		func(file string) { c.wrong(file, func(r *authority.Request) { r.Name = "other" }) },
		func(file string) {
			c.wrong(file, func(r *authority.Request) { r.NotAfter = time.Now().Add(-time.Second) })
		},
	}
	for i := range rotations {
		time.Sleep(testkit.Full(0, 100*time.Millisecond)) // as many calls as there should be
		change(all)
		switch i % 5 {
		case 1: // another authority, which is trusted beside the one before as long as there are certificates of that
			old, err := os.ReadFile(c.ca())
			require.NoError(t, err)
			next, err := authority.New("shop", 0)
			require.NoError(t, err)
			change(func() {
				c.trust(slices.Concat(old, next.PEM()))
				c.issue("controller")
			})
			c.a = next
			change(all)
			comeBack()
			change(func() {
				c.trust(next.PEM())
				c.issue("controller")
			})
			comeBack()
		case 2: // those that are there come back, with theirs
			comeBack()
		case 3: // files are no good while they do
			spoil := spoils[i/5%len(spoils)]
			for _, f := range nodes {
				spoil(f.CertFile)
			}
			spoil(files.CertFile)
			if i/5%2 == 0 {
				require.NoError(t, os.Truncate(c.ca(), 300))
			}
			comeBack()
			comeBack()
			c.trust(c.a.PEM())
			change(all)
			comeBack()
		case 4: // another node joins, with the new certificates, and serves
			name := fmt.Sprintf("late-%d", i)
			late := connect(t, daffi.Options{Addr: ctl.Addr(), TLS: c.issue(name)})
			_, err := testkit.RegisterKit(late, new(testkit.Impl))
			require.NoError(t, err)
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			require.NoError(t, late.Shutdown(ctx))
			cancel()
		}
	}
}

// trust replaces the authorities that everybody trusts.
func (c *cluster) trust(pem []byte) {
	c.t.Helper()
	require.NoError(c.t, os.WriteFile(c.ca()+"~", pem, 0o644))
	require.NoError(c.t, os.Rename(c.ca()+"~", c.ca()))
}

// wrong puts a certificate that is not as it was into its file, and its key into that of the key.
func (c *cluster) wrong(file string, change func(*authority.Request)) {
	c.t.Helper()
	name := strings.TrimSuffix(filepath.Base(file), ".pem")
	r := authority.Request{Name: name, Controller: name == "controller"}
	if r.Controller {
		r.Hosts = []string{"127.0.0.1"}
	}
	change(&r)
	pair, err := c.a.Issue(r)
	require.NoError(c.t, err)
	cert, key := authority.Files(c.dir, name)
	require.Equal(c.t, file, cert)
	require.NoError(c.t, pair.Write(cert, key, true))
}

// TestLIM21OldAuthority has a node that does not know the controller's authority. It has shown nothing wrong, so its attempts do not bar the nodes that share its address.
func TestLIM21OldAuthority(t *testing.T) {
	c, other := newCluster(t), newCluster(t)
	ctl := c.listen(controller.Options{TLS: c.issue("controller")})
	eventually := func(ok func(controller.Stats) bool) {
		t.Helper()
		require.Eventually(t, func() bool { return ok(ctl.Stats()) }, 10*time.Second, time.Millisecond)
	}
	old := c.issue("worker")
	old.CAFile = other.ca()
	require.ErrorContains(t, c.fails(daffi.Options{Addr: ctl.Addr(), TLS: old}), "of no authority in")
	eventually(func(st controller.Stats) bool { return st.Refused > 0 })
	require.Zero(t, ctl.Stats().Failed)
	wrong := other.issue("worker")
	wrong.CAFile = c.ca()
	require.ErrorContains(t, c.fails(daffi.Options{Addr: ctl.Addr(), TLS: wrong}), "does not accept the certificate")
	eventually(func(st controller.Stats) bool { return st.Failed > 0 }) // this one has
}
