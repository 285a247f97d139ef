// Package mapped has fetchers whose arguments a function makes into what is sent.
package mapped

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"
)

// ErrBad is the error of arguments that cannot be mapped.
var ErrBad = errors.New("bad")

// Part is sent.
type Part struct {
	Name string
	Size int
}

// Store is called by all the fetchers.
//
//daffi:callback
type Store interface {
	Put(ctx context.Context, name string, data []byte) (int, error)
	Note(ctx context.Context, line string) error
	//daffi:oneway
	Log(ctx context.Context, line string) error
	Range(ctx context.Context, from, to int) iter.Seq2[int, error]
	Sum(ctx context.Context, scale int, in iter.Seq2[int, error]) (int, error)
	Echo(ctx context.Context, prefix string, in iter.Seq2[string, error]) iter.Seq2[string, error]
	Take(ctx context.Context, part Part) error
	Reset(ctx context.Context) error
}

// Uploader takes arguments that could not travel.
//
//daffi:fetcher Store
type Uploader interface {
	// Put reads r to its end.
	//
	//daffi:map readAll
	//daffi:idempotent
	Put(ctx context.Context, name string, r io.Reader) (int, error)
	//daffi:map join
	Note(ctx context.Context, words ...string) error
	//daffi:map joinList
	//daffi:alias Note
	NoteList(ctx context.Context, words ...string) error
	//daffi:map join
	//daffi:alias Note
	NoteSlice(ctx context.Context, words []string) error
	//daffi:map join
	//daffi:oneway
	Log(ctx context.Context, words ...string) error
	//daffi:map bounds
	Range(ctx context.Context, text string) iter.Seq2[int, error]
	//daffi:map scale
	Sum(ctx context.Context, byTen bool, in iter.Seq[int]) (int, error)
	//daffi:map user
	Echo(ctx context.Context, in iter.Seq2[string, error]) iter.Seq2[string, error]
	//daffi:map part
	//daffi:alias Take
	TakeEach(ctx context.Context, in iter.Seq[io.Reader]) error
	//daffi:map part
	//daffi:alias Take
	TakeMost(ctx context.Context, in iter.Seq2[io.Reader, error]) error
	//daffi:map check
	Reset(ctx context.Context, sure func() bool) error
}

// Stranger knows neither the source of the service nor what its method takes. Names of parameters are those of imports, of the function and of
// generated locals.
//
//daffi:fetcher far.Store
type Stranger interface {
	//daffi:map several
	Put(codec context.Context, several, e string, daffi error, err chan int) (ctx int, c error)
	//daffi:map part
	//daffi:alias Take each
	TakeEach(ctx context.Context, in iter.Seq[io.Reader]) error
}

func readAll(_ context.Context, name string, r io.Reader) (as string, data []byte, err error) {
	data, err = io.ReadAll(r)
	return strings.ToUpper(name), data, err
}

func join(ctx context.Context, words ...string) (string, error) { return joinList(ctx, words) }

func joinList(_ context.Context, words []string) (string, error) {
	if len(words) == 0 {
		return "", ErrBad
	}
	return strings.Join(words, " "), nil
}

func bounds(_ context.Context, text string) (from, to int, err error) {
	if _, err := fmt.Sscanf(text, "%d-%d", &from, &to); err != nil {
		return 0, 0, fmt.Errorf("%w: %q", ErrBad, text)
	}
	return from, to, nil
}

func scale(_ context.Context, byTen bool) (int, error) {
	if byTen {
		return 10, nil
	}
	return 1, nil
}

type userKey struct{}

func user(ctx context.Context) (string, error) {
	name, ok := ctx.Value(userKey{}).(string)
	if !ok {
		return "", ErrBad
	}
	return name + ": ", nil
}

func part(ctx context.Context, r io.Reader) (Part, error) {
	if r == nil {
		<-ctx.Done()
		return Part{}, ctx.Err()
	}
	data, err := io.ReadAll(r)
	name, _, _ := strings.Cut(string(data), "\n")
	return Part{name, len(data)}, err
}

func check(_ context.Context, sure func() bool) error {
	if !sure() {
		return ErrBad
	}
	return nil
}

func several(context.Context, string, string, error, chan int) (_ string, err string, e map[string]Part, codec error) {
	return "", "", nil, ErrBad
}
