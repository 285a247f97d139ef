package transport

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/daffi-rpc/daffi/internal/wholefile"
)

// TokenSize is the length of a token: 256 bits.
const TokenSize = 32

// LoadToken reads a token from a file: 64 hexadecimal digits and at most one newline. The file must be a regular one that only its user
// and group can read; links to it are followed.
func LoadToken(file string) ([]byte, error) {
	info, err := os.Stat(file) // before it is opened: opening a pipe may wait for ever
	if _, wrong := parseToken([]byte(filepath.Base(file))); err != nil && wrong == nil {
		return nil, errors.New("what should name the file of the token is a token itself: put it into a file, and give the name of that") // which is not shown
	}
	if err != nil {
		return nil, fmt.Errorf("reading the token: %w", err)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("token file %s is not a regular file", file)
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("reading the token: %w", err)
	}
	defer f.Close()
	if info, err = f.Stat(); err != nil {
		return nil, fmt.Errorf("reading the token: %w", err)
	}
	if err := checkSecretMode("token file", file, info); err != nil {
		return nil, err
	}
	text, err := io.ReadAll(io.LimitReader(f, 2*TokenSize+2))
	if err != nil {
		return nil, fmt.Errorf("reading the token: %w", err)
	}
	token, err := parseToken(text)
	if err != nil {
		return nil, fmt.Errorf("token file %s: %w", file, err)
	}
	return token, nil
}

// parseToken never quotes what it was given: it may be a secret that is only misspelt.
func parseToken(text []byte) ([]byte, error) {
	if n := len(text); n > 0 && text[n-1] == '\n' {
		text = text[:n-1]
	}
	token := make([]byte, TokenSize)
	if len(text) != 2*TokenSize {
		return nil, fmt.Errorf("a token is %d hexadecimal digits and a newline, nothing else", 2*TokenSize)
	}
	if _, err := hex.Decode(token, text); err != nil {
		return nil, fmt.Errorf("a token is %d hexadecimal digits and a newline, nothing else", 2*TokenSize)
	}
	return token, nil
}

// tokenPath is where the token for a TCP address lies when nobody says otherwise.
func tokenPath(addr netip.AddrPort) (string, error) {
	dir, err := RuntimeDir()
	if err != nil {
		return "", err
	}
	ip := strings.ReplaceAll(addr.Addr().Unmap().String(), ":", "_")
	return filepath.Join(dir, "tcp-"+ip+"-"+strconv.Itoa(int(addr.Port()))+".token"), nil
}

// MakeToken writes a new token to file, which only this user can read then. What is there already stays; the error then matches [os.ErrExist].
func MakeToken(file string) ([]byte, error) { return makeToken(file, false) }

// makeToken writes a new token to file, whole or not at all. What is there already is replaced if replace is set, else the error matches
// os.ErrExist.
func makeToken(file string, replace bool) ([]byte, error) {
	token := make([]byte, TokenSize)
	rand.Read(token) // never fails
	if err := wholefile.Write(file, []byte(hex.EncodeToString(token)+"\n"), 0o600, replace); err != nil {
		return nil, fmt.Errorf("the token: %w", err)
	}
	return token, nil
}

// loadOrMakeToken reads the token that somebody put there, or else makes one.
func loadOrMakeToken(file string) (token []byte, made bool, err error) {
	if token, err = LoadToken(file); !errors.Is(err, os.ErrNotExist) {
		return token, false, err
	}
	if token, err = makeToken(file, false); !errors.Is(err, os.ErrExist) {
		return token, err == nil, err
	}
	token, err = LoadToken(file) // somebody was faster
	return token, false, err
}

// removeToken removes a file that makeToken wrote, unless it holds another token by now.
func removeToken(file string, token []byte) error {
	now, err := LoadToken(file)
	if err != nil || !EqualProof(now, token) {
		return nil // it is gone or not ours
	}
	return os.Remove(file)
}
