package signature

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// parsed is what text says.
func parsed(t testing.TB, text string) *Method {
	t.Helper()
	m, err := Parse(text)
	require.NoErrorf(t, err, "%s", text)
	return m
}

// texts are canonical.
var texts = []string{
	"()()",
	"(string,int)(float64,int)",
	"(string,<bytes)(int)",
	"(<bytes)()",
	"(string)>{ID string;Next *$0}",
	"(int,<string)>[]string",
	"([32]byte)([]time)",
	"(map[string]map[[2]int]*bool,[]*[]any)(error)",
	"({A {};B $1;C {D $0}},$2)($1)",
	`({"a b" int;"say \"hi\"" @json;"" text;Größe @x-9_;type string})(binary,msgpack,later)`,
}

func TestParse(t *testing.T) {
	for _, text := range texts {
		assert.Equal(t, text, parsed(t, text).String())
	}

	m := parsed(t, "([]{ID string;Next *$0},map[int][3]byte,<@raw)(bool)")
	item := m.Params[0].Elem
	assert.Equal(t, &Method{
		Params: []*Type{
			{Kind: Slice, Elem: item},
			{Kind: Map, Key: &Type{Name: "int"}, Elem: &Type{Kind: Array, Len: 3, Elem: &Type{Name: "byte"}}},
		},
		Input:   &Type{Kind: Codec, Name: "raw"},
		Results: []*Type{{Name: "bool"}},
	}, m)
	assert.Same(t, item, item.Fields[1].Type.Elem)
}

func TestParseSpace(t *testing.T) {
	for text, want := range map[string]string{
		" ( string , int ) ( ) \n":                                         "(string,int)()",
		"(\n\tstring,\n\t< bytes,\n)(\n\tint,\n)":                          "(string,<bytes)(int)",
		"({\n\tID string // who\r\n\n\tTags [ 2 ] map [ int ] * any\n})()": "({ID string;Tags [2]map[int]*any})()",
		"({ID string\n;Tags int;})()// the end":                            "({ID string;Tags int})()",
		"({ // Empty\n})>$ 0":                                              "({})>$0",
		"({\"//;\" int})()":                                                "({\"//;\" int})()",
		"({\"type\" @ json})()":                                            "({type @json})()",
		"([007]int)()":                                                     "([7]int)()",
	} {
		assert.Equalf(t, want, parsed(t, text).String(), "%q", text)
	}
}

func TestParseErrors(t *testing.T) {
	for text, want := range map[string]string{
		"":                             `'(' expected, end found at byte 0`,
		"int":                          `'(' expected, 'i' found at byte 0`,
		"()":                           `'(' or '>' expected, end found at byte 2`,
		"()>":                          `a type expected, end found at byte 3`,
		"()()x":                        `the end expected, 'x' found at byte 4`,
		"(,)()":                        `a type expected, ',' found at byte 1`,
		"(int,,int)()":                 `a type expected, ',' found at byte 5`,
		"(int int)()":                  `',' or ')' expected, 'i' found at byte 5`,
		"(<int,int)()":                 `')' expected, 'i' found at byte 6`,
		"()(<int)":                     `a type expected, '<' found at byte 3`,
		"([)()":                        `']' or a length expected, ')' found at byte 2`,
		"([-1]int)()":                  `']' or a length expected, '-' found at byte 2`,
		"([9999999999999999999]int)()": `the number is too large at byte 2`,
		"(map)()":                      `'[' expected, ')' found at byte 4`,
		"(map[int)()":                  `']' expected, ')' found at byte 8`,
		"($0)()":                       `$0 has no struct, there are 0 before it at byte 1`,
		"({A $1})()":                   `$1 has no struct, there are 1 before it at byte 4`,
		"($)()":                        `the number of a struct expected, ')' found at byte 2`,
		"(@)()":                        `a codec's name expected, ')' found at byte 2`,
		"({A int B int})()":            `';' or '}' expected, 'B' found at byte 8`,
		"({A int;A bool})()":           `field A twice at byte 8`,
		"({1 int})()":                  `a field expected, '1' found at byte 2`,
		"({A})()":                      `a type expected, '}' found at byte 3`,
		"({\"A int})()":                `a field's name is not quoted as Go does at byte 2`,
		"({":                           `a field expected, end found at byte 2`,
		"(é)()":                        `a type expected, 'é' found at byte 1`,
	} {
		m, err := Parse(text)
		assert.EqualErrorf(t, err, "signature: "+want, "%s", text)
		assert.Nil(t, m)
	}
}

func TestParseLimits(t *testing.T) {
	deep := func(n int) string { return "(" + strings.Repeat("*", n-1) + "int)()" }
	assert.Equal(t, deep(MaxDepth), parsed(t, deep(MaxDepth)).String())
	_, err := Parse(deep(MaxDepth + 1))
	assert.EqualError(t, err, "signature: more than 256 types within one another at byte 257")
	for _, open := range []string{"[]", "{A ", "map[", "map[int]", "*", "[1]"} {
		_, err := Parse("(" + strings.Repeat(open, MaxText/len(open)-1))
		assert.ErrorContainsf(t, err, "more than 256 types", "%s", open)
	}

	long := func(n int) string { return "(" + strings.Repeat("a", n-4) + ")()" }
	assert.Equal(t, long(MaxText), parsed(t, long(MaxText)).String())
	_, err = Parse(long(MaxText + 1))
	assert.EqualError(t, err, "signature: more than 32768 bytes at byte 32768")
	spaced := strings.ReplaceAll(long(MaxText), "(", " // a comment\n\t( ")
	assert.Equal(t, long(MaxText), parsed(t, spaced).String(), "space and comments do not count")
	_, err = Parse("({" + strings.Repeat(";", MaxText))
	assert.Error(t, err)
	_, err = Parse(`({"` + strings.Repeat("a", MaxText) + `" int})()`)
	assert.ErrorContains(t, err, "more than 32768 bytes")
}

func FuzzParse(f *testing.F) {
	for _, text := range texts {
		f.Add(text)
		f.Add(Indent(parsed(f, text)))
	}
	f.Fuzz(func(t *testing.T, text string) {
		m, err := Parse(text)
		if err != nil {
			var syntax *SyntaxError
			require.ErrorAs(t, err, &syntax)
			require.LessOrEqual(t, syntax.Offset, len(text))
			return
		}
		canonical := m.String()
		if len(canonical) <= MaxText { // quoting may make it longer
			require.Equal(t, canonical, parsed(t, canonical).String())
			require.Equal(t, canonical, parsed(t, Indent(m)).String())
		}
		require.NoError(t, Compatible(m, m))
		require.Equal(t, Change{}, Compare(m, m))
	})
}
