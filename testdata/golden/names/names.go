// Package names has the names that hurt: those of generated locals and receivers, of imports, of methods of the runtime, of
// predeclared identifiers, and those that daffigen would choose itself.
package names

import (
	"context"

	"github.com/daffi-rpc/daffi/testdata/golden/names/codec"
)

// Names of the package that are those of imports in generated code.
type (
	// time is no package here.
	time struct{ At codec.Unit }
	// v and e are locals of helpers elsewhere.
	v int
	e string
)

func daffi() {}

func serveNastyDo() {}

const nastyClient = "taken"

var writeNote, noteFields = 1, 2

var _, _, _, _ = daffi, serveNastyDo, nastyClient, writeNote + noteFields

// Note is a struct whose functions' names are taken.
type Note struct {
	String string
	Err    v
	E      e
}

// HTTPServer begins with a word in capitals.
//
//daffi:callback name=http.server-1
type HTTPServer interface {
	Serve(ctx context.Context) error
}

// Nasty is both, and its names are those of everything else.
//
//daffi:callback
//daffi:fetcher
type Nasty interface {
	Do(ctx context.Context) error
	Go(context.Context, int) (int, error)
	With(ctx context.Context, b, e string, c int) (string, error)
	Post(c context.Context, ctx string, p, impl, args, err, results string) (r string, e error)
	String(ctx context.Context, string string, int int, nil bool, len uint8) (error string, err error)
	Error(_ context.Context, _ string, _ int) (_ string, _ error)
	Import(ctx context.Context, context string, iter int, codec string, daffi bool, time time) error
	Several(ctx context.Context, r, r0, R1 int) (int, string, error)
	Folded(ctx context.Context) (a, A int, id, r string, e error)
	Declared(ctx context.Context, nastyStats int, serveNastyGo string, Note Note, readNote, writeNote2 bool) (Note, error)
	Map(ctx context.Context, range_ map[e]v) (map[e]v, error)
	Register(ctx context.Context, opts, caller, registrar, call string) error
	Name(ctx context.Context, b []v, d [2]e) ([]v, error)
	Broadcast(ctx context.Context, arg1 string, arg2Arg int) error
}

// Preparer has a method of the proxy's own name.
//
//daffi:fetcher Cook prepare=Calls
type Preparer interface {
	Prepare(ctx context.Context, meal string) error
}
