package codecs

import (
	"context"
	"errors"
	"iter"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"

	daffi "github.com/daffi-rpc/daffi/runtime"
	"github.com/daffi-rpc/daffi/runtime/codec"
	"github.com/daffi-rpc/daffi/runtime/daffitest"
)

// store answers with what it is given.
type store struct {
	put  [][]*Entry
	logs []string
}

func (s *store) Get(_ context.Context, id string) (Entry, error) {
	return Entry{ID: id, Extra: map[string]any{"n": 1.0}, Next: &Entry{ID: id + "+"}}, nil
}

func (s *store) Put(_ context.Context, entries ...*Entry) error {
	s.put = append(s.put, entries)
	return nil
}

func (s *store) Count(_ context.Context, by struct{ Prefix string }) (int, map[string]int, error) {
	return len(by.Prefix), map[string]int{by.Prefix: 1}, nil
}

func (s *store) Watch(_ context.Context, ids []string) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		for _, id := range ids {
			if !yield(Entry{ID: id}, nil) {
				return
			}
		}
	}
}

func (s *store) Merge(_ context.Context, in iter.Seq2[Entry, error]) (n int, err error) {
	for e, err := range in {
		if err != nil {
			return 0, err
		}
		n += len(e.ID)
	}
	return n, nil
}

func (s *store) Pipe(_ context.Context, in iter.Seq2[any, error]) iter.Seq2[[2]any, error] {
	return func(yield func([2]any, error) bool) {
		for v, err := range in {
			if !yield([2]any{v, v}, err) {
				return
			}
		}
	}
}

func (s *store) Ping(context.Context) error { return nil }

func (s *store) Upload(_ context.Context, part []byte) (Blob, error) { return part, nil }

func (s *store) Chunks(_ context.Context, blob Blob, in iter.Seq2[Blob, error]) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		if !yield(blob, nil) {
			return
		}
		for b, err := range in {
			if !yield(b, err) {
				return
			}
		}
	}
}

func (s *store) Resolve(_ context.Context, name string, title Title) (netip.Addr, error) {
	return netip.ParseAddr(name + string(title))
}

func (s *store) Reverse(_ context.Context, in iter.Seq2[netip.Addr, error]) iter.Seq2[Title, error] {
	return func(yield func(Title, error) bool) {
		for a, err := range in {
			if !yield(Title(a.String()), err) {
				return
			}
		}
	}
}

func (s *store) Translate(_ context.Context, text string) (string, Title, error) {
	switch text {
	case "panic": // cannot be read by the caller
		return "Bye", "panic", nil
	case "Bye":
		return "nothing for this", "", nil
	case "": // cannot be written
		return "marshal panics", "", nil
	}
	return text, "Bye", nil
}

func (s *store) Motto(context.Context) (string, error) { return "Hello World", nil }

func (s *store) Phrases(_ context.Context, in iter.Seq2[string, error]) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for text, err := range in {
			if !yield(text, err) {
				return
			}
		}
	}
}

func (s *store) Area(_ context.Context, shape Shape, more func(Shape) chan int) ([1]float64, error) {
	if more != nil {
		return [1]float64{}, errors.New("a function has travelled")
	}
	return [1]float64{shape.Area()}, nil
}

func (s *store) Plain(_ context.Context, text string, blob Blob) (string, error) {
	return text + string(blob), nil
}

func (s *store) Log(_ context.Context, line string) error {
	s.logs = append(s.logs, line)
	return nil
}

// join serves a store at one node and calls it from another.
func join(t *testing.T, server, client daffi.Options) (*ClientProxy, *store) {
	network, s := daffitest.New(t), new(store)
	server.Name, client.Name = "server", "client"
	if _, err := RegisterStore(network.NodeWith(server), s); err != nil {
		t.Fatal(err)
	}
	return NewClient(network.NodeWith(client)), s
}

// with are the options of a node with both codecs.
func with(t *testing.T) daffi.Options { return daffi.Options{Codecs: registry(t, 40)} }

// TestRemote calls every method through a controller.
func TestRemote(t *testing.T) {
	c, s := join(t, with(t), with(t))
	ctx := t.Context()
	if e, err := c.Get(ctx, "<a>"); err != nil || e.ID != "<a>" || e.Next.ID != "<a>+" || !reflect.DeepEqual(e.Extra, map[string]any{"n": 1.0}) {
		t.Error(e, err)
	}
	if err := c.Put(ctx, nil, &Entry{ID: "x", Parent: make(chan<- Entry)}); err != nil || len(s.put) != 1 || s.put[0][0] != nil || s.put[0][1].ID != "x" || s.put[0][1].Parent != nil {
		t.Error(s.put, err)
	}
	if n, per, err := c.Count(ctx, struct{ Prefix string }{"abc"}); err != nil || n != 3 || per["abc"] != 1 {
		t.Error(n, per, err)
	}
	ids := []string{"1", "2", "3"}
	var got []string
	for e, err := range c.Watch(ctx, ids) {
		if err != nil {
			t.Error(err)
		}
		got = append(got, e.ID)
	}
	if !slices.Equal(got, ids) {
		t.Error(got)
	}
	if n, err := c.Merge(ctx, func(yield func(Entry) bool) { _ = yield(Entry{ID: "ab"}) && yield(Entry{ID: "c"}) }); err != nil || n != 3 {
		t.Error(n, err)
	}
	for v, err := range c.Pipe(ctx, func(yield func(any, error) bool) { yield([]any{"a", 1.0}, nil) }) {
		if want := any([]any{"a", 1.0}); err != nil || !reflect.DeepEqual(v, [2]any{want, want}) {
			t.Error(v, err)
		}
	}
	if err := c.Ping(ctx); err != nil {
		t.Error(err)
	}
	for _, b := range [][]byte{nil, {}, {0, 1, 255}} {
		if back, err := c.Upload(ctx, b); err != nil || !reflect.DeepEqual([]byte(back), b) {
			t.Error(back, err)
		}
	}
	var chunks []string
	for b, err := range c.Chunks(ctx, Blob("1"), func(yield func(Blob, error) bool) { _ = yield(Blob("2"), nil) && yield(nil, nil) }) {
		if err != nil {
			t.Error(err)
		}
		chunks = append(chunks, string(b))
	}
	if !slices.Equal(chunks, []string{"1", "2", ""}) {
		t.Error(chunks)
	}
	if a, err := c.Resolve(ctx, "1.2.", "3.4"); err != nil || a != netip.MustParseAddr("1.2.3.4") {
		t.Error(a, err)
	}
	for title, err := range c.Reverse(ctx, func(yield func(netip.Addr, error) bool) { yield(netip.MustParseAddr("::1"), nil) }) {
		if err != nil || title != "::1" {
			t.Error(title, err)
		}
	}
	if text, title, err := c.Translate(ctx, "Hello World"); err != nil || text != "Hello World" || title != "Bye" {
		t.Error(text, title, err)
	}
	if motto, err := c.Motto(ctx); err != nil || motto != "Hello World" {
		t.Error(motto, err)
	}
	if got := phrases(c, ctx, "Hello World", "Bye", "Hello World"); !slices.Equal(got, []string{"Hello World", "Bye", "Hello World"}) {
		t.Error(got)
	}
	if area, err := c.Area(ctx, Square(3), func(Shape) chan int { return nil }); err != nil || area != [1]float64{9} {
		t.Error(area, err)
	}
	if text, err := c.Plain(ctx, "a", Blob("b")); err != nil || text != "ab" {
		t.Error(text, err)
	}
	if err := c.Log(ctx, "Bye"); err != nil {
		t.Error(err)
	}
	if err := c.LogAll(ctx, slices.Values([]string{"Hello World", "Bye"})); err != nil || !slices.Equal(s.logs, []string{"Bye", "Hello World", "Bye"}) {
		t.Error(s.logs, err)
	}
}

// phrases sends texts through a stream and lists what comes back, an error as its text.
func phrases(c *ClientProxy, ctx context.Context, texts ...string) (got []string) {
	for text, err := range c.Phrases(ctx, daffi.NoError(slices.Values(texts))) {
		if err != nil {
			text = err.Error()
		}
		got = append(got, text)
	}
	return got
}

// fails wants an error with all that the text is to say.
func fails(t *testing.T, err error, code daffi.Code, reason daffi.Reason, outcome daffi.Outcome, parts ...string) {
	t.Helper()
	e, ok := errors.AsType[*daffi.Error](err)
	if !ok || e.Code != code || e.Reason != reason || e.Outcome != outcome {
		t.Errorf("%v, want %v/%v and %v: %+v", err, code, reason, outcome, e)
		return
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%v does not say %q", err, part)
		}
	}
}

// works calls what needs no codec, after another call has failed.
func works(t *testing.T, c *ClientProxy) {
	t.Helper()
	if text, err := c.Plain(t.Context(), "a", nil); err != nil || text != "a" {
		t.Error(text, err)
	}
	if e, err := c.Get(t.Context(), "a"); err != nil || e.ID != "a" {
		t.Error(e, err)
	}
}

const cure = "register it with Options.Codecs of both nodes"

// TestUnknownAtCallee has a server without the codec.
func TestUnknownAtCallee(t *testing.T) {
	c, s := join(t, daffi.Options{}, with(t))
	ctx := t.Context()
	_, _, err := c.Translate(ctx, "Hello World")
	fails(t, err, daffi.InvalidArgument, daffi.ReasonDecode, daffi.NotRun, "my-table", "at node server", "written by codec 40", cure)
	_, err = c.Motto(ctx)
	fails(t, err, daffi.Internal, daffi.ReasonEncode, daffi.Ran, "my-table", "at node server", cure)
	err = c.LogAll(ctx, slices.Values([]string{"Bye"}))
	fails(t, err, daffi.InvalidArgument, daffi.ReasonDecode, daffi.NotRun, "my-table", "at node server", cure)
	for _, err = range c.Phrases(ctx, daffi.NoError(slices.Values([]string{"Bye"}))) {
	}
	fails(t, err, daffi.InvalidArgument, daffi.ReasonDecode, daffi.Ran, "my-table", "at node server", cure)
	if len(s.logs) > 0 {
		t.Error(s.logs)
	}
	works(t, c)
}

// TestUnknownAtCaller has a client without the codec. Registering it helps at once.
func TestUnknownAtCaller(t *testing.T) {
	codecs := new(codec.Registry)
	c, s := join(t, with(t), daffi.Options{Codecs: codecs})
	ctx := t.Context()
	_, _, err := c.Translate(ctx, "Hello World")
	fails(t, err, daffi.InvalidArgument, daffi.ReasonEncode, daffi.NotRun, "my-table", "at node client", cure)
	_, err = c.Motto(ctx)
	fails(t, err, daffi.Internal, daffi.ReasonDecode, daffi.Ran, "my-table", "at node client", "written by codec 40", cure)
	err = c.LogAll(ctx, slices.Values([]string{"Bye"}))
	fails(t, err, daffi.InvalidArgument, daffi.ReasonEncode, daffi.MayHaveRun, "my-table", "at node client", cure)
	for _, err = range c.Phrases(ctx, daffi.NoError(slices.Values([]string{"Bye"}))) {
	}
	fails(t, err, daffi.InvalidArgument, daffi.ReasonEncode, daffi.MayHaveRun, "my-table", "at node client", cure)
	if len(s.logs) > 0 {
		t.Error(s.logs)
	}
	works(t, c)
	if err := codecs.Register(newTable(40)); err != nil {
		t.Error(err)
	}
	if motto, err := c.Motto(ctx); err != nil || motto != "Hello World" {
		t.Error(motto, err)
	}
}

// TestOtherID has the codec under another id at each node.
func TestOtherID(t *testing.T) {
	c, _ := join(t, with(t), daffi.Options{Codecs: registry(t, 50)})
	_, _, err := c.Translate(t.Context(), "Hello World")
	fails(t, err, daffi.InvalidArgument, daffi.ReasonDecode, daffi.NotRun, "codec 40 (my-table) expected at node server", "a value of codec 50 found")
	_, err = c.Motto(t.Context())
	fails(t, err, daffi.Internal, daffi.ReasonDecode, daffi.Ran, "codec 50 (my-table) expected at node client", "a value of codec 40 found")
	works(t, c)
}

// TestCodecFails has codecs that cannot do what is asked of them, or panic.
func TestCodecFails(t *testing.T) {
	c, s := join(t, with(t), with(t))
	ctx := t.Context()
	_, _, err := c.Translate(ctx, "Good night")
	fails(t, err, daffi.InvalidArgument, daffi.ReasonEncode, daffi.NotRun, `codec 40 (my-table) at node client: "Good night" is not in the table`)
	if !errors.Is(err, errNotInTable) {
		t.Error("the codec's own error is lost at the caller")
	}
	_, _, err = c.Translate(ctx, "panic")
	fails(t, err, daffi.InvalidArgument, daffi.ReasonDecode, daffi.NotRun, "codec 40 (my-table) at node server panicked")
	_, _, err = c.Translate(ctx, "Bye")
	fails(t, err, daffi.Internal, daffi.ReasonEncode, daffi.Ran, `codec 40 (my-table) at node server: "nothing for this" is not in the table`)
	_, _, err = c.Translate(ctx, "")
	fails(t, err, daffi.Internal, daffi.ReasonPanic, daffi.Ran, "handler panicked (id ")
	_, err = c.Get(ctx, "a")
	if err != nil {
		t.Error(err)
	}
	err = c.Put(ctx, &Entry{Extra: make(chan int)})
	fails(t, err, daffi.InvalidArgument, daffi.ReasonEncode, daffi.NotRun, "codec 3 (json) at node client", "chan int")
	for _, err = range c.Pipe(ctx, func(yield func(any, error) bool) { yield(func() {}, nil) }) {
	}
	fails(t, err, daffi.InvalidArgument, daffi.ReasonEncode, daffi.MayHaveRun, "codec 3 (json) at node client")
	for _, err = range c.Phrases(ctx, daffi.NoError(slices.Values([]string{"Bye", "panic"}))) {
	}
	fails(t, err, daffi.InvalidArgument, daffi.ReasonDecode, daffi.Ran, "codec 40 (my-table) at node server panicked")
	err = c.LogAll(ctx, slices.Values([]string{"Bye", "panic", "Bye"}))
	fails(t, err, daffi.InvalidArgument, daffi.ReasonDecode, daffi.Ran, "codec 40 (my-table) at node server panicked")
	if !slices.Equal(s.logs, []string{"Bye"}) {
		t.Error(s.logs)
	}
	works(t, c)

	// At the caller an encoder's panic is the caller's own, also that of an item.
	for name, call := range map[string]func(){
		"argument": func() { _ = c.Log(ctx, "marshal panics") },
		"item":     func() { _ = c.LogAll(ctx, slices.Values([]string{"marshal panics"})) },
	} {
		func() {
			defer func() {
				if r := recover(); r != "no code for this" {
					t.Errorf("%s: %v", name, r)
				}
			}()
			call()
			t.Errorf("%s: no panic", name)
		}()
	}
	works(t, c)
}

// TestLimits sends as much as a message may hold, and one byte more, in every direction.
func TestLimits(t *testing.T) {
	const limit = 1 << 20
	const overhead = 1 + 5 + 1 // of the argument array, the bin, and the codec's id
	server, client := with(t), with(t)
	client.MaxMessage = limit
	c, _ := join(t, server, client)
	ctx := t.Context()
	back, err := c.Upload(ctx, make([]byte, limit-overhead))
	if err != nil || len(back) != limit-overhead {
		t.Error(len(back), err)
	}
	_, err = c.Upload(ctx, make([]byte, limit-overhead+1))
	fails(t, err, daffi.ResourceExhausted, daffi.ReasonTooLarge, daffi.NotRun)
	_, _, err = c.Translate(ctx, "big") // its codec writes a whole MiB
	fails(t, err, daffi.ResourceExhausted, daffi.ReasonTooLarge, daffi.NotRun)
	err = c.LogAll(ctx, slices.Values([]string{"big"}))
	fails(t, err, daffi.ResourceExhausted, daffi.ReasonTooLarge, daffi.MayHaveRun)
	works(t, c)

	server.MaxMessage, client.MaxMessage = limit, 0
	c, s := join(t, server, client)
	if e, err := c.Get(ctx, strings.Repeat("x", limit/2-100)); err != nil || len(e.Next.ID) != limit/2-99 {
		t.Error(len(e.ID), err)
	}
	_, err = c.Get(ctx, strings.Repeat("x", limit/2))
	fails(t, err, daffi.ResourceExhausted, daffi.ReasonReplyTooLarge, daffi.Ran)
	works(t, c)
	_ = s
}

// TestBudget sends text that becomes many values, and text that would become too much in memory. What may be spent on a message of
// more than 255 KiB is 16 MiB.
func TestBudget(t *testing.T) {
	c, s := join(t, with(t), with(t))
	entries := make([]*Entry, 50_000)
	for k := range entries {
		entries[k] = &Entry{ID: "x"}
	}
	if err := c.Put(t.Context(), entries...); err != nil || len(s.put) != 1 || len(s.put[0]) != len(entries) {
		t.Error(err)
	}
	for k := range entries {
		entries[k].Extra = map[string]int{"a": k} // a map of one entry takes about 500 bytes
	}
	err := c.Put(t.Context(), entries...)
	fails(t, err, daffi.InvalidArgument, daffi.ReasonDecode, daffi.NotRun, codec.ErrBudget.Error())
	if len(s.put) != 1 {
		t.Error("the handler has run")
	}
	works(t, c)
}
