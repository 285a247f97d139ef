package signature

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"strings"
	"unicode/utf8"
)

// maxPlain is the most bytes that a signature may have to be its own fingerprint.
const maxPlain = 64

// Fingerprint stands for a canonical text where that is too long to be sent each time: a text of up to 64 bytes for itself, a longer
// one is # and 32 hexadecimal digits, half of its SHA-256. No signature begins with #.
func Fingerprint(text string) string {
	if len(text) <= maxPlain {
		return text
	}
	sum := sha256.Sum256([]byte(text))
	return "#" + hex.EncodeToString(sum[:len(sum)/2])
}

// String is the canonical text.
func (m *Method) String() string {
	p := printer{numbers: make(map[*Type]int)}
	p.method(m)
	return p.String()
}

// printer writes canonical text.
type printer struct {
	strings.Builder
	numbers map[*Type]int // of structs that were written
	notes   []string      // of structs, in the order of their numbers
}

// String is the canonical text of t by itself.
func (t *Type) String() string {
	p := printer{numbers: make(map[*Type]int)}
	p.typ(t)
	return p.String()
}

func (p *printer) method(m *Method) {
	p.WriteByte('(')
	p.list(m.Params)
	if m.Input != nil {
		if len(m.Params) > 0 {
			p.WriteByte(',')
		}
		p.WriteByte('<')
		p.typ(m.Input)
	}
	p.WriteByte(')')
	if m.Output != nil {
		p.WriteByte('>')
		p.typ(m.Output)
		return
	}
	p.WriteByte('(')
	p.list(m.Results)
	p.WriteByte(')')
}

func (p *printer) list(list []*Type) {
	for i, t := range list {
		if i > 0 {
			p.WriteByte(',')
		}
		p.typ(t)
	}
}

func (p *printer) typ(t *Type) {
	switch t.Kind {
	case Word:
		p.WriteString(t.Name)
	case Codec:
		p.WriteString("@" + t.Name)
	case Slice:
		p.WriteString("[]")
		p.typ(t.Elem)
	case Array:
		p.WriteString("[" + strconv.FormatInt(t.Len, 10) + "]")
		p.typ(t.Elem)
	case Map:
		p.WriteString("map[")
		p.typ(t.Key)
		p.WriteByte(']')
		p.typ(t.Elem)
	case Pointer:
		p.WriteByte('*')
		p.typ(t.Elem)
	case Struct:
		p.structure(t)
	}
}

func (p *printer) structure(t *Type) {
	if n, ok := p.numbers[t]; ok {
		p.WriteString("$" + strconv.Itoa(n))
		return
	}
	p.numbers[t] = len(p.numbers)
	p.notes = append(p.notes, t.Note)
	p.WriteByte('{')
	for i, f := range t.Fields {
		if i > 0 {
			p.WriteByte(';')
		}
		p.WriteString(fieldName(f.Name) + " ")
		p.typ(f.Type)
	}
	p.WriteByte('}')
}

// maxLine is how long a line of Indent gets, with tabs of 8, where it can be broken at all.
const maxLine = 80

// Indent is m for people: in one line, or where that would be long, a line for each argument, result and field, with tabs. Behind the
// braces of a struct is its Note. [Parse] reads it.
func Indent(m *Method) string {
	p := printer{numbers: make(map[*Type]int)}
	p.method(m)
	l := &layout{text: p.String(), notes: p.notes}
	l.match()
	for l.pos < len(l.text) {
		l.step()
	}
	return l.out.String()
}

// layout breaks canonical text into lines: a group in braces or parentheses, from its bracket to the end of its line, is kept whole if it fits.
type layout struct {
	text   string
	pos    int
	closes []int  // offset of the bracket that closes the group that begins here
	broken []bool // of the groups that pos is in
	notes  []string
	column int
	out    strings.Builder
}

// match finds the ends of groups.
func (l *layout) match() {
	l.closes = make([]int, len(l.text))
	var open []int
	for i := 0; i < len(l.text); i++ {
		switch l.text[i] {
		case '"':
			i += quoted(l.text[i:]) - 1
		case '(', '{':
			open = append(open, i)
		case ')', '}':
			last := len(open) - 1
			l.closes[open[last]] = i
			open = open[:last]
		}
	}
}

// quoted is the length of the string in quotes that s begins with.
func quoted(s string) int {
	q, _ := strconv.QuotedPrefix(s) // canonical text has no other
	return len(q)
}

func (l *layout) step() {
	last := len(l.broken) - 1
	switch c := l.text[l.pos]; c {
	case '"':
		l.write(quoted(l.text[l.pos:]))
	case '(', '{':
		l.open(c)
	case ')', '}':
		if l.broken[last] {
			if c == ')' {
				l.out.WriteByte(',')
			}
			l.line(last)
		}
		l.write(1)
		l.broken = l.broken[:last]
	case ',', ';':
		if l.pos++; !l.broken[last] {
			l.put(string(c) + " ")
			return
		}
		if c == ',' {
			l.put(",")
		}
		l.line(last + 1)
	default:
		l.write(1)
	}
}

// open begins a group. It is broken if it does not fit with what follows it up to where the line can end: short results stay with the arguments.
func (l *layout) open(c byte) {
	end := l.closes[l.pos] + 1
	ends := ",;{"
	if c == '(' {
		ends = "{"
	}
	rest := strings.IndexAny(l.text[end:], ends)
	if rest < 0 {
		rest = len(l.text) - end
	}
	group := l.text[l.pos : end+rest]
	width := l.column + utf8.RuneCountInString(group) + strings.Count(group, ",") + strings.Count(group, ";")
	broken := width > maxLine && end > l.pos+2
	l.broken = append(l.broken, broken)
	l.write(1)
	note := ""
	if c == '{' {
		note, l.notes = l.notes[0], l.notes[1:]
	}
	if broken {
		if note != "" {
			l.out.WriteString(" // " + note)
		}
		l.line(len(l.broken))
	}
}

func (l *layout) line(depth int) {
	l.out.WriteString("\n" + strings.Repeat("\t", depth))
	l.column = 8 * depth
}

// write copies n bytes.
func (l *layout) write(n int) {
	l.put(l.text[l.pos : l.pos+n])
	l.pos += n
}

func (l *layout) put(s string) {
	l.out.WriteString(s)
	l.column += utf8.RuneCountInString(s)
}
