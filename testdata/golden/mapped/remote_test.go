package mapped

import (
	"context"
	"errors"
	"io"
	"iter"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	daffi "github.com/daffi-rpc/daffi/runtime"
	"github.com/daffi-rpc/daffi/runtime/daffitest"
)

// store notes what reaches it.
type store struct {
	mu    sync.Mutex
	lines []string
	block chan struct{} // Put waits for it, if it is not nil
}

func (s *store) note(line string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lines = append(s.lines, line)
}

func (s *store) taken() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	lines := s.lines
	s.lines = nil
	return lines
}

func (s *store) Put(ctx context.Context, name string, data []byte) (int, error) {
	s.note(name + "=" + string(data))
	if s.block != nil {
		<-s.block
	}
	return len(data), nil
}

func (s *store) Note(_ context.Context, line string) error { s.note(line); return nil }
func (s *store) Log(_ context.Context, line string) error  { s.note("log " + line); return nil }
func (s *store) Reset(context.Context) error               { s.note("reset"); return nil }

func (s *store) Range(_ context.Context, from, to int) iter.Seq2[int, error] {
	return func(yield func(int, error) bool) {
		for n := from; n <= to && yield(n, nil); n++ {
		}
	}
}

func (s *store) Sum(_ context.Context, scale int, in iter.Seq2[int, error]) (sum int, err error) {
	for n, err := range in {
		if err != nil {
			return 0, err
		}
		sum += n * scale
	}
	return sum, nil
}

func (s *store) Echo(_ context.Context, prefix string, in iter.Seq2[string, error]) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for line, err := range in {
			if !yield(prefix+line, err) {
				return
			}
		}
	}
}

func (s *store) Save(_ context.Context, parts map[string]Part) error {
	for name, p := range parts {
		s.note("save " + name + "=" + p.Name)
	}
	return nil
}

func (s *store) Tell(_ context.Context, line string) error { s.note("tell " + line); return nil }

func (s *store) Take(_ context.Context, part Part) error {
	s.note("take " + part.Name)
	if part.Name == "last" {
		return ErrBad
	}
	return nil
}

func newKit(t *testing.T, o daffi.Options) (*store, *UploaderProxy) {
	net := daffitest.New(t)
	s := new(store)
	o.Name = "server"
	if _, err := RegisterStore(net.NodeWith(o), s); err != nil {
		t.Fatal(err)
	}
	return s, NewUploader(net.Node("client"))
}

// reader counts how often it is read to its end.
type reader struct {
	text string
	read int
}

func (r *reader) Read(p []byte) (int, error) {
	r.read++
	return copy(p, r.text), io.EOF
}

// requireNotSent checks the error of a call whose arguments could not be made.
func requireNotSent(t *testing.T, err, want error) {
	t.Helper()
	e, ok := errors.AsType[*daffi.Error](err)
	if !ok || e.Outcome != daffi.NotRun || e.Method == "" || !errors.Is(err, want) || !strings.Contains(err.Error(), "nothing was sent: ") {
		t.Errorf("%#v", err)
	}
}

// TestD33Mapped calls in every shape.
func TestD33Mapped(t *testing.T) {
	s, up := newKit(t, daffi.Options{})
	ctx := context.WithValue(t.Context(), userKey{}, "bob")
	r := &reader{text: "tea"}
	n, err := up.Put(ctx, "a", r)
	if got := s.taken(); n != 3 || err != nil || r.read != 1 || !slices.Equal(got, []string{"A=tea"}) {
		t.Error(n, err, r.read, got)
	}
	err = errors.Join(up.Note(ctx, "a", "b"), up.NoteList(ctx, "c", "d"), up.NoteSlice(ctx, []string{"e", "f"}), up.Reset(ctx, func() bool { return true }))
	if got := s.taken(); err != nil || !slices.Equal(got, []string{"a b", "c d", "e f", "reset"}) {
		t.Error(err, got)
	}
	err = up.Save(ctx, Part{"x", 1})
	if got := s.taken(); err != nil || !slices.Equal(got, []string{"save x=x"}) {
		t.Error(err, got)
	}
	var numbers []int
	for n, err := range up.Range(ctx, "3-5") {
		if err != nil {
			t.Error(err)
		}
		numbers = append(numbers, n)
	}
	if !slices.Equal(numbers, []int{3, 4, 5}) {
		t.Error(numbers)
	}
	if sum, err := up.Sum(ctx, true, slices.Values([]int{1, 2})); sum != 30 || err != nil {
		t.Error(sum, err)
	}
	for line, err := range up.Echo(ctx, daffi.NoError(slices.Values([]string{"hi"}))) {
		if line != "bob: hi" || err != nil {
			t.Error(line, err)
		}
	}
}

// TestPrepared maps when a call runs, each time that it does, and for Post as well.
func TestPrepared(t *testing.T) {
	s, up := newKit(t, daffi.Options{})
	r := &reader{text: "x"}
	call := up.Prepare().Put("a", r)
	if r.read != 0 {
		t.Error("read before the call has run")
	}
	for range 2 {
		if _, err := call.With(daffi.To("server")).Do(t.Context()); err != nil {
			t.Error(err)
		}
	}
	if got := s.taken(); r.read != 2 || !slices.Equal(got, []string{"A=x", "A=x"}) {
		t.Error(r.read, got)
	}
	if err := call.Post(t.Context()); err != nil || r.read != 3 {
		t.Error(err, r.read)
	}
	stream := up.Prepare().Range("1-1").Do(t.Context())
	for range 2 {
		for n, err := range stream {
			if n != 1 && !errors.Is(err, daffi.ErrStreamConsumed) {
				t.Error(n, err)
			}
		}
	}
}

// TestMapFails sends nothing after an error.
func TestMapFails(t *testing.T) {
	s, up := newKit(t, daffi.Options{})
	ctx := t.Context()
	requireNotSent(t, up.Note(ctx), ErrBad)
	requireNotSent(t, up.Log(ctx), ErrBad)
	requireNotSent(t, up.Tell(ctx), ErrBad)
	requireNotSent(t, up.Prepare().Note().Post(ctx), ErrBad)
	requireNotSent(t, up.Reset(ctx, func() bool { return false }), ErrBad)
	_, err := up.Put(ctx, "a", iotest{io.ErrUnexpectedEOF})
	requireNotSent(t, err, io.ErrUnexpectedEOF)
	_, err = up.Put(ctx, "a", iotest{&daffi.Error{Code: daffi.NotFound, Outcome: daffi.Ran, Method: "Other.Call"}})
	if requireNotSent(t, err, err); daffi.CodeOf(err) != daffi.NotFound {
		t.Error(err)
	}
	pulled := false
	lines := func(yield func(string, error) bool) { pulled = true }
	for _, err := range up.Echo(ctx, lines) {
		requireNotSent(t, err, ErrBad)
	}
	for _, err := range up.Range(ctx, "x") {
		requireNotSent(t, err, ErrBad)
	}
	if got := s.taken(); len(got) > 0 || pulled {
		t.Error(got, pulled)
	}
}

type iotest struct{ err error }

func (r iotest) Read([]byte) (int, error) { return 0, r.err }

type panicking struct{}

func (panicking) Read([]byte) (int, error) { panic("unsure") }

// TestMapMeetsTheEndOfItsContext sends nothing either.
func TestMapMeetsTheEndOfItsContext(t *testing.T) {
	s, up := newKit(t, daffi.Options{})
	ctx, cancel := context.WithCancel(t.Context())
	err := up.Reset(ctx, func() bool { cancel(); return true })
	if got := s.taken(); !errors.Is(err, context.Canceled) || daffi.OutcomeOf(err) != daffi.NotRun || len(got) > 0 {
		t.Error(err, got)
	}
}

// TestMapIsNotRepeated has a call tried again that was refused: what was mapped once is sent again.
func TestMapIsNotRepeated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, up := newKit(t, daffi.Options{MaxRunning: 1, MaxQueue: -1})
		s.block = make(chan struct{})
		var calls sync.WaitGroup
		calls.Go(func() {
			if _, err := up.Put(t.Context(), "first", &reader{}); err != nil {
				t.Error(err)
			}
		})
		synctest.Wait()
		r := &reader{text: "x"}
		start := time.Now()
		_, err := up.Put(t.Context(), "second", r)
		if e, ok := errors.AsType[*daffi.Error](err); !ok || e.Reason != daffi.ReasonBusy || time.Since(start) < 20*time.Millisecond || r.read != 1 {
			t.Error(err, time.Since(start), r.read)
		}
		close(s.block)
		calls.Wait()
	})
}

// TestMappedEvent maps once, for all who are told.
func TestMappedEvent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, up := newKit(t, daffi.Options{})
		if err := up.Tell(t.Context(), "a", "b"); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		if got := s.taken(); !slices.Equal(got, []string{"tell a b"}) {
			t.Error(got)
		}
	})
}

// TestMapPanics has the panic reach the caller.
func TestMapPanics(t *testing.T) {
	s, up := newKit(t, daffi.Options{})
	for _, call := range []func(){
		func() { _ = up.Reset(t.Context(), func() bool { panic("unsure") }) },
		func() {
			_ = up.TakeMost(t.Context(), func(yield func(io.Reader, error) bool) { yield(panicking{}, nil) })
		},
	} {
		func() {
			defer func() {
				if r := recover(); r != "unsure" {
					t.Error(r)
				}
			}()
			call()
		}()
	}
	if err := up.Reset(t.Context(), func() bool { return true }); err != nil || len(s.taken()) != 1 {
		t.Error(err)
	}
}

func readers(texts ...string) iter.Seq2[io.Reader, error] {
	return func(yield func(io.Reader, error) bool) {
		for _, text := range texts {
			if !yield(strings.NewReader(text), nil) {
				return
			}
		}
	}
}

// TestMappedItems maps every item of an item stream. An error of the function ends it as one of the sequence does.
func TestMappedItems(t *testing.T) {
	s, up := newKit(t, daffi.Options{})
	ctx := t.Context()
	first := func(yield func(io.Reader) bool) {
		for r := range readers("a\n1", "b\n2") {
			if !yield(r) {
				return
			}
		}
	}
	if err := up.TakeEach(ctx, first); err != nil {
		t.Error(err)
	}
	if got := s.taken(); !slices.Equal(got, []string{"take a", "take b"}) {
		t.Error(got)
	}
	for _, end := range []iter.Seq2[io.Reader, error]{
		func(yield func(io.Reader, error) bool) {
			_ = yield(strings.NewReader("a"), nil) && yield(nil, io.ErrClosedPipe)
		},
		func(yield func(io.Reader, error) bool) {
			_ = yield(strings.NewReader("a"), nil) && yield(iotest{io.ErrClosedPipe}, nil)
		},
	} {
		err := up.TakeMost(ctx, end)
		if got := s.taken(); !errors.Is(err, io.ErrClosedPipe) || daffi.CodeOf(err) != daffi.Aborted || !slices.Equal(got, []string{"take a"}) {
			t.Error(err, got)
		}
	}
	far := up.TakeMost(ctx, readers("a", "last", "b"))
	if got := s.taken(); !errors.Is(far, ErrBad) || !slices.Equal(got, []string{"take a", "take last"}) {
		t.Error(far, got)
	}
}

// TestMappedItemsEnd has a call end while an item is mapped: the function is told, and what ended the call is what the caller sees.
func TestMappedItemsEnd(t *testing.T) {
	items := func(name string) iter.Seq2[io.Reader, error] {
		return func(yield func(io.Reader, error) bool) { _ = yield(strings.NewReader(name), nil) && yield(nil, nil) }
	}
	synctest.Test(t, func(t *testing.T) {
		_, up := newKit(t, daffi.Options{})
		if err := up.TakeMost(t.Context(), items("last")); !errors.Is(err, ErrBad) {
			t.Error(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := up.TakeMost(ctx, items("a")); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
	})
}

// TestStranger calls by the wire name alone.
func TestStranger(t *testing.T) {
	net := daffitest.New(t)
	s := new(store)
	if _, err := RegisterStore(net.Node("server"), s, daffi.As("far.Store")); err != nil {
		t.Fatal(err)
	}
	far := NewStranger(net.Node("client"))
	_, err := far.Put(t.Context(), "", "", nil, nil)
	requireNotSent(t, err, ErrBad)
	if err := far.TakeEach(t.Context(), func(yield func(io.Reader) bool) { yield(strings.NewReader("x")) }); err != nil {
		t.Error(err)
	}
	if got := s.taken(); !slices.Equal(got, []string{"take x"}) {
		t.Error(got)
	}
}
