package transport

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"syscall"
)

// protocol is what both ends name in the handshake of TLS, so that what a server of something else says is not taken for ours, nor the other way round.
const protocol = "daffi/1"

// newConfig makes every tls.Config that there is. own is nil at a node that is known by its token; without authorities a controller asks for no certificate, and a
// node believes those of the system; cluster is that of the own certificate.
//
// There is no resumption, either way: a session that is resumed would not be checked against authorities that have changed.
func newConfig(own *tls.Certificate, authorities *x509.CertPool, controller bool, cluster string) *tls.Config {
	config := &tls.Config{
		MinVersion:                  tls.VersionTLS13,
		MaxVersion:                  tls.VersionTLS13,
		NextProtos:                  []string{protocol},
		SessionTicketsDisabled:      true,
		DynamicRecordSizingDisabled: true, // one run of records for each write
	}
	if own != nil {
		config.Certificates = []tls.Certificate{*own}
	}
	switch {
	case !controller:
		config.RootCAs = authorities
		if own != nil { // also where the controller names other authorities: it says then what it does not accept
			config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return own, nil }
		}
		config.VerifyConnection = func(s tls.ConnectionState) error { return verifyController(&s, own != nil, cluster) }
	case authorities != nil:
		config.ClientAuth, config.ClientCAs = tls.RequireAndVerifyClientCert, authorities
		config.VerifyConnection = func(s tls.ConnectionState) error { return verifyNode(&s, cluster) }
	default:
		config.VerifyConnection = verifyBoth
	}
	return config
}

// untrusted is an error that says why a certificate is not believed.
func untrusted(format string, args ...any) error {
	return fmt.Errorf("%w: %w", ErrUntrusted, fmt.Errorf(format, args...))
}

// verifyBoth is what either end asks for.
func verifyBoth(s tls.ConnectionState) error {
	switch {
	case s.Version != tls.VersionTLS13:
		return untrusted("the peer speaks %s: want TLS 1.3", tls.VersionName(s.Version))
	case s.DidResume:
		return untrusted("the peer resumes a session of TLS, which is off")
	case s.NegotiatedProtocol != protocol:
		return fmt.Errorf("%w: the peer does not name the protocol %s: it is no part of daffi", ErrNotTLS, protocol)
	}
	return nil
}

// verifyController checks what package tls does not: it knows that the certificate is for the host that was dialed.
func verifyController(s *tls.ConnectionState, mutual bool, cluster string) error {
	if err := verifyBoth(*s); err != nil {
		return err
	}
	if len(s.VerifiedChains) == 0 || len(s.PeerCertificates) == 0 {
		return untrusted("the controller's certificate was not verified")
	}
	leaf := s.PeerCertificates[0]
	if !slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageServerAuth) {
		return untrusted("the certificate is not for a controller (serverAuth), by its extended key usage")
	}
	if !mutual {
		return nil
	}
	who, err := identityOf(leaf, true)
	if err != nil {
		return untrusted("the controller's certificate %w", err)
	}
	if who.cluster != cluster {
		return untrusted("the controller is %v, of another cluster than %q", who, cluster)
	}
	return nil
}

// verifyNode checks what package tls does not, and whom the certificate names.
func verifyNode(s *tls.ConnectionState, cluster string) error {
	if err := verifyBoth(*s); err != nil {
		return err
	}
	if len(s.VerifiedChains) == 0 || len(s.PeerCertificates) == 0 {
		return untrusted("the node's certificate was not verified")
	}
	who, err := nodeIdentity(s.PeerCertificates[0])
	if err != nil {
		return err
	}
	if who.cluster != cluster {
		return untrusted("the node is %v, of another cluster than %q", who, cluster)
	}
	return nil
}

func nodeIdentity(leaf *x509.Certificate) (identity, error) {
	if !slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageClientAuth) {
		return identity{}, untrusted("the certificate is not for a node (clientAuth), by its extended key usage")
	}
	who, err := identityOf(leaf, false)
	if err != nil {
		return identity{}, untrusted("the node's certificate %w", err)
	}
	return who, nil
}

// unreadable begins what package tls says of a certificate that it cannot parse, and has no type for. What follows quotes all that is in it.
const unreadable = "tls: failed to parse "

// explain says what an error of a handshake means and what to do about it. What the peer has said is quoted and cut.
func (c *credentials) explain(err error) error {
	var notTLS tls.RecordHeaderError
	var authority x509.UnknownAuthorityError
	var host x509.HostnameError
	var invalid x509.CertificateInvalidError
	other := "controller"
	if c.controller {
		other = "node"
	}
	switch {
	case errors.Is(err, ErrUntrusted), errors.Is(err, ErrNotTLS):
		return err
	case errors.As(err, &notTLS):
		return fmt.Errorf("%w: the %s has no TLS, set it there", ErrNotTLS, other)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET):
		return fmt.Errorf("the %s has closed the connection during the handshake of TLS, as one does that is without TLS: %w", other, err)
	case errors.As(err, &host):
		return untrusted("the controller's certificate is not for %.200q: dial a host that it names, or issue one for this host", host.Host)
	case errors.As(err, &authority):
		if c.files.CAFile == "" {
			return untrusted("the %s's certificate is of no authority that this system trusts: set TLS.CAFile to the certificate of its authority", other)
		}
		return untrusted("the %s's certificate is of no authority in %s", other, c.files.CAFile)
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return untrusted("the %s's certificate has expired or is not valid yet, or the clock is wrong: %s", other, invalid.Detail)
	case errors.As(err, &invalid) && invalid.Reason == x509.IncompatibleUsage:
		return untrusted("the certificate is not for a %s, by its extended key usage", other)
	case errors.As(err, new(x509.CertificateInvalidError)), errors.As(err, new(*tls.CertificateVerificationError)), strings.HasPrefix(err.Error(), unreadable):
		return untrusted("the %s's certificate: %.256q", other, err.Error())
	}
	return c.alert(err)
}

// alert is explain for what the peer has said against this end, if err is that.
func (c *credentials) alert(err error) error {
	var said *net.OpError
	if !errors.As(err, &said) || said.Op != "remote error" {
		return err
	}
	other, own := "controller", "that TLS.CertFile is not set"
	if c.controller {
		other = "node"
	}
	if c.files.CertFile != "" {
		own = "the certificate of " + c.files.CertFile
	}
	for _, a := range aboutCertificates {
		if a.Error() == said.Err.Error() { // the type is not exported
			refused := fmt.Errorf("the %s does not accept %s (%s): its log says why", other, own, strings.TrimPrefix(a.Error(), "tls: "))
			if c.controller { // which has no reason to distrust the node, and to count that against its address
				return refused
			}
			return untrusted("%w", refused)
		}
	}
	return fmt.Errorf("the %s ends TLS: %w", other, said.Err)
}

// aboutCertificates are alerts of TLS, by RFC 8446.
var aboutCertificates = []tls.AlertError{
	42,  // bad certificate
	43,  // unsupported certificate
	44,  // revoked
	45,  // expired
	46,  // unknown certificate
	48,  // unknown authority
	49,  // access denied
	116, // certificate required
}
