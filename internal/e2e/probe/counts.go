package probe

import (
	"bytes"
	"maps"
	"slices"
	"strings"
	"unicode"
)

// Counts are the words of a corpus.
type Counts map[string]*Word

// Add counts the words of a file.
func (c Counts) Add(f File) {
	for word := range bytes.FieldsFuncSeq(f.Text, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) }) {
		w := c[string(word)]
		if w == nil {
			w = &Word{Text: string(word), First: f.Name}
			c[w.Text] = w
		}
		w.Count++
	}
}

// Sorted returns the words in the order of their texts.
func (c Counts) Sorted() []*Word {
	return slices.SortedFunc(maps.Values(c), func(a, b *Word) int { return strings.Compare(a.Text, b.Text) })
}
