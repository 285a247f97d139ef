package codec_test

import (
	"errors"
	bigmath "math/big"
	"net/netip"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/tinylib/msgp/msgp"

	"github.com/daffi-rpc/daffi/runtime/codec"
)

// pair encodes itself as an array of two.
type pair struct {
	n int64
	s string
}

func (p *pair) MarshalMsg(b []byte) ([]byte, error) {
	if p.n == 7 {
		return nil, errors.New("seven")
	}
	b = msgp.AppendArrayHeader(b, 2)
	b = msgp.AppendInt64(b, p.n)
	if p.n == 8 {
		return b, nil
	}
	return msgp.AppendString(b, p.s), nil
}

func (p *pair) UnmarshalMsg(b []byte) ([]byte, error) {
	n, b, err := msgp.ReadArrayHeaderBytes(b)
	if err != nil || n == 1 {
		return b, err
	}
	p.n, b, err = msgp.ReadInt64Bytes(b)
	if err != nil {
		return b, err
	}
	p.s, b, err = msgp.ReadStringBytes(b)
	return b, err
}

// text is as long as it says.
type text struct{ s string }

func (v text) AppendText(b []byte) ([]byte, error)   { return append(b, v.s...), nil }
func (v text) MarshalText() ([]byte, error)          { return []byte(v.s), nil }
func (v *text) UnmarshalText(b []byte) error         { v.s = string(b); return nil }
func (v text) AppendBinary(b []byte) ([]byte, error) { return append(b, v.s...), nil }
func (v text) MarshalBinary() ([]byte, error)        { return []byte(v.s), nil }
func (v *text) UnmarshalBinary(b []byte) error       { v.s = string(b); return nil }

func TestMarshalers(t *testing.T) {
	address := netip.MustParseAddr("fe80::1%eth0")
	link, err := url.Parse("https://user@example.com/path?q#f")
	require.NoError(t, err)
	number, _ := new(bigmath.Int).SetString("-123456789012345678901234567890", 10)
	b := encode(t, func(e *codec.Encoder) {
		e.Array(6)
		codec.WriteBinaryAppend(e, address)
		codec.WriteBinary(e, *link)
		codec.WriteText(e, *number)
		codec.WriteTextAppend(e, address)
		codec.WriteMsg(e, pair{-5, "s"})
		codec.WriteSlice(e, []netip.Addr{address, {}}, codec.WriteBinaryAppend[netip.Addr])
	})
	var d codec.Decoder
	d.Reset(b)
	require.Equal(t, 6, d.Array(1))
	require.Equal(t, address, codec.ReadBinary[netip.Addr](&d))
	require.Equal(t, *link, codec.ReadBinary[url.URL](&d))
	got := codec.ReadText[bigmath.Int](&d)
	require.Zero(t, number.Cmp(&got))
	require.Equal(t, address, codec.ReadText[netip.Addr](&d))
	require.Equal(t, pair{-5, "s"}, codec.ReadMsg[pair](&d))
	require.Equal(t, []netip.Addr{address, {}}, codec.ReadSlice(&d, 1, codec.ReadBinary[netip.Addr]))
	require.NoError(t, d.Close())
}

// What is appended lies behind a header whose length is not known before, in an encoder that has room or not.
func TestMarshaledLengths(t *testing.T) {
	writes := map[string]func(*codec.Encoder, text){
		"text":          codec.WriteText[text],
		"text append":   codec.WriteTextAppend[text],
		"binary":        codec.WriteBinary[text],
		"binary append": codec.WriteBinaryAppend[text],
	}
	for name, write := range writes {
		for _, n := range []int{0, 1, 31, 32, 255, 256, 65535, 65536} {
			want := text{strings.Repeat("abc", n/3+1)[:n]}
			for _, room := range []int{0, 3, n, n + 5, n + 20, 2 * n} {
				var e codec.Encoder
				e.Reset(make([]byte, 0, room))
				e.Bool(true)
				write(&e, want)
				e.Bool(true)
				require.NoError(t, e.Err())
				var d codec.Decoder
				d.Reset(e.Bytes())
				d.Bool()
				got := text{}
				if strings.HasPrefix(name, "text") {
					got = codec.ReadText[text](&d)
				} else {
					got = codec.ReadBinary[text](&d)
				}
				require.True(t, d.Bool(), "%s of %d with room for %d: %v", name, n, room, d.Err())
				require.Equal(t, want, got)
			}
		}
	}
}

func TestMarshalersFail(t *testing.T) {
	var e codec.Encoder
	codec.WriteMsg(&e, pair{n: 7})
	require.EqualError(t, e.Err(), "encode: seven")
	e.Reset(nil)
	codec.WriteMsg(&e, pair{n: 8})
	require.EqualError(t, e.Err(), "encode: MarshalMsg must write exactly one value")

	v, err := decode([]byte("\x91\x01"), codec.ReadMsg[pair])
	require.EqualError(t, err, "decode: UnmarshalMsg left a part of its value")
	require.Zero(t, v)
	v, err = decode([]byte("\x92\x01\x02"), codec.ReadMsg[pair])
	require.ErrorIs(t, err, codec.ErrDecode)
	require.Zero(t, v)
	_, err = decode([]byte("\x92\x01"), codec.ReadMsg[pair])
	require.ErrorContains(t, err, "array of length 2 announced, bytes left: 1")
	addr, err := decode([]byte("\xc4\x03123"), codec.ReadBinary[netip.Addr])
	require.ErrorIs(t, err, codec.ErrDecode)
	require.Zero(t, addr)
	_, err = decode([]byte("\xc4\x03123"), codec.ReadText[netip.Addr])
	require.ErrorContains(t, err, "text expected, binary found")
	_, err = decode([]byte("\xc6\xff\xff\xff\xff"), codec.ReadBinary[netip.Addr])
	require.ErrorContains(t, err, "binary of length 4294967295 announced")

	// Nil is the zero value.
	v, err = decode([]byte{0xc0}, codec.ReadMsg[pair])
	require.NoError(t, err)
	require.Zero(t, v)
}
