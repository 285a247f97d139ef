package transport

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	crand "crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"log/slog"
	"math/big"
	"math/rand/v2"
	"net"
	"net/url"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/daffi-rpc/daffi/internal/evil"
)

// TestACC68HostileCertificates has peers show certificates with harm in every text that one has, to either end. What is said of them is one line that may be shown.
func TestACC68HostileCertificates(t *testing.T) {
	r := rand.New(rand.NewPCG(68, 4))
	a := newTestAuthority(t)
	files := map[bool]*TLS{true: a.issue("controller", true, nil), false: a.issue("worker", false, nil)}
	good := map[bool]*credentials{true: open(t, files[true], true, t.Output()), false: open(t, files[false], false, t.Output())}
	rounds := 200
	if os.Getenv("DAFFI_NIGHT") != "" {
		rounds = 10_000
	}
	key := must(ecdsa.GenerateKey(elliptic.P256(), crand.Reader))
	said := map[string]int{}
	for i := range rounds {
		hostile := i%2 == 0 // whether it plays the controller
		raw := func() string {
			if i%3 == 0 {
				return strings.Repeat(evil.Text(r, 40), 50)
			}
			return evil.Text(r, 2<<10)
		}
		text := func() string { return strings.ToValidUTF8(raw(), "?") }
		c := &x509.Certificate{
			SerialNumber: big.NewInt(1 + r.Int64()), Subject: pkix.Name{CommonName: text(), Organization: []string{text()}}, KeyUsage: x509.KeyUsageDigitalSignature,
			NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		}
		parent, signer := a.cert, a.key
		switch i / 2 % 5 {
		case 0: // of nobody's authority
			parent, signer = &x509.Certificate{Subject: pkix.Name{CommonName: text()}}, key
		case 1:
			c.DNSNames, c.URIs = []string{evil.ASCII(r, 2<<10), evil.ASCII(r, 200)}, uris("daffi://shop/worker")
		case 2: // what package x509 does not make
			san := must(asn1.Marshal([]asn1.RawValue{{Class: asn1.ClassContextSpecific, Tag: 6, Bytes: []byte("daffi://" + raw())}, {Class: asn1.ClassContextSpecific, Tag: 7, Bytes: []byte{127, 0, 0, 1}}}))
			c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 17}, Value: san}}
		case 3:
			c.URIs, c.IPAddresses = []*url.URL{{Scheme: "daffi", Host: "shop", Path: "/\x1b" + text()}}, []net.IP{net.IPv4(127, 0, 0, 1)}
		case 4: // an extension that nobody knows and nobody may pass over
			c.URIs, c.IPAddresses = uris("daffi://shop/worker"), []net.IP{net.IPv4(127, 0, 0, 1)}
			c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 2, r.IntN(1 << 30)}, Critical: true, Value: []byte(text())}}
		}
		der, err := x509.CreateCertificate(crand.Reader, c, parent, key.Public(), signer)
		if err != nil {
			continue
		}
		peer := &credentials{files: *files[hostile], controller: hostile, log: slog.New(slog.DiscardHandler)}
		config := newConfig(&tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, must(parseAuthorities(must(os.ReadFile(a.file("ca.pem"))))), hostile, "shop")
		peer.state.Store(&loaded{config: config})
		var own, theirs error
		if hostile {
			_, _, theirs, own = meet(t, peer, good[false], "127.0.0.1")
		} else {
			_, _, own, theirs = meet(t, good[true], peer, "127.0.0.1")
		}
		if !errors.Is(own, ErrUntrusted) {
			t.Fatalf("%.300q: %v", c.Subject, own)
		}
		for _, err := range []error{own, theirs} {
			if err == nil {
				continue
			}
			text := err.Error()
			if !utf8.ValidString(text) || strings.ContainsFunc(text, func(r rune) bool { return !strconv.IsPrint(r) }) || len(text) > 1<<10 {
				t.Fatalf("%d bytes: %.3000q", len(text), text)
			}
		}
		for _, why := range []string{"failed to parse", "unknown authority", "not for", "unhandled critical extension", "of no authority", "alternative names", "failed to verify", ""} {
			if strings.Contains(own.Error(), why) {
				said[why]++
				break
			}
		}
	}
	if len(said) < 3 {
		t.Errorf("little was tried: %v", said)
	}
	t.Log(said)
}
