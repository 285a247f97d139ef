package transport

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/daffi-rpc/daffi/internal/watchfile"
)

// TLS names the files by which one end of a connection says who it is and knows the other. They are PEM files. They are read again when they change, a certificate and
// its key together; connections that are there stay, and when new files are no good the last good ones go on being used and that is logged. No good is also what peers would
// refuse: a certificate of another node or cluster, or one that has expired; one that is not valid yet is taken when it is.
type TLS struct {
	// CertFile holds the own certificate, and those between it and the authority's, KeyFile its private key. Controllers need both; nodes have both, and are then
	// known by the certificate, or neither, and are then known by a token.
	CertFile, KeyFile string

	// CAFile holds the certificates of the authorities that the other end's certificate must come from; others must not be able to write it. Empty: at a node, those of the system; at a controller, nodes
	// have no certificates and are known by their tokens.
	CAFile string

	// Every is how often a controller looks whether the files have changed; two equal looks make a change. 0: a second (LIM-50). A node reads them each time that it connects.
	Every time.Duration
}

// Name is whom the certificate in CertFile names, as daffi://cluster/name, or "" if there is none that can be read.
func (t *TLS) Name() string {
	if t == nil {
		return ""
	}
	text, err := watchfile.Read(t.CertFile)
	if err != nil {
		return ""
	}
	block, rest := pem.Decode(text)
	for block != nil && block.Type != "CERTIFICATE" { // as the key may be, in the same file
		block, rest = pem.Decode(rest)
	}
	if block == nil {
		return ""
	}
	leaf, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return ""
	}
	who, _ := identityOf(leaf, true)
	return who.String()
}

// Authorities is CAFile.
func (t *TLS) Authorities() string {
	if t == nil {
		return ""
	}
	return t.CAFile
}

// ErrUntrusted: one end of a connection does not believe the other's certificate, or, at a node, has been refused with its own.
var ErrUntrusted = errors.New("not trusted")

// ErrNotTLS: the other end does not speak TLS.
var ErrNotTLS = errors.New("the other end does not speak TLS")

// When it is said that the own certificate expires.
const (
	warnBefore  = 30 * 24 * time.Hour
	warnEach    = 24 * time.Hour
	urgentUntil = 24 * time.Hour // before it expires
	urgentEach  = time.Hour
)

// Security is a *TLS. It is an interface so that programs which go without do not link package crypto/tls.
type Security interface {
	Name() string
	Authorities() string
	open(controller bool, log *slog.Logger) (Credentials, error)
}

// Credentials are an open TLS.
type Credentials interface {
	// Name is whom the own certificate names, as daffi://cluster/name, or "" if there is none.
	Name() string
	// Close ends what looks at the files and waits for it. It may be called more than once.
	Close()

	refresh() error
	shake(ctx context.Context, raw net.Conn, host string) (net.Conn, Info, error)
}

// OpenTLS reads the files of a node's TLS. They are read again by each [Dial] that is given the Credentials, and log gets what is wrong with them then, and that
// the certificate is about to expire.
func OpenTLS(t Security, log *slog.Logger) (Credentials, error) { return t.open(false, log) }

func (t *TLS) open(controller bool, log *slog.Logger) (Credentials, error) {
	c, err := openTLS(t, controller, log)
	if err != nil {
		return nil, err
	}
	return c, nil
}

// credentials are what the files of a TLS hold.
type credentials struct {
	files      TLS
	controller bool
	log        *slog.Logger

	mu    sync.Mutex
	tried [sha256.Size]byte // what the files held when they were read last, and their modes
	again time.Time         // when to try the same once more, zero for never: the certificate is valid from then on
	state atomic.Pointer[loaded]

	watch *watchfile.Watcher // of a controller
	fresh chan struct{}      // has an element when other files are in use, or will be
	stop  chan struct{}
	once  sync.Once
	wg    sync.WaitGroup
}

// loaded is what files held at one time. It does not change.
type loaded struct {
	config          *tls.Config // the one that handshakes are made with
	name            string      // whom the own certificate names, as daffi://cluster/name; "" without
	cluster         string      // of that
	begins, expires time.Time   // of the own certificate; zero without
}

// openTLS is OpenTLS for either end; those of a controller are watched.
func openTLS(t *TLS, controller bool, log *slog.Logger) (*credentials, error) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	if t == nil {
		return nil, errors.New("TLS is a nil *TLS: leave it unset, or give it files")
	}
	if err := t.check(); err != nil {
		return nil, err
	}
	c := &credentials{files: *t, controller: controller, log: log, fresh: make(chan struct{}, 1), stop: make(chan struct{})}
	c.watch = watchfile.New(c.paths(), watchfile.Options{Every: t.Every})
	if err := c.refresh(); err != nil {
		return nil, err
	}
	if controller {
		c.watch.Start(func() { c.refresh() })
	}
	if c.files.CertFile != "" {
		c.wg.Go(c.warn)
	}
	return c, nil
}

// check says what is wrong with which files are named.
func (t *TLS) check() error {
	switch {
	case t.CertFile != "" && t.KeyFile == "":
		return errors.New("TLS.CertFile is set and TLS.KeyFile is not: set it to the file of the certificate's key")
	case t.CertFile == "" && t.KeyFile != "":
		return errors.New("TLS.KeyFile is set and TLS.CertFile is not: set it to the file of the key's certificate")
	case isPEM(t.CertFile), isPEM(t.KeyFile), isPEM(t.CAFile): // which is not shown
		return errors.New("one of TLS.CertFile, TLS.KeyFile and TLS.CAFile is PEM itself: put it into a file, and set the field to the name of that")
	case t.Every < 0:
		return fmt.Errorf("TLS.Every is %v: it must not be negative", t.Every)
	}
	return nil
}

// isPEM reports whether what should be the name of a file is what should be in one.
func isPEM(name string) bool { return strings.Contains(name, "-----BEGIN ") }

func (c *credentials) paths() []string {
	return slices.DeleteFunc([]string{c.files.CertFile, c.files.KeyFile, c.files.CAFile}, func(p string) bool { return p == "" })
}

func (c *credentials) Name() string { return c.state.Load().name }

func (c *credentials) Close() {
	c.once.Do(func() { close(c.stop) })
	c.watch.Close()
	c.wg.Wait()
}

// refresh reads the files again, if they hold something else than when they were read last, or have other modes. The error, of the first time, was not logged.
func (c *credentials) refresh() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	files, sum := readAll(c.paths())
	if sum == c.tried && (c.again.IsZero() || time.Now().Before(c.again)) {
		return nil
	}
	c.tried, c.again = sum, time.Time{}
	next, err := c.load(files)
	before := c.state.Load()
	if before != nil && err == nil {
		err = c.replace(before, next)
	}
	switch {
	case err == nil:
		c.state.Store(next)
		if before != nil {
			c.log.Info("TLS files have changed", "certificate", c.files.CertFile, "expires", next.expires)
			c.wake()
		}
	case before != nil:
		c.log.Error("TLS files have changed and are no good: the last good ones stay in use", "error", err)
		return nil
	}
	return err
}

// replace says why files are not to take the place of those in use: peers would refuse this end with them. Call with the lock held.
func (c *credentials) replace(before, next *loaded) error {
	now := time.Now()
	mutual := c.files.CertFile != "" && (!c.controller || c.files.CAFile != "")
	switch {
	case mutual && !c.controller && next.name != before.name:
		return fmt.Errorf("TLS: certificate %s is of %s, and this node is %s: issue one for that, or start the node anew", c.files.CertFile, next.name, before.name)
	case mutual && next.cluster != before.cluster:
		return fmt.Errorf("TLS: certificate %s is of the cluster %s, and this controller is of %s: issue one for that, or start the controller anew", c.files.CertFile, next.cluster, before.cluster)
	case !next.expires.IsZero() && now.After(next.expires):
		return fmt.Errorf("TLS: certificate %s has expired, on %s, or the clock is wrong", c.files.CertFile, next.expires.UTC().Format(time.RFC3339))
	case now.Before(next.begins):
		c.again = next.begins
		c.wake()
		return fmt.Errorf("TLS: certificate %s is not valid before %s, and is taken then", c.files.CertFile, next.begins.UTC().Format(time.RFC3339))
	}
	return nil
}

// wake has warn look again.
func (c *credentials) wake() {
	select {
	case c.fresh <- struct{}{}:
	default:
	}
}

// contents are what a file held, or why it cannot be read.
type contents struct {
	b   []byte
	err error
}

func readAll(paths []string) (map[string]contents, [sha256.Size]byte) {
	all := map[string]contents{}
	h := sha256.New()
	for _, p := range paths {
		b, err := watchfile.Read(p)
		all[p] = contents{b, err}
		one := sha256.Sum256(b)
		h.Write(one[:])
		h.Write([]byte(watchfile.Mode(p)))
		if err != nil {
			h.Write([]byte(err.Error()))
		}
	}
	return all, [sha256.Size]byte(h.Sum(nil))
}

// load makes of what the files held what is needed of it.
func (c *credentials) load(files map[string]contents) (*loaded, error) {
	for _, p := range c.paths() {
		if err := files[p].err; err != nil {
			return nil, fmt.Errorf("TLS: %w", err)
		}
	}
	l := &loaded{}
	var own *tls.Certificate
	if file := c.files.CertFile; file != "" {
		info, err := os.Stat(c.files.KeyFile)
		if err == nil {
			err = checkSecretMode("key", c.files.KeyFile, info)
		}
		if err != nil {
			return nil, fmt.Errorf("TLS: %w", err)
		}
		pair, err := tls.X509KeyPair(files[file].b, files[c.files.KeyFile].b)
		if err != nil {
			return nil, fmt.Errorf("TLS: certificate %s and key %s: %w", file, c.files.KeyFile, err)
		}
		if pair.Leaf, err = x509.ParseCertificate(pair.Certificate[0]); err != nil {
			return nil, fmt.Errorf("TLS: certificate %s: %w", file, err)
		}
		who, err := c.checkOwn(pair.Leaf)
		if err != nil {
			return nil, fmt.Errorf("TLS: certificate %s %w", file, err)
		}
		own, l.cluster, l.name, l.begins, l.expires = &pair, who.cluster, who.String(), pair.Leaf.NotBefore, pair.Leaf.NotAfter
	}
	var authorities *x509.CertPool
	if file := c.files.CAFile; file != "" {
		var err error
		if authorities, err = parseAuthorities(files[file].b); err != nil {
			return nil, fmt.Errorf("TLS: %s %w", file, err)
		}
		if err := watchfile.CheckWriters("file of authorities", file); err != nil {
			return nil, fmt.Errorf("TLS: %w", err)
		}
	}
	l.config = newConfig(own, authorities, c.controller, l.cluster)
	return l, nil
}

// checkOwn says what is wrong with the own certificate, so that it is not the peers who find out, and whom it names. That of a controller
// whose nodes have none may come from anywhere, and name nobody.
func (c *credentials) checkOwn(leaf *x509.Certificate) (who identity, err error) {
	usage, role := x509.ExtKeyUsageClientAuth, "a node (clientAuth)"
	if c.controller {
		usage, role = x509.ExtKeyUsageServerAuth, "a controller (serverAuth)"
	}
	if !slices.Contains(leaf.ExtKeyUsage, usage) {
		return who, fmt.Errorf("is not for %s, by its extended key usage", role)
	}
	who, err = identityOf(leaf, c.controller)
	if err != nil && c.controller && c.files.CAFile == "" {
		return identity{}, nil
	}
	return who, err
}

func parseAuthorities(text []byte) (*x509.CertPool, error) {
	pool := x509.NewCertPool()
	n := 0
	for rest := text; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			return nil, fmt.Errorf("holds a %.32q: only certificates of authorities belong there", block.Type)
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("holds a bad certificate: %w", err)
		}
		if !cert.IsCA {
			return nil, errors.New("holds a certificate that is not an authority's")
		}
		pool.AddCert(cert)
		n++
	}
	if n == 0 || len(bytes.TrimSpace(text)) == 0 {
		return nil, errors.New("holds no certificate: put those of the authorities there, as PEM")
	}
	if n != bytes.Count(text, []byte("-----BEGIN ")) {
		return nil, errors.New("holds a certificate that is not whole: write the file again")
	}
	return pool, nil
}

// warn says that the certificate expires, as often as that is useful, and takes the next one when that is valid.
func (c *credentials) warn() {
	for {
		again, waits := c.nextTry()
		if !c.controller || waits && again <= 0 {
			c.refresh()
			select {
			case <-c.fresh: // that is told below
			default:
			}
			again, waits = c.nextTry()
		}
		expires := c.state.Load().expires
		left := time.Until(expires)
		switch {
		case left <= 0:
			c.log.Error("the certificate has expired: connections with it are refused", "certificate", c.files.CertFile, "expired", expires)
		case left <= warnBefore:
			c.log.Warn("the certificate expires soon: issue another one", "certificate", c.files.CertFile, "expires", expires, "left", left.Round(time.Minute))
		}
		next := nextWarning(left)
		if waits {
			next = min(next, again)
		}
		t := time.NewTimer(next)
		select {
		case <-t.C:
		case <-c.fresh:
		case <-c.stop:
			t.Stop()
			return
		}
		t.Stop()
	}
}

// nextTry is in how long the files are to be tried once more as they are, and whether that is so.
func (c *credentials) nextTry() (in time.Duration, waits bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Until(c.again), !c.again.IsZero()
}

// nextWarning is when to look again, at a certificate that is valid for left.
func nextWarning(left time.Duration) time.Duration {
	switch {
	case left > warnBefore:
		return left - warnBefore
	case left > urgentUntil:
		return min(warnEach, left-urgentUntil)
	case left > urgentEach:
		return urgentEach
	case left > 0:
		return left
	}
	return urgentEach
}
