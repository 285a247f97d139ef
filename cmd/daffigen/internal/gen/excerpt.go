package gen

import (
	"bytes"
	"go/token"
	"os"
	"strings"
	"unicode"
	"unicode/utf8"
)

// excerptWidth is how much of a long line an excerpt shows, in characters.
const excerptWidth = 120

// Excerpt is the source line that d is about and a caret below its column, indented, or nothing where there is no such line.
func (d Diagnostic) Excerpt() string {
	line := sourceLine(d.Pos)
	if line == "" {
		return ""
	}
	before, after := printable(line[:d.Pos.Column-1]), printable(line[d.Pos.Column-1:])
	trimmed := strings.TrimLeft(string(before), " ")
	before = []rune(trimmed)
	if n := len(before) - excerptWidth/2; n > 0 && len(before)+len(after) > excerptWidth {
		before = append([]rune("…"), before[n:]...)
	}
	if n := excerptWidth - len(before); len(after) > n {
		after = append(after[:n:n], '…')
	}
	caret := strings.Repeat(" ", len(before)) + "^"
	return "    " + strings.TrimRight(string(before)+string(after), " ") + "\n    " + caret + "\n"
}

// End is the column after the word or directive at d's position, 0 if it is not known.
func (d Diagnostic) End() int {
	line := sourceLine(d.Pos)
	if line == "" {
		return 0
	}
	rest := line[d.Pos.Column-1:]
	size := 0
	if strings.HasPrefix(rest, "//") {
		comment, _, _ := strings.Cut(rest[2:], " //")
		size = len("//" + strings.TrimRight(comment, " \t"))
	} else {
		size = strings.IndexFunc(rest, func(r rune) bool { return r != '_' && !unicode.IsLetter(r) && !unicode.IsDigit(r) })
		if size < 0 {
			size = len(rest)
		}
	}
	if size == 0 {
		return 0
	}
	return d.Pos.Column + size
}

// sourceLine is the line at pos, empty if pos is not in it.
func sourceLine(pos token.Position) string {
	if pos.Filename == "" || pos.Line < 1 || pos.Column < 1 {
		return ""
	}
	text, err := os.ReadFile(pos.Filename)
	if err != nil {
		return ""
	}
	for n := 1; n < pos.Line; n++ {
		_, rest, more := bytes.Cut(text, []byte("\n"))
		if !more {
			return ""
		}
		text = rest
	}
	text, _, _ = bytes.Cut(text, []byte("\n"))
	line := strings.TrimRight(string(text), "\r \t")
	if pos.Column > len(line) {
		return ""
	}
	return line
}

// printable has a character for every place of a terminal: tabs and what a terminal might obey become spaces.
func printable(s string) []rune {
	list := make([]rune, 0, utf8.RuneCountInString(s))
	for _, r := range s {
		switch {
		case unicode.Is(unicode.Mn, r): // takes no place of its own
		case r == '\t' || !unicode.IsPrint(r):
			list = append(list, ' ')
		default:
			list = append(list, r)
		}
	}
	return list
}
