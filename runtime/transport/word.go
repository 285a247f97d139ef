package transport

import (
	"errors"
	"fmt"
)

// MaxWord bounds the name of a service or a method, in bytes (LIM-10).
const MaxWord = 128

var errWord = errors.New("is not made of ASCII letters, digits, _ and -, in parts separated by dots")

// ValidWord says what is wrong with the name of a service or a method: it has 1 to MaxWord bytes, ASCII letters, digits, _ and -, in parts separated by dots. A name has
// one spelling: nothing is folded, trimmed or decoded, so names are the same if and only if their bytes are. The error goes on after the name: "ends with a dot".
func ValidWord(name string) error {
	if name == "" || len(name) > MaxWord {
		return fmt.Errorf("has %d bytes: a name has 1 to %d", len(name), MaxWord)
	}
	part := false // the part before has a letter
	for i := range len(name) {
		switch c := name[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '_', c == '-':
			part = true
		case c == '.' && part:
			part = false
		default:
			return errWord
		}
	}
	if !part {
		return errors.New("ends with a dot")
	}
	return nil
}
