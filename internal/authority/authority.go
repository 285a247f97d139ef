// Package authority makes the certificates by which the nodes and controllers of a cluster know each other: a certificate authority of its own for each
// cluster, which lies in two files, and certificates that it signs. Everything is ECDSA with P-256, which all of Go's and everybody else's TLS takes.
//
// Who somebody is stands in the one URI of a certificate: daffi://cluster/name. What it is for stands in the extended key usage: controllers may be servers
// and clients, nodes only clients, so that no node can play the controller. A certificate of a controller also has the hosts at which nodes look for it.
// The authority's own certificate is constrained to the URIs of its cluster, so that where several are trusted none can speak for another's.
//
// Names are not checked here: the program does that before, and tests want wrong ones.
package authority

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net/netip"
	"net/url"
	"time"
)

const (
	// DefaultLifetime is that of an authority.
	DefaultLifetime = 10 * 365 * 24 * time.Hour
	// DefaultCertificateLifetime is that of what it signs, as far as its own reaches.
	DefaultCertificateLifetime = 365 * 24 * time.Hour
	// skew is how far the clocks of machines may be apart: certificates are valid from so long ago.
	skew = 5 * time.Minute
)

// Types of PEM blocks.
const (
	certificateBlock = "CERTIFICATE"
	keyBlock         = "PRIVATE KEY"
)

// An Authority signs the certificates of one cluster. Its methods may be called by several goroutines.
type Authority struct {
	cluster string
	cert    *x509.Certificate
	key     crypto.Signer
}

// New makes an authority that is valid from now on for lifetime, 0 meaning [DefaultLifetime]. It lies in memory until it is written.
func New(cluster string, lifetime time.Duration) (*Authority, error) {
	if lifetime == 0 {
		lifetime = DefaultLifetime
	}
	now := time.Now()
	return NewValid(cluster, now.Add(-skew), now.Add(lifetime))
}

// NewValid is New with the times from and until which the authority is valid.
func NewValid(cluster string, notBefore, notAfter time.Time) (*Authority, error) {
	key, err := newKey()
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: "daffi authority of " + cluster},
		NotBefore: notBefore, NotAfter: notAfter,
		IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true,
		KeyUsage:                    x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		PermittedURIDomains:         []string{cluster},
		PermittedDNSDomainsCritical: true, // all constraints are critical, not only those of DNS
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("making the authority of cluster %q: %w", cluster, err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("making the authority of cluster %q: %w", cluster, err)
	}
	return &Authority{cluster: cluster, cert: cert, key: key}, nil
}

// Cluster is the cluster whose certificates it signs.
func (a *Authority) Cluster() string { return a.cluster }

// Certificate is the authority's own. It must not be changed.
func (a *Authority) Certificate() *x509.Certificate { return a.cert }

// PEM is the authority's certificate for a file that nodes and controllers trust; several of them may stand in one.
func (a *Authority) PEM() []byte { return encode(certificateBlock, a.cert.Raw) }

// Request says what a certificate is to hold.
type Request struct {
	Name       string
	Controller bool      // else of a node
	Hosts      []string  // of a controller: names and IP addresses
	NotBefore  time.Time // zero: some minutes ago
	NotAfter   time.Time // zero: in a year, or as long as the authority is valid if that is less

	// Change is called with everything that will be signed before it is; nil is fine. Tests make wrong certificates with it.
	Change func(*x509.Certificate)
}

// Pair is a certificate and its key, in PEM.
type Pair struct{ Certificate, Key []byte }

// Issue makes a key and signs a certificate for it.
func (a *Authority) Issue(r Request) (Pair, error) {
	template, err := a.template(r)
	if err != nil {
		return Pair{}, fmt.Errorf("issuing a certificate for %q: %w", r.Name, err)
	}
	if r.Change != nil {
		r.Change(template)
	}
	key, err := newKey()
	if err != nil {
		return Pair{}, err
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
	if err != nil {
		return Pair{}, fmt.Errorf("issuing a certificate for %q: %w", r.Name, err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return Pair{}, fmt.Errorf("issuing a certificate for %q: %w", r.Name, err)
	}
	return Pair{Certificate: encode(certificateBlock, der), Key: encode(keyBlock, secret)}, nil
}

func (a *Authority) template(r Request) (*x509.Certificate, error) {
	now := time.Now()
	if r.NotBefore.IsZero() {
		r.NotBefore = now.Add(-skew)
	}
	if r.NotAfter.IsZero() {
		if !now.Before(a.cert.NotAfter) {
			return nil, fmt.Errorf("the authority of cluster %s has expired on %s", a.cluster, a.cert.NotAfter.Format(time.DateOnly))
		}
		if r.NotAfter = now.Add(DefaultCertificateLifetime); r.NotAfter.After(a.cert.NotAfter) {
			r.NotAfter = a.cert.NotAfter
		}
	}
	t := &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: r.Name}, // for people; nothing reads it
		NotBefore: r.NotBefore, NotAfter: r.NotAfter,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		URIs:                  []*url.URL{{Scheme: "daffi", Host: a.cluster, Path: "/" + r.Name}},
	}
	if !r.Controller {
		if len(r.Hosts) > 0 {
			return nil, errors.New("only controllers have hosts: nodes are known by their names")
		}
		return t, nil
	}
	t.ExtKeyUsage = append(t.ExtKeyUsage, x509.ExtKeyUsageServerAuth)
	for _, host := range r.Hosts {
		if ip, err := netip.ParseAddr(host); err == nil {
			t.IPAddresses = append(t.IPAddresses, ip.AsSlice())
		} else {
			t.DNSNames = append(t.DNSNames, host)
		}
	}
	return t, nil
}

func newKey() (*ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("making a key: %w", err)
	}
	return key, nil
}

// serial has 128 random bits after one that is set, so that it is never 0.
func serial() *big.Int {
	b := make([]byte, 17)
	rand.Read(b) // never fails
	b[0] = 1
	return new(big.Int).SetBytes(b)
}

func encode(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}
