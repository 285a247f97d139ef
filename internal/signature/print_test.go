package signature

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestFingerprint(t *testing.T) {
	at := "(" + strings.Repeat("a", 60) + ")()"
	assert.Len(t, at, 64)
	assert.Equal(t, at, Fingerprint(at))
	assert.Equal(t, "#2c897f70c38ed2ee191306ebb5009b50", Fingerprint("("+at[1:63]+"())"))
	assert.NotEqual(t, Fingerprint(at+"a"), Fingerprint(at+"b"))
	assert.Len(t, Fingerprint(at+"a"), 33)
}

func TestIndent(t *testing.T) {
	for text, want := range map[string]string{
		"()()":                          "()()",
		"(string,<int)(bool,error)":     "(string, <int)(bool, error)",
		"(string)>{ID string;Next *$0}": "(string)>{ID string; Next *$0}",
		"({A {};B string})()":           "({A {}; B string})()",
		"(" + strings.Repeat("string,", 8) + "ninebytes)(int)":  "(" + strings.Repeat("string, ", 8) + "ninebytes)(int)",
		"(" + strings.Repeat("string,", 8) + "<ninebytes)(int)": "(\n" + strings.Repeat("\tstring,\n", 8) + "\t<ninebytes,\n)(int)",
		`([]{Identifier string;"a;b{" map[string]{First string;Last string};Children []*$0;Numbers []int})>{Verdict string;Reason string;Alternatives []string;Everything map[string]any}`: `(
	[]{
		Identifier string
		"a;b{" map[string]{First string; Last string}
		Children []*$0
		Numbers []int
	},
)>{
	Verdict string
	Reason string
	Alternatives []string
	Everything map[string]any
}`,
	} {
		m := parsed(t, text)
		got := Indent(m)
		assert.Equal(t, want, got)
		assert.Equal(t, text, parsed(t, got).String())
	}
}

func TestIndentNotes(t *testing.T) {
	m := parsed(t, "({Identifier string;Owner {First string;Last string};Children []*$0;Numbers []int})($1)")
	item := m.Params[0]
	item.Note, item.Fields[1].Type.Note = "Item", "Person"
	assert.Equal(t, `(
	{ // Item
		Identifier string
		Owner {First string; Last string}
		Children []*$0
		Numbers []int
	},
)($1)`, Indent(m))
	assert.Equal(t, m.String(), parsed(t, Indent(m)).String())
}
