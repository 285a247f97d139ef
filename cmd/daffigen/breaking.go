package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/daffi-rpc/daffi/cmd/daffigen/internal/contract"
	"github.com/daffi-rpc/daffi/internal/signature"
)

type breakingCommand struct {
	Lock     string   `placeholder:"FILE" help:"Compare with that file and not with daffi.lock beside go.mod."`
	Patterns []string `arg:"" optional:"" help:"Packages to read, those of which the file was written; without any, all of the module."`
}

// breaking compares the code with the lock file. What it cannot compare it does not call breaking: that exits 2.
func (o *options) breaking(ctx context.Context, cmd breakingCommand, stdout, stderr io.Writer) int {
	if o.Check || o.Diff {
		return o.trouble(errors.New("breaking writes nothing in any case; leave -check and -diff out"), nil, stdout, stderr, exitTrouble)
	}
	t, err := findTree(cmd.Lock, cmd.Patterns)
	if err != nil {
		return o.trouble(err, nil, stdout, stderr, exitTrouble)
	}
	name := relative(t.dir, t.lock)
	data, err := os.ReadFile(t.lock)
	if errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("there is no %s to compare with; run daffigen lock, and commit what it writes", name)
	}
	var before *contract.Contract
	if err == nil {
		before, err = contract.Parse(name, data)
	}
	if err != nil {
		return o.trouble(err, nil, stdout, stderr, exitTrouble)
	}
	now, diagnostics, err := t.contract(ctx, stderr)
	if err != nil || len(diagnostics) > 0 {
		if !o.JSON && err == nil {
			printText(stderr, t.dir, diagnostics, "compared")
		}
		return o.trouble(err, problems(t.dir, diagnostics), stdout, stderr, exitTrouble)
	}
	changes := contract.Compare(before, now)
	if o.JSON {
		err = printChanges(stdout, changes)
	} else {
		err = sayChanges(stdout, changes, name)
	}
	switch {
	case err != nil:
		return exitTrouble
	case worst(changes) == signature.Breaking:
		return exitFailed
	}
	return exitOK
}

func worst(changes []contract.Change) (class signature.Class) {
	for _, c := range changes {
		class = max(class, c.Class)
	}
	return class
}

// sayChanges prints a line for each change, and what they come to.
func sayChanges(w io.Writer, changes []contract.Change, name string) error {
	if len(changes) == 0 {
		_, err := fmt.Fprintf(w, "nothing changed since %s\n", name)
		return err
	}
	var count [signature.Breaking + 1]int
	for _, c := range changes {
		count[c.Class]++
		if _, err := fmt.Fprintln(w, c); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(w, "since %s: %d breaking, %d in need of order, %d safe\n",
		name, count[signature.Breaking], count[signature.NeedsOrder], count[signature.Safe])
	return err
}

// changed is a change as -json prints it.
type changed struct {
	Service string   `json:"service"`
	Method  string   `json:"method,omitempty"` // none if it is about the service
	Class   string   `json:"class"`
	Order   string   `json:"order,omitempty"`
	Reasons []string `json:"reasons"`
}

func printChanges(w io.Writer, changes []contract.Change) error {
	list := make([]changed, 0, len(changes)) // [] in JSON, not null
	for _, c := range changes {
		x := changed{Service: c.Service, Method: c.Method, Class: c.Class.String(), Reasons: c.Reasons}
		if c.Class == signature.NeedsOrder {
			x.Order = c.Order.String()
		}
		list = append(list, x)
	}
	return printJSON(w, list)
}
