// Command daffigen writes the code that serves and calls annotated interfaces.
//
//	daffigen [flags] [patterns]
//
// It reads the packages that the patterns name, "." without any, and writes one daffi_gen.go into each that has an interface
// with //daffi:callback or //daffi:fetcher. Put
//
//	//go:generate go tool daffigen
//
// into one file of the package, or run go tool daffigen ./... for a whole module.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"strings"

	"github.com/alecthomas/kong"
	"github.com/rogpeppe/go-internal/diff"

	"github.com/daffi-rpc/daffi/cmd/daffigen/internal/gen"
)

// The exit codes. With -diff, 1 means that there are differences and 2 that there was trouble, as with diff(1).
const (
	exitOK      = 0
	exitFailed  = 1
	exitTrouble = 2
)

type options struct {
	Check    bool     `help:"Write nothing; exit 1 with a diff if a file is stale." xor:"mode"`
	Diff     bool     `help:"Write nothing; print the changes. Exit 0 if there are none, 1 if there are some, 2 on trouble." xor:"mode"`
	Version  bool     `help:"Print the version and exit."`
	Patterns []string `arg:"" optional:"" default:"." help:"Packages to read, as the go command names them."`
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	var o options
	exit := -1
	parser, err := kong.New(&o,
		kong.Name("daffigen"),
		kong.Description("Writes the code that serves and calls annotated interfaces."),
		kong.Writers(stdout, stderr),
		kong.Exit(func(code int) { exit = code }),
	)
	if err != nil {
		panic(err) // the options above are wrong
	}
	_, err = parser.Parse(oneDash(args))
	switch {
	case exit >= 0: // --help
		return exit
	case err != nil:
		fmt.Fprintf(stderr, "daffigen: %v\nRun daffigen -help for what there is.\n", err)
		return exitTrouble
	case o.Version:
		fmt.Fprintln(stdout, "daffigen", version())
		return exitOK
	}
	return generate(ctx, o, stdout, stderr)
}

// oneDash lets flags have one dash, as those of the go command have.
func oneDash(args []string) []string {
	var list []string
	for k, arg := range args {
		if arg == "--" {
			return append(list, args[k:]...)
		}
		if len(arg) > 2 && arg[0] == '-' && arg[1] != '-' {
			arg = "-" + arg
		}
		list = append(list, arg)
	}
	return list
}

func generate(ctx context.Context, o options, stdout, stderr io.Writer) int {
	failed := exitFailed
	if o.Diff {
		failed = exitTrouble
	}
	files, diagnostics, err := gen.Generate(ctx, gen.Config{}, o.Patterns...)
	if err != nil {
		fmt.Fprintln(stderr, "daffigen:", err)
		return failed
	}
	dir, _ := os.Getwd() // without it, names stay absolute
	for _, d := range diagnostics {
		fmt.Fprintln(stderr, d.Format(dir))
	}
	if len(diagnostics) > 0 {
		return failed
	}
	code := exitOK
	for _, f := range files {
		changed, err := apply(f, o.Check || o.Diff, dir, stdout)
		if err != nil {
			fmt.Fprintln(stderr, "daffigen:", err)
			return failed
		}
		if changed {
			code = exitFailed
		}
	}
	if code != exitOK && o.Check {
		fmt.Fprintln(stderr, "daffigen: generated code is stale; run go generate")
	}
	return code
}

// apply writes f, or shows how it differs from what is on the disk.
func apply(f gen.File, show bool, dir string, stdout io.Writer) (changed bool, err error) {
	if !show {
		return false, f.Write()
	}
	old, stale, err := f.Stale()
	if err != nil || !stale {
		return false, err
	}
	name := f.Path
	if rel, err := filepath.Rel(dir, name); err == nil {
		name = rel
	}
	_, err = stdout.Write(diff.Diff(name, old, name+" (generated)", f.Content))
	return true, err
}

func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" {
		return "(devel)"
	}
	return strings.TrimSpace(info.Main.Version + " " + info.GoVersion)
}
