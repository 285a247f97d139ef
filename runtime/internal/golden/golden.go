// Package golden reads and writes bytes that must never change, as text that people can read: hexadecimal digits with a name in front and a comment
// behind.
//
//	kind:  20           # Request
//	call:  0900100000000000
//	       5a*65536     # so many times that byte
//
// In sessions, which are of one moment and played at another, $name=0900 are bytes that whoever speaks may choose.
package golden

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
)

// Line is some bytes that belong together, a field.
type Line struct {
	Name    string
	Bytes   []byte
	Comment string
}

// Join is the bytes of all lines.
func Join(lines []Line) []byte {
	var b []byte
	for _, l := range lines {
		b = append(b, l.Bytes...)
	}
	return b
}

// Format is the text of a file: what it is about, and the lines.
func Format(about string, lines []Line) []byte {
	var b bytes.Buffer
	for line := range strings.Lines(about) {
		b.WriteString("# " + strings.TrimSpace(line) + "\n")
	}
	for _, l := range lines {
		if l.Name != "" {
			l.Name += ":"
		}
		text := fmt.Sprintf("%-10s %s", l.Name, digits(l.Bytes))
		if l.Comment != "" {
			text = fmt.Sprintf("%-40s # %s", text, l.Comment)
		}
		b.WriteString(strings.TrimRight(text, " ") + "\n")
	}
	return b.Bytes()
}

// digits writes long runs of one byte short.
func digits(b []byte) string {
	const run = 16
	var words []string
	for start := 0; len(b) > 0; {
		n := 1
		for start+n < len(b) && b[start+n] == b[start] {
			n++
		}
		switch {
		case n >= run && start > 0:
			words = append(words, hex.EncodeToString(b[:start]))
			b, start = b[start:], 0
		case n >= run:
			words = append(words, fmt.Sprintf("%02x*%d", b[0], n))
			b = b[n:]
		default:
			if start += n; start == len(b) {
				words = append(words, hex.EncodeToString(b))
				b = nil
			}
		}
	}
	return strings.Join(words, " ")
}

// Bytes is what a file holds.
func Bytes(file []byte) ([]byte, error) {
	var all []byte
	n := 0
	for line := range strings.Lines(string(file)) {
		n++
		line, _, _ = strings.Cut(line, "#")
		if _, after, ok := strings.Cut(line, ":"); ok {
			line = after
		}
		tokens, err := Tokens(line)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		for _, t := range tokens {
			if t.Name != "" {
				return nil, fmt.Errorf("line %d: $%s stands in a frame that must not change", n, t.Name)
			}
			all = append(all, t.Bytes...)
		}
	}
	return all, nil
}

// Token is some bytes of a frame. Where it has a name, others of the same length may stand in their place.
type Token struct {
	Name  string
	Bytes []byte
}

// Tokens reads what stands between a name and a comment.
func Tokens(text string) (tokens []Token, err error) {
	for word := range strings.FieldsSeq(text) {
		var t Token
		if named, ok := strings.CutPrefix(word, "$"); ok {
			if t.Name, word, ok = strings.Cut(named, "="); !ok || t.Name == "" {
				return nil, fmt.Errorf("%q is not $name=digits", "$"+named)
			}
		}
		one, count, repeated := strings.Cut(word, "*")
		if t.Bytes, err = hex.DecodeString(one); err != nil {
			return nil, fmt.Errorf("%q: %w", word, err)
		}
		if repeated {
			n, err := strconv.Atoi(count)
			if err != nil || n < 1 || n > 1<<20 {
				return nil, fmt.Errorf("%q repeats a byte how often?", word)
			}
			t.Bytes = bytes.Repeat(t.Bytes, n)
		}
		tokens = append(tokens, t)
	}
	return tokens, nil
}
