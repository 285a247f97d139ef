package gen

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// root is the module's directory, seen from this package.
const root = "../../../.."

var (
	wantComment = regexp.MustCompile(`// want (".*")$`)
	wantString  = regexp.MustCompile(`"(?:[^"\\]|\\.)*"`)
)

// want is one expected diagnostic.
type want struct {
	file string
	line int
	text *regexp.Regexp
}

// TestDiagnostics checks the packages in testdata/errors: every // want "regexp" meets one diagnostic in its line, and there are
// no others.
func TestDiagnostics(t *testing.T) {
	reported := make(map[Code]bool)
	dirs := directories(t, filepath.Join(root, "testdata/errors"))
	ran := 0
	for _, dir := range dirs {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			ran++
			files, diagnostics, err := Generate(context.Background(), Config{Dir: dir}, ".")
			if err != nil {
				t.Fatal(err)
			}
			if len(files) > 0 {
				t.Errorf("%s was generated in spite of diagnostics", files[0].Path)
			}
			wants := readWants(t, dir)
			for _, d := range diagnostics {
				reported[d.Code] = true
				wants = meet(t, wants, d)
			}
			for _, w := range wants {
				t.Errorf("%s:%d: no diagnostic matches %s", w.file, w.line, w.text)
			}
		})
	}
	if ran < len(dirs) {
		return
	}
	for rule := range ruleTexts {
		if elsewhere := rule == CodePackage || rule == CodeSyntax; !reported[rule] && !elsewhere { // those are in testdata/script
			t.Errorf("no case in testdata/errors for %s", rule)
		}
	}
}

// meet takes the want that d fulfils off the list.
func meet(t *testing.T, wants []want, d Diagnostic) []want {
	text := d.Format(filepath.Dir(d.Pos.Filename))
	if d.Pos.Column == 0 {
		t.Errorf("%s has no column", text)
	}
	for k, w := range wants {
		if w.file == d.Pos.Filename && w.line == d.Pos.Line && w.text.MatchString(text) {
			return slices.Delete(wants, k, k+1)
		}
	}
	t.Errorf("unexpected: %s", text)
	return wants
}

func readWants(t *testing.T, dir string) []want {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	var wants []want
	for _, name := range names {
		name, _ = filepath.Abs(name)
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for n, line := range strings.Split(string(text), "\n") {
			comment := wantComment.FindStringSubmatch(line)
			if comment == nil {
				continue
			}
			for _, quoted := range wantString.FindAllString(comment[1], -1) {
				wants = append(wants, want{name, n + 1, compile(t, quoted)})
			}
		}
	}
	return wants
}

// compile reads a regular expression in quotes. Only \" is an escape of the quotes.
func compile(t *testing.T, quoted string) *regexp.Regexp {
	t.Helper()
	text := strings.ReplaceAll(quoted[1:len(quoted)-1], `\"`, `"`)
	re, err := regexp.Compile(strings.ReplaceAll(text, `\\`, `\`))
	if err != nil {
		t.Fatal(err)
	}
	return re
}

func directories(t *testing.T, parent string) []string {
	t.Helper()
	entries, err := os.ReadDir(parent)
	if err != nil {
		t.Fatal(err)
	}
	var dirs []string
	for _, e := range entries {
		if e.IsDir() {
			dirs = append(dirs, filepath.Join(parent, e.Name()))
		}
	}
	if len(dirs) == 0 {
		t.Fatalf("%s is empty", parent)
	}
	return dirs
}

// TestRules keeps the table of rules whole.
func TestRules(t *testing.T) {
	for rule, text := range ruleTexts {
		if !regexp.MustCompile(`; |^%s: %s$|: %s$`).MatchString(text) {
			t.Errorf("%s does not say what to do: %q", rule, text)
		}
	}
	if got := fmt.Sprint(CodeSyntax, CodeNameTaken); got != "DF001 DF050" {
		t.Error(strconv.Quote(got))
	}
}
