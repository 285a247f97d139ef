package gen

import (
	"strings"
	"testing"
)

// TestExplanations holds that every rule is explained, and that the examples do what they are there for: the wrong one breaks the
// rule and no other, the right one none.
func TestExplanations(t *testing.T) {
	noSource := map[Code]bool{
		CodePackage: true, CodeHandWritten: true, CodeTestFile: true, CodeBuildTags: true, // they are about files, not what is in them
		CodeSignature: true, // one that is large enough would be no example
	}
	std := standard(t)
	for _, code := range Codes() {
		x := Explain(code)
		if x.Title == "" || x.Why == "" || x.Wrong == "" || x.Right == "" {
			t.Errorf("%s is not explained", code)
			continue
		}
		for line := range strings.Lines(x.Text(code)) {
			if len(line) > 100 {
				t.Errorf("%s: too long: %s", code, line)
			}
		}
		if noSource[code] {
			continue
		}
		_, found := std.generate(t, exampleFile(x.Wrong))
		for _, d := range found {
			if d.Code != code {
				t.Errorf("the wrong example of %s gives %s", code, d.Format(std.dir))
			}
		}
		if len(found) == 0 {
			t.Errorf("the wrong example of %s breaks no rule", code)
		}
		files, found := std.generate(t, exampleFile(x.Right))
		for _, d := range found {
			t.Errorf("the right example of %s gives %s", code, d.Format(std.dir))
		}
		if len(files) == 0 {
			t.Errorf("nothing is generated for the right example of %s", code)
		}
	}
	for code := range explanations {
		if _, ok := ruleTexts[code]; !ok {
			t.Errorf("%s is explained but does not exist", code)
		}
	}
}

// exampleFile puts what an example leaves out around it.
func exampleFile(example string) string {
	return "package p\n\nimport (\n\"context\"\n\"iter\"\n)\n" + example
}

func TestParseCode(t *testing.T) {
	for _, s := range []string{"DF012", "df012", "DF12", "12"} {
		if code, ok := ParseCode(s); !ok || code != CodePlacement {
			t.Errorf("%s is %s, %v", s, code, ok)
		}
	}
	for _, s := range []string{"", "DF", "DF000", "DF999", "DF-12", "x", "DF012x", "DFDF012"} {
		if code, ok := ParseCode(s); ok {
			t.Errorf("%s is %s", s, code)
		}
	}
}
