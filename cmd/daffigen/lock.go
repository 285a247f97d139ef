package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/daffi-rpc/daffi/cmd/daffigen/internal/contract"
	"github.com/daffi-rpc/daffi/cmd/daffigen/internal/gen"
)

// The flag -o has a long name as well, for oneDash.
type lockCommand struct {
	Out      string   `name:"o" short:"o" placeholder:"FILE" help:"Write to that file and not to daffi.lock beside go.mod."`
	Patterns []string `arg:"" optional:"" help:"Packages to read; without any, all of the module. Services of others are not in the file."`
}

// lock writes the contract, or compares it byte by byte.
func (o *options) lock(ctx context.Context, cmd lockCommand, stdout, stderr io.Writer) int {
	t, err := findTree(cmd.Out, cmd.Patterns)
	if err != nil {
		return o.trouble(err, nil, stdout, stderr, o.failed())
	}
	now, diagnostics, err := t.contract(ctx, stderr)
	if err != nil || len(diagnostics) > 0 {
		if !o.JSON && err == nil {
			printText(stderr, t.dir, diagnostics, "written")
		}
		return o.trouble(err, problems(t.dir, diagnostics), stdout, stderr, o.failed())
	}
	file := gen.File{Path: t.lock, Content: now.Format()}
	old, stale, err := file.Stale()
	if err == nil && !contract.IsLock(old) {
		err = fmt.Errorf("%s is no lock file; name another with -o, or remove it", relative(t.dir, t.lock))
	}
	if err != nil {
		return o.trouble(err, nil, stdout, stderr, o.failed())
	}
	found, code := o.apply([]gen.File{file}, t.dir, stdout, stderr, "the lock file is stale", "look at daffigen breaking, then run daffigen lock")
	switch {
	case o.JSON:
		if err := printJSON(stdout, append([]problem{}, found...)); err != nil {
			return o.failed()
		}
	case code != exitOK || o.Check || o.Diff:
	case stale:
		fmt.Fprintf(stdout, "%s: written, %s\n", relative(t.dir, t.lock), counted(now))
	default:
		fmt.Fprintf(stdout, "%s: unchanged, %s\n", relative(t.dir, t.lock), counted(now))
	}
	return code
}

func counted(c *contract.Contract) string {
	methods := 0
	for _, s := range c.Services {
		methods += len(s.Methods)
	}
	return fmt.Sprintf("%s with %s", plural(len(c.Services), "service"), plural(methods, "method"))
}

func plural(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return fmt.Sprintf("%d %s", n, what)
}

// trouble ends a run that could not do what it was asked for: for err, unless that is nil, or for what was found.
func (o *options) trouble(err error, found []problem, stdout, stderr io.Writer, code int) int {
	if err != nil {
		fmt.Fprintln(stderr, "daffigen:", err)
		found = append(found, problem{Severity: "error", Message: err.Error()})
	}
	if o.JSON {
		_ = printJSON(stdout, found) // the code says that it failed
	}
	return code
}

// tree is what a lock file is about.
type tree struct {
	dir      string // the working directory
	lock     string // the file, absolute
	config   gen.Config
	patterns []string
}

// findTree finds the file, which is beside go.mod unless another is named, and the packages, which are all of the module unless some are.
func findTree(lock string, patterns []string) (*tree, error) {
	dir, err := os.Getwd()
	if err != nil {
		return nil, err
	}
	t := &tree{dir: dir, patterns: patterns}
	if lock != "" && len(patterns) > 0 {
		t.lock, err = filepath.Abs(lock)
		return t, err
	}
	root, err := moduleRoot(dir)
	if err != nil {
		return nil, err
	}
	if len(patterns) == 0 {
		t.config.Dir, t.patterns = root, []string{"./..."}
	}
	if t.lock = filepath.Join(root, contract.LockName); lock != "" {
		t.lock, err = filepath.Abs(lock)
	}
	return t, err
}

func moduleRoot(dir string) (string, error) {
	for root := filepath.Clean(dir); ; root = filepath.Dir(root) {
		info, err := os.Stat(filepath.Join(root, "go.mod"))
		switch {
		case err == nil && !info.IsDir():
			return root, nil
		case err != nil && !errors.Is(err, fs.ErrNotExist):
			return "", err
		case root == filepath.Dir(root):
			return "", fmt.Errorf("there is no go.mod in %s or above it; run daffigen in a module", dir)
		}
	}
}

// contract is what the code promises.
func (t *tree) contract(ctx context.Context, stderr io.Writer) (*contract.Contract, []gen.Diagnostic, error) {
	stop := announce(stderr, isTerminal(stderr))
	defer stop()
	return gen.Contract(ctx, t.config, t.patterns...)
}
