package gen

import (
	"go/ast"
	"go/build/constraint"
	"go/token"
	"path/filepath"
	"slices"
	"strings"
)

// constraintOf is the condition under which f is built, as in a //go:build line: what stands in its own, and what its name says. It is
// empty for a file that is always built.
func (s *source) constraintOf(f *ast.File) string {
	var parts []constraint.Expr
	for _, group := range f.Comments {
		for _, c := range group.List {
			if c.Pos() > f.Package || !constraint.IsGoBuild(c.Text) {
				continue
			}
			if x, err := constraint.Parse(c.Text); err == nil {
				parts = append(parts, x)
			}
		}
	}
	for _, tag := range nameTags(filepath.Base(s.report.position(f.FileStart).Filename)) {
		parts = append(parts, &constraint.TagExpr{Tag: tag})
	}
	if len(parts) == 0 {
		return ""
	}
	all := parts[0]
	for _, x := range parts[1:] {
		all = &constraint.AndExpr{X: all, Y: x}
	}
	return all.String()
}

// constraintAt is constraintOf for the file that pos is in.
func (s *source) constraintAt(pos token.Pos) string {
	if f := s.fileOf(pos); f != nil {
		return s.constraintOf(f)
	}
	return ""
}

// nameTags are the systems and processors that the end of a file's name asks for: name_GOOS.go, name_GOARCH.go, name_GOOS_GOARCH.go.
func nameTags(name string) []string {
	name, _, _ = strings.Cut(name, ".") // what follows the first dot does not count
	parts := strings.Split(name, "_")
	if len(parts) < 2 {
		return nil
	}
	last := parts[len(parts)-1]
	switch {
	case slices.Contains(systems, last):
		return []string{last}
	case !slices.Contains(processors, last):
		return nil
	case len(parts) > 2 && slices.Contains(systems, parts[len(parts)-2]):
		return parts[len(parts)-2:]
	}
	return []string{last}
}

// What the go command takes for systems and processors in file names: internal/syslist of Go 1.26.
var (
	systems = strings.Fields("aix android darwin dragonfly freebsd hurd illumos ios js linux nacl netbsd openbsd plan9 solaris wasip1 windows zos")

	processors = strings.Fields("386 amd64 amd64p32 arm armbe arm64 arm64be loong64 mips mipsle mips64 mips64le mips64p32 mips64p32le " +
		"ppc ppc64 ppc64le riscv riscv64 s390 s390x sparc sparc64 wasm")
)

// constraints gives p the condition under which its annotated interfaces are built. There is one generated file, so there must be one
// condition.
func (l *loader) constraints(p *Package, src *source) {
	annotated := p.annotated()
	for k, i := range annotated {
		this := src.constraintOf(src.fileOf(i.Pos))
		if k == 0 {
			p.Constraint = this
		}
		if this != p.Constraint {
			other := annotated[0]
			l.report.add(CodeBuildTags, i.Pos, i.Name, orAlways(this), other.Name, l.report.position(other.Pos), orAlways(p.Constraint))
		}
	}
}

func orAlways(constraint string) string {
	if constraint == "" {
		return "always"
	}
	return "where " + constraint
}

// constrained puts a build constraint below the first line of src, where it belongs.
func constrained(src []byte, constraint string) []byte {
	if constraint == "" {
		return src
	}
	return slices.Concat([]byte(header+"\n\n//go:build "+constraint+"\n"), src[len(header)+1:])
}
