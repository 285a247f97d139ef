package authority

import (
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"github.com/daffi-rpc/daffi/internal/wholefile"
)

// Files of an authority, in its directory.
const (
	CertificateFile = "ca.pem"
	KeyFile         = "ca-key.pem"
)

// Files are the names that the certificate and the key of that name have in dir.
func Files(dir, name string) (certificate, key string) {
	return filepath.Join(dir, name+".pem"), filepath.Join(dir, name+"-key.pem")
}

// Write puts the authority's certificate and key into dir, which is made if it is not there: both or none. What is there is never replaced; the error then
// matches [fs.ErrExist]. Only this user can read the key.
func (a *Authority) Write(dir string) error {
	key, err := x509.MarshalPKCS8PrivateKey(a.key)
	if err != nil {
		return fmt.Errorf("writing the authority: %w", err)
	}
	return Pair{Certificate: a.PEM(), Key: encode(keyBlock, key)}.Write(filepath.Join(dir, CertificateFile), filepath.Join(dir, KeyFile), false)
}

// WriteCertificate puts the authority's certificate alone into a file, for those who trust it. What is there is never replaced.
func (a *Authority) WriteCertificate(file string) error {
	return writeFile(file, a.PEM(), 0o644, false)
}

// Write puts the pair into two files, in directories that are made if they are not there. Only this user can read the key. What is there is replaced if
// replace is set, each file by a rename and the key first; else both files are written or none, and if one is there the error matches [fs.ErrExist].
func (p Pair) Write(certificateFile, keyFile string, replace bool) error {
	if !replace {
		for _, file := range []string{keyFile, certificateFile} { // before anything is made
			if _, err := os.Lstat(file); err == nil {
				return fmt.Errorf("%s: %w", file, fs.ErrExist)
			}
		}
	}
	if err := writeFile(keyFile, p.Key, 0o600, replace); err != nil {
		return err
	}
	err := writeFile(certificateFile, p.Certificate, 0o644, replace)
	if err != nil && !replace {
		return errors.Join(err, os.Remove(keyFile)) // which was not there before
	}
	return err
}

// writeFile makes the file, and the directory if it is not there, for this user alone.
func writeFile(file string, content []byte, mode fs.FileMode, replace bool) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return fmt.Errorf("writing %s: %w", file, err)
	}
	return wholefile.Write(file, content, mode, replace)
}

// Load reads an authority that Write has written. The key must be readable by this user alone.
func Load(dir string) (*Authority, error) {
	certificateFile, keyFile := filepath.Join(dir, CertificateFile), filepath.Join(dir, KeyFile)
	if err := checkMode(keyFile); err != nil {
		return nil, err
	}
	pair, err := tls.LoadX509KeyPair(certificateFile, keyFile)
	if err != nil {
		return nil, fmt.Errorf("reading the authority of %s and %s: %w", certificateFile, keyFile, err)
	}
	if !pair.Leaf.IsCA || len(pair.Leaf.PermittedURIDomains) != 1 {
		return nil, fmt.Errorf("%s is a certificate, but of no authority that was made for a cluster", certificateFile)
	}
	return &Authority{cluster: pair.Leaf.PermittedURIDomains[0], cert: pair.Leaf, key: pair.PrivateKey.(crypto.Signer)}, nil
}

// checkMode refuses a key that others can read, on systems whose modes say so.
func checkMode(keyFile string) error {
	info, err := os.Stat(keyFile)
	if err != nil {
		return fmt.Errorf("reading the authority: %w", err)
	}
	if mode := info.Mode().Perm(); runtime.GOOS != "windows" && mode&0o077 != 0 {
		return fmt.Errorf("%s has mode %#o, so that others may have read it: chmod 600 it, or make a new authority", keyFile, mode)
	}
	return nil
}

// ReadCertificates returns the certificates of a PEM file, and an error if there is none.
func ReadCertificates(file string) ([]*x509.Certificate, error) {
	rest, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var all []*x509.Certificate
	for {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if block.Type != certificateBlock {
			continue
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		all = append(all, cert)
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%s holds no certificate in PEM", file)
	}
	return all, nil
}
