package transport

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path"
	"strings"
	"sync/atomic"
	"time"

	"github.com/daffi-rpc/daffi/internal/watchfile"
)

// MaxTokens is how many tokens a [Tokens] may have (LIM-51): each is compared with what a node shows.
const MaxTokens = 4096

// Tokens are the tokens of several nodes, of which a controller has only hashes. They are read again when their file changes.
type Tokens struct {
	list  atomic.Pointer[[]tokenEntry]
	watch *watchfile.Watcher
}

// tokenEntry is one line.
type tokenEntry struct {
	hash [sha256.Size]byte
	name string // of the node, with * for anything
}

// openTokens reads a file of tokens and watches it. When it is no good later, the last good state stays and that is logged. A file that is not there
// any more is no good, too: whoever wants nobody to join leaves an empty one.
func openTokens(file string, every time.Duration, log *slog.Logger) (*Tokens, error) {
	t := &Tokens{watch: watchfile.New([]string{file}, watchfile.Options{Every: every})}
	load := func() error {
		list, err := loadTokens(file)
		if err == nil {
			t.list.Store(&list)
		}
		return err
	}
	if err := load(); err != nil {
		return nil, err
	}
	t.watch.Start(func() {
		if err := load(); err != nil {
			log.Error("the file of tokens has changed and is no good: the last good state stays in use", "error", err)
		} else {
			log.Info("the file of tokens has changed", "file", file, "tokens", len(*t.list.Load()))
		}
	})
	return t, nil
}

func (t *Tokens) close() error {
	t.watch.Close()
	return nil
}

func loadTokens(file string) ([]tokenEntry, error) {
	info, err := os.Stat(file)
	if err != nil {
		return nil, fmt.Errorf("reading the tokens: %w", err)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("file of tokens %s is not a regular file", file)
	}
	if err := watchfile.CheckWriters("file of tokens", file); err != nil {
		return nil, err
	}
	text, err := watchfile.Read(file)
	if err != nil {
		return nil, fmt.Errorf("reading the tokens: %w", err)
	}
	list, err := parseTokens(text)
	if err != nil {
		return nil, fmt.Errorf("file of tokens %s: %w", file, err)
	}
	return list, nil
}

// parseTokens reads lines of a hash and the name of a node. It never quotes what stands for a hash: somebody may have put a token there.
func parseTokens(text []byte) (list []tokenEntry, err error) {
	seen := map[[sha256.Size]byte]int{}
	number := 0
	for line := range bytes.Lines(text) {
		number++
		s, _, _ := strings.Cut(string(line), "#")
		fields := strings.Fields(s)
		if len(fields) == 0 {
			continue
		}
		var e tokenEntry
		if len(fields) != 2 || len(fields[0]) != 2*sha256.Size {
			return nil, fmt.Errorf("line %d: want the SHA-256 of a token, 64 hexadecimal digits, and the name of the node that has it", number)
		}
		if _, err := hex.Decode(e.hash[:], []byte(fields[0])); err != nil {
			return nil, fmt.Errorf("line %d: the hash is not of hexadecimal digits", number)
		}
		if e.name = fields[1]; validPattern(e.name) != nil {
			return nil, fmt.Errorf("line %d: %w", number, validPattern(e.name))
		}
		if before := seen[e.hash]; before != 0 {
			return nil, fmt.Errorf("line %d: the token of line %d again: a token has one line", number, before)
		}
		if len(list) == MaxTokens {
			return nil, fmt.Errorf("line %d: more than %d tokens", number, MaxTokens)
		}
		seen[e.hash] = number
		list = append(list, e)
	}
	return list, nil
}

func validPattern(p string) error {
	if len(p) > MaxName {
		return fmt.Errorf("the name has %d bytes: at most %d are allowed", len(p), MaxName)
	}
	for i := range len(p) {
		if c := p[i]; !('a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '_' || c == '-' || c == '*') {
			return fmt.Errorf("name %q: want the letters of a node's name, and * for any of them", p)
		}
	}
	return nil
}

// ErrWrongToken: there is no such token.
var ErrWrongToken = errors.New("the token is none of this controller's")

// ErrWrongName: the token is another node's.
var ErrWrongName = errors.New("the token is for other names")

// Check returns nil if a node of that name may join with the token, else [ErrWrongToken] or [ErrWrongName].
func (t *Tokens) Check(token [TokenSize]byte, name string) error {
	hash := sha256.Sum256(token[:])
	found := -1
	list := *t.list.Load()
	for i := range list { // all of them, so that the time says nothing of which it is
		if EqualProof(hash[:], list[i].hash[:]) {
			found = i
		}
	}
	if found < 0 {
		return ErrWrongToken
	}
	if ok, _ := path.Match(list[found].name, name); !ok {
		return ErrWrongName
	}
	return nil
}

// TokenID tells one token from another in logs: eight digits of a hash of its hash.
func TokenID(token []byte) string {
	hash := sha256.Sum256(token)
	hash = sha256.Sum256(hash[:])
	return hex.EncodeToString(hash[:4])
}
