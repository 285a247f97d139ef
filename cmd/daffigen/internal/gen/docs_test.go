package gen

import (
	"fmt"
	"go/format"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/diff"
)

var annotations = filepath.Join(root, "docs/annotations.md")

const (
	rulesBegin = "<!-- rules: written by go test ./cmd/daffigen/internal/gen -run Annotations -update -->\n"
	rulesEnd   = "<!-- end of rules -->\n"
)

var (
	goBlock = regexp.MustCompile("(?ms)^```go\n(.*?)^```$")
	title   = regexp.MustCompile("(?m)^### `//daffi:([a-z]+)")
)

// TestAnnotationsAreDocumented generates for every example of docs/annotations.md and compiles it with what comes out. Every directive has a
// section with an example that has it, and the rules stand there as `daffigen explain` gives them.
func TestAnnotationsAreDocumented(t *testing.T) {
	text := read(t, annotations)
	before, rest, ok := strings.Cut(text, rulesBegin)
	rules, after, closed := strings.Cut(rest, rulesEnd)
	if !ok || !closed {
		t.Fatalf("%s has no place for the rules", annotations)
	}
	if want := documentRules(); rules != want {
		if !*update {
			t.Errorf("the rules in %s are not those that daffigen explains: run with -update", annotations)
		} else if err := os.WriteFile(annotations, []byte(before+rulesBegin+want+rulesEnd+after), 0o644); err != nil {
			t.Fatal(err)
		}
	}

	std := standard(t)
	for _, block := range goBlock.FindAllStringSubmatch(before, -1) {
		if formatted, err := format.Source([]byte(block[1])); err != nil || string(formatted) != block[1] {
			t.Errorf("not as gofmt has it, %v:\n%s", err, diff.Diff("there", []byte(block[1]), "formatted", formatted))
		}
		source := std.complete(block[1])
		files, found := std.generate(t, source)
		for _, d := range found {
			t.Errorf("%s\n%s", d.Format(std.dir), source)
		}
		texts := []string{source}
		for _, f := range files {
			texts = append(texts, string(f.Content))
		}
		if err := std.compile(texts...); err != nil {
			t.Errorf("%v\n%s", err, strings.Join(texts, "\n"))
		}
	}

	at := title.FindAllStringSubmatchIndex(before, -1)
	var documented []string
	for k, m := range at {
		word := before[m[2]:m[3]]
		documented = append(documented, word)
		section := before[m[0]:]
		if k+1 < len(at) {
			section = before[m[0]:at[k+1][0]]
		}
		examples := goBlock.FindAllString(section, -1)
		if !slices.ContainsFunc(examples, func(s string) bool { return strings.Contains(s, "//daffi:"+word) }) {
			t.Errorf("the section of //daffi:%s has no example with it", word)
		}
	}
	for word, where := range words {
		if slices.Contains(documented, word) == (where == notYet) {
			t.Errorf("//daffi:%s: it is documented: %v, it is supported: %v", word, where == notYet, where != notYet)
		}
	}
}

// documentRules writes the explanations of all rules.
func documentRules() string {
	var b strings.Builder
	for _, code := range Codes() {
		x := Explain(code)
		fmt.Fprintf(&b, "\n### %s: %s\n\n%s\n\nWrong:\n\n```go\n%s\n```\n\nRight:\n\n```go\n%s\n```\n",
			code, x.Title, strings.TrimSpace(x.Why), strings.TrimSpace(x.Wrong), strings.TrimSpace(x.Right))
	}
	return b.String() + "\n"
}

// complete puts a package clause and the imports that it needs above an example.
func (lib *library) complete(example string) string {
	if strings.HasPrefix(example, "package ") {
		return example
	}
	var b strings.Builder
	b.WriteString("package p\n\n")
	for path, p := range lib.compiled {
		name := p.Name()
		if regexp.MustCompile(`(?m)^[^/\n]*\b` + name + `\.[A-Z]`).MatchString(example) {
			fmt.Fprintf(&b, "import %s %q\n", name, path)
		}
	}
	return b.String() + "\n" + example
}
