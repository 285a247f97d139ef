package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/daffi-rpc/daffi/cmd/daffigen/internal/gen"
)

// printText writes diagnostics for people: each with its line of source, and at the end what did not happen and where to read more.
func printText(w io.Writer, dir string, list []gen.Diagnostic, not string) {
	for _, d := range list {
		fmt.Fprintln(w, d.Format(dir))
		fmt.Fprint(w, d.Excerpt())
	}
	fmt.Fprintf(w, "daffigen: nothing was %s; daffigen explain %s tells more\n", not, list[0].Code)
}

// problem is a diagnostic as -json prints it. Lines and columns count from 1, columns in bytes; endColumn is the first that does not
// belong to it any more. File names are relative to the working directory where that is shorter.
type problem struct {
	File      string  `json:"file,omitempty"`
	Line      int     `json:"line,omitempty"`
	Column    int     `json:"column,omitempty"`
	EndColumn int     `json:"endColumn,omitempty"`
	Code      string  `json:"code,omitempty"` // none if packages could not be listed, or a file is stale
	Severity  string  `json:"severity"`
	Message   string  `json:"message"`
	Cure      string  `json:"cure,omitempty"`
	Related   []place `json:"related,omitempty"`
}

// place is a position that the message names.
type place struct {
	File   string `json:"file"`
	Line   int    `json:"line"`
	Column int    `json:"column"`
}

func problems(dir string, list []gen.Diagnostic) []problem {
	found := make([]problem, 0, len(list)) // [] in JSON, not null
	for _, d := range list {
		end := d.End()
		d = d.Relative(dir)
		p := problem{
			File: d.Pos.Filename, Line: d.Pos.Line, Column: d.Pos.Column, EndColumn: end,
			Code: d.Code.String(), Severity: "error", Message: d.Problem(), Cure: d.Cure(),
		}
		for _, other := range d.Others {
			p.Related = append(p.Related, place{other.Filename, other.Line, other.Column})
		}
		found = append(found, p)
	}
	return found
}

// printJSON writes a list as -json does.
func printJSON[T any](w io.Writer, list []T) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "\t")
	return enc.Encode(list)
}

// patience is how long loading may take without a word about it.
const patience = time.Second

// announce says on a terminal that packages are being loaded, if that takes long. Logs and editors stay clean of it.
func announce(w io.Writer, terminal bool) (stop func()) {
	if !terminal {
		return func() {}
	}
	timer := time.AfterFunc(patience, func() {
		fmt.Fprintln(w, "daffigen: loading packages takes a while; the go command may be downloading modules")
	})
	return func() { timer.Stop() }
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
