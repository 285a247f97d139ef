package transport

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

var (
	secretWord = regexp.MustCompile(`(?i)(tokens?|proof|secret|mac|password)$`)
	comparers  = map[string]bool{"bytes.Equal": true, "bytes.Compare": true, "bytes.EqualFold": true, "slices.Equal": true, "slices.Compare": true, "strings.EqualFold": true, "strings.Compare": true,
		"bytes.HasPrefix": true, "strings.HasPrefix": true, "reflect.DeepEqual": true, "hmac.Equal": true, "subtle.ConstantTimeCompare": true}
)

// secretsCompared lists where a file compares what looks like a secret by anything but EqualProof.
func secretsCompared(fset *token.FileSet, file *ast.File) (found []string) {
	report := func(n ast.Node, how string) {
		found = append(found, fmt.Sprintf("%s: %s: compare secrets by EqualProof", fset.Position(n.Pos()), how))
	}
	for _, d := range file.Decls {
		if f, ok := d.(*ast.FuncDecl); ok && f.Name.Name == "EqualProof" {
			continue
		}
		ast.Inspect(d, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.BinaryExpr:
				if (n.Op == token.EQL || n.Op == token.NEQ) && !harmless(n.X) && !harmless(n.Y) && (secret(n.X) || secret(n.Y)) {
					report(n, n.Op.String())
				}
			case *ast.CallExpr:
				sel, ok := n.Fun.(*ast.SelectorExpr)
				if !ok {
					break
				}
				pkg, _ := sel.X.(*ast.Ident)
				if pkg == nil || !comparers[pkg.Name+"."+sel.Sel.Name] {
					break
				}
				if pkg.Name == "hmac" || pkg.Name == "subtle" || slices.ContainsFunc(n.Args, secret) {
					report(n, pkg.Name+"."+sel.Sel.Name)
				}
			}
			return true
		})
	}
	return found
}

// secret reports whether an expression is named like one.
func secret(e ast.Expr) bool {
	switch e := e.(type) {
	case *ast.Ident:
		return secretWord.MatchString(e.Name)
	case *ast.SelectorExpr:
		return secretWord.MatchString(e.Sel.Name)
	case *ast.SliceExpr:
		return secret(e.X)
	case *ast.ParenExpr:
		return secret(e.X)
	case *ast.IndexExpr:
		return secret(e.X)
	case *ast.StarExpr:
		return secret(e.X)
	case *ast.CallExpr: // a conversion, or a function that makes one
		return secret(e.Fun) || len(e.Args) == 1 && secret(e.Args[0]) && !harmless(e)
	}
	return false
}

// harmless reports whether a comparison with an expression says nothing: nil, a constant, a length, a kind.
func harmless(e ast.Expr) bool {
	switch e := e.(type) {
	case *ast.BasicLit:
		return true
	case *ast.Ident:
		return e.Name == "nil" || strings.HasPrefix(e.Name, "Auth") || strings.HasPrefix(e.Name, "await") || strings.HasPrefix(e.Name, "By") || strings.HasPrefix(e.Name, "Max") || e.Name == "Proof"
	case *ast.SelectorExpr:
		return strings.HasPrefix(e.Sel.Name, "Auth") || strings.HasPrefix(e.Sel.Name, "Max") || e.Sel.Name == "Proof" && isPackage(e.X)
	case *ast.CallExpr:
		f, ok := e.Fun.(*ast.Ident)
		return ok && (f.Name == "len" || f.Name == "cap")
	}
	return false
}

func isPackage(e ast.Expr) bool {
	id, ok := e.(*ast.Ident)
	return ok && id.Name == "transport"
}

// TestACC66OneHelper reads the sources: nothing but EqualProof compares tokens and proofs.
func TestACC66OneHelper(t *testing.T) {
	fset := token.NewFileSet()
	var found []string
	for _, dir := range []string{".", "..", "../controller"} {
		files, err := filepath.Glob(filepath.Join(dir, "*.go"))
		if err != nil || len(files) < 10 {
			t.Fatal(len(files), err)
		}
		for _, name := range files {
			if strings.HasSuffix(name, "_test.go") {
				continue
			}
			file, err := parser.ParseFile(fset, name, nil, 0)
			if err != nil {
				t.Fatal(err)
			}
			found = append(found, secretsCompared(fset, file)...)
		}
	}
	if len(found) > 0 {
		t.Error(strings.Join(found, "\n"))
	}

	// And it finds what it looks for.
	for _, planted := range []string{
		"bytes.Equal(token, b)", "bytes.Equal(a, c.Proof[:])", "hmac.Equal(a, b)", "subtle.ConstantTimeCompare(a, b) == 1", "proof == want", "string(s.token) == string(b)", "p.Proof != q",
		"slices.Equal(a, nodeSecret(b))", "want == *p.secret", "bytes.HasPrefix(token, b)", "token[i] != b[i]",
	} {
		file, err := parser.ParseFile(fset, "planted.go", "package p\nfunc f() { _ = "+planted+" }", 0)
		if err != nil {
			t.Fatal(err)
		}
		if len(secretsCompared(fset, file)) != 1 {
			t.Errorf("%s is not found", planted)
		}
	}
}

// TestACC66Time measures whether the time of a comparison says where two tokens differ, by Welch's t-test: below 4.5 it does not. A comparison that stops at the first difference must be told by the
// same measurement, or it would show nothing.
func TestACC66Time(t *testing.T) {
	if os.Getenv("DAFFI_NIGHT") == "" {
		t.Skip("only make night runs it: it needs a million samples, and a machine with little else to do")
	}
	naive := func(a, b []byte) bool {
		for i := range a {
			if a[i] != b[i] {
				return false
			}
		}
		return true
	}
	if v := math.Abs(welch(naive)); v < 4.5 {
		t.Errorf("the measurement does not see that a loop stops early: t = %.1f", v)
	} else {
		t.Logf("a loop that stops early: t = %.1f", v)
	}
	best := math.Inf(1)
	for range 3 { // what else runs here may disturb one
		v := math.Abs(welch(EqualProof))
		t.Logf("EqualProof: t = %.2f", v)
		if best = min(best, v); best < 4.5 {
			return
		}
	}
	t.Errorf("the time of EqualProof says where proofs differ: t = %.1f", best)
}

var compared int // so that comparisons are not left out

// welch is how far apart the times are of comparisons that differ in the first byte and in the last, in units of what chance does. The slowest tenth of the samples, which were interrupted, does not count.
func welch(equal func(a, b []byte) bool) float64 {
	const samples, each = 1_000_000, 4
	r := rand.New(rand.NewPCG(1, 2))
	want := bytes.Repeat([]byte{0x55}, TokenSize)
	var wrong [2][]byte
	for i, at := range []int{0, TokenSize - 1} {
		wrong[i] = slices.Clone(want)
		wrong[i][at] ^= 1
	}
	got := make([]byte, TokenSize)
	var times [2][]float64
	for range samples {
		class := r.IntN(2)
		copy(got, wrong[class])
		begin := time.Now()
		for range each {
			if equal(got, want) {
				compared++
			}
		}
		times[class] = append(times[class], float64(time.Since(begin)))
	}
	all := slices.Concat(times[0], times[1])
	slices.Sort(all)
	cut := all[len(all)*9/10]
	var mean, spread [2]float64
	for i, list := range times {
		list = slices.DeleteFunc(list, func(v float64) bool { return v > cut })
		for _, v := range list {
			mean[i] += v / float64(len(list))
		}
		for _, v := range list {
			spread[i] += (v - mean[i]) * (v - mean[i]) / float64(len(list)-1) / float64(len(list))
		}
	}
	return (mean[0] - mean[1]) / math.Sqrt(spread[0]+spread[1])
}
