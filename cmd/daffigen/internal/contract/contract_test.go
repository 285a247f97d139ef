package contract

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/daffi-rpc/daffi/internal/signature"
)

const shop = `
service Shop // example.com/shop.Shop
method Find ([]{Identifier string; Name string; Children []*$0; Numbers []int; Others []string})(
	map[string]int,
)
method Note oneway alias=Say alias=Tell (string)()

service shop.cart // example.com/cart.Cart
`

func parse(t testing.TB, text string) *Contract {
	t.Helper()
	c, err := Parse("daffi.lock", []byte("version 1\n"+text))
	require.NoError(t, err)
	return c
}

func TestLock(t *testing.T) {
	c := parse(t, shop)
	require.Len(t, c.Services, 2)
	s := c.Services[0]
	assert.Equal(t, "Shop", s.Name)
	assert.Equal(t, "example.com/shop.Shop", s.Source)
	assert.Equal(t, "([]{Identifier string;Name string;Children []*$0;Numbers []int;Others []string})(map[string]int)", s.Methods[0].Signature.String())
	assert.True(t, s.Methods[1].Oneway)
	assert.Equal(t, []string{"Say", "Tell"}, s.Methods[1].Aliases)

	text := c.Format()
	assert.True(t, IsLock(text))
	again, err := Parse("daffi.lock", text)
	require.NoError(t, err)
	assert.Equal(t, c, again)
	assert.Empty(t, Compare(c, again))

	dos, err := Parse("daffi.lock", []byte(strings.ReplaceAll(string(text), "\n", "\r\n")))
	require.NoError(t, err)
	assert.Equal(t, string(text), string(dos.Format()))

	s.Methods[0], s.Methods[1] = s.Methods[1], s.Methods[0]
	c.Services[0], c.Services[1] = c.Services[1], c.Services[0]
	assert.Equal(t, string(text), string(c.Format()), "the same bytes whatever the order")
}

func TestLockErrors(t *testing.T) {
	const anew = "; write the file anew with daffigen lock"
	for text, want := range map[string]string{
		"":                                           "1: the version is missing" + anew,
		"// nothing\n\n":                             "3: the version is missing" + anew,
		"service S":                                  `1: "service S" stands where the version must` + anew,
		"\nversion 2\nnonsense":                      "2: version 2 of lock files is not known to this daffigen, which knows 1; update it with go get -tool github.com/daffi-rpc/daffi/cmd/daffigen@latest, or go back to its version with daffigen lock",
		"version 1\nversion 1":                       `2: "version 1" is not understood here` + anew,
		"version 1\nmethod M ()()":                   `2: "method M ()()" is not understood here` + anew,
		"version 1\nservice":                         `2: "" is no name of a service` + anew,
		"version 1\nservice A B":                     `2: "A B" is no name of a service` + anew,
		"version 1\nservice S\n\nservice S":          "4: service S stands here twice" + anew,
		"version 1\nservice S\nhello":                `3: "hello" is not understood here` + anew,
		"version 1\nservice S\n<<<<<<< HEAD":         "3: a merge has left a conflict; resolve it in the code, then run daffigen lock",
		"version 1\nservice S\nmethod M loud ()()":   `3: "loud" is not understood` + anew,
		"version 1\nservice S\nmethod oneway=1 ()()": `3: "oneway=1" is not understood` + anew,
		"version 1\nservice S\nmethod ()()":          `3: method "" of S stands here twice or has no name` + anew,
		"version 1\nservice S\nmethod M ()()\nmethod N alias=M ()()":       `4: method "M" of S stands here twice or has no name` + anew,
		"version 1\nservice S\nmethod M (\n\tint,\n\t{\n\t\tA ?\n\t}\n)()": "6: the signature of S.M cannot be read: a type expected, '?' found" + anew,
		"version 1\nservice S\nmethod M":                                   "3: the signature of S.M cannot be read: '(' expected, end found" + anew,
		"version 1\nservice S\nmethod M (int)\n\nmethod N ()()":            "3: the signature of S.M cannot be read: '(' or '>' expected, end found" + anew,
	} {
		c, err := Parse("daffi.lock", []byte(text))
		assert.EqualErrorf(t, err, "daffi.lock:"+want, "%q", text)
		assert.Nil(t, c)
	}
}

func TestIsLock(t *testing.T) {
	assert.True(t, IsLock(nil))
	assert.True(t, IsLock([]byte("\n")))
	assert.True(t, IsLock([]byte(header+"broken")))
	assert.True(t, IsLock([]byte("version 2\n")))
	assert.False(t, IsLock([]byte("package main\n")))
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("version 1\n" + shop))
	f.Add([]byte("version 1\nservice A\nmethod M ()()\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := Parse("daffi.lock", data)
		if err != nil {
			require.True(t, strings.HasPrefix(err.Error(), "daffi.lock:"))
			return
		}
		text := c.Format()
		again, err := Parse("daffi.lock", text)
		require.NoErrorf(t, err, "%s", text)
		require.Equal(t, string(text), string(again.Format()))
		require.Empty(t, Compare(c, again))
	})
}

func TestCompare(t *testing.T) {
	for name, c := range map[string]struct{ before, after, want string }{
		"nothing":           {shop, shop, ""},
		"service gone, new": {"service A\nmethod M ()()", "service B\nmethod M ()()", "A: breaking: the service is gone\nB: safe: the service is new"},
		"method gone":       {"service A\nmethod M ()()", "service A", "A.M: breaking: the method is gone; if another replaces it, say //daffi:alias M there"},
		"method new":        {"service A", "service A\nmethod M ()()", "A.M: needs order (providers first): the method is new"},
		"method renamed":    {"service A\nmethod M ()()", "service A\nmethod N alias=M ()()", "A.M: safe: N answers to it now\nA.N: needs order (providers first): the method is new"},
		"renamed, breaking": {"service A\nmethod M ()()", "service A\nmethod N alias=M ()>int", "A.M: breaking: it was unary and is a server stream; N answers to it now\nA.N: needs order (providers first): the method is new"},
		"alias dropped":     {"service A\nmethod M alias=L ()()", "service A\nmethod M ()()", "A.L: breaking: M does not answer to this older name any more; say //daffi:alias L there"},
		"alias new":         {"service A\nmethod M ()()", "service A\nmethod M alias=L ()()", "A.L: needs order (providers first): it is a new name for M"},
		"alias made method": {"service A\nmethod M alias=L ()()", "service A\nmethod L (int)()\nmethod M ()()", "A.L: safe: argument 1 is new (int); it is a method of its own now, and was M"},
		"alias moved":       {"service A\nmethod M alias=L ()()\nmethod N ()()", "service A\nmethod M ()()\nmethod N alias=L ()()", "A.L: safe: N answers to it now"},
		"still renamed":     {"service A\nmethod N alias=M (int8)()", "service A\nmethod N alias=M (int)()", "A.N: needs order (providers first): argument 1 was int8 and is int (old providers cannot read what new callers send)"},
		"oneway":            {"service A\nmethod M ()()", "service A\nmethod M oneway ()()", "A.M: safe: it is oneway now; callers that wait for the reply are answered all the same"},
		"no longer oneway":  {"service A\nmethod M oneway ()()", "service A\nmethod M ()()", "A.M: safe: it was oneway; callers that do not wait are served all the same"},
		"sorted, two steps": {"service B\nmethod M ({A int})($0)\nservice A\nmethod M (int)()", "service A\nmethod M (string)()\nservice B\nmethod M ({})($0)", "A.M: breaking: argument 1 was int and is string (neither is read as the other)\nB.M: needs order (two steps: stop using it everywhere, then remove it): argument 1.A was removed (int, on which old providers may rely); result 1.A was removed (int, on which old callers may rely)"},
	} {
		var lines []string
		for _, x := range Compare(parse(t, c.before), parse(t, c.after)) {
			lines = append(lines, fmt.Sprint(x))
		}
		assert.Equal(t, c.want, strings.Join(lines, "\n"), name)
	}
}

// TestLongSignature has a signature at the limit, which laid out over lines is longer.
func TestLongSignature(t *testing.T) {
	fields := strings.Repeat("x", 990)
	var b strings.Builder
	for i := range 33 {
		fmt.Fprintf(&b, "%s%02d {A int};", fields[:978-4*(i/32)], i)
	}
	text := "({" + b.String() + "})()"
	m, err := signature.Parse(text)
	require.NoError(t, err)
	c := &Contract{Services: []*Service{{Name: "S", Source: "m.S", Methods: []*Method{{Name: "M", Signature: m}}}}}
	data := c.Format()
	assert.Greater(t, len(data), signature.MaxText)
	again, err := Parse("daffi.lock", data)
	require.NoError(t, err)
	assert.Equal(t, m.String(), again.Services[0].Methods[0].Signature.String())
}
