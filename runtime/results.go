package daffi

import (
	"errors"
	"fmt"
	"iter"
	"strings"
)

// A Result is what one node has answered.
type Result[R any] struct {
	Value R // zero with an error
	Err   error
}

// Get is the value and the error.
func (r Result[R]) Get() (R, error) { return r.Value, r.Err }

// Collect ranges over a broadcast and returns the results of the nodes that have answered well, by name, and an error if others have not: one *[Error] that says how many and why, in
// which errors.Is and errors.As find each of theirs. The map is never nil.
func Collect[R any](seq iter.Seq2[string, Result[R]]) (map[string]R, error) {
	good := map[string]R{}
	var f failures
	for node, r := range seq {
		if r.Err != nil {
			f.add(node, r.Err)
			continue
		}
		good[node] = r.Value
		f.good++
	}
	return good, f.err()
}

// First ranges over a broadcast until a node has answered well, and leaves the others cancelled. When none has, the error is that of [Collect].
func First[R any](seq iter.Seq2[string, Result[R]]) (node string, value R, err error) {
	var f failures
	for node, r := range seq {
		if r.Err == nil {
			return node, r.Value, nil
		}
		f.add(node, r.Err)
	}
	return "", value, f.err()
}

// Errors ranges over the broadcast of an [Action] and returns nil if all nodes have answered well, else the error of [Collect].
func Errors(seq iter.Seq2[string, error]) error {
	var f failures
	for node, err := range seq {
		if err != nil {
			f.add(node, err)
			continue
		}
		f.good++
	}
	return f.err()
}

// Items ranges over a stream and returns what came, also where it ended with an error.
func Items[T any](seq iter.Seq2[T, error]) ([]T, error) {
	return Fold(seq, nil, func(items []T, v T) []T { return append(items, v) })
}

// Fold ranges over a stream and combines its items: it calls fn with what it has, first start, and the next item. After an error of the stream it returns what it has of
// the items before.
func Fold[T, A any](seq iter.Seq2[T, error], start A, fn func(have A, item T) A) (A, error) {
	for v, err := range seq {
		if err != nil {
			return start, err
		}
		start = fn(start, v)
	}
	return start, nil
}

// failures are the errors of one call to several nodes.
type failures struct {
	good  int
	all   []error
	whole error // of the call, not of one node
}

func (f *failures) add(node string, err error) {
	if _, ok := errors.AsType[*Error](err); ok && node == "" {
		f.whole = err
		return
	}
	f.all = append(f.all, err)
}

// err is nil where there is none.
func (f *failures) err() error {
	switch {
	case f.whole != nil && len(f.all) == 0:
		return f.whole
	case f.whole != nil:
		e, text := *asError(f.whole), named(f.all)
		e.Message, e.cause = e.Message+text, errors.Join(append([]error{e.cause}, f.all...)...)
		return &e
	case len(f.all) == 0:
		return nil
	}
	return f.summary("%d of %d nodes have failed%s")
}

// summary is one error of all. Its code and reason are theirs if they are equal. NotRun it says only if no handler can have run. format takes how many have failed,
// of how many, and the text of some.
func (f *failures) summary(format string) *Error {
	var e *Error
	for _, err := range f.all {
		one := asError(err)
		switch {
		case e == nil:
			e = &Error{Code: one.Code, Reason: one.Reason, Outcome: one.Outcome, Method: one.Method}
			continue
		case e.Code != one.Code || e.Reason != one.Reason:
			e.Code, e.Reason = Unavailable, ""
		}
		if e.Outcome != one.Outcome {
			e.Outcome = MayHaveRun
		}
	}
	if f.good > 0 {
		e.Outcome = MayHaveRun
	}
	e.Message = fmt.Sprintf(format, len(f.all), len(f.all)+f.good, named(f.all))
	e.cause = errors.Join(f.all...)
	return e
}

// asError is err as daffi's own error.
func asError(err error) *Error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	return &Error{Code: CodeOf(err), Outcome: OutcomeOf(err), Message: err.Error(), cause: err}
}

// named is the text of the first errors, behind others.
func named(all []error) string {
	var text strings.Builder
	for _, err := range all[:min(len(all), namedFailures)] {
		text.WriteString("; ")
		text.WriteString(err.Error())
	}
	if more := len(all) - namedFailures; more > 0 {
		fmt.Fprintf(&text, "; and %d more", more)
	}
	return text.String()
}
