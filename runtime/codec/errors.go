package codec

import (
	"errors"
	"fmt"
)

// Every error of a [Decoder] wraps ErrDecode and every error of an [Encoder] wraps ErrEncode; the others tell limits from
// malformed bytes.
var (
	// ErrDecode means that the bytes do not hold what was expected of them.
	ErrDecode = errors.New("decode")
	// ErrEncode means that the value cannot be written.
	ErrEncode = errors.New("encode")
	// ErrDepth means that values nest deeper than either side allows: a bomb, or a pointer that leads back to itself.
	ErrDepth = errors.New("nested too deep")
	// ErrBudget means that the message would occupy more memory than the decoder may spend on it.
	ErrBudget = errors.New("memory budget exceeded")
)

// within wraps err in side, ErrDecode or ErrEncode, unless it is already.
func within(side, err error) error {
	if errors.Is(err, side) {
		return err
	}
	return fmt.Errorf("%w: %w", side, err)
}

// PanicError is what a codec of the user's ends in that panics on what it reads, inside an error that matches [ErrDecode]. Value and Stack are for the log of this process: they may
// speak of what the other side must not know.
type PanicError struct {
	Codec string // its id and name, and where
	Value any
	Stack []byte
}

func (e *PanicError) Error() string { return "codec " + e.Codec + " panicked" }
