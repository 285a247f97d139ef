// Package mapkeys has maps whose keys are more than one value.
package mapkeys

import (
	"context"
	"net/netip"
)

// Point is a key of fields.
type Point struct{ X, Y int }

// Line has structs in a key.
type Line struct {
	From, To Point
	Label    string `daffi:"l"`
}

// Color is a key that encodes itself.
type Color uint8

// MarshalText gives one letter.
func (c Color) MarshalText() ([]byte, error) { return []byte{'a' + byte(c)%26}, nil }

// UnmarshalText reads it.
func (c *Color) UnmarshalText(text []byte) error {
	for _, letter := range text {
		*c = Color(letter - 'a')
	}
	return nil
}

// Service has maps of all of them.
//
//daffi:callback
//daffi:fetcher
type Service interface {
	Points(ctx context.Context, names map[Point]string) (map[[2]Point]bool, error)
	Lines(ctx context.Context) (map[Line]Point, error)
	Hosts(ctx context.Context, names map[netip.Addr]string) (map[netip.AddrPort][]string, error)
	Colors(ctx context.Context, count map[Color]int) (map[struct{ R, G, B uint8 }]Color, error)
}
