// Package shape has the types that the services of all generations share, so that one implementation serves any.
package shape

import (
	"errors"
	"net/netip"
	"time"
)

// Item has a field of every kind.
type Item struct {
	ID     [4]byte
	Name   string `daffi:"name"`
	Count  uint16
	Price  *float64
	Tags   []string
	Parts  map[string]Item
	At     time.Time
	For    time.Duration
	Host   netip.Addr
	Extra  any
	Reason error
	Data   []byte
	Ok     bool
	Pair   [2]Point
}

// Point is small.
type Point struct{ X, Y int32 }

// Order says of itself whether it is valid.
type Order struct{ Name string }

// Validate wants a name.
func (o Order) Validate() error {
	if o.Name == "" {
		return ErrGone
	}
	return nil
}

// ErrGone keeps its identity.
var ErrGone = errors.New("gone")

// Lost does too, with its field.
type Lost struct{ Name string }

func (e *Lost) Error() string { return e.Name + " is lost" }
