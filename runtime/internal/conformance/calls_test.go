package conformance

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	daffi "github.com/daffi-rpc/daffi/runtime"
	"github.com/daffi-rpc/daffi/runtime/codec"
	"github.com/daffi-rpc/daffi/runtime/internal/testkit"
	"github.com/daffi-rpc/daffi/runtime/internal/testkit/skewed"
)

// scenario is what every world must pass.
type scenario struct {
	name string
	run  func(t *testing.T, w *world)
}

var scenarios = []scenario{
	{"echo", echo},
	{"errors", failures},
	{"timeout", timeout},
	{"unsupported", unsupported},
	{"unknown codec", unknownCodec},
	{"other version", otherVersion},
	{"many methods", manyMethods},
	{"distinct callbacks", distinctCallbacks},
	{"pipeline of nine", pipeline},
	{"unresponsive peer", unresponsive},
	{"server streams", serverStreams},
	{"a stream that is left", leftStream},
	{"item stream", itemStream},
	{"background", background},
	{"delayed", delayed},
	{"one-way", oneway},
	{"broadcast", broadcast},
	{"broadcasts", broadcasts},
	{"item streams to many", itemStreams},
	{"planned", planned},
	{"task list", taskList},
	{"task of an unknown method", unknownTask},
	{"workers", workers},
	{"live changes", liveChanges},
	{"messages", messages},
}

// echo gets back exactly what it has sent.
func echo(t *testing.T, w *world) {
	w.desk("server")
	p := NewDesk(w.node("client"))
	for range 20 {
		n, text, list, table := rand.Int(), randomText(), []Parcel{randomParcel(2), randomParcel(0)}, map[string]Parcel{"a": randomParcel(1), "": {}}
		gotN, gotText, gotList, gotTable, err := p.Echo(t.Context(), n, text, list, table)
		require.NoError(t, err)
		require.Equal(t, n, gotN)
		require.Equal(t, text, gotText)
		require.Equal(t, list, gotList)
		require.Equal(t, table, gotTable)
	}
}

func randomText() string {
	b := make([]rune, rand.IntN(40))
	for i := range b {
		b[i] = rune(0x20 + rand.IntN(0x500))
	}
	return string(b)
}

// randomParcel has others inside, depth of them.
func randomParcel(depth int) Parcel {
	p := Parcel{
		Count: rand.Int() - rand.Int(), Small: int8(rand.Int()), Size: rand.Uint64(), Weight: rand.NormFloat64(), Fragile: rand.IntN(2) == 0, Label: randomText(),
		Content: []byte(randomText()), Tags: []string{randomText(), ""}, Stock: map[string]int{randomText(): rand.IntN(100)}, Places: [2][2]int{{1, 2}, {rand.IntN(9), 4}},
		Sent: time.Unix(rand.Int64N(1<<32), rand.Int64N(1e9)).UTC(), Travel: time.Duration(rand.Int64()),
	}
	if depth > 0 {
		inner := randomParcel(depth - 1)
		p.Inner = &inner
	}
	return p
}

// failures of a handler arrive as what they are.
func failures(t *testing.T, w *world) {
	w.desk("server")
	p := NewDesk(w.node("client"))
	r, err := p.Buy(t.Context(), "sold out")
	require.ErrorIs(t, err, ErrSoldOut)
	requireError(t, err, daffi.Unknown, "", daffi.Ran)
	require.Empty(t, r, "with an error the results are zero")
	_, err = p.Buy(t.Context(), "short")
	var short ErrShort
	require.ErrorAs(t, err, &short)
	require.Equal(t, ErrShort{Wanted: 3, Left: 1}, short)
	_, err = p.Buy(t.Context(), "coded")
	requireError(t, err, daffi.NotFound, "no_such_item", daffi.Ran)
	_, err = p.Buy(t.Context(), "panic")
	requireError(t, err, daffi.Internal, daffi.ReasonPanic, daffi.Ran)
	r, err = p.Buy(t.Context(), "tea")
	require.NoError(t, err)
	require.Equal(t, "tea", r)
}

// timeout ends the call at both sides.
func timeout(t *testing.T, w *world) {
	_, d := w.desk("server")
	p := NewDesk(w.node("client"))
	_, err := p.Where(t.Context())
	require.NoError(t, err)
	for limit := 50 * time.Millisecond; len(d.blocked) == 0; limit *= 4 { // a busy machine may take longer than that to begin
		require.Less(t, limit, patience)
		ctx, cancel := context.WithTimeout(t.Context(), limit)
		err = p.Block(ctx, false)
		cancel()
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, daffi.DeadlineExceeded, daffi.CodeOf(err))
	}
	require.Error(t, soon(t, d.left, "the end of the handler's context"))
}

// unsupported methods and nodes are told apart from failures: nothing has run.
func unsupported(t *testing.T, w *world) {
	client := w.node("client")
	p := NewDesk(client)
	_, err := p.Where(t.Context())
	requireError(t, err, daffi.Unavailable, daffi.ReasonNoProvider, daffi.NotRun)
	w.desk("server")
	require.NoError(t, client.WaitMethod(t.Context(), DeskName))
	_, err = p.Where(t.Context())
	require.NoError(t, err)
	_, err = p.Prepare().Where().With(daffi.To("nobody")).Do(t.Context())
	requireError(t, err, daffi.Unavailable, daffi.ReasonNoProvider, daffi.NotRun)
}

// otherVersion is a caller whose arguments are others than what the provider takes: it is refused before anything runs.
func otherVersion(t *testing.T, w *world) {
	w.nodeWith(daffi.Options{Name: "server"}, func(n *daffi.Node) error {
		_, err := testkit.RegisterKit(n, new(testkit.Impl), daffi.As("SkewedKit"))
		return err
	})
	p := skewed.NewKit(w.node("client"))
	_, err := p.Echo(t.Context(), "text where bytes are wanted comes back as bytes, which are no text")
	requireError(t, err, daffi.FailedPrecondition, daffi.ReasonSchema, daffi.NotRun)
	requireError(t, p.Missing(t.Context()), daffi.Unimplemented, "", daffi.NotRun)
}

// phrases is a codec.
type phrases struct{}

func (phrases) ID() byte     { return 40 }
func (phrases) Name() string { return "phrases" }
func (phrases) Marshal(b []byte, v any) ([]byte, error) {
	return append(b, v.(string)...), nil
}
func (phrases) Unmarshal(b []byte, v any) error {
	*v.(*string) = string(b)
	return nil
}

// unknownCodec fails the calls that need it, and no others.
func unknownCodec(t *testing.T, w *world) {
	codecs := new(codec.Registry)
	require.NoError(t, codecs.Register(phrases{}))
	w.desk("server")
	p := NewDesk(w.nodeWith(daffi.Options{Name: "client", Codecs: codecs}, nil))
	_, err := p.Say(t.Context(), "good morning")
	requireError(t, err, daffi.InvalidArgument, daffi.ReasonDecode, daffi.NotRun)
	_, err = p.Where(t.Context())
	require.NoError(t, err)
	w.deskWith(daffi.Options{Name: "knows", Codecs: codecs})
	text, err := p.Prepare().Say("good morning").With(daffi.To("knows")).Do(t.Context())
	require.NoError(t, err)
	require.Equal(t, "good morning", text)
}

// distinctCallbacks are found at the one node that has them.
func distinctCallbacks(t *testing.T, w *world) {
	const nodes, callers, calls = 9, 100, 5
	for i := range nodes {
		house := fmt.Sprintf("House%d", i+1)
		w.nodeWith(daffi.Options{Name: fmt.Sprintf("node-%d", i+1)}, func(n *daffi.Node) error {
			_, err := RegisterHouse(n, house9{house}, daffi.As("Town."+house))
			return err
		})
	}
	client := w.node("client")
	p := NewTown(client)
	houses := []func() House{p.House1, p.House2, p.House3, p.House4, p.House5, p.House6, p.House7, p.House8, p.House9}
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			for range calls {
				i := rand.IntN(nodes)
				where, text, err := houses[i]().Room7().Text(t.Context(), "x")
				if err != nil || where != fmt.Sprintf("House%d.Room7.Text", i+1) || text != "x" {
					t.Errorf("house %d: %q %q %v", i+1, where, text, err)
				}
			}
		})
	}
	wg.Wait()
}

// pipeline passes a call on through nine nodes, with what is left of its deadline.
func pipeline(t *testing.T, w *world) {
	names, _, _ := w.desks(9)
	client := w.node("client")
	for _, name := range names {
		require.NoError(t, client.WaitNode(t.Context(), name))
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	p := NewDesk(client, daffi.To(names[0]))
	trail, left, err := p.Pass(ctx, names[1:])
	require.NoError(t, err)
	require.Equal(t, names, trail)
	require.Positive(t, left)
	require.Less(t, left, patience)

	// An error at the end of the chain comes back through all of it.
	_, _, err = p.Pass(ctx, append(names[1:len(names):len(names)], "nobody"))
	require.Equal(t, daffi.Unavailable, daffi.CodeOf(err), "%v", err)
}

// unresponsive is a peer whose handler does not end: who waits for it, and it itself, end all the same.
func unresponsive(t *testing.T, w *world) {
	server, d := w.desk("server")
	p := NewDesk(w.node("client"))
	ended := make(chan error, 1)
	go func() { ended <- p.Block(t.Context(), true) }()
	select {
	case <-d.blocked:
	case err := <-ended:
		t.Fatal("the handler has not begun: ", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	start := time.Now()
	require.ErrorIs(t, server.Shutdown(ctx), context.DeadlineExceeded)
	require.Less(t, time.Since(start), patience/2)
	err := soon(t, ended, "the end of the call")
	require.Equal(t, daffi.Unavailable, daffi.CodeOf(err), "%v", err)
	require.Equal(t, daffi.MayHaveRun, daffi.OutcomeOf(err), "%v", err)
	_, err = p.Where(t.Context())
	requireError(t, err, daffi.Unavailable, daffi.ReasonNoProvider, daffi.NotRun)
}
