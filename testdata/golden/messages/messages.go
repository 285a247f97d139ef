// Package messages has types that are messages by themselves, and no interface. A type that encodes itself stays one that does, and
// the method of a message is none by which it would.
package messages

import (
	"strings"
	"time"

	"github.com/daffi-rpc/daffi/testdata/golden/messages/away"
)

// Order is a message of messages.
//
//daffi:message
type Order struct {
	ID    string `daffi:"id"`
	Lines []Line
	Due   time.Time
	Next  *Order
	Note  any
	From  away.Place
	inner int
}

// Line is a message that is a part of another.
//
//daffi:message
type Line struct {
	SKU      string `msgpack:"the \"sku\""`
	Quantity int
}

// Embedding embeds a message and is one itself.
//
//daffi:message
type Embedding struct {
	Line
	Extra string
}

// Unmarked embeds a message and is none.
type Unmarked struct {
	*Line
	Extra string
}

type (
	// Nothing has no fields.
	//
	//daffi:message
	Nothing struct{}

	// Tags are no struct.
	//
	//daffi:message
	Tags []string

	// prices are unexported.
	//
	//daffi:message
	prices map[string]float64

	// Grid is an array.
	//
	//daffi:message
	Grid [2][2]int8
)

// Word encodes itself.
//
//daffi:message
type Word struct{ letters []string }

// MarshalText joins the letters.
func (w Word) MarshalText() ([]byte, error) { return []byte(strings.Join(w.letters, "")), nil }

// UnmarshalText splits them.
func (w *Word) UnmarshalText(text []byte) error {
	if len(text) > 0 {
		w.letters = strings.Split(string(text), "")
	}
	return nil
}
