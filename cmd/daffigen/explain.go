package main

import (
	"fmt"
	"io"

	"github.com/daffi-rpc/daffi/cmd/daffigen/internal/gen"
)

// explain prints what there is to know about rules, or the list of all.
func explain(codes []string, stdout, stderr io.Writer) int {
	if len(codes) == 0 {
		for _, code := range gen.Codes() {
			fmt.Fprintf(stdout, "%s  %s\n", code, gen.Explain(code).Title)
		}
		return exitOK
	}
	for k, s := range codes {
		code, ok := gen.ParseCode(s)
		if !ok {
			fmt.Fprintf(stderr, "daffigen: there is no rule %s; daffigen explain lists all\n", s)
			return exitTrouble
		}
		if k > 0 {
			fmt.Fprintln(stdout)
		}
		fmt.Fprint(stdout, gen.Explain(code).Text(code))
	}
	return exitOK
}
