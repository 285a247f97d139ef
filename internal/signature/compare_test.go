package signature

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestCompare(t *testing.T) {
	const both = "two steps"
	for _, c := range []struct{ before, after, class, reasons string }{
		{"(int)(string)", "(int)(string)", "safe", ""},
		{"(int)()", "(int64)()", "safe", "argument 1 was int and is int64"},

		// Added parts are safe.
		{"()()", "(int)(bool)", "safe", "argument 1 is new (int)|result 1 is new (bool)"},
		{"({A int})()", "({A int;B []string})()", "safe", "argument 1.B is new ([]string)"},
		{"()>{}", "()>{B *{}}", "safe", "output items.B is new (*struct)"},

		// Removed ones may be missed by those that read them.
		{"(int,bool)()", "(int)()", "needs order: providers first", "argument 2 was removed (bool, on which old providers may rely)"},
		{"()(int,bool)", "()(int)", "needs order: callers first", "result 2 was removed (bool, on which old callers may rely)"},
		{"(<{A int})()", "(<{})()", "needs order: providers first", "input items.A was removed (int, on which old providers may rely)"},
		{"({A int})($0)", "({})($0)", both, "argument 1.A was removed (int, on which old providers may rely)|result 1.A was removed (int, on which old callers may rely)"},
		{"({A int})()", "({B int})()", "needs order: providers first", "argument 1.A was removed (int, on which old providers may rely)|argument 1.B is new (int)"},

		// Widened: readers first. Narrowed: writers first.
		{"(int32)()", "(int)()", "needs order: providers first", "argument 1 was int32 and is int (old providers cannot read what new callers send)"},
		{"(int)()", "(int32)()", "needs order: callers first", "argument 1 was int and is int32 (new providers cannot read what old callers send)"},
		{"()(int32)", "()(int)", "needs order: callers first", "result 1 was int32 and is int (old callers cannot read what new providers send)"},
		{"()([]int)", "()([]int8)", "needs order: providers first", "result 1[] was int and is int8 (new callers cannot read what old providers send)"},
		{"(<string)>string", "(<bytes)>string", "needs order: providers first", "input items was string and is bytes (old providers cannot read what new callers send)"},
		{"({A {B int}})()", "({A *{B int}})()", "needs order: providers first", "argument 1.A was struct and is *struct (old providers cannot read what new callers send)"},
		{"({A *{B int}})()", "({A {B int;C bool}})()", "needs order: callers first", "argument 1.A was *struct and is struct (new providers cannot read what old callers send)|argument 1.A.C is new (bool)"},
		{"({N *$0;V int8})()", "({N *$0;V int16})()", "needs order: providers first", "argument 1.V was int8 and is int16 (old providers cannot read what new callers send)"},

		// One part wants one order and another the other.
		{"(int8)(int16)", "(int16)(int8)", "needs order: providers first", "argument 1 was int8 and is int16 (old providers cannot read what new callers send)|result 1 was int16 and is int8 (new callers cannot read what old providers send)"},
		{"(int8)(int8)", "(int16)(int16)", "breaking", "argument 1 was int8 and is int16 (old providers cannot read what new callers send)|result 1 was int8 and is int16 (old callers cannot read what new providers send)"},
		{"(int8)(int)", "(int16)()", both, "argument 1 was int8 and is int16 (old providers cannot read what new callers send)|result 1 was removed (int, on which old callers may rely)"},

		// Keys of maps keep all their fields.
		{"(map[{A int}]int)()", "(map[{A int;B int}]int)()", "needs order: providers first", "argument 1[key] was struct without B and is struct (old providers cannot read what new callers send)|argument 1[key].B is new (int)"},
		{"()(map[{A int;B int}]int)", "()(map[{A int}]int)", both, "result 1[key] was struct and is struct without B (new callers cannot read what old providers send)|result 1[key].B was removed (int, on which old callers may rely)"},
		{"(map[{A int}]int)()", "(map[{B int}]int)()", "breaking", "argument 1[key] was struct without B and is struct without A (neither is read as the other)|argument 1[key].A was removed (int, on which old providers may rely)|argument 1[key].B is new (int)"},

		// What changed its kind.
		{"(string)()", "(int)()", "breaking", "argument 1 was string and is int (neither is read as the other)"},
		{"(string,int)()", "(int,string)()", "breaking", "argument 1 was string and is int (neither is read as the other)|argument 2 was int and is string (neither is read as the other)"},
		{"({A [2]map[string]int})()", "({A [3]map[string]int})()", "breaking", "argument 1.A was [2]map[string]int and is [3]map[string]int (neither is read as the other)"},
		{"(int)()", "(@json)()", "breaking", "argument 1 was int and is @json (neither is read as the other)"},
		{"(<int)()", "(int)()", "breaking", "it was a client stream and is unary"},
		{"()(int)", "()>int", "breaking", "it was unary and is a server stream"},
		{"(<int)()", "(<int)>int", "breaking", "it was a client stream and is a bidirectional stream"},
	} {
		x := Compare(parsed(t, c.before), parsed(t, c.after))
		class := x.Class.String()
		if x.Order == TwoSteps {
			class = both
		} else if x.Class == NeedsOrder {
			class += ": " + x.Order.String()
		}
		assert.Equalf(t, c.class, class, "%s to %s", c.before, c.after)
		assert.Equalf(t, c.reasons, strings.Join(x.Reasons, "|"), "%s to %s", c.before, c.after)
	}
}
