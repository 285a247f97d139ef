// Command daffigen writes the code that serves and calls annotated interfaces.
//
//	daffigen [flags] [patterns]
//	daffigen explain [code...]
//	daffigen lock [-o file] [patterns]
//	daffigen breaking [-lock file] [patterns]
//
// It reads the packages that the patterns name, "." without any, and writes one daffi_gen.go into each that has an interface
// with //daffi:callback or //daffi:fetcher. Put
//
//	//go:generate go tool daffigen
//
// into one file of the package, or run go tool daffigen ./... for a whole module.
//
// What is wrong goes to stderr, each with a position, a line of source, a code and a cure, and nothing is written. Explain tells more
// about a code. With -json it goes to stdout for editors: one array of objects with file, line, column, endColumn, code, severity,
// message, cure and related positions. On a terminal a line says so if loading takes more than a second.
//
// With -watch it goes on until it is interrupted, and generates again whenever a source of the module has changed. It says which files it has
// written, and what is wrong, as often as that changes.
//
// Lock writes what the services promise on the wire into daffi.lock, to be committed. Breaking compares the code with it and says of every
// method that changed whether old and new processes understand each other: safe, needs order, or breaking. Generated code plays no part in
// either. Without patterns they are about the whole module, and the file is beside its go.mod.
//
// Files that build constraints leave out are not read; GOFLAGS=-tags=… says which tags hold. An annotation in a test file is reported.
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

type commands struct {
	options
	Version  bool `help:"Print the version and exit."`
	Generate struct {
		Patterns []string `arg:"" optional:"" default:"." help:"Packages to read, as the go command names them."`
	} `cmd:"" default:"withargs" help:"Write generated code. The word generate may be left out: daffigen ./..."`
	Lock     lockCommand     `cmd:"" help:"Write the wire contract of the module's services to daffi.lock. With -check or -diff, only compare."`
	Breaking breakingCommand `cmd:"" help:"Tell what changed since daffi.lock was written, and what that asks of callers and providers. Exit 1 if anything is breaking, 2 on trouble."`
	Explain  explainCommand  `cmd:"" help:"Tell more about rules, as in daffigen explain DF012. Without a code, list all."`
}

// options are those of generate. They stand beside the commands, so that daffigen -help shows them.
type options struct {
	Check bool `help:"Write nothing; exit 1 with a diff if a file is stale." xor:"check"`
	Diff  bool `help:"Write nothing; print the changes. Exit 0 if there are none, 1 if there are some, 2 on trouble." xor:"check,json"`
	Watch bool `help:"Generate again whenever a source of the module changes, until interrupted." xor:"check"`
	JSON  bool `name:"json" help:"Print problems to stdout as one JSON array, [] if there are none. With -check, stale files are among them. Of breaking, changes." xor:"json"`
}

type explainCommand struct {
	Codes []string `arg:"" optional:"" help:"Such as DF012."`
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	var c commands
	exit := -1
	parser, err := kong.New(&c,
		kong.Name("daffigen"),
		kong.Description("Writes the code that serves and calls annotated interfaces."),
		kong.Writers(stdout, stderr),
		kong.Exit(func(code int) { exit = code }),
	)
	if err != nil {
		panic(err) // the options above are wrong
	}
	command, err := parser.Parse(oneDash(args))
	switch {
	case exit >= 0: // --help
		return exit
	case err != nil:
		fmt.Fprintf(stderr, "daffigen: %v\nRun daffigen -help for what there is.\n", err)
		return exitTrouble
	case c.Version:
		fmt.Fprintln(stdout, "daffigen", version())
		return exitOK
	case c.Watch && !strings.HasPrefix(command.Command(), "generate"):
		fmt.Fprintln(stderr, "daffigen: only generate watches; leave -watch out")
		return exitTrouble
	case strings.HasPrefix(command.Command(), "explain"):
		return explain(c.Explain.Codes, stdout, stderr)
	case strings.HasPrefix(command.Command(), "lock"):
		return c.lock(ctx, c.Lock, stdout, stderr)
	case strings.HasPrefix(command.Command(), "breaking"):
		return c.breaking(ctx, c.Breaking, stdout, stderr)
	}
	if c.Watch {
		return c.watch(ctx, c.Generate.Patterns, stdout, stderr)
	}
	return c.generate(ctx, c.Generate.Patterns, stdout, stderr)
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

// generate generates, and writes or compares.
func (o *options) generate(ctx context.Context, patterns []string, stdout, stderr io.Writer) int {
	dir, _ := os.Getwd() // without it, names stay absolute
	stop := announce(stderr, isTerminal(stderr))
	files, diagnostics, err := gen.Generate(ctx, gen.Config{}, patterns...)
	stop()
	found := problems(dir, diagnostics)
	code := exitOK
	switch {
	case err != nil:
		fmt.Fprintln(stderr, "daffigen:", err)
		found = append(found, problem{Severity: "error", Message: err.Error()})
		code = o.failed()
	case len(diagnostics) > 0:
		if !o.JSON {
			printText(stderr, dir, diagnostics, "written")
		}
		code = o.failed()
	default:
		var stale []problem
		stale, code = o.apply(files, dir, stdout, stderr, "generated code is stale", "run go generate")
		found = append(found, stale...)
	}
	if o.JSON {
		if err := printJSON(stdout, found); err != nil {
			return o.failed()
		}
	}
	return code
}

// failed is the exit code of a run that did not get to its end.
func (o *options) failed() int {
	if o.Diff {
		return exitTrouble
	}
	return exitFailed
}

// apply writes the files, or finds the stale ones, of which it says so with the cure.
func (o *options) apply(files []gen.File, dir string, stdout, stderr io.Writer, stale, cure string) (found []problem, code int) {
	if o.JSON {
		stdout = io.Discard
	}
	for _, f := range files {
		name := relative(dir, f.Path)
		is, err := o.applyOne(f, name, stdout)
		if err != nil {
			fmt.Fprintln(stderr, "daffigen:", err)
			return append(found, problem{File: name, Severity: "error", Message: err.Error()}), o.failed()
		}
		if is {
			found = append(found, problem{File: name, Severity: "error", Message: stale, Cure: cure})
			code = exitFailed
		}
	}
	if code != exitOK && o.Check {
		fmt.Fprintf(stderr, "daffigen: %s; %s\n", stale, cure)
	}
	return found, code
}

// relative is name as seen from dir.
func relative(dir, name string) string {
	if rel, err := filepath.Rel(dir, name); err == nil {
		return rel
	}
	return name
}

// applyOne writes f, or shows how it differs from what is on the disk, where it is called name.
func (o *options) applyOne(f gen.File, name string, stdout io.Writer) (stale bool, err error) {
	old, stale, err := f.Stale()
	switch {
	case err != nil || !stale:
		return false, err
	case o.Check || o.Diff:
		_, err = stdout.Write(diff.Diff(name, old, name+" (generated)", f.Content))
		return true, err
	}
	if err := f.Write(); err != nil {
		return false, err
	}
	if o.Watch {
		fmt.Fprintf(stdout, "%s: written\n", name)
	}
	return false, nil
}

func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" {
		return "(devel)"
	}
	return strings.TrimSpace(info.Main.Version + " " + info.GoVersion)
}
