package golden

import (
	"encoding/binary"
	"fmt"
	"strings"
)

// MessagePack splits messages into one line for each value, with what it is. What is none ends in one line.
func MessagePack(b []byte) []Line {
	var lines []Line
	for len(b) > 0 {
		lines, b = value(lines, b, 0)
	}
	return lines
}

// value splits the first value off. Arrays and maps are a line, and their elements, one step further in.
func value(lines []Line, b []byte, depth int) ([]Line, []byte) {
	head, body, elements, what := shape(b)
	if len(b) < head+body {
		return append(lines, Line{Bytes: b, Comment: "cut"}), nil
	}
	lines = append(lines, Line{Bytes: b[:head+body], Comment: strings.Repeat("  ", depth) + what})
	b = b[head+body:]
	for range elements {
		if len(b) == 0 {
			break
		}
		lines, b = value(lines, b, depth+1)
	}
	return lines, b
}

// shape is how long the head and the body of the first value are, how many elements follow it, and what it is.
func shape(b []byte) (head, body, elements int, what string) {
	number := func(n int) int { // of n bytes after the first
		var x [8]byte
		copy(x[8-n:], b[1:min(1+n, len(b))])
		return int(binary.BigEndian.Uint64(x[:]))
	}
	text := func(head, n int) (int, int, int, string) {
		return head, n, 0, fmt.Sprintf("%.60q", b[min(head, len(b)):min(head+n, len(b))])
	}
	blob := func(head, n int) (int, int, int, string) { return head, n, 0, fmt.Sprintf("%d bytes", n) }
	array := func(head, n int) (int, int, int, string) { return head, 0, n, fmt.Sprintf("array of %d", n) }
	switch c := b[0]; {
	case c <= 0x7f:
		return 1, 0, 0, fmt.Sprint(c)
	case c >= 0xe0:
		return 1, 0, 0, fmt.Sprint(int8(c))
	case c <= 0x8f:
		return 1, 0, 2 * int(c&15), fmt.Sprintf("map of %d", c&15)
	case c <= 0x9f:
		return array(1, int(c&15))
	case c <= 0xbf:
		return text(1, int(c&31))
	case c == 0xc0:
		return 1, 0, 0, "nil"
	case c == 0xc2, c == 0xc3:
		return 1, 0, 0, fmt.Sprint(c == 0xc3)
	case c >= 0xc4 && c <= 0xc6:
		n := 1 << (c - 0xc4)
		return blob(1+n, number(n))
	case c >= 0xcc && c <= 0xcf:
		n := 1 << (c - 0xcc)
		return 1 + n, 0, 0, fmt.Sprint(uint(number(n)))
	case c >= 0xd0 && c <= 0xd3:
		n := 1 << (c - 0xd0)
		return 1 + n, 0, 0, fmt.Sprint(int64(number(n)) << (64 - 8*n) >> (64 - 8*n))
	case c >= 0xd9 && c <= 0xdb:
		n := 1 << (c - 0xd9)
		return text(1+n, number(n))
	case c == 0xdc, c == 0xdd:
		n := 2 << (c - 0xdc)
		return array(1+n, number(n))
	}
	return 1, len(b) - 1, 0, "another value, and what follows"
}
