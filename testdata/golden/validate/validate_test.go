package validate

import (
	"context"
	"iter"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	daffi "github.com/daffi-rpc/daffi/runtime"
	"github.com/daffi-rpc/daffi/runtime/daffitest"
	"github.com/daffi-rpc/daffi/testdata/goldentest"
)

func golden() []goldentest.Type {
	return []goldentest.Type{
		goldentest.Of(writeOrder, readOrder, Order{"tea", 2}),
		goldentest.Of(writeNote, readNote, Note{"t"}),
		goldentest.Of(writeSigned, readSigned, Signed{Order{"tea", 2}, "b"}),
		goldentest.Of(writeStrict, readStrict, Strict{"s"}),
		goldentest.Of(writeNotePtr, readNotePtr, &Note{"t"}),
	}
}

func TestGolden(t *testing.T) { goldentest.Run(t, golden()...) }

func FuzzGolden(f *testing.F) { goldentest.Fuzz(f, golden()...) }

func BenchmarkGolden(b *testing.B) { goldentest.Bench(b, golden()...) }

// shop counts what reaches it.
type shop struct{ calls, items int }

func (s *shop) Place(context.Context, Order) error { s.calls++; return nil }
func (s *shop) Write(_ context.Context, o Order, n *Note) (string, error) {
	s.calls++
	if n == nil {
		return o.Name, nil
	}
	return o.Name + n.Text, nil
}
func (s *shop) Several(_ context.Context, o Orders, plain []Order, _ Strict) (int, error) {
	s.calls++
	return len(o) + len(plain), nil
}
func (s *shop) Sign(context.Context, Signed, Note) error { s.calls++; return nil }
func (s *shop) Feed(_ context.Context, orders iter.Seq2[Order, error]) (int, error) {
	return count(s, orders)
}
func (s *shop) FeedNotes(_ context.Context, _ string, notes iter.Seq2[*Note, error]) (int, error) {
	return count(s, notes)
}

func count[T any](s *shop, items iter.Seq2[T, error]) (int, error) {
	s.calls++
	for _, err := range items {
		if err != nil {
			return 0, err
		}
		s.items++
	}
	return s.items, nil
}

func serve(t *testing.T, s *shop) *CustomerProxy {
	net := daffitest.New(t)
	_, err := RegisterShop(net.Node("shop"), s)
	require.NoError(t, err)
	p := NewCustomer(net.Node("customer"))
	require.NoError(t, p.WaitReady(t.Context()))
	return p
}

func requireInvalid(t *testing.T, err error, outcome daffi.Outcome, text string) {
	t.Helper()
	var e *daffi.Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, daffi.InvalidArgument, e.Code)
	require.Equal(t, daffi.ReasonInvalid, e.Reason)
	require.Equal(t, outcome, e.Outcome)
	require.Contains(t, e.Message, text)
	require.Equal(t, "shop", e.Node)
}

// TestE19ArgumentsAreAsked wants no handler to run on what says that it is not valid.
func TestE19ArgumentsAreAsked(t *testing.T) {
	tea, none := Order{"tea", 1}, Order{}
	synctest.Test(t, func(t *testing.T) {
		s, ctx := new(shop), t.Context()
		p := serve(t, s)
		err := p.Place(ctx, none)
		requireInvalid(t, err, daffi.NotRun, "argument order: the name is empty")
		require.ErrorIs(t, err, ErrEmpty)
		requireInvalid(t, p.Place(ctx, Order{"tea", 0}), daffi.NotRun, "argument order: count is 0")
		_, err = p.Write(ctx, tea, &Note{"longer than five"})
		requireInvalid(t, err, daffi.NotRun, "argument err: the text is too long")
		_, err = p.Several(ctx, Orders{tea, none}, nil, Strict{})
		requireInvalid(t, err, daffi.NotRun, "argument orders: order 2: the name is empty")
		requireInvalid(t, p.Sign(ctx, Signed{Order: none}, Note{}), daffi.NotRun, "argument 1: the name is empty")
		requireInvalid(t, p.Sign(ctx, Signed{Order: tea}, Note{"longer than five"}), daffi.NotRun, "argument note: the text")
		require.Zero(t, s.calls)

		text, err := p.Write(ctx, tea, nil) // there is nothing to ask
		require.NoError(t, err)
		require.Equal(t, "tea", text)
		n, err := p.Several(ctx, Orders{tea}, []Order{none}, Strict{}) // elements are the list's business, and a method that takes arguments is another
		require.NoError(t, err)
		require.Equal(t, 2, n)
		require.NoError(t, p.Sign(ctx, Signed{Order: tea}, Note{}))
		require.Equal(t, 3, s.calls)
	})
}

// TestE19ItemsAreAsked wants a sequence to end at the first item that is not valid.
func TestE19ItemsAreAsked(t *testing.T) {
	tea, none := Order{"tea", 1}, Order{}
	synctest.Test(t, func(t *testing.T) {
		s, ctx := new(shop), t.Context()
		p := serve(t, s)
		_, err := p.Feed(ctx, slices.Values([]Order{tea, tea, none, tea}))
		requireInvalid(t, err, daffi.Ran, "item 3 of the input: the name is empty")
		require.ErrorIs(t, err, ErrEmpty)
		require.Equal(t, 2, s.items)
		_, err = p.FeedNotes(ctx, "", slices.Values([]*Note{nil, {"longer than five"}}))
		requireInvalid(t, err, daffi.Ran, "item 2 of the input")
		require.Equal(t, 3, s.items)
		n, err := p.Feed(ctx, slices.Values([]Order{tea}))
		require.NoError(t, err)
		require.Equal(t, 4, n)

		s.calls = 0
		requireInvalid(t, p.PlaceAll(ctx, slices.Values([]Order{tea, none, tea})), daffi.Ran, "argument order: the name is empty") // the first has run
		require.Equal(t, 1, s.calls)
		requireInvalid(t, p.PlaceAll(ctx, slices.Values([]Order{none})), daffi.NotRun, "argument order: the name is empty")
		require.Equal(t, 1, s.calls)
	})
}

type door struct{}

func (door) WaitReady(_ context.Context, how string) (string, error) { return how, nil }
func (door) Ring(context.Context) error                              { return nil }

// TestD19WaitReadyGivesWay wants a user's method of that name to be called.
func TestD19WaitReadyGivesWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := daffitest.New(t)
		n := net.Node("door")
		_, err := RegisterDoor(n, door{})
		require.NoError(t, err)
		_, err = RegisterBell(n, door{})
		require.NoError(t, err)
		how, err := NewDoor(n).WaitReady(t.Context(), "ajar")
		require.NoError(t, err)
		require.Equal(t, "ajar", how)
		require.NoError(t, NewBell(n).WaitReady().Ring().Do(t.Context()))
	})
}
