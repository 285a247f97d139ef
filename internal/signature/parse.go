package signature

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// SyntaxError says what is wrong with a text and where.
type SyntaxError struct {
	Offset  int // in bytes
	Message string
}

func (e *SyntaxError) Error() string {
	return fmt.Sprintf("signature: %s at byte %d", e.Message, e.Offset)
}

// Parse reads a signature, canonical or laid out by [Indent]. The error is a *[SyntaxError].
func Parse(text string) (*Method, error) {
	p := &parser{text: text}
	m := p.method()
	if p.space(); p.err == nil && p.pos < len(p.text) {
		p.expected("the end")
	}
	if p.err != nil {
		return nil, p.err
	}
	return m, nil
}

// parser reads by recursive descent. The first error sticks and leaves nothing to read.
type parser struct {
	text    string
	pos     int
	used    int // bytes that were taken, without white space and comments
	depth   int
	structs []*Type
	err     *SyntaxError
}

func (p *parser) fail(at int, format string, args ...any) {
	if p.err == nil {
		p.err = &SyntaxError{at, fmt.Sprintf(format, args...)}
		p.pos = len(p.text)
	}
}

// expected says what stands where something else must.
func (p *parser) expected(what string) {
	if p.pos == len(p.text) {
		p.fail(p.pos, "%s expected, end found", what)
		return
	}
	r, _ := utf8.DecodeRuneInString(p.text[p.pos:])
	p.fail(p.pos, "%s expected, %q found", what, r)
}

// space passes white space and comments, and reports whether there was a newline among them.
func (p *parser) space() (newline bool) {
	for ; p.pos < len(p.text); p.pos++ {
		switch c := p.text[p.pos]; {
		case c == '\n':
			newline = true
		case c == ' ' || c == '\t' || c == '\r':
		case c == '/' && strings.HasPrefix(p.text[p.pos:], "//"):
			n := strings.IndexByte(p.text[p.pos:], '\n')
			if n < 0 {
				p.pos = len(p.text)
				return newline
			}
			p.pos += n - 1
		default:
			return newline
		}
	}
	return newline
}

// peek is the byte that comes next, 0 at the end.
func (p *parser) peek() byte {
	if p.space(); p.pos < len(p.text) {
		return p.text[p.pos]
	}
	return 0
}

// take passes n bytes.
func (p *parser) take(n int) string {
	if p.used += n; p.used > MaxText {
		p.fail(p.pos, "more than %d bytes", MaxText)
		return ""
	}
	p.pos += n
	return p.text[p.pos-n : p.pos]
}

// accept passes c if it comes next.
func (p *parser) accept(c byte) bool {
	if p.peek() != c {
		return false
	}
	return p.take(1) != ""
}

func (p *parser) want(c byte) {
	if !p.accept(c) {
		p.expected(strconv.QuoteRune(rune(c)))
	}
}

func (p *parser) method() *Method {
	m := new(Method)
	p.want('(')
	m.Params, m.Input = p.list(true)
	if p.accept('>') {
		m.Output = p.typ()
		return m
	}
	if !p.accept('(') {
		p.expected("'(' or '>'")
	}
	m.Results, _ = p.list(false)
	return m
}

// list reads types up to the closing parenthesis, the last of which may be a sequence's item.
func (p *parser) list(sequence bool) (list []*Type, item *Type) {
	for p.err == nil && !p.accept(')') {
		if sequence && p.accept('<') {
			item = p.typ()
			p.accept(',') // as Go has it before a new line
			p.want(')')
			break
		}
		list = append(list, p.typ())
		if !p.accept(',') && p.peek() != ')' {
			p.expected("',' or ')'")
		}
	}
	return list, item
}

func (p *parser) typ() *Type {
	if p.depth++; p.depth > MaxDepth {
		p.fail(p.pos, "more than %d types within one another", MaxDepth)
	}
	defer func() { p.depth-- }()
	switch c := p.peek(); {
	case c == '*':
		p.take(1)
		return &Type{Kind: Pointer, Elem: p.typ()}
	case c == '[':
		return p.brackets()
	case c == '{':
		return p.structure()
	case c == '$':
		return p.reference()
	case c == '@':
		p.take(1)
		return &Type{Kind: Codec, Name: p.word("a codec's name", true)}
	}
	name := p.word("a type", false)
	if name != "map" {
		return &Type{Kind: Word, Name: name}
	}
	p.want('[')
	t := &Type{Kind: Map, Key: p.typ()}
	p.want(']')
	t.Elem = p.typ()
	return t
}

// brackets reads a slice or an array.
func (p *parser) brackets() *Type {
	p.take(1)
	t := &Type{Kind: Slice}
	if p.peek() != ']' {
		t.Kind, t.Len = Array, p.number("']' or a length")
	}
	p.want(']')
	t.Elem = p.typ()
	return t
}

func (p *parser) reference() *Type {
	at := p.pos
	p.take(1)
	n := p.number("the number of a struct")
	if p.err == nil && n >= int64(len(p.structs)) {
		p.fail(at, "$%d has no struct, there are %d before it", n, len(p.structs))
	}
	if p.err != nil {
		return nil
	}
	return p.structs[n]
}

func (p *parser) number(what string) int64 {
	p.space()
	n := 0
	for p.pos+n < len(p.text) && isDigit(p.text[p.pos+n]) {
		n++
	}
	if n == 0 {
		p.expected(what)
		return 0
	}
	at := p.pos
	v, err := strconv.ParseInt(p.take(n), 10, 64)
	if err != nil {
		p.fail(at, "the number is too large")
	}
	return v
}

// word reads ASCII letters, digits and underscores that begin with no digit; a codec's name may begin with one and have dashes.
func (p *parser) word(what string, codec bool) string {
	p.space()
	n := 0
	for ; p.pos+n < len(p.text); n++ {
		c := p.text[p.pos+n]
		switch {
		case c == '_' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z':
			continue
		case isDigit(c) && (codec || n > 0), c == '-' && codec:
			continue
		}
		break
	}
	if n == 0 {
		p.expected(what)
		return ""
	}
	return p.take(n)
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func (p *parser) structure() *Type {
	p.take(1)
	t := &Type{Kind: Struct}
	p.structs = append(p.structs, t)
	names := make(map[string]bool)
	for p.err == nil && !p.accept('}') {
		p.space()
		at := p.pos
		f := Field{Name: p.fieldName()}
		if names[f.Name] {
			p.fail(at, "field %s twice", fieldName(f.Name))
		}
		names[f.Name] = true
		f.Type = p.typ()
		t.Fields = append(t.Fields, f)
		if newline := p.space(); !p.accept(';') && !newline && p.peek() != '}' {
			p.expected("';' or '}'")
		}
	}
	t.names = t.Names()
	return t
}

func (p *parser) fieldName() string {
	if p.peek() == '"' {
		at := p.pos
		quoted, err := strconv.QuotedPrefix(p.text[p.pos:])
		if err != nil {
			p.fail(at, "a field's name is not quoted as Go does")
			return ""
		}
		name, _ := strconv.Unquote(p.take(len(quoted)))
		return name
	}
	n := identifier(p.text[p.pos:])
	if n == 0 {
		p.expected("a field")
	}
	return p.take(n)
}

// identifier is the length of the Go identifier or keyword that s begins with.
func identifier(s string) int {
	for i, r := range s {
		if r != '_' && !unicode.IsLetter(r) && (i == 0 || !unicode.IsDigit(r)) {
			return i
		}
	}
	return len(s)
}

// fieldName is name as signatures have it.
func fieldName(name string) string {
	if name == "" || identifier(name) < len(name) {
		return strconv.Quote(name)
	}
	return name
}
