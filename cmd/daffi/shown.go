package main

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/daffi-rpc/daffi/internal/policy"
)

// maxShown is how many bytes of a text are shown that this program has not made up itself: names of files, and errors that have them or what is in files.
const maxShown = 4 << 10

// shown is a text as it is printed: on one line, without anything that a terminal obeys.
func shown(text string) string {
	ok := utf8.ValidString(text) && !strings.ContainsFunc(text, func(r rune) bool { return !strconv.IsPrint(r) })
	switch {
	case ok && len(text) <= maxShown:
		return text
	case len(text) > maxShown/4: // a byte takes up to four when it is quoted
		return strconv.Quote(text[:maxShown/4]) + "…"
	}
	return strconv.Quote(text)
}

// complain prints an error on one line, and the mistakes of a policy on one each.
func complain(w io.Writer, err error) {
	mistakes, ok := errors.AsType[policy.Mistakes](err)
	if !ok {
		mistakes = policy.Mistakes{err}
	}
	for i, err := range mistakes {
		if i == 0 {
			fmt.Fprint(w, "daffi: ")
		}
		fmt.Fprintln(w, shown(err.Error()))
	}
}
