package daffi_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	daffi "github.com/daffi-rpc/daffi/runtime"
	"github.com/daffi-rpc/daffi/runtime/codec"
	"github.com/daffi-rpc/daffi/runtime/daffitest"
	"github.com/daffi-rpc/daffi/runtime/internal/testkit"
)

// Values whose methods panic, and errors that do.
type (
	mine     struct{ under any } // Error panics with under
	unprinty struct{}            // String panics
	nilError struct{ text string }
	wrapper  struct{ how string }
)

func (m mine) Error() string      { panic(m.under) }
func (unprinty) String() string   { panic("no text") }
func (e *nilError) Error() string { return e.text } // of a nil pointer it panics

func (w wrapper) Error() string { return "wrapper" }
func (w wrapper) Is(error) bool {
	if w.how == "is" {
		panic("is")
	}
	return false
}
func (w wrapper) As(any) bool {
	if w.how == "as" {
		panic("as")
	}
	return false
}
func (w wrapper) Unwrap() error {
	if w.how == "unwrap" {
		panic("unwrap")
	}
	return nil
}

type leaver struct{}

func (leaver) Error() string { runtime.Goexit(); return "" }

func recurse(n int) int {
	if n == 0 {
		return 0
	}
	var b [100]byte
	b[n%100] = byte(n)
	return recurse(n-1) + int(b[n%100])&1
}

// misdeeds are what a handler may do, each of which fails its call and nothing else.
var misdeeds = map[string]func() error{
	"panic with a text":                   func() error { panic("text") },
	"panic with an error":                 func() error { panic(errors.New("an error")) },
	"panic with nil":                      func() error { panic(nil) },
	"panic with a daffi error":            func() error { panic(&daffi.Error{Code: daffi.NotFound}) },
	"panic of the runtime":                func() error { var none []int; return fmt.Errorf("%d", none[recurse(1)]) },
	"panic with what panics":              func() error { panic(mine{"under"}) },
	"panic with what panics without end":  func() error { panic(mine{mine{mine{mine{"under"}}}}) },
	"panic with what has no text":         func() error { panic(unprinty{}) },
	"panic with what ends the goroutine":  func() error { panic(leaver{}) },
	"panic while it panics":               func() error { defer func() { panic("second") }(); panic("first") },
	"Goexit":                              func() error { runtime.Goexit(); return nil },
	"Goexit while it panics":              func() error { defer runtime.Goexit(); panic("first") },
	"deep recursion, and then a panic":    func() error { recurse(100_000); panic("deep") },
	"an error":                            func() error { return errors.New("an error") },
	"an error whose text panics":          func() error { return mine{"under"} },
	"an error whose text panics for ever": func() error { return mine{mine{mine{mine{"under"}}}} },
	"an error that is a nil pointer":      func() error { return (*nilError)(nil) },
	"an error whose text ends it":         func() error { return leaver{} },
	"an error whose Is panics":            func() error { return wrapper{"is"} },
	"an error whose As panics":            func() error { return wrapper{"as"} },
	"an error whose Unwrap panics":        func() error { return wrapper{"unwrap"} },
	"an error that wraps such":            func() error { return fmt.Errorf("outer: %w", errors.Join(wrapper{"unwrap"}, wrapper{"as"})) },
	"an error that hides one that panics": func() error { return &daffi.Error{Code: daffi.NotFound, Message: "x"} },
	"an error of a context":               func() error { return context.Canceled },
	"a panic in a goroutine that it awaits": func() error {
		c := make(chan any)
		go func() {
			defer func() { c <- recover() }()
			panic("elsewhere")
		}()
		panic(<-c)
	},
}

// rowdy does what it is told in every shape.
type rowdy struct {
	testkit.Impl
	do func() error
}

func (k *rowdy) Fail(context.Context, string) (string, error) { return "", k.do() }
func (k *rowdy) Add(context.Context, int) error               { return k.do() }
func (k *rowdy) Note(context.Context, string) error           { return k.do() }
func (k *rowdy) Count(context.Context, int, string) iter.Seq2[int, error] {
	return func(yield func(int, error) bool) {
		yield(1, nil)
		yield(0, k.do())
	}
}
func (k *rowdy) Sum(_ context.Context, _ int, in iter.Seq2[int, error]) (int, error) {
	for range in {
		break
	}
	return 0, k.do()
}
func (k *rowdy) Chat(_ context.Context, in iter.Seq2[string, error]) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for line, err := range in {
			yield(line, err)
			yield("", k.do())
			return
		}
	}
}

// unsound is a message whose Validate does what it is told.
type unsound struct{ positive }

var validate atomic.Pointer[func() error]

func (m *unsound) DaffiMessage() codec.Form {
	return codec.FormOf(m, "{N int}", func(e *codec.Encoder, v unsound) {
		e.Struct(1)
		e.Key("N").Int(v.N)
		e.Leave()
	}, func(d *codec.Decoder) (v unsound) {
		for range d.Fields([]string{"N"}) {
			v.N = d.Int()
		}
		return v
	})
}
func (m *unsound) Validate() error { return (*validate.Load())() }

// ACC-51, BUG-34: whatever a handler does, short of what ends its process, its call ends with an error, in every shape, its place is free again when it has returned, and the next call works.
// A stack that overflows, a data race that the runtime sees and os.Exit are the end of the process, as everywhere in Go.
func TestACC51Misdeeds(t *testing.T) {
	for name, do := range misdeeds {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				net := daffitest.New(t)
				var lost, told atomic.Int64
				server := net.NodeWith(daffi.Options{Name: "server", Logger: slog.New(slog.NewJSONHandler(io.Discard, nil)), OnLost: func(c daffi.LostCall) {
					lost.Add(1)
					defer told.Add(1)
					do()
				}})
				client := net.Node("client")
				impl := &rowdy{do: do}
				_, err := testkit.RegisterKit(server, impl)
				require.NoError(t, err)
				_, err = daffi.Handle(server, "Rowdy.Typed", func(context.Context, int) (int, error) { return 0, do() })
				require.NoError(t, err)
				validate.Store(&do)
				_, err = daffi.Handle(server, "Rowdy.Validated", func(context.Context, unsound) (int, error) { return 0, errors.New("it was not asked") })
				require.NoError(t, err)
				_, err = daffi.Handle(server, "Rowdy.Around", func(context.Context, int) (int, error) { return 1, nil },
					daffi.InterceptHandlers(func(ctx context.Context, _ *daffi.Interception, next func(context.Context) error) error {
						if err := next(ctx); err != nil {
							return err
						}
						return do()
					}))
				require.NoError(t, err)
				_, err = daffi.Handle(server, "Rowdy.Serial", func(context.Context, int) (int, error) { return 0, do() }, daffi.Serial())
				require.NoError(t, err)
				_, err = daffi.HandleUnknown(server, "unknown", func(context.Context, *daffi.RawCall) error { return do() })
				require.NoError(t, err)

				p, many := testkit.NewKit(client), testkit.NewMany(client)
				for shape, call := range map[string]func(context.Context) error{
					"unary":  func(ctx context.Context) error { _, err := p.Fail(ctx, ""); return err },
					"output": func(ctx context.Context) error { return drainSeq(p.Count(ctx, 1, "")) },
					"input":  func(ctx context.Context) error { _, err := p.Sum(ctx, 0, numbers(3)); return err },
					"bidirectional": func(ctx context.Context) error {
						return drainSeq(p.Chat(ctx, func(yield func(string, error) bool) { yield("x", nil) }))
					},
					"item stream": func(ctx context.Context) error { return many.AddEach(ctx, numbers(3)) },
					"typed":       func(ctx context.Context) error { _, err := daffi.Invoke(ctx, client, "Rowdy.Typed", 1); return err },
					"validated": func(ctx context.Context) error {
						_, err := daffi.Invoke(ctx, client, "Rowdy.Validated", &unsound{})
						return err
					},
					"intercepted": func(ctx context.Context) error { _, err := daffi.Invoke(ctx, client, "Rowdy.Around", 1); return err },
					"serial":      func(ctx context.Context) error { _, err := daffi.Invoke(ctx, client, "Rowdy.Serial", 1); return err },
					"unknown":     func(ctx context.Context) error { return unknownCall(client)(ctx) },
					"broadcast": func(ctx context.Context) error {
						for _, r := range p.Prepare().Fail("").Broadcast(ctx) {
							return r.Err
						}
						return nil
					},
				} {
					for range 3 {
						ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
						err := call(ctx)
						cancel()
						e, ok := errors.AsType[*daffi.Error](err)
						require.True(t, ok, "%s: %v", shape, err)
						assert.Contains(t, []daffi.Outcome{daffi.Ran, daffi.NotRun}, e.Outcome, "%s: %v", shape, err)
						assert.NotEqual(t, daffi.DeadlineExceeded, e.Code, "%s: %v", shape, err)
					}
				}
				require.NoError(t, p.Note(t.Context(), ""))
				synctest.Wait()
				require.EqualValues(t, 1, lost.Load())
				require.EqualValues(t, 1, told.Load())
				require.Empty(t, server.Held())
				require.Empty(t, client.Held())
				_, err = p.Echo(t.Context(), []byte("x"))
				require.NoError(t, err)
			})
		})
	}
}

func drainSeq[T any](seq iter.Seq2[T, error]) (err error) {
	for _, e := range seq {
		if e != nil {
			err = e
		}
	}
	return err
}

// unknownCall calls a method that nobody serves.
func unknownCall(client *daffi.Node) func(context.Context) error {
	b := daffi.Bind(client, &daffi.Client{Service: "unknown", Methods: []daffi.Method{{Name: "M", Sig: "()()"}}})
	return func(ctx context.Context) error { return daffi.NewAction(b, 0, nil).Do(ctx) }
}

// ACC-51: what a handler yields or changes after it has returned reaches nobody, and harms nobody.
func TestACC51AfterTheReturn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := daffitest.New(t)
		server, client := net.Node("server"), net.Node("client")
		late := make(chan func(), 2)
		impl := &afterwards{late: late}
		_, err := testkit.RegisterKit(server, impl)
		require.NoError(t, err)
		p := testkit.NewKit(client)
		var got []int
		for n, err := range p.Count(t.Context(), 0, "") {
			require.NoError(t, err)
			got = append(got, n)
		}
		require.Equal(t, []int{1}, got)
		require.Panics(t, <-late, "Go itself stops who yields after the loop")
		b, err := p.Echo(t.Context(), []byte("abc"))
		require.NoError(t, err)
		(<-late)()
		require.Equal(t, "abc", string(b), "the handler has changed what its caller has")
		synctest.Wait()
		require.Empty(t, server.Held())
		require.Empty(t, client.Held())
	})
}

// afterwards keeps what it should not, and gives the test what to do with it later.
type afterwards struct {
	testkit.Impl
	late chan func()
}

func (k *afterwards) Count(context.Context, int, string) iter.Seq2[int, error] {
	return func(yield func(int, error) bool) {
		yield(1, nil)
		k.late <- func() {
			yield(2, nil)
		}
	}
}

func (k *afterwards) Echo(_ context.Context, b []byte) ([]byte, error) {
	k.late <- func() { clear(b) }
	return b, nil
}
