// Package safetext makes text that others have written fit to be shown. Names, methods, labels, reasons and messages come from peers, who may put into them what a
// terminal obeys, what begins another line of a log, or what makes one word look like another: control characters, newlines, escape sequences, marks that turn the direction
// of writing, characters without width, bytes that are no UTF-8, and more than anybody wants to read. All that is shown of them goes through [Line], and all logs of a node or
// a controller go through [Logger], so that no place that logs can forget it.
package safetext

import (
	"fmt"
	"io"
	"strconv"
	"unicode/utf8"
)

// Bounds of what is shown of one text.
const (
	MaxLog   = 256     // bytes, in a log
	MaxError = 1 << 10 // bytes, in an error, and of what an error says to a peer
)

// Printable reports whether s may be shown as it is: UTF-8 of letters, marks, numbers, punctuation, symbols and the ASCII space, as [strconv.IsPrint] has them.
func Printable(s string) bool {
	for i, r := range s {
		if r >= utf8.RuneSelf && r == utf8.RuneError {
			if _, n := utf8.DecodeRuneInString(s[i:]); n == 1 {
				return false
			}
		}
		if !strconv.IsPrint(r) {
			return false
		}
	}
	return true
}

// Line is s on one line of at most limit bytes, which must be 16 or more: as it is where it is printable, else quoted as a Go string. What is too long is shortened by [Cut].
func Line(s string, limit int) string {
	const mark = len(" … ")
	short := s
	if len(s) > limit {
		short = Cut(s, limit-mark)
	}
	if Printable(short) {
		return short
	}
	for n := limit; ; n = n * 3 / 4 { // a byte takes up to ten, \U0010ffff, so this ends soon
		if q := strconv.Quote(Cut(s, n)); len(q) <= limit {
			return q
		}
	}
}

// Cut shortens s to about n bytes. It keeps both ends: where errors are wrapped, the first says what failed and the last says why.
func Cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	head, tail := n/2, len(s)-n/2
	for back := 0; back < utf8.UTFMax && head > 0 && !utf8.RuneStart(s[head]); back++ {
		head--
	}
	for on := 0; on < utf8.UTFMax && tail < len(s) && !utf8.RuneStart(s[tail]); on++ {
		tail++
	}
	return s[:head] + " … " + s[tail:]
}

// Format implements [fmt.Formatter] for a type that must not be shown whole: every verb and flag gives text, as it would be given for a string, but for %#v, which gives it as it is.
func Format(f fmt.State, verb rune, text string) {
	switch {
	case verb == 'v':
		io.WriteString(f, text)
	default:
		fmt.Fprintf(f, fmt.FormatString(f, verb), text)
	}
}

// Sprint is [fmt.Sprint] for what somebody has panicked with, and survives what its methods panic with in turn.
func Sprint(v any) (text string) {
	defer func() {
		if recover() != nil {
			text = fmt.Sprintf("a %T, which panics when it is printed", v)
		}
	}()
	return fmt.Sprint(v)
}
