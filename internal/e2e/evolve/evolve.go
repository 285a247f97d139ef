// Package evolve serves and calls two versions of one service, for tests of which version understands which.
//
// Every answer of a provider says which version has given it and what it was given.
package evolve

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"

	daffi "github.com/daffi-rpc/daffi/runtime"
)

// Service is the name of both versions on the wire.
const Service = "Evolving"

// Version is one of the two.
type Version struct {
	Name  string
	Serve func(r daffi.Registrar) (*daffi.Registration, error)
	calls func(c daffi.Caller, opts ...daffi.CallOption) calls
}

// Versions are both, the older one first.
var Versions = []Version{{"before", serveBefore, callsBefore}, {"after", serveAfter, callsAfter}}

// calls are a version's calls by what it is that has changed, mostly the method's name. A call answers with what came back.
type calls map[string]func(ctx context.Context) (string, error)

// Client calls as one version does.
type Client struct{ calls calls }

// NewClient returns a client that calls through c.
func (v Version) NewClient(c daffi.Caller, opts ...daffi.CallOption) *Client {
	return &Client{v.calls(c, opts...)}
}

// Changes lists what can be called, sorted.
func (c *Client) Changes() []string { return slices.Sorted(maps.Keys(c.calls)) }

// Error makes one call and returns its error.
func (c *Client) Error(ctx context.Context, change string) error {
	_, err := c.calls[change](ctx)
	return err
}

// Call makes one call. Its answer is what came back, or code and reason of the error if it has not run.
func (c *Client) Call(ctx context.Context, change string) string {
	answer, err := c.calls[change](ctx)
	var e *daffi.Error
	switch {
	case err == nil:
		return answer
	case errors.As(err, &e) && e.Outcome == daffi.Ran:
		return e.Message
	case errors.As(err, &e):
		return strings.TrimSuffix(fmt.Sprintf("%v/%v", e.Code, e.Reason), "/")
	}
	return "error: " + err.Error()
}

// show makes an answer of values.
func show(values ...any) string { return strings.TrimSuffix(fmt.Sprintln(values...), "\n") }

// items is a sequence of values.
func items[T any](values ...T) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for _, v := range values {
			if !yield(v, nil) {
				return
			}
		}
	}
}

// collect is what a sequence yields.
func collect[T any](seq iter.Seq2[T, error]) ([]T, error) {
	var list []T
	for v, err := range seq {
		if err != nil {
			return list, err
		}
		list = append(list, v)
	}
	return list, nil
}

// result makes an answer of a call.
func result[T any](v T, err error) (string, error) { return fmt.Sprintf("%+v", v), err }

// done makes one of a call without results.
func done(err error) (string, error) { return "done", err }

// Answers makes n calls and returns the answers that came, each once, sorted.
func (c *Client) Answers(ctx context.Context, change string, n int) []string {
	answers := map[string]bool{}
	for range n {
		answers[c.Call(ctx, change)] = true
	}
	return slices.Sorted(maps.Keys(answers))
}
