package gen

import (
	"go/token"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestExcerpt(t *testing.T) {
	long := strings.Repeat("x", 200)
	text := strings.Join([]string{
		"package p",                         // 1
		"\tDo(ctx\tcontext.Context, n int)", // 2
		"\tÄöü(é string) // \x1b[31m",       // 3
		"//daffi:oneway please // why",      // 4
		"e\u0301 x\r",                       // 5
		long + "y" + long,                   // 6
	}, "\n")
	name := filepath.Join(t.TempDir(), "p.go")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		line, column int
		want         string
		end          int
	}{
		{1, 9, "    package p\n            ^\n", 10},
		{2, 2, "    Do(ctx context.Context, n int)\n    ^\n", 4},
		{2, 9, "    Do(ctx context.Context, n int)\n           ^\n", 16},
		{3, 9, "    Äöü(é string) //  [31m\n        ^\n", 11},
		{4, 1, "    //daffi:oneway please // why\n    ^\n", 22},
		{5, 5, "    e x\n      ^\n", 6},
		{6, 201, "    …" + long[:60] + "y" + long[:58] + "…\n    " + strings.Repeat(" ", 61) + "^\n", 402},
		{1, 99, "", 0},
		{99, 1, "", 0},
		{0, 0, "", 0},
	} {
		d := Diagnostic{Pos: token.Position{Filename: name, Line: test.line, Column: test.column}}
		if got := d.Excerpt(); got != test.want {
			t.Errorf("%d:%d:\n%s\nnot\n%s", test.line, test.column, got, test.want)
		}
		if got := d.End(); got != test.end {
			t.Errorf("%d:%d ends at %d, not %d", test.line, test.column, got, test.end)
		}
	}
	if got := (Diagnostic{Pos: token.Position{Filename: name + "x", Line: 1, Column: 1}}).Excerpt(); got != "" {
		t.Error(got)
	}
}

func TestCure(t *testing.T) {
	for message, want := range map[string]string{
		"C.A: its x struct{A int; B int}: channels cannot travel; return an iter.Seq2[struct{A int; B int}, error]": "return an iter.Seq2[struct{A int; B int}, error]",
		"expected ')', found x; fix the syntax":                                       "fix the syntax",
		"A has no method B (see a.go:1:1); did you mean C?; add it there, or name it": "add it there, or name it",
		"nothing to do": "",
	} {
		problem, cure := split(message)
		if cure != want || problem+separator+cure != message && cure != "" {
			t.Errorf("%q gives %q and %q", message, problem, cure)
		}
	}
}
