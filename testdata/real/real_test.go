package real

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Every proxy that was generated is compared with direct calls by a test of its package. That it is done for every method, both.Run sees to.
func TestEveryProxyIsCompared(t *testing.T) {
	made := regexp.MustCompile(`(?m)^func (New\w+)\(c daffi\.Caller`)
	below := map[string]bool{"NewModeration": true} // its methods are called by way of a Server
	generated, tests := map[string]string{}, map[string]string{}
	err := fs.WalkDir(os.DirFS("."), ".", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".go") {
			return err
		}
		text, err := os.ReadFile(path)
		switch dir := filepath.Dir(path); {
		case filepath.Base(path) == "daffi_gen.go":
			generated[dir] = string(text)
		case strings.HasSuffix(path, "_test.go"):
			tests[dir] += string(text)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for dir, text := range generated {
		for _, m := range made.FindAllStringSubmatch(text, -1) {
			if !below[m[1]] && !strings.Contains(tests[dir], "return "+m[1]+"(c)") {
				t.Errorf("no test of %s compares what %s makes", dir, m[1])
			}
		}
	}
	if len(generated) < 9 {
		t.Errorf("only %d packages have generated code", len(generated))
	}
}
