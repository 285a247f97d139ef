package codec_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/daffi-rpc/daffi/runtime/codec"
	"github.com/stretchr/testify/require"
)

// fake is a codec that does what its functions say.
type fake struct {
	id        byte
	name      string
	marshal   func(dst []byte, v any) ([]byte, error)
	unmarshal func(data []byte, v any) error
}

func (f fake) ID() byte                                  { return f.id }
func (f fake) Name() string                              { return f.name }
func (f fake) Marshal(dst []byte, v any) ([]byte, error) { return f.marshal(dst, v) }
func (f fake) Unmarshal(data []byte, v any) error        { return f.unmarshal(data, v) }

func TestRegister(t *testing.T) {
	var r codec.Registry
	require.NoError(t, r.Register(fake{id: 32, name: "a"}))
	require.NoError(t, r.Register(fake{id: 255, name: "a-b_9" + strings.Repeat("x", 32-5)}))
	for _, test := range []struct {
		c    codec.Codec
		text string
	}{
		{nil, "codec: nil cannot be registered"},
		{fake{id: 32, name: "a"}, "codec 32 (a) cannot be registered: it is there already; register it once"},
		{fake{id: 32, name: "b"}, "codec 32 (b) cannot be registered: codec 32 (a) has its id; give it another"},
		{fake{id: 33, name: "a"}, "codec 33 (a) cannot be registered: codec 32 (a) has its name; give it another"},
		{fake{id: 31, name: "b"}, "codec 31 (b) cannot be registered: ids below 32 are daffi's own; give it one from 32 to 255"},
		{fake{id: 0, name: "b"}, "codec 0 (b) cannot be registered: ids below 32 are daffi's own; give it one from 32 to 255"},
	} {
		require.EqualError(t, r.Register(test.c), test.text)
	}
	for _, name := range []string{"raw", "text", "json", "default"} {
		require.EqualError(t, r.Register(fake{id: 40, name: name}),
			fmt.Sprintf("codec 40 (%s) cannot be registered: the name has a meaning of its own in //daffi:codec; give it another", name))
	}
	for _, name := range []string{"", "A", "é", "1a", "-a", "_a", "a b", "a.b", "aB", "a\n", strings.Repeat("x", 33)} {
		require.EqualError(t, r.Register(fake{id: 40, name: name}),
			fmt.Sprintf("codec 40 (%s) cannot be registered: a name is a lower-case letter, then lower-case letters, digits, - and _, at most 32 of them; give it such a one", name))
	}
	require.NoError(t, r.Register(fake{id: 33, name: "b"}), "what was refused must leave nothing behind")
}

// TestRegisterConcurrently registers and looks up from several goroutines: one of those that want the same wins.
func TestRegisterConcurrently(t *testing.T) {
	var r codec.Registry
	var wins [8]int
	var wg sync.WaitGroup
	for g := range wins {
		wg.Go(func() {
			for k := range 100 {
				c := fake{id: byte(32 + k), name: fmt.Sprintf("c%d", k), marshal: func(dst []byte, _ any) ([]byte, error) { return dst, nil }}
				if r.Register(c) == nil {
					wins[g]++
				}
				var e codec.Encoder
				e.SetScope(&codec.Scope{Codecs: &r})
				if codec.WriteWith(&e, c.name, 1); e.Err() != nil {
					t.Error(e.Err())
				}
			}
		})
	}
	wg.Wait()
	sum := 0
	for _, n := range wins {
		sum += n
	}
	require.Equal(t, 100, sum)
}
