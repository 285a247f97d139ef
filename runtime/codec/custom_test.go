package codec_test

import (
	"bytes"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/daffi-rpc/daffi/runtime/codec"
	"github.com/stretchr/testify/require"
)

// scope is that of a node with the given codecs.
func scope(t *testing.T, codecs ...codec.Codec) *codec.Scope {
	t.Helper()
	r := new(codec.Registry)
	for _, c := range codecs {
		require.NoError(t, r.Register(c))
	}
	return &codec.Scope{Codecs: r, Node: "here"}
}

// reversed is a codec of strings.
var reversed = fake{
	id: 40, name: "reversed",
	marshal: func(dst []byte, v any) ([]byte, error) {
		s := v.(string)
		for k := len(s) - 1; k >= 0; k-- {
			dst = append(dst, s[k])
		}
		return dst, nil
	},
	unmarshal: func(data []byte, v any) error {
		text := slices.Clone(data)
		slices.Reverse(text)
		*v.(*string) = string(text)
		return nil
	},
}

// TestCustomHeaders writes values of every length at which the header becomes longer, into encoders with much, little and no room.
func TestCustomHeaders(t *testing.T) {
	s := scope(t, reversed)
	for _, n := range []int{0, 1, 254, 255, 256, 65534, 65535, 65536} {
		text := strings.Repeat("ab", n)[:n]
		for _, room := range []int{0, 1, 7, n, n + 6, n + 7, 4 * n} {
			var e codec.Encoder
			e.SetScope(s)
			e.Reset(make([]byte, 0, room))
			e.Array(2)
			codec.WriteWith(&e, "reversed", text)
			e.Bool(true)
			require.NoError(t, e.Err())
			want := map[bool][]byte{true: {0xc4, byte(n + 1)}, false: {0xc5, byte((n + 1) >> 8), byte(n + 1)}}[n+1 < 256]
			if n+1 >= 1<<16 {
				want = []byte{0xc6, 0, byte((n + 1) >> 16), byte((n + 1) >> 8), byte(n + 1)}
			}
			require.Equal(t, append(append([]byte{0x92}, want...), 40), e.Bytes()[:1+len(want)+1])

			var d codec.Decoder
			d.SetScope(s)
			d.Reset(e.Bytes())
			require.Equal(t, 2, d.Array(1))
			require.Equal(t, text, codec.ReadWith[string](&d, "reversed"))
			require.True(t, d.Bool())
			require.NoError(t, d.Close())
		}
	}
}

// TestScopeOutlivesReset holds that an encoder and a decoder keep their codecs from message to message.
func TestScopeOutlivesReset(t *testing.T) {
	var e codec.Encoder
	var d codec.Decoder
	e.SetScope(scope(t, reversed))
	d.SetScope(scope(t, reversed))
	for range 2 {
		e.Reset(e.Bytes())
		codec.WriteWith(&e, "reversed", "ab")
		d.Reset(e.Bytes())
		require.Equal(t, "ab", codec.ReadWith[string](&d, "reversed"))
		require.NoError(t, d.Err())
	}
}

var errCodec = errors.New("no")

func TestCustomErrors(t *testing.T) {
	fails := fake{id: 41, name: "fails",
		marshal:   func([]byte, any) ([]byte, error) { return nil, errCodec },
		unmarshal: func([]byte, any) error { return errCodec },
	}
	panics := fake{id: 42, name: "panics",
		marshal:   func([]byte, any) ([]byte, error) { panic("no") },
		unmarshal: func(_ []byte, v any) error { *v.(*string) = "half"; panic("no") },
	}
	s := scope(t, reversed, fails, panics)
	for _, test := range []struct {
		scope *codec.Scope
		name  string
		text  string
	}{
		{s, "fails", "encode: codec 41 (fails) at node here: no"},
		{s, "other", `encode: codec "other" is not registered at node here; register it with Options.Codecs of both nodes`},
		{&codec.Scope{}, "fails", `encode: codec "fails" is not registered; register it with Options.Codecs of both nodes`},
		{nil, "fails", `encode: codec "fails" is not registered; register it with Options.Codecs of both nodes`},
	} {
		var e codec.Encoder
		e.SetScope(test.scope)
		codec.WriteWith(&e, test.name, "x")
		require.EqualError(t, e.Err(), test.text)
		require.ErrorIs(t, e.Err(), codec.ErrEncode)
		codec.WriteWith(&e, "panics", "x") // is not asked any more
	}
	for _, test := range []struct {
		scope *codec.Scope
		name  string
		data  []byte
		text  string
	}{
		{s, "fails", []byte{0xc4, 1, 41}, "decode: codec 41 (fails) at node here: no"},
		{s, "panics", []byte{0xc4, 1, 42}, "decode: codec 42 (panics) at node here panicked"},
		{s, "fails", []byte{0xc4, 1, 40}, "decode: codec 41 (fails) expected at node here, a value of codec 40 found; give it one id at both nodes"},
		{s, "other", []byte{0xc4, 1, 40}, `decode: codec "other" is not registered at node here; register it with Options.Codecs of both nodes (the value was written by codec 40)`},
		{nil, "other", []byte{0xc0}, `decode: codec "other" is not registered; register it with Options.Codecs of both nodes`},
		{s, "reversed", []byte{0xc4, 0}, "decode: a codec's id expected, an empty value found"},
		{s, "reversed", []byte{0xc4, 2, 40}, "decode: binary of length 2 announced, bytes left: 1 at byte 0"},
		{s, "reversed", []byte{0xa1, 40}, "decode: encoded value expected, string found at byte 0"},
		{s, "reversed", nil, "decode: encoded value expected, end of message found at byte 0"},
	} {
		var d codec.Decoder
		d.SetScope(test.scope)
		d.Reset(test.data)
		require.Zero(t, codec.ReadWith[string](&d, test.name))
		require.EqualError(t, d.Err(), test.text)
		require.ErrorIs(t, d.Err(), codec.ErrDecode)
		require.Zero(t, codec.ReadWith[string](&d, "panics"), "it is not asked any more")
	}
	var d codec.Decoder
	d.SetScope(s)
	d.Reset([]byte{0xc0})
	require.Zero(t, codec.ReadWith[string](&d, "panics"), "nil is zero without asking")
	require.NoError(t, d.Close())
	require.PanicsWithValue(t, "no", func() {
		var e codec.Encoder
		e.SetScope(s)
		codec.WriteWith(&e, "panics", "x")
	})
}

// measured says that it takes ten bytes for each of its data.
type measured struct{ fake }

func (measured) Measure(data []byte, _ any) int { return 10 * len(data) }

// TestMeasure reads a value that just fits the budget, and one that does not.
func TestMeasure(t *testing.T) {
	data := []byte{0xc4, 4, 40, 'a', 'b', 'c'}
	for budget, fits := range map[int]bool{4 + 30: true, 4 + 29: false, 3: false} {
		var d codec.Decoder
		d.SetScope(scope(t, measured{reversed}))
		d.Reset(data)
		d.SetBudget(budget)
		got := codec.ReadWith[string](&d, "reversed")
		if fits {
			require.NoError(t, d.Err())
			require.Equal(t, "cba", got)
			continue
		}
		require.ErrorIs(t, d.Err(), codec.ErrBudget)
		require.Zero(t, got)
	}
}

type (
	blob []byte
	word string
)

func TestBuiltInCodecs(t *testing.T) {
	var e codec.Encoder
	codec.WriteRaw(&e, []byte(nil))
	codec.WriteRaw(&e, blob{})
	codec.WriteRaw(&e, blob("ab"))
	codec.WriteTextString(&e, "")
	codec.WriteTextString(&e, word("ab"))
	codec.WriteTextValue(&e, netip.MustParseAddr("::1"))
	require.NoError(t, e.Err())
	want := []byte("\xc0" + "\xc4\x01\x01" + "\xc4\x03\x01ab" + "\xc4\x01\x02" + "\xc4\x03\x02ab" + "\xc4\x04\x02::1")
	require.Equal(t, want, e.Bytes())

	var d codec.Decoder
	d.Reset(want)
	require.Nil(t, codec.ReadRaw[[]byte](&d))
	require.Equal(t, blob{}, codec.ReadRaw[blob](&d))
	kept := codec.ReadRaw[blob](&d)
	require.Zero(t, codec.ReadTextString[string](&d))
	require.Equal(t, word("ab"), codec.ReadTextString[word](&d))
	require.Equal(t, netip.MustParseAddr("::1"), codec.ReadTextValue[netip.Addr](&d))
	require.NoError(t, d.Close())
	clear(want)
	require.Equal(t, blob("ab"), kept, "what was read refers to the message")

	for _, read := range []func(*codec.Decoder){
		func(d *codec.Decoder) { require.Nil(t, codec.ReadRaw[blob](d)) },
		func(d *codec.Decoder) { require.Zero(t, codec.ReadTextString[word](d)) },
		func(d *codec.Decoder) { require.Zero(t, codec.ReadTextValue[netip.Addr](d)) },
	} {
		for _, data := range [][]byte{{}, {0xc4, 0}, {0xc4, 1, 9}, {0xc4, 3, 9, 'a', 'b'}, {0xa1, 'a'}, {0xc6, 0xff, 0xff, 0xff, 0xff, 1}} {
			var d codec.Decoder
			d.Reset(data)
			read(&d)
			require.ErrorIs(t, d.Err(), codec.ErrDecode, "% x", data)
		}
		var d codec.Decoder
		d.Reset([]byte{0xc0})
		read(&d)
		require.NoError(t, d.Close())
	}
	var short codec.Decoder
	data := append([]byte{0xc4, 101, 1}, bytes.Repeat([]byte{'x'}, 100)...)
	for budget, fits := range map[int]bool{101: true, 100: false} {
		short.Reset(data)
		short.SetBudget(budget)
		codec.ReadRaw[blob](&short)
		require.Equal(t, fits, short.Err() == nil, "%v", short.Err())
	}
	e.Reset(nil)
	codec.WriteTextValue(&e, badText{})
	require.ErrorIs(t, e.Err(), errCodec)
}

type badText struct{}

func (badText) MarshalText() ([]byte, error) { return nil, errCodec }
