// Package marshalers has types that encode themselves, of this package and of others.
package marshalers

import (
	"context"
	"fmt"
	"iter"
	"log/slog"
	"math/big"
	"net"
	"net/netip"
	"net/url"
	"time"

	"github.com/tinylib/msgp/msgp"
)

// Point encodes itself as msgp does.
type Point struct{ x, y int }

// MarshalMsg appends an array of two.
func (p *Point) MarshalMsg(b []byte) ([]byte, error) {
	return msgp.AppendInt(msgp.AppendInt(msgp.AppendArrayHeader(b, 2), p.x), p.y), nil
}

// UnmarshalMsg reads it.
func (p *Point) UnmarshalMsg(b []byte) ([]byte, error) {
	n, b, err := msgp.ReadArrayHeaderBytes(b)
	if err == nil && n != 2 {
		err = fmt.Errorf("%d coordinates", n)
	}
	if err == nil {
		p.x, b, err = msgp.ReadIntBytes(b)
	}
	if err == nil {
		p.y, b, err = msgp.ReadIntBytes(b)
	}
	return b, err
}

// Color is a number here and a text on the wire. It has no AppendText.
type Color int

// MarshalText gives a name.
func (c Color) MarshalText() ([]byte, error) {
	if c < 0 || int(c) >= len(colors) {
		return nil, fmt.Errorf("no color %d", int(c))
	}
	return []byte(colors[c]), nil
}

// UnmarshalText reads it.
func (c *Color) UnmarshalText(text []byte) error {
	for k, name := range colors {
		if name == string(text) {
			*c = Color(k)
			return nil
		}
	}
	return fmt.Errorf("no color %q", text)
}

var colors = []string{"red", "green"}

// Token has only the older of the two methods for bytes.
type Token [2]byte

// MarshalBinary gives the bytes.
func (t Token) MarshalBinary() ([]byte, error) { return t[:], nil }

// UnmarshalBinary reads them.
func (t *Token) UnmarshalBinary(b []byte) error {
	if copy(t[:], b) != len(t) || len(b) != len(t) {
		return fmt.Errorf("%d bytes", len(b))
	}
	return nil
}

// Stamp has the encoding of the time in it, which is all there is.
type Stamp struct{ time.Time }

// Half has one of two methods, and methods with other parameters: its fields travel.
type Half struct{ A int }

// MarshalText is alone.
func (Half) MarshalText() ([]byte, error) { return nil, nil }

// MarshalBinary is something else.
func (Half) MarshalBinary(n int) []byte { return nil }

// UnmarshalBinary is its counterpart.
func (*Half) UnmarshalBinary([]byte) error { return nil }

// Box encodes itself whatever is in it.
type Box[T any] struct{ v T }

// AppendText appends v.
func (b Box[T]) AppendText(p []byte) ([]byte, error) { return fmt.Append(p, b.v), nil }

// UnmarshalText reads v.
func (b *Box[T]) UnmarshalText(p []byte) error {
	_, err := fmt.Sscan(string(p), &b.v)
	return err
}

// All has them in all places.
type All struct {
	Point  Point
	Points []*Point
	Color  Color
	Names  map[Color]string
	Tokens map[Token][]Token
	Link   *url.URL
	Addr   netip.Addr
	Addrs  [2]netip.AddrPort
	IP     net.IP
	Net    net.IPNet
	Number *big.Int
	Level  slog.Level
	Stamp  Stamp
	Half   Half
	Box    Box[int]
	Time   time.Time
}

// Service takes them alone.
//
//daffi:callback
//daffi:fetcher
type Service interface {
	All(ctx context.Context, all All) (All, error)
	Resolve(ctx context.Context, addrs ...netip.Addr) (net.IP, *url.URL, error)
	Colors(ctx context.Context, in iter.Seq2[Color, error]) iter.Seq2[Point, error]
	Level(ctx context.Context, level slog.Level, box Box[string], token *Token) (big.Int, error)
}
