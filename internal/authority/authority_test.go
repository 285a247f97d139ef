package authority

import (
	"crypto/tls"
	"crypto/x509"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func newAuthority(t *testing.T, cluster string) *Authority {
	t.Helper()
	a, err := New(cluster, 0)
	require.NoError(t, err)
	return a
}

func issue(t *testing.T, a *Authority, r Request) (Pair, *x509.Certificate) {
	t.Helper()
	pair, err := a.Issue(r)
	require.NoError(t, err)
	both, err := tls.X509KeyPair(pair.Certificate, pair.Key)
	require.NoError(t, err)
	return pair, both.Leaf
}

func verify(cert *x509.Certificate, use x509.ExtKeyUsage, host string, trusted ...*Authority) error {
	roots := x509.NewCertPool()
	for _, a := range trusted {
		roots.AddCert(a.Certificate())
	}
	_, err := cert.Verify(x509.VerifyOptions{Roots: roots, KeyUsages: []x509.ExtKeyUsage{use}, DNSName: host})
	return err
}

func TestIssue(t *testing.T) {
	a := newAuthority(t, "prod")
	_, node := issue(t, a, Request{Name: "shop-1"})
	require.Len(t, node.URIs, 1)
	require.Equal(t, "daffi://prod/shop-1", node.URIs[0].String())
	require.Empty(t, append(node.DNSNames, node.EmailAddresses...))
	require.Empty(t, node.IPAddresses)
	require.NoError(t, verify(node, x509.ExtKeyUsageClientAuth, "", a))
	require.Error(t, verify(node, x509.ExtKeyUsageServerAuth, "", a), "a node cannot play the controller")
	require.InDelta(t, 365*24, time.Until(node.NotAfter).Hours(), 1)
	require.True(t, node.NotBefore.Before(time.Now()))

	_, controller := issue(t, a, Request{Name: "controller", Controller: true, Hosts: []string{"example.com", "192.0.2.1", "2001:db8::1"}})
	require.Equal(t, "daffi://prod/controller", controller.URIs[0].String())
	for _, host := range []string{"example.com", "192.0.2.1", "2001:db8::1"} {
		require.NoError(t, verify(controller, x509.ExtKeyUsageServerAuth, host, a), host)
	}
	require.NoError(t, verify(controller, x509.ExtKeyUsageClientAuth, "", a))
	require.Error(t, verify(controller, x509.ExtKeyUsageServerAuth, "example.org", a))
	require.NotEqual(t, node.SerialNumber, controller.SerialNumber)
	require.Equal(t, 129, controller.SerialNumber.BitLen(), "128 of them are random")

	_, err := a.Issue(Request{Name: "shop-1", Hosts: []string{"example.com"}})
	require.ErrorContains(t, err, "only controllers have hosts")
}

// Everything that a name may hold can be the cluster of an authority.
func TestClusters(t *testing.T) {
	for _, cluster := range []string{"a", "0", "10", "a_b", "a-b", "0x", "a--b", strings.Repeat("a", 64), "xn--a"} {
		a := newAuthority(t, cluster)
		for _, name := range []string{"0", "a_b", strings.Repeat("b", 64)} {
			_, cert := issue(t, a, Request{Name: name})
			require.NoError(t, verify(cert, x509.ExtKeyUsageClientAuth, "", a), "%s/%s", cluster, name)
		}
	}
}

// An authority cannot speak for another's cluster, also where both are trusted, and cannot make authorities.
func TestConstraints(t *testing.T) {
	a, b := newAuthority(t, "prod"), newAuthority(t, "test")
	_, foreign := issue(t, b, Request{Name: "shop", Change: func(c *x509.Certificate) { c.URIs[0].Host = "prod" }})
	require.Error(t, verify(foreign, x509.ExtKeyUsageClientAuth, "", a, b))
	_, own := issue(t, b, Request{Name: "shop"})
	require.NoError(t, verify(own, x509.ExtKeyUsageClientAuth, "", a, b))
	require.Error(t, verify(own, x509.ExtKeyUsageClientAuth, "", a))

	require.True(t, a.Certificate().MaxPathLenZero)
	require.True(t, a.Certificate().PermittedDNSDomainsCritical)
}

func TestLifetimes(t *testing.T) {
	a, err := New("prod", 48*time.Hour)
	require.NoError(t, err)
	_, cert := issue(t, a, Request{Name: "shop"})
	require.Equal(t, a.Certificate().NotAfter, cert.NotAfter, "nothing outlives its authority")

	yesterday := time.Now().Add(-24 * time.Hour)
	expired, err := NewValid("prod", yesterday.Add(-time.Hour), yesterday)
	require.NoError(t, err)
	_, err = expired.Issue(Request{Name: "shop"})
	require.ErrorContains(t, err, "has expired on")
	_, cert = issue(t, expired, Request{Name: "shop", NotBefore: yesterday.Add(-time.Hour), NotAfter: yesterday})
	require.Error(t, verify(cert, x509.ExtKeyUsageClientAuth, "", expired))
}

func TestFiles(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "certs")
	a := newAuthority(t, "prod")
	require.NoError(t, a.Write(dir))
	require.ErrorIs(t, newAuthority(t, "prod").Write(dir), fs.ErrExist)

	again, err := Load(dir)
	require.NoError(t, err)
	require.Equal(t, "prod", again.Cluster())
	require.Equal(t, a.PEM(), again.PEM())
	pair, cert := issue(t, again, Request{Name: "shop"})
	require.NoError(t, verify(cert, x509.ExtKeyUsageClientAuth, "", a))

	certFile, keyFile := Files(dir, "shop")
	require.NoError(t, pair.Write(certFile, keyFile, false))
	read, err := ReadCertificates(certFile)
	require.NoError(t, err)
	require.Equal(t, cert.Raw, read[0].Raw)

	other, _ := issue(t, a, Request{Name: "shop"})
	require.ErrorIs(t, other.Write(certFile, keyFile, false), fs.ErrExist)
	requireFile(t, certFile, pair.Certificate)
	requireFile(t, keyFile, pair.Key)
	require.NoError(t, other.Write(certFile, keyFile, true))
	requireFile(t, certFile, other.Certificate)
	requireFile(t, keyFile, other.Key)

	if runtime.GOOS != "windows" {
		for _, file := range []string{keyFile, filepath.Join(dir, KeyFile)} {
			info, err := os.Stat(file)
			require.NoError(t, err)
			require.Equal(t, fs.FileMode(0o600), info.Mode())
		}
	}
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, entries, 4, "nothing is left over")
}

func requireFile(t *testing.T, file string, want []byte) {
	t.Helper()
	got, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, string(want), string(got))
}

// A pair is written whole or not at all.
func TestHalf(t *testing.T) {
	pair, _ := issue(t, newAuthority(t, "prod"), Request{Name: "shop"})
	for _, there := range []string{"shop.pem", "shop-key.pem"} {
		dir := t.TempDir()
		require.NoError(t, os.WriteFile(filepath.Join(dir, there), []byte("mine"), 0o600))
		certFile, keyFile := Files(dir, "shop")
		require.ErrorIs(t, pair.Write(certFile, keyFile, false), fs.ErrExist)
		entries, err := os.ReadDir(dir)
		require.NoError(t, err)
		require.Len(t, entries, 1)
		requireFile(t, filepath.Join(dir, there), []byte("mine"))
	}
	dir := t.TempDir()
	_, keyFile := Files(dir, "shop")
	require.NoError(t, os.WriteFile(filepath.Join(dir, "file"), nil, 0o600))
	require.Error(t, pair.Write(filepath.Join(dir, "file", "shop.pem"), keyFile, false), "no directory")
	require.NoFileExists(t, keyFile)
}

func TestLoadRefuses(t *testing.T) {
	a, b := newAuthority(t, "prod"), newAuthority(t, "prod")
	dir := t.TempDir()
	_, err := Load(dir)
	require.ErrorIs(t, err, fs.ErrNotExist)
	require.ErrorContains(t, err, KeyFile)

	require.NoError(t, a.Write(dir))
	require.NoError(t, os.WriteFile(filepath.Join(dir, CertificateFile), b.PEM(), 0o644))
	_, err = Load(dir)
	require.ErrorContains(t, err, "does not match")

	pair, _ := issue(t, a, Request{Name: "shop"})
	require.NoError(t, pair.Write(filepath.Join(dir, CertificateFile), filepath.Join(dir, KeyFile), true))
	_, err = Load(dir)
	require.ErrorContains(t, err, "of no authority")

	if runtime.GOOS != "windows" {
		dir = t.TempDir()
		require.NoError(t, a.Write(dir))
		require.NoError(t, os.Chmod(filepath.Join(dir, KeyFile), 0o640))
		_, err = Load(dir)
		require.ErrorContains(t, err, "chmod 600")
	}
	_, err = ReadCertificates(filepath.Join(dir, KeyFile))
	require.ErrorContains(t, err, "no certificate")
}

// What it makes works in a handshake, and in no other direction than it is for.
func TestHandshake(t *testing.T) {
	a := newAuthority(t, "prod")
	roots := x509.NewCertPool()
	roots.AddCert(a.Certificate())
	load := func(r Request) []tls.Certificate {
		pair, err := a.Issue(r)
		require.NoError(t, err)
		cert, err := tls.X509KeyPair(pair.Certificate, pair.Key)
		require.NoError(t, err)
		return []tls.Certificate{cert}
	}
	controller, node := load(Request{Name: "controller", Controller: true, Hosts: []string{"localhost"}}), load(Request{Name: "shop"})
	for _, c := range []struct {
		server, client []tls.Certificate
		works          bool
	}{{controller, node, true}, {controller, controller, true}, {node, node, false}, {node, controller, false}} {
		server, client := net.Pipe()
		defer server.Close()
		served := make(chan error, 1)
		go func() {
			served <- tls.Server(server, &tls.Config{Certificates: c.server, ClientCAs: roots, ClientAuth: tls.RequireAndVerifyClientCert, MinVersion: tls.VersionTLS13}).Handshake()
			server.Close()
		}()
		err := tls.Client(client, &tls.Config{Certificates: c.client, RootCAs: roots, ServerName: "localhost"}).Handshake()
		client.Close()
		serverErr := <-served
		require.Equal(t, c.works, err == nil && serverErr == nil, "%v, %v", err, serverErr)
	}
}
