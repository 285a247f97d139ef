// Package evil makes the texts that peers of tests say: what does harm where it is shown.
package evil

import (
	"math/rand/v2"
	"strings"
)

// parts are control characters, newlines, escape sequences, marks of direction, characters without width, bytes that are no UTF-8, and what is harmless.
var parts = []string{"\n", "\r\n", "\x00", "\x1b[2J\x1b[31m", "\x1b]0;title\a", "\u202e", "\u2066", "\u200b", "\ufeff", "\u2028", "\u0085", "\u009b31m", "\xff", "\xc3", "\xf0\x9f", "\t", "\x7f",
	"a", "level=ERROR msg=forged", "\"", "\\", "%s%n", "é", "日", "\U000e0041", "\u00ad"}

// Text is a text of at most that many bytes: a short one mostly, one in 200 is as long as it may be.
func Text(r *rand.Rand, most int) string { return text(r, most, parts) }

// ASCII is Text of bytes below 128.
func ASCII(r *rand.Rand, most int) string { return text(r, most, ascii) }

var ascii = func() (list []string) {
	for _, p := range parts {
		if strings.IndexFunc(p, func(r rune) bool { return r > 127 }) < 0 {
			list = append(list, p)
		}
	}
	return list
}()

func text(r *rand.Rand, most int, parts []string) string {
	var b strings.Builder
	size := 1 + r.IntN(40)
	if r.IntN(200) == 0 {
		size = most
	}
	for b.Len() < size {
		b.WriteString(parts[r.IntN(len(parts))])
	}
	return b.String()[:min(b.Len(), most)]
}
