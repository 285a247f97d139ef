package contract

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"

	"github.com/daffi-rpc/daffi/internal/signature"
)

// LockName is what the lock file is called unless another name is given.
const LockName = "daffi.lock"

// version is that of the format. It grows with what older versions of daffigen would misread.
const version = "1"

const header = `// The wire contract of this module's services, written by daffigen lock. Commit it, and do not edit it: daffigen breaking compares
// the code with it and tells what a change asks of callers and providers that run already; daffigen lock takes the change over.
version ` + version + "\n"

// Format is c as a lock file, the same bytes for the same contract.
func (c *Contract) Format() []byte {
	c.Sort()
	var b bytes.Buffer
	b.WriteString(header)
	for _, s := range c.Services {
		b.WriteString("\nservice " + s.Name)
		if s.Source != "" {
			b.WriteString(" // " + s.Source)
		}
		b.WriteByte('\n')
		for _, m := range s.Methods {
			b.WriteString("method " + m.Name)
			if m.Oneway {
				b.WriteString(" oneway")
			}
			for _, alias := range m.Aliases {
				b.WriteString(" alias=" + alias)
			}
			b.WriteString(" " + signature.Indent(m.Signature) + "\n")
		}
	}
	return b.Bytes()
}

// IsLock reports whether data looks like a lock file of some version, broken or not, or is empty: what may be written over.
func IsLock(data []byte) bool {
	start, _, _ := bytes.Cut(data, []byte("\nservice "))
	return len(bytes.TrimSpace(data)) == 0 || bytes.Contains(start, []byte("daffigen lock")) || bytes.HasPrefix(start, []byte("version "))
}

// Parse reads a lock file, which is called name in errors: name:line: what is wrong, and what to do.
func Parse(name string, data []byte) (*Contract, error) {
	r := &reader{lines: strings.Split(string(data), "\n")}
	for r.err == nil && r.next() {
		r.line()
	}
	if r.err == nil && !r.versioned {
		r.fail("the version is missing; write the file anew with daffigen lock")
	}
	if r.err != nil {
		return nil, fmt.Errorf("%s:%d: %w", name, r.at, r.err)
	}
	return &r.contract, nil
}

// reader reads a lock file line by line.
type reader struct {
	lines     []string // that are to come
	at        int      // number of the line at hand, from 1
	text      string   // of it
	contract  Contract
	versioned bool
	err       error
}

func (r *reader) fail(format string, args ...any) { r.err = fmt.Errorf(format, args...) }

// next takes a line that says something.
func (r *reader) next() bool {
	for len(r.lines) > 0 {
		r.text, r.lines = strings.TrimRight(r.lines[0], " \t\r"), r.lines[1:]
		r.at++
		if r.text != "" && !strings.HasPrefix(r.text, "//") {
			return true
		}
	}
	r.at = max(r.at, 1)
	return false
}

func (r *reader) line() {
	word, rest, _ := strings.Cut(r.text, " ")
	switch {
	case strings.HasPrefix(word, "<<<<<<<") || strings.HasPrefix(word, "=======") || strings.HasPrefix(word, ">>>>>>>"):
		r.fail("a merge has left a conflict; resolve it in the code, then run daffigen lock")
	case word == "version" && !r.versioned:
		r.version(rest)
	case !r.versioned:
		r.fail("%q stands where the version must; write the file anew with daffigen lock", r.text)
	case word == "service":
		r.service(rest)
	case word == "method" && len(r.contract.Services) > 0:
		r.method(rest)
	default:
		r.fail("%q is not understood here; write the file anew with daffigen lock", r.text)
	}
}

func (r *reader) version(v string) {
	if r.versioned = true; v != version {
		r.fail("version %s of lock files is not known to this daffigen, which knows %s; update it with go get -tool github.com/daffi-rpc/daffi/cmd/daffigen@latest, or go back to its version with daffigen lock", v, version)
	}
}

func (r *reader) service(text string) {
	name, source, _ := strings.Cut(text, " //")
	source = strings.TrimSpace(source)
	switch {
	case name == "" || strings.ContainsAny(name, " /("):
		r.fail("%q is no name of a service; write the file anew with daffigen lock", name)
	case r.contract.service(name) != nil:
		r.fail("service %s stands here twice; write the file anew with daffigen lock", name)
	}
	r.contract.Services = append(r.contract.Services, &Service{Name: name, Source: source})
}

// method reads a method: its name and flags, then its signature, which goes on in lines that begin with a tab or a closing bracket.
func (r *reader) method(text string) {
	words, sig := text, ""
	if i := strings.IndexByte(text, '('); i >= 0 {
		words, sig = text[:i], text[i:]
	}
	m := new(Method)
	for i, word := range strings.Fields(words) {
		alias, ok := strings.CutPrefix(word, "alias=")
		switch {
		case i == 0 && isName(word):
			m.Name = word
		case i > 0 && word == "oneway":
			m.Oneway = true
		case i > 0 && ok && isName(alias):
			m.Aliases = append(m.Aliases, alias)
		default:
			r.fail("%q is not understood; write the file anew with daffigen lock", word)
			return
		}
	}
	s := r.contract.Services[len(r.contract.Services)-1]
	for _, name := range m.names() {
		if name == "" || s.answering(name) != nil {
			r.fail("method %q of %s stands here twice or has no name; write the file anew with daffigen lock", name, s.Name)
			return
		}
	}
	lines := []string{sig}
	for len(r.lines) > 0 && r.lines[0] != "" && strings.Contains("\t)} ", r.lines[0][:1]) {
		lines, r.lines = append(lines, r.lines[0]), r.lines[1:]
	}
	whole := strings.Join(lines, "\n")
	parsed, err := signature.Parse(whole)
	if syntax, ok := errors.AsType[*signature.SyntaxError](err); ok {
		r.at += strings.Count(whole[:syntax.Offset], "\n")
		r.fail("the signature of %s.%s cannot be read: %s; write the file anew with daffigen lock", s.Name, m.Name, syntax.Message)
		return
	}
	r.at += len(lines) - 1
	m.Signature = parsed
	s.Methods = append(s.Methods, m)
}

// isName reports whether s may be the name of a method.
func isName(s string) bool {
	return s != "" && !slices.ContainsFunc([]rune(s), func(c rune) bool { return c != '_' && !unicode.IsLetter(c) && !unicode.IsDigit(c) })
}
