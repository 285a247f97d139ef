package transport

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// testAuthority signs what it is asked to, also what is wrong.
type testAuthority struct {
	t    testing.TB
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	n    int64
}

func newTestAuthority(t testing.TB) *testAuthority {
	a := &testAuthority{t: t, dir: t.TempDir()}
	a.renew(nil)
	return a
}

func (a *testAuthority) file(name string) string { return filepath.Join(a.dir, name) }

// renew makes another authority, in the same file.
func (a *testAuthority) renew(change func(*x509.Certificate)) {
	c := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(100 * 24 * time.Hour),
	}
	if change != nil {
		change(c)
	}
	a.key = must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	a.cert = must(x509.ParseCertificate(must(x509.CreateCertificate(rand.Reader, c, c, a.key.Public(), a.key))))
	a.write("ca.pem", "CERTIFICATE", a.cert.Raw, 0o644)
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func (a *testAuthority) write(name, kind string, der []byte, mode os.FileMode) string {
	a.t.Helper()
	file := a.file(name)
	if err := os.WriteFile(file+"~", pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), mode); err != nil {
		a.t.Fatal(err)
	}
	if err := os.Rename(file+"~", file); err != nil {
		a.t.Fatal(err)
	}
	return file
}

// issue signs a certificate of a node, or of a controller of this host, after it was changed.
func (a *testAuthority) issue(name string, controller bool, change func(*x509.Certificate)) *TLS {
	a.t.Helper()
	a.n++
	c := &x509.Certificate{
		SerialNumber: big.NewInt(a.n + 1), KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(90 * 24 * time.Hour), URIs: uris("daffi://shop/" + name),
	}
	if controller {
		c.ExtKeyUsage = append(c.ExtKeyUsage, x509.ExtKeyUsageServerAuth)
		c.IPAddresses, c.DNSNames = []net.IP{net.IPv4(127, 0, 0, 1)}, []string{"localhost"}
	}
	key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	parent, signer := a.cert, a.key
	if change != nil {
		change(c)
	}
	if c.Issuer.CommonName == "self" {
		parent, signer = c, key
	}
	der := must(x509.CreateCertificate(rand.Reader, c, parent, key.Public(), signer))
	return &TLS{
		KeyFile:  a.write(name+"-key.pem", "PRIVATE KEY", must(x509.MarshalPKCS8PrivateKey(key)), 0o600),
		CertFile: a.write(name+".pem", "CERTIFICATE", der, 0o644),
		CAFile:   a.file("ca.pem"),
	}
}

func uris(texts ...string) (all []*url.URL) {
	for _, s := range texts {
		all = append(all, must(url.Parse(s)))
	}
	return all
}

// logged is a log that may be read while it is written.
type logged struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logged) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// open is openTLS for a test.
func open(t testing.TB, o *TLS, controller bool, log io.Writer) *credentials {
	t.Helper()
	c, err := openTLS(o, controller, slog.New(slog.NewTextHandler(log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// meet connects two ends and exchanges a byte each way. What has come of that is what each of them says.
func meet(t testing.TB, controller, node *credentials, host string) (c, n Info, cErr, nErr error) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	done := make(chan struct{})
	go func() {
		defer close(done)
		conn, err := ln.Accept()
		if err != nil {
			cErr = err
			return
		}
		var s net.Conn
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		if s, c, cErr = controller.shake(ctx, conn, ""); cErr == nil {
			defer s.Close()
			cErr = swap(s)
		}
	}()
	conn, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	s, n, nErr := node.shake(ctx, conn, host)
	if nErr == nil {
		nErr = swap(s)
		s.Close()
	}
	<-done
	return c, n, cErr, nErr
}

func swap(c net.Conn) error {
	c.SetDeadline(time.Now().Add(5 * time.Second))
	if _, err := c.Write([]byte{1}); err != nil {
		return err
	}
	_, err := io.ReadFull(c, make([]byte, 1))
	return err
}

func TestTLSMeets(t *testing.T) {
	a := newTestAuthority(t)
	controller := open(t, a.issue("controller", true, nil), true, t.Output())
	node := open(t, a.issue("worker-1", false, nil), false, t.Output())
	for _, host := range []string{"127.0.0.1", "localhost"} {
		c, n, cErr, nErr := meet(t, controller, node, host)
		if cErr != nil || nErr != nil || c.Certificate != "daffi://shop/worker-1" || n.Certificate != "daffi://shop/controller" || !c.TLS || !n.TLS {
			t.Errorf("%s: %+v %v, %+v %v", host, c, cErr, n, nErr)
		}
	}
}

// tlsCase is a row of ACC-62: what is done to the certificate of one end, or what the other end does.
type tlsCase struct {
	name   string
	change func(*x509.Certificate)
	want   string // in the error of the end that refuses; "" if there is none
}

func setURIs(texts ...string) func(*x509.Certificate) {
	return func(c *x509.Certificate) { c.URIs = uris(texts...) }
}

// wrong is what no end may believe of the other.
var wrong = []tlsCase{
	{"as it is", nil, ""},
	{"expired", func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }, "has expired or is not valid yet"},
	{"not yet valid", func(c *x509.Certificate) { c.NotBefore = time.Now().Add(time.Hour) }, "has expired or is not valid yet"},
	{"self-signed", func(c *x509.Certificate) { c.Issuer.CommonName = "self" }, "of no authority in"},
	{"no URI, common name only", func(c *x509.Certificate) { c.URIs, c.Subject.CommonName = nil, "daffi://shop/worker" }, "0 URIs"},
	{"two URIs", setURIs("daffi://shop/worker", "daffi://shop/admin"), "2 URIs"},
	{"the same URI twice", setURIs("daffi://shop/worker", "daffi://shop/worker"), "2 URIs"},
	{"wildcard for a name", setURIs("daffi://shop/*"), "not of the form"},
	{"wildcard in a name", setURIs("daffi://shop/work*"), "not of the form"},
	{"wildcard for a cluster", setURIs("daffi://*/worker"), "not of the form"},
	{"another scheme", setURIs("spiffe://shop/worker"), "not of the form"},
	{"scheme in capitals", func(c *x509.Certificate) { c.URIs = []*url.URL{{Scheme: "DAFFI", Host: "shop", Path: "/worker"}} }, "not of the form"},
	{"name in capitals", setURIs("daffi://shop/Worker"), "not of the form"},
	{"escaped name", setURIs("daffi://shop/%77orker"), "not of the form"},
	{"name with a slash", setURIs("daffi://shop/worker/x"), "not of the form"},
	{"name with a query", setURIs("daffi://shop/worker?x"), "not of the form"},
	{"cluster with a port", setURIs("daffi://shop:1/worker"), "not of the form"},
	{"cluster with a user", setURIs("daffi://u@shop/worker"), "not of the form"},
	{"no name", setURIs("daffi://shop/"), "not of the form"},
	{"no cluster", setURIs("daffi:///worker"), "not of the form"},
	{"name of 65 letters", setURIs("daffi://shop/" + strings.Repeat("w", 65)), "not of the form"},
	{"other cluster", setURIs("daffi://shop2/worker"), "of another cluster"},
	{"mail address beside", func(c *x509.Certificate) { c.EmailAddresses = []string{"a@example.com"} }, "of kind 1"},
	{"no extended key usage", func(c *x509.Certificate) { c.ExtKeyUsage = nil }, "extended key usage"},
	{"any extended key usage", func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageAny} }, "extended key usage"},
	{"for signing of code", func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning} }, "extended key usage"},
}

// ofNodes is what a controller may not believe of a node, and ofControllers the other way round.
var (
	ofNodes = []tlsCase{
		{"for a server", func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }, "extended key usage"},
		{"host beside", func(c *x509.Certificate) { c.DNSNames = []string{"localhost"} }, "of kind 2"},
		{"address beside", func(c *x509.Certificate) { c.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1)} }, "of kind 7"},
	}
	ofControllers = []tlsCase{
		{"of a node", func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} }, "extended key usage"},
		{"no hosts", func(c *x509.Certificate) { c.DNSNames, c.IPAddresses = nil, nil }, "is not for"},
		{"other address", func(c *x509.Certificate) { c.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 2)} }, "is not for"},
		{"address as a host", func(c *x509.Certificate) { c.DNSNames, c.IPAddresses = []string{"127.0.0.1"}, nil }, "is not for"},
		{"wildcard host", func(c *x509.Certificate) { c.DNSNames = append(c.DNSNames, "*.example.com") }, "one by one"},
	}
)

// lax opens files that openTLS would refuse as the own ones: peers are not to rely on that.
func lax(t testing.TB, o *TLS, controller bool) *credentials {
	t.Helper()
	pair, err := tls.LoadX509KeyPair(o.CertFile, o.KeyFile)
	if err != nil {
		t.Fatal(err)
	}
	authorities, err := parseAuthorities(must(os.ReadFile(o.CAFile)))
	if err != nil {
		t.Fatal(err)
	}
	c := &credentials{files: *o, controller: controller, log: slog.New(slog.DiscardHandler)}
	c.state.Store(&loaded{config: newConfig(&pair, authorities, controller, "shop")})
	return c
}

func (c *tlsCase) check(t *testing.T, err, other error) {
	t.Helper()
	switch {
	case c.want == "" && (err != nil || other != nil):
		t.Errorf("%v, and the other end %v", err, other)
	case c.want == "":
	case !errors.Is(err, ErrUntrusted) || !strings.Contains(err.Error(), c.want):
		t.Errorf("%v, want that it %s", err, c.want)
	case other == nil:
		t.Error("the other end was not told")
	}
}

func TestACC62Certificates(t *testing.T) {
	a := newTestAuthority(t)
	goodController := open(t, a.issue("controller", true, nil), true, t.Output())
	goodNode := open(t, a.issue("node", false, nil), false, t.Output())
	cases := 0
	for _, c := range slices.Concat(wrong, ofNodes) {
		cases++
		t.Run("node/"+c.name, func(t *testing.T) {
			node := lax(t, a.issue("worker", false, c.change), false)
			_, _, cErr, nErr := meet(t, goodController, node, "127.0.0.1")
			c.check(t, cErr, nErr)
			if c.want != "" && !errors.Is(nErr, ErrUntrusted) {
				t.Errorf("the node was told %v", nErr)
			}
		})
	}
	for _, c := range slices.Concat(wrong, ofControllers) {
		cases++
		t.Run("controller/"+c.name, func(t *testing.T) {
			controller := lax(t, a.issue("worker", true, c.change), true)
			_, _, cErr, nErr := meet(t, controller, goodNode, "127.0.0.1")
			c.check(t, nErr, cErr)
			if errors.Is(cErr, ErrUntrusted) { // nothing that the node has shown was wrong, so its address is not to be barred
				t.Errorf("the controller distrusts the node: %v", cErr)
			}
		})
	}
	if cases < 40 {
		t.Errorf("%d cases", cases)
	}
}

// What one end does without our checks, the other must notice.
func TestACC62Handshakes(t *testing.T) {
	a, b := newTestAuthority(t), newTestAuthority(t)
	good := a.issue("worker", false, nil)
	controllerFiles := a.issue("controller", true, nil)
	controller := open(t, controllerFiles, true, t.Output())
	node := open(t, good, false, t.Output())
	config := func(c *credentials, change func(*tls.Config)) *credentials {
		other := &credentials{files: c.files, controller: c.controller, log: c.log}
		conf := c.state.Load().config.Clone()
		change(conf)
		other.state.Store(&loaded{config: conf})
		return other
	}
	check := func(name, want string, controller, node *credentials, atNode bool) {
		t.Helper()
		_, _, cErr, nErr := meet(t, controller, node, "127.0.0.1")
		err := cErr
		if atNode {
			err = nErr
		}
		if cErr == nil || nErr == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: the controller says %v, the node %v", name, cErr, nErr)
		}
	}
	check("node of TLS 1.2", "versions", controller, config(node, func(c *tls.Config) { c.MinVersion, c.MaxVersion = 0, tls.VersionTLS12 }), false)
	check("controller of TLS 1.2", "version", config(controller, func(c *tls.Config) { c.MinVersion, c.MaxVersion, c.VerifyConnection = 0, tls.VersionTLS12, nil }), node, true)
	check("node without a certificate", "certificate", controller, config(node, func(c *tls.Config) { c.Certificates, c.GetClientCertificate = nil, nil }), false)
	check("node without a certificate is told", "certificate required", controller, config(node, func(c *tls.Config) { c.Certificates, c.GetClientCertificate = nil, nil }), true)
	check("node without a protocol", protocol, controller, config(node, func(c *tls.Config) { c.NextProtos = nil; c.VerifyConnection = nil }), false)
	check("node of another protocol", "protocol", controller, config(node, func(c *tls.Config) { c.NextProtos = []string{"h2\n\x1b[31m"}; c.VerifyConnection = nil }), false)
	check("controller without a protocol", protocol, config(controller, func(c *tls.Config) { c.NextProtos = nil; c.VerifyConnection = nil }), node, true)
	other := b.issue("worker", false, nil)
	check("node of another authority", "of no authority in", controller, lax(t, &TLS{CertFile: other.CertFile, KeyFile: other.KeyFile, CAFile: good.CAFile}, false), false)
	check("node that trusts another authority", "of no authority in", controller, lax(t, &TLS{CertFile: good.CertFile, KeyFile: good.KeyFile, CAFile: other.CAFile}, false), true)
	check("node's certificate at the controller's end", "extended key usage", lax(t, a.issue("worker2", false, func(c *x509.Certificate) {
		c.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1)}
	}), true), node, true)
}

// A node that kept a session of TLS must be checked as if it had none, also where somebody has turned tickets on.
func TestACC62ResumptionAfterOtherAuthority(t *testing.T) {
	a := newTestAuthority(t)
	controller := open(t, a.issue("controller", true, nil), true, t.Output())
	node := open(t, a.issue("worker", false, nil), false, t.Output())
	cache := tls.NewLRUClientSessionCache(8)
	greedy := &credentials{files: node.files, log: node.log}
	conf := node.state.Load().config.Clone()
	conf.ClientSessionCache, conf.SessionTicketsDisabled = cache, false
	greedy.state.Store(&loaded{config: conf})
	for range 2 { // no ticket is given, so that the second is like the first
		if _, _, cErr, nErr := meet(t, controller, greedy, "127.0.0.1"); cErr != nil || nErr != nil {
			t.Fatal(cErr, nErr)
		}
	}
	if s, ok := cache.Get("127.0.0.1"); ok {
		t.Errorf("the node was given a session to resume: %v", s)
	}

	// A controller with tickets: it refuses what is resumed.
	lenient := &credentials{files: controller.files, controller: true, log: controller.log}
	conf = controller.state.Load().config.Clone()
	conf.SessionTicketsDisabled = false
	conf.VerifyConnection = nil
	lenient.state.Store(&loaded{config: conf})
	meet(t, lenient, greedy, "127.0.0.1")
	if _, ok := cache.Get("127.0.0.1"); !ok {
		t.Fatal("no session to resume, so that nothing is shown")
	}
	strict := conf.Clone()
	strict.VerifyConnection = controller.state.Load().config.VerifyConnection
	lenient.state.Store(&loaded{config: strict})
	if _, _, cErr, nErr := meet(t, lenient, greedy, "127.0.0.1"); cErr == nil || nErr == nil {
		t.Errorf("a session was resumed: %v, %v", cErr, nErr)
	}
}

// Every configuration that there is comes from newConfig, and has what it must have whatever the options are.
func TestBUG58OneConfiguration(t *testing.T) {
	a := newTestAuthority(t)
	pair := must(tls.LoadX509KeyPair(a.issue("controller", true, nil).CertFile, a.file("controller-key.pem")))
	pool := must(parseAuthorities(must(os.ReadFile(a.file("ca.pem")))))
	for _, controller := range []bool{false, true} {
		for _, own := range []*tls.Certificate{nil, &pair} {
			for _, authorities := range []*x509.CertPool{nil, pool} {
				c := newConfig(own, authorities, controller, "shop")
				if c.MinVersion != tls.VersionTLS13 || c.MaxVersion != tls.VersionTLS13 || !c.SessionTicketsDisabled || c.ClientSessionCache != nil ||
					!slices.Equal(c.NextProtos, []string{"daffi/1"}) || c.VerifyConnection == nil || c.InsecureSkipVerify || c.KeyLogWriter != nil ||
					c.GetConfigForClient != nil || c.Renegotiation != tls.RenegotiateNever || (own != nil) != (len(c.Certificates) == 1) {
					t.Errorf("controller %v: %+v", controller, c)
				}
				mutual := controller && authorities != nil
				if (c.ClientAuth == tls.RequireAndVerifyClientCert) != mutual || (c.ClientCAs == pool) != mutual || (c.RootCAs == pool) != (!controller && authorities != nil) {
					t.Errorf("controller %v, authorities %v: %+v", controller, authorities != nil, c)
				}
				if err := c.VerifyConnection(tls.ConnectionState{Version: tls.VersionTLS12, NegotiatedProtocol: "daffi/1"}); err == nil {
					t.Error("TLS 1.2 is verified")
				}
				if err := c.VerifyConnection(tls.ConnectionState{Version: tls.VersionTLS13, DidResume: true, NegotiatedProtocol: "daffi/1"}); err == nil {
					t.Error("resumption is verified")
				}
			}
		}
	}
	// Nobody else makes one.
	files, err := filepath.Glob("../*/*.go")
	more, err2 := filepath.Glob("../*.go")
	for _, f := range append(files, more...) {
		if text, err := os.ReadFile(f); err == nil && !strings.HasSuffix(f, "_test.go") && filepath.Base(f) != "tlsconfig.go" && bytes.Contains(text, []byte("tls.Config{")) {
			t.Errorf("%s makes a tls.Config of its own", f)
		}
	}
	if err != nil || err2 != nil || len(files) < 20 {
		t.Errorf("%d files, %v, %v", len(files), err, err2)
	}
}

func TestTLSFiles(t *testing.T) {
	a := newTestAuthority(t)
	good := a.issue("worker", false, nil)
	other := a.issue("other", false, nil)
	for name, c := range map[string]struct {
		o    TLS
		want string
	}{
		"key without certificate": {TLS{KeyFile: good.KeyFile, CAFile: good.CAFile}, "TLS.CertFile is not"},
		"certificate without key": {TLS{CertFile: good.CertFile, CAFile: good.CAFile}, "TLS.KeyFile is not"},
		"other key":               {TLS{CertFile: good.CertFile, KeyFile: other.KeyFile, CAFile: good.CAFile}, "does not match"},
		"no file":                 {TLS{CertFile: good.CertFile, KeyFile: good.KeyFile, CAFile: a.file("nowhere")}, "nowhere"},
		"key as authority":        {TLS{CAFile: good.KeyFile}, "PRIVATE KEY"},
		"node as authority":       {TLS{CAFile: good.CertFile}, "not an authority's"},
		"empty authority":         {TLS{CAFile: os.DevNull}, "holds no certificate"},
		"key as certificate":      {TLS{CertFile: good.KeyFile, KeyFile: good.KeyFile}, "certificate"},
		"negative interval":       {TLS{CAFile: good.CAFile, Every: -1}, "TLS.Every"},
	} {
		if _, err := OpenTLS(&c.o, nil); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q in it", name, err, c.want)
		}
	}
	if _, err := openTLS(good, true, nil); err == nil || !strings.Contains(err.Error(), "serverAuth") {
		t.Errorf("a node's certificate for a controller: %v", err)
	}
	if os.PathSeparator == '/' {
		if err := os.Chmod(good.CAFile, 0o646); err != nil {
			t.Fatal(err)
		}
		if _, err := OpenTLS(good, nil); err == nil || !strings.Contains(err.Error(), "so that others can change it: chmod go-w it") {
			t.Errorf("authorities that all can add to: %v", err)
		}
		if err := errors.Join(os.Chmod(good.CAFile, 0o644), os.Chmod(good.KeyFile, 0o644)); err != nil {
			t.Fatal(err)
		}
		if _, err := OpenTLS(good, nil); err == nil || !strings.Contains(err.Error(), "chmod 600") {
			t.Errorf("a key that all can read: %v", err)
		}
	}
	if name := other.Name(); name != "daffi://shop/other" {
		t.Errorf("named %q", name)
	}
}

// TestACC62LastGood replaces the files of either end by what its peers would refuse, or by what is no certificate: the last good ones stay, that is said once, and good ones are taken afterwards.
func TestACC62LastGood(t *testing.T) {
	for _, controller := range []bool{false, true} {
		who := map[bool]string{false: "worker", true: "controller"}[controller]
		reissue := func(change func(*x509.Certificate)) func(a *testAuthority, files *TLS) {
			return func(a *testAuthority, _ *TLS) { a.issue(who, controller, change) }
		}
		put := func(file func(*TLS) string, text func(before []byte) []byte) func(a *testAuthority, files *TLS) {
			return func(a *testAuthority, files *TLS) {
				path := file(files)
				if err := os.WriteFile(path, text(must(os.ReadFile(path))), 0o600); err != nil {
					a.t.Fatal(err)
				}
			}
		}
		certificate, key, authorities := func(f *TLS) string { return f.CertFile }, func(f *TLS) string { return f.KeyFile }, func(f *TLS) string { return f.CAFile }
		half := func(b []byte) []byte { return b[:len(b)/2] }
		none := func([]byte) []byte { return nil }
		garbage := func([]byte) []byte { return []byte("no PEM\n\x1b[31m") }
		var later time.Time
		for name, c := range map[string]struct {
			spoil func(a *testAuthority, files *TLS)
			want  string // in what is said of it
		}{
			"another name":          {reissue(setURIs("daffi://shop/other")), "daffi://shop/other"},
			"another cluster":       {reissue(setURIs("daffi://shop2/" + who)), "shop2"},
			"expired":               {reissue(func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Second) }), "has expired"},
			"not yet valid":         {reissue(func(c *x509.Certificate) { c.NotBefore = later }), "is not valid before"},
			"no name":               {reissue(setURIs()), "0 URIs"},
			"for another use":       {reissue(func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning} }), "extended key usage"},
			"half certificate":      {put(certificate, half), "failed to find"},
			"no certificate":        {put(certificate, none), "failed to find"},
			"garbage":               {put(certificate, garbage), "failed to find"},
			"half key":              {put(key, half), "failed to find"},
			"key of another":        {func(a *testAuthority, files *TLS) { copyFile(a.t, a.issue("x", false, nil).KeyFile, files.KeyFile) }, "does not match"},
			"half authority":        {put(authorities, half), "holds no certificate"},
			"no authority":          {put(authorities, none), "holds no certificate"},
			"no certificate's file": {func(a *testAuthority, files *TLS) { os.Remove(files.CertFile) }, "open "},
			"no key's file":         {func(a *testAuthority, files *TLS) { os.Remove(files.KeyFile) }, "open "},
			"no authority's file":   {func(a *testAuthority, files *TLS) { os.Remove(files.CAFile) }, "open "},
		} {
			if controller && name == "another name" {
				continue // nothing goes by that of a controller
			}
			t.Run(who+"/"+name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					a := newTestAuthority(t)
					var log logged
					later = time.Now().Add(5 * time.Minute)
					ca := must(os.ReadFile(a.file("ca.pem")))
					files := a.issue(who, controller, nil)
					end := open(t, files, controller, &log)
					defer end.Close()
					settle := func() *loaded {
						time.Sleep(5 * time.Second)
						synctest.Wait()
						if !controller { // it dials, and again
							end.refresh()
							end.refresh()
						}
						return end.state.Load()
					}
					before := settle()
					c.spoil(a, files)
					settle()
					if settle() != before {
						t.Error("the last good ones are not in use any more")
					}
					complaints := 0
					for l := range strings.Lines(log.String()) {
						if strings.Contains(l, "no good") && strings.Contains(l, c.want) {
							complaints++
						}
						for _, r := range strings.TrimSuffix(l, "\n") {
							if r < ' ' {
								t.Errorf("%q", l)
							}
						}
					}
					if complaints != 1 || strings.Count(log.String(), "no good") != 1 {
						t.Errorf("%d complaints that have %q: %s", complaints, c.want, &log)
					}
					if name == "not yet valid" {
						time.Sleep(time.Until(later) - time.Minute)
						if settle() != before {
							t.Error("taken before its time")
						}
						time.Sleep(time.Minute)
						synctest.Wait()
						if end.state.Load() == before || strings.Count(log.String(), "no good") != 1 {
							t.Errorf("not taken when it is valid: %s", &log)
						}
					}
					now := end.state.Load()
					a.issue(who, controller, nil)
					writeFile(t, a.file("ca.pem"), string(ca), 0o600)
					if settle() == now {
						t.Errorf("good ones are not taken: %s", &log)
					}
				})
			})
		}
	}
}

func copyFile(t testing.TB, from, to string) {
	t.Helper()
	writeFile(t, to, string(must(os.ReadFile(from))), 0o600)
}

// A controller takes other files up by itself, a pair only as a whole, and keeps the last good ones.
func TestTLSReload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newTestAuthority(t)
		var log logged
		files := a.issue("controller", true, nil)
		c := open(t, files, true, &log)
		defer c.Close()
		serial := func() int64 {
			time.Sleep(5 * time.Second)
			synctest.Wait()
			return c.state.Load().config.Certificates[0].Leaf.SerialNumber.Int64()
		}
		before := serial()
		a.issue("controller", true, nil)
		if now := serial(); now != before+1 {
			t.Errorf("serial %d after %d", now, before)
		}
		key := must(os.ReadFile(files.KeyFile))
		a.issue("controller", true, nil)
		if err := os.WriteFile(files.KeyFile, key, 0o600); err != nil {
			t.Fatal(err)
		}
		if now := serial(); now != before+1 {
			t.Errorf("serial %d, with the key of another", now)
		}
		serial()
		if n := strings.Count(log.String(), "no good"); n != 1 {
			t.Errorf("%d complaints: %s", n, &log)
		}
		a.issue("controller", true, nil)
		if now := serial(); now != before+3 {
			t.Errorf("serial %d after %d", now, before)
		}
		if err := os.Remove(files.CertFile); err != nil {
			t.Fatal(err)
		}
		if now := serial(); now != before+3 || strings.Count(log.String(), "no good") != 2 {
			t.Errorf("serial %d without a file: %s", now, &log)
		}
	})
}

// What was refused for its mode is taken once that is right, as the error asks for, though the file holds the same.
func TestTLSModeMended(t *testing.T) {
	if os.PathSeparator != '/' {
		t.Skip("modes say nothing here")
	}
	synctest.Test(t, func(t *testing.T) {
		a := newTestAuthority(t)
		var log logged
		tokens := filepath.Join(t.TempDir(), "tokens")
		entry := func(token byte) string {
			return fmt.Sprintf("%x *\n", sha256.Sum256(bytes.Repeat([]byte{token}, TokenSize)))
		}
		writeFile(t, tokens, entry(1), 0o600)
		known := must(openTokens(tokens, 0, slog.New(slog.NewTextHandler(&log, nil))))
		defer known.close()
		controller, worker := a.issue("controller", true, nil), a.issue("worker", false, nil)
		c, n := open(t, controller, true, &log), open(t, worker, false, &log)
		defer c.Close()
		defer n.Close()
		beforeC, beforeN := c.state.Load(), n.state.Load()
		a.issue("controller", true, nil)
		a.issue("worker", false, nil)
		for _, file := range []string{controller.KeyFile, worker.KeyFile} {
			if err := os.Chmod(file, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		writeFile(t, tokens, entry(2), 0o666)
		settle := func() {
			time.Sleep(5 * time.Second)
			synctest.Wait()
			n.refresh()
		}
		settle()
		second := [TokenSize]byte(bytes.Repeat([]byte{2}, TokenSize))
		if c.state.Load() != beforeC || n.state.Load() != beforeN || known.Check(second, "worker") == nil {
			t.Error("taken with these modes")
		}
		for _, file := range []string{controller.KeyFile, worker.KeyFile, tokens} {
			if err := os.Chmod(file, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		settle()
		if c.state.Load() == beforeC || n.state.Load() == beforeN || known.Check(second, "worker") != nil {
			t.Errorf("not taken: controller %v, node %v, tokens %v: %s", c.state.Load() != beforeC, n.state.Load() != beforeN, known.Check(second, "worker"), &log)
		}
	})
}

// A node reads its files when it connects.
func TestTLSNodeReads(t *testing.T) {
	a := newTestAuthority(t)
	files := a.issue("worker", false, nil)
	node := open(t, files, false, t.Output())
	before := node.state.Load()
	node.refresh()
	if node.state.Load() != before {
		t.Error("read again though nothing has changed")
	}
	a.issue("worker", false, nil)
	node.refresh()
	if node.state.Load() == before {
		t.Error("not read again")
	}
}

func TestTLSExpiryWarnings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newTestAuthority(t)
		var log logged
		begin := time.Now()
		day := 24 * time.Hour
		files := a.issue("controller", true, func(c *x509.Certificate) { c.NotAfter = begin.Add(40 * day) })
		files.Every = 10 * time.Minute
		c := open(t, files, true, &log)
		defer c.Close()
		check := func(until time.Duration, soon, expired int) {
			t.Helper()
			time.Sleep(time.Until(begin.Add(until + time.Minute)))
			synctest.Wait()
			if s, e := strings.Count(log.String(), "expires soon"), strings.Count(log.String(), "has expired"); s != soon || e != expired {
				t.Errorf("after %v: %d and %d warnings, want %d and %d", until, s, e, soon, expired)
			}
		}
		check(9*day, 0, 0)
		check(10*day, 1, 0)
		check(20*day, 11, 0)
		check(39*day, 30, 0)
		check(39*day+5*time.Hour, 35, 0)
		check(40*day, 53, 1)
		check(40*day+2*time.Hour, 53, 3)
		a.issue("controller", true, nil)
		check(40*day+5*time.Hour/2, 53, 3)
		check(50*day, 53, 3)
	})
}

// Also that of a controller whose nodes have tokens, which names nobody.
func TestTLSExpiryWithoutName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newTestAuthority(t)
		var log logged
		files := a.issue("controller", true, func(c *x509.Certificate) { c.URIs, c.NotAfter = nil, time.Now().Add(48*time.Hour) })
		files.CAFile = ""
		c := open(t, files, true, &log)
		synctest.Wait()
		c.Close()
		if !strings.Contains(log.String(), "expires soon") {
			t.Errorf("logged %q", &log)
		}
	})
}

// A file of authorities that was written in part is not taken for what is whole in it.
func TestTLSPartOfAuthorities(t *testing.T) {
	a, b := newTestAuthority(t), newTestAuthority(t)
	first, second := must(os.ReadFile(a.file("ca.pem"))), must(os.ReadFile(b.file("ca.pem")))
	both := slices.Concat(first, []byte("# the next one\n"), second)
	if _, err := parseAuthorities(both); err != nil {
		t.Error(err)
	}
	for _, n := range []int{len(both) - len(second)/2, len(both) - len(second) + 40, len(both) - 10} {
		if _, err := parseAuthorities(both[:n]); err == nil || !strings.Contains(err.Error(), "whole") {
			t.Errorf("%d bytes of %d: %v", n, len(both), err)
		}
	}
	broken := bytes.Replace(both, []byte("MII"), []byte("M=I"), 1)
	if _, err := parseAuthorities(broken); err == nil {
		t.Error("without the first")
	}
}

// The key may lie in the same file, and before the certificate.
func TestTLSOneFile(t *testing.T) {
	a := newTestAuthority(t)
	files := a.issue("worker", false, nil)
	both := slices.Concat(must(os.ReadFile(files.KeyFile)), must(os.ReadFile(files.CertFile)))
	if err := os.WriteFile(files.KeyFile, both, 0o600); err != nil {
		t.Fatal(err)
	}
	files.CertFile = files.KeyFile
	if c := open(t, files, false, t.Output()); c.Name() != "daffi://shop/worker" || files.Name() != c.Name() {
		t.Errorf("%q, and %q once it is open", files.Name(), c.Name())
	}
}

// TestACC67NoFile has the secrets themselves where the names of their files belong. They are not shown, and none is made a file's name.
func TestACC67NoFile(t *testing.T) {
	a := newTestAuthority(t)
	files := a.issue("worker", false, nil)
	key := string(must(os.ReadFile(files.KeyFile)))
	for _, o := range []TLS{{CertFile: files.CertFile, KeyFile: key, CAFile: files.CAFile}, {CertFile: key, KeyFile: files.KeyFile}, {CAFile: a.dir + "/" + key}} {
		_, err := OpenTLS(&o, nil)
		if err == nil || strings.Contains(err.Error(), key[40:60]) || !strings.Contains(err.Error(), "is PEM itself") {
			t.Errorf("%v", err)
		}
	}
	token := strings.Repeat("5ec7", 16)
	for _, file := range []string{token, filepath.Join(a.dir, token), filepath.Join(a.dir, "nowhere", token)} {
		_, _, err := loadOrMakeToken(file)
		if err == nil || strings.Contains(err.Error(), "5ec7") || !strings.Contains(err.Error(), "is a token itself") {
			t.Errorf("%v", err)
		}
		if _, err := os.Stat(file); err == nil {
			t.Error("there is a file of that name")
		}
	}
	file := filepath.Join(a.dir, token) // as a hash may be the name of one
	writeFile(t, file, strings.Repeat("0a", TokenSize), 0o600)
	if _, err := LoadToken(file); err != nil {
		t.Error(err)
	}
}

func TestTLSExpiredAtStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newTestAuthority(t)
		var log logged
		c := open(t, a.issue("worker", false, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Second) }), false, &log)
		synctest.Wait()
		c.Close()
		if !strings.Contains(log.String(), "has expired") {
			t.Errorf("logged %q", &log)
		}
	})
}
