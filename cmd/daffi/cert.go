package main

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/daffi-rpc/daffi/internal/authority"
	"github.com/daffi-rpc/daffi/runtime/transport"
)

type certCommand struct {
	Init  certInitCommand  `cmd:"" help:"Make the authority of a cluster: a certificate that its controllers and nodes trust, and the key that signs theirs."`
	Issue certIssueCommand `cmd:"" help:"Make keys for nodes or controllers, and certificates for them that the authority signs."`
	Show  certShowCommand  `cmd:"" help:"Say whom a certificate names, what it is for, and until when."`
}

// day is that of --days.
const day = 24 * time.Hour

// maxDays is a century; more is a slip.
const maxDays = 36_500

type certInitCommand struct {
	Dir     string `default:"daffi-certs" placeholder:"DIR" help:"Where the authority lies (${default})."`
	Cluster string `default:"daffi" placeholder:"NAME" help:"What the cluster is called in certificates (${default})."`
	Days    int    `default:"3650" placeholder:"N" help:"How long the authority is valid (${default})."`
}

func (c *certInitCommand) Run(out output) error {
	if err := transport.ValidName(c.Cluster); err != nil {
		return fmt.Errorf("--cluster %q: %w", c.Cluster, err)
	}
	if err := checkDays(c.Days); err != nil {
		return err
	}
	if err := makeSecretDir(c.Dir); err != nil {
		return err
	}
	a, err := authority.New(c.Cluster, time.Duration(c.Days)*day)
	if err != nil {
		return err
	}
	if err := a.Write(c.Dir); errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("an authority is there already, and stays: %w: issue certificates with it, or choose another directory with --dir", err)
	} else if err != nil {
		return err
	}
	fmt.Fprintf(out.stdout, "%s: the authority of cluster %s, until %s; all of its nodes and controllers need this file\n",
		shown(filepath.Join(c.Dir, authority.CertificateFile)), c.Cluster, date(a.Certificate().NotAfter))
	fmt.Fprintf(out.stdout, "%s: its key; who has it can be anybody in the cluster, so it stays here\n", shown(filepath.Join(c.Dir, authority.KeyFile)))
	fmt.Fprintf(out.stdout, "next: daffi cert issue%s controller --controller, then daffi cert issue%[1]s NAME for each node\n", dirFlag(c.Dir))
	return nil
}

// dirFlag is what the next command needs to find the same authority.
func dirFlag(dir string) string {
	if dir == "daffi-certs" {
		return ""
	}
	return " --dir " + shown(dir)
}

type certIssueCommand struct {
	Name       []string `arg:"" help:"Names of the nodes or controllers; each gets a certificate."`
	Controller bool     `help:"It is a controller, else a node. Nodes cannot be servers."`
	Host       []string `placeholder:"HOST" help:"A name or IP address at which nodes look for the controller; once for each. The default is localhost, 127.0.0.1, ::1 and this machine's name."`
	Dir        string   `default:"daffi-certs" placeholder:"DIR" help:"Where the authority lies (${default})."`
	Out        string   `placeholder:"DIR" help:"Where to put NAME.pem and NAME-key.pem, with a copy of ca.pem; the default is the authority's directory."`
	Days       int      `placeholder:"N" help:"How long the certificate is valid; the default is 365, or as long as the authority if that is less."`
	Force      bool     `help:"Replace a certificate of that name. Who uses it will notice."`
}

func (c *certIssueCommand) Run(out output) error {
	for _, name := range c.Name {
		if err := transport.ValidName(name); err != nil {
			return fmt.Errorf("name %q: %w", name, err)
		}
		if name == "ca" || strings.HasSuffix(name, "-key") {
			return fmt.Errorf("name %q: its files would have the names of another's key or of the authority: choose a name that is not ca and does not end in -key", name)
		}
	}
	hosts, err := c.hosts()
	if err != nil {
		return err
	}
	a, err := authority.Load(c.Dir)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: make an authority with \"daffi cert init%s\", or say with --dir where it is", err, dirFlag(c.Dir))
	}
	if err != nil {
		return err
	}
	request := authority.Request{Controller: c.Controller, Hosts: hosts}
	if request.NotAfter, err = c.end(a); err != nil {
		return err
	}
	for _, request.Name = range c.Name {
		if err := c.issue(out, a, request); err != nil {
			return err
		}
	}
	return nil
}

// end is until when certificates are to be valid; zero if nobody has said so.
func (c *certIssueCommand) end(a *authority.Authority) (time.Time, error) {
	if c.Days == 0 {
		return time.Time{}, nil
	}
	if err := checkDays(c.Days); err != nil {
		return time.Time{}, err
	}
	end, last := time.Now().Add(time.Duration(c.Days)*day), a.Certificate().NotAfter
	if end.After(last) {
		return time.Time{}, fmt.Errorf("--days %d: the authority itself ends on %s: choose less, or make a new authority in another directory", c.Days, date(last))
	}
	return end, nil
}

// hosts are those of a controller's certificate.
func (c *certIssueCommand) hosts() ([]string, error) {
	if !c.Controller {
		if len(c.Host) > 0 {
			return nil, errors.New("--host is for controllers: nodes are known by their names; add --controller, or leave it out")
		}
		return nil, nil
	}
	for _, host := range c.Host {
		if err := checkHost(host); err != nil {
			return nil, fmt.Errorf("--host %q: %w", host, err)
		}
	}
	if len(c.Host) > 0 {
		return c.Host, nil
	}
	hosts := []string{"localhost", "127.0.0.1", "::1"}
	if name, err := os.Hostname(); err == nil && checkHost(name) == nil && !slices.Contains(hosts, name) {
		hosts = append(hosts, name)
	}
	return hosts, nil
}

// checkHost says what is wrong with what should be an address or a name of a host.
func checkHost(host string) error {
	if ip, err := netip.ParseAddr(host); err == nil {
		if ip.Zone() != "" {
			return errors.New("certificates hold addresses without a zone: leave out what follows the %")
		}
		return nil
	}
	if host == "" || len(host) > 253 {
		return errors.New("a host has 1 to 253 letters")
	}
	for part := range strings.SplitSeq(host, ".") {
		if part == "" || len(part) > 63 || part[0] == '-' || part[len(part)-1] == '-' {
			return errors.New("want a name or an IP address, without port and brackets")
		}
		for _, r := range part {
			if !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_') {
				return fmt.Errorf("%q is no letter of a host: want one name or IP address, without port and wildcard", r)
			}
		}
	}
	return nil
}

func (c *certIssueCommand) issue(out output, a *authority.Authority, r authority.Request) error {
	pair, err := a.Issue(r)
	if err != nil {
		return fmt.Errorf("%w: make a new authority in another directory with \"daffi cert init\"", err)
	}
	dir := c.Out
	if dir == "" {
		dir = c.Dir
	}
	if err := makeSecretDir(dir); err != nil {
		return err
	}
	trusted, err := copyAuthority(a, dir)
	if err != nil {
		return err
	}
	certificate, key := authority.Files(dir, r.Name)
	if err := pair.Write(certificate, key, c.Force); errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("a certificate is there already, and stays: %w: replace it with --force, or choose another directory with --out", err)
	} else if err != nil {
		return err
	}
	cert, err := authority.ReadCertificates(certificate)
	if err != nil {
		return err
	}
	what, where := "node", ""
	if r.Controller {
		what, where = "controller", ", at "+strings.Join(r.Hosts, ", ")
	}
	certificate, key, trusted = shown(certificate), shown(key), shown(trusted)
	fmt.Fprintf(out.stdout, "%s: certificate of the %s %s%s, until %s\n", certificate, what, cert[0].URIs[0], where, date(cert[0].NotAfter))
	fmt.Fprintf(out.stdout, "%s: its key\n", key)
	if r.Controller {
		fmt.Fprintf(out.stdout, "next: daffi controller --addr tcp://%s --tls-cert %s --tls-key %s --tls-ca %s\n", withPort(r.Hosts[0]), certificate, key, trusted)
	} else {
		fmt.Fprintf(out.stdout, "next: DAFFI_TLS_CERT=%s DAFFI_TLS_KEY=%s DAFFI_TLS_CA=%s in the environment of the node, or the same files in daffi.Options.TLS\n", certificate, key, trusted)
	}
	return nil
}

func withPort(host string) string {
	if strings.Contains(host, ":") {
		return "[" + host + "]:8888"
	}
	return host + ":8888"
}

// copyAuthority sees to it that the authority's certificate is in dir, also among others, and returns the file.
func copyAuthority(a *authority.Authority, dir string) (string, error) {
	file := filepath.Join(dir, authority.CertificateFile)
	there, err := authority.ReadCertificates(file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return file, a.WriteCertificate(file)
	case err != nil:
		return "", fmt.Errorf("what is trusted there: %w: remove it, or choose another directory with --out", err)
	case !slices.ContainsFunc(there, func(c *x509.Certificate) bool { return bytes.Equal(c.Raw, a.Certificate().Raw) }):
		return "", fmt.Errorf("%s is of another authority, and stays: add this one to it, or choose another directory with --out", file)
	}
	return file, nil
}

// makeSecretDir makes a directory for keys, which git leaves alone. One that is there must not be everybody's.
func makeSecretDir(dir string) error {
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return err
	}
	err := os.Mkdir(dir, 0o700)
	if err == nil {
		return os.WriteFile(filepath.Join(dir, ".gitignore"), []byte("*\n"), 0o600)
	}
	info, statErr := os.Stat(dir)
	switch {
	case statErr != nil:
		return err
	case !info.IsDir():
		return fmt.Errorf("%s is no directory: choose another one", dir)
	case runtime.GOOS != "windows" && info.Mode().Perm()&0o002 != 0:
		return fmt.Errorf("%s can be written by every user, who could replace what is in it: chmod o-w it, or choose another directory", dir)
	}
	return nil
}

func checkDays(n int) error {
	if n < 1 || n > maxDays {
		return fmt.Errorf("--days %d: want 1 to %d", n, maxDays)
	}
	return nil
}

func date(t time.Time) string { return t.UTC().Format(time.DateOnly) }

type certShowCommand struct {
	File string `arg:"" help:"PEM file of one or several certificates."`
}

func (c *certShowCommand) Run(out output) error {
	all, err := authority.ReadCertificates(c.File)
	if err != nil {
		return err
	}
	for i, cert := range all {
		if i > 0 {
			fmt.Fprintln(out.stdout)
		}
		show(out.stdout, cert, time.Now())
	}
	return nil
}

// maxList is how many hosts or clusters of a certificate are shown, and maxSerial how many bits of its number: more than any that daffi takes has.
const (
	maxList   = 20
	maxSerial = 512
)

// show quotes what a certificate says in its own words, and cuts it: anybody may have made it.
func show(w io.Writer, cert *x509.Certificate, now time.Time) {
	fmt.Fprintf(w, "who      %s\n", who(cert))
	fmt.Fprintf(w, "for      %s\n", purpose(cert))
	fmt.Fprintf(w, "from     %.200q\n", cert.Issuer.String())
	fmt.Fprintf(w, "valid    %s to %s, %s\n", cert.NotBefore.UTC().Format(time.RFC3339), cert.NotAfter.UTC().Format(time.RFC3339), left(cert, now))
	if n := cert.SerialNumber.BitLen(); n > maxSerial {
		fmt.Fprintf(w, "serial   a number of %d bits\n", n)
	} else {
		fmt.Fprintf(w, "serial   %x\n", cert.SerialNumber)
	}
	fmt.Fprintf(w, "SHA-256  %x\n", sha256.Sum256(cert.Raw))
}

func who(cert *x509.Certificate) string {
	switch {
	case cert.IsCA:
		return fmt.Sprintf("authority %.200q", cert.Subject.String())
	case len(cert.URIs) != 1:
		return fmt.Sprintf("%.200q, which daffi does not take: it has %d URIs, and one is wanted", cert.Subject.String(), len(cert.URIs))
	}
	return fmt.Sprintf("%.200q", cert.URIs[0].String())
}

func purpose(cert *x509.Certificate) string {
	if cert.IsCA {
		return "signing certificates of " + list(cert.PermittedURIDomains)
	}
	server := slices.Contains(cert.ExtKeyUsage, x509.ExtKeyUsageServerAuth)
	client := slices.Contains(cert.ExtKeyUsage, x509.ExtKeyUsageClientAuth)
	switch {
	case server:
		return "a controller at " + list(hostsOf(cert))
	case client:
		return "a node"
	}
	return "nothing that daffi does"
}

// list shows the first of names.
func list(names []string) string {
	if more := len(names) - maxList; more > 0 {
		return fmt.Sprintf("%.100q and %d more", names[:maxList], more)
	}
	return fmt.Sprintf("%.100q", names)
}

func hostsOf(cert *x509.Certificate) []string {
	hosts := slices.Clone(cert.DNSNames)
	for _, ip := range cert.IPAddresses {
		hosts = append(hosts, ip.String())
	}
	return hosts
}

func left(cert *x509.Certificate, now time.Time) string {
	switch {
	case now.Before(cert.NotBefore):
		return "NOT YET VALID"
	case now.After(cert.NotAfter):
		return "EXPIRED"
	}
	return fmt.Sprintf("%d days left", cert.NotAfter.Sub(now)/day)
}
