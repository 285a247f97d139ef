package daffi_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	daffi "github.com/daffi-rpc/daffi/runtime"
	"github.com/daffi-rpc/daffi/runtime/daffitest"
	"github.com/daffi-rpc/daffi/testdata/golden/events"
)

// board notes what reaches it, as "node: line".
type board struct {
	mu   sync.Mutex
	seen []string
	hold chan struct{} // handlers wait for it, if it is not nil
}

func (b *board) note(ctx context.Context, what string) error {
	b.mu.Lock()
	b.seen = append(b.seen, daffi.NodeFrom(ctx).Name()+": "+what)
	b.mu.Unlock()
	if b.hold != nil {
		<-b.hold
	}
	return nil
}

func (b *board) Pin(ctx context.Context, line string) error   { return b.note(ctx, line) }
func (b *board) Bell(ctx context.Context) error               { return b.note(ctx, "bell") }
func (b *board) Quiet(ctx context.Context, line string) error { return b.note(ctx, line) }

func (b *board) Picture(ctx context.Context, pixels []byte) error {
	what := fmt.Sprint(len(pixels))
	if !bytes.Equal(pixels, bytes.Repeat([]byte{7}, len(pixels))) {
		what = "another picture"
	}
	return b.note(ctx, what)
}

// take waits for what is under way and returns what was seen since it was called last, sorted.
func (b *board) take() []string {
	synctest.Wait()
	b.mu.Lock()
	defer b.mu.Unlock()
	seen := b.seen
	b.seen = nil
	slices.Sort(seen)
	return seen
}

// eventBubble runs f with a board that three nodes serve and a fourth calls.
func eventBubble(t *testing.T, f func(t *testing.T, net *daffitest.Net, b *board, p *events.TownProxy)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		net, b := daffitest.New(t), new(board)
		for _, name := range []string{"a", "b", "c"} {
			_, err := events.RegisterBoard(net.Node(name), b)
			require.NoError(t, err)
		}
		f(t, net, b, events.NewTown(net.Node("town")))
	})
}

func TestEventReachesEveryProvider(t *testing.T) {
	eventBubble(t, func(t *testing.T, net *daffitest.Net, b *board, p *events.TownProxy) {
		require.NoError(t, p.Pin(t.Context(), "x"))
		require.Equal(t, []string{"a: x", "b: x", "c: x"}, b.take())
		require.NoError(t, p.Prepare().Pin("y").Post(t.Context()))
		require.Equal(t, []string{"a: y", "b: y", "c: y"}, b.take())
		require.NoError(t, p.Bell(t.Context()))
		require.Equal(t, []string{"a: bell", "b: bell", "c: bell"}, b.take())
		require.NoError(t, p.Quiet(t.Context(), "z"))
		require.Equal(t, []string{"a: z", "b: z", "c: z"}, b.take())
		require.NoError(t, p.Whisper(t.Context(), "w"))
		require.Len(t, b.take(), 1, "no event")

		require.NoError(t, p.Prepare().Pin("x").With(daffi.To("b")).Do(t.Context()))
		require.Equal(t, []string{"b: x"}, b.take())
		require.NoError(t, p.Prepare().Pin("x").With(daffi.HashKey("k")).Post(t.Context()))
		require.Len(t, b.take(), 1)

		// With metadata, which every copy carries.
		require.NoError(t, p.Pin(daffi.WithMetadata(t.Context(), map[string]string{"k": "v"}), "x"))
		require.Len(t, b.take(), 3)

		// Nodes come and go.
		late := net.Node("late")
		_, err := events.RegisterBoard(late, b)
		require.NoError(t, err)
		require.NoError(t, p.Pin(t.Context(), "x"))
		require.Equal(t, []string{"a: x", "b: x", "c: x", "late: x"}, b.take())
		require.NoError(t, late.Close())
		synctest.Wait() // until the controller knows
		require.NoError(t, p.Pin(t.Context(), "x"))
		require.Len(t, b.take(), 3)
	})
}

func TestEventLeavesTheCallerOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net, b := daffitest.New(t), new(board)
		town := net.Node("town")
		p := events.NewTown(town)
		requireError(t, p.Pin(t.Context(), "x"), daffi.Unavailable, daffi.ReasonNoProvider, daffi.NotRun)
		_, err := events.RegisterBoard(town, b)
		require.NoError(t, err)
		e := requireError(t, p.Pin(t.Context(), "x"), daffi.Unavailable, daffi.ReasonNoProvider, daffi.NotRun)
		require.Contains(t, e.Message, "but the caller itself")
		require.Equal(t, "Board.Pin", e.Method)
		require.NoError(t, p.Prepare().Pin("x").With(daffi.To("town")).Do(t.Context()))
		_, err = events.RegisterBoard(net.Node("a"), b)
		require.NoError(t, err)
		require.NoError(t, p.Pin(t.Context(), "y"))
		require.Equal(t, []string{"a: y", "town: x"}, b.take())
	})
}

func TestLargeEvents(t *testing.T) {
	for _, zstd := range []daffi.Compression{daffi.CompressOff, daffi.CompressOn} {
		eventBubble(t, func(t *testing.T, net *daffitest.Net, b *board, _ *events.TownProxy) {
			p := events.NewTown(net.NodeWith(daffi.Options{Name: "city", Compression: zstd}))
			for _, size := range []int{0, 2 << 10, 64 << 10, 64<<10 + 1, 1 << 20, 4<<20 - 6} {
				require.NoError(t, p.Show(t.Context(), bytes.Repeat([]byte{7}, size)))
				want := fmt.Sprint(size)
				require.Equal(t, []string{"a: " + want, "b: " + want, "c: " + want}, b.take())
			}
			err := p.Show(t.Context(), make([]byte, 4<<20))
			requireError(t, err, daffi.ResourceExhausted, daffi.ReasonTooLarge, daffi.NotRun)
		})
	}
}

func TestEventToMany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net, b := daffitest.New(t), new(board)
		var want []string
		for i := range 200 {
			name := fmt.Sprintf("n%03d", i)
			_, err := events.RegisterBoard(net.Node(name), b)
			require.NoError(t, err)
			want = append(want, name+": x")
		}
		p := events.NewTown(net.Node("town"))
		require.NoError(t, p.Pin(t.Context(), "x"))
		require.Equal(t, want, b.take())
	})
}

// Some copies are refused: the error says how many, and why.
func TestEventIsRefusedByLarge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net, b := daffitest.New(t), new(board)
		_, err := events.RegisterBoard(net.Node("a"), b)
		require.NoError(t, err)
		for i := range 4 {
			_, err := events.RegisterBoard(net.NodeWith(daffi.Options{Name: fmt.Sprint("small", i), MaxMessage: 1 << 20}), b)
			require.NoError(t, err)
		}
		p := events.NewTown(net.Node("town"))
		err = p.Show(t.Context(), bytes.Repeat([]byte{7}, 2<<20))
		e := requireError(t, err, daffi.ResourceExhausted, daffi.ReasonTooLarge, daffi.MayHaveRun)
		require.Contains(t, e.Message, "4 of 5 providers have not accepted the event")
		require.Contains(t, e.Message, "at small0")
		require.Contains(t, e.Message, "and 1 more")
		causes, ok := errors.Unwrap(e).(interface{ Unwrap() []error })
		require.True(t, ok)
		require.Len(t, causes.Unwrap(), 4)
		for _, cause := range causes.Unwrap() {
			requireError(t, cause, daffi.ResourceExhausted, daffi.ReasonTooLarge, daffi.NotRun)
		}
		require.Equal(t, []string{fmt.Sprint("a: ", 2<<20)}, b.take())

		// Where all refuse, nothing has run.
		err = p.Prepare().Show(make([]byte, 2<<20)).With(daffi.To("small0")).Do(t.Context())
		requireError(t, err, daffi.ResourceExhausted, daffi.ReasonTooLarge, daffi.NotRun)
	})
}

func TestEventEndsWithItsContext(t *testing.T) {
	eventBubble(t, func(t *testing.T, net *daffitest.Net, b *board, p *events.TownProxy) {
		w := &wire{ctl: net.Controller}
		_, err := events.RegisterBoard(connect(t, daffi.Options{Name: "far", Controller: w, Compression: daffi.CompressOff}), b)
		require.NoError(t, err)
		w.last().Stall(true)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		begin := time.Now()
		err = p.Show(ctx, noise(1<<20)) // accepted when all of it is on its way
		require.Equal(t, time.Second, time.Since(begin))
		require.ErrorIs(t, err, context.DeadlineExceeded)
		requireError(t, err, daffi.DeadlineExceeded, "", daffi.MayHaveRun)
		require.ErrorContains(t, err, "1 of 4 providers")
		require.Len(t, b.take(), 3)
		w.last().Stall(false)

		ctx, cancel = context.WithCancel(t.Context())
		cancel()
		requireError(t, p.Pin(ctx, "x"), daffi.Canceled, "", daffi.NotRun)
	})
}

// fuse is a context that ends when it was asked for its end that often.
type fuse struct {
	context.Context
	end  func()
	left atomic.Int32
}

func (f *fuse) Done() <-chan struct{} {
	if f.left.Add(-1) == 0 {
		f.end()
	}
	return f.Context.Done()
}

// What has not been sent when the context ends is not sent any more.
func TestCancelledEventGoesNoFurther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const providers, sent = 200, 60
		net, b := daffitest.New(t), new(board)
		for i := range providers {
			_, err := events.RegisterBoard(net.Node(fmt.Sprint("n", i)), b)
			require.NoError(t, err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		f := &fuse{Context: ctx, end: cancel}
		f.left.Store(sent)
		err := events.NewTown(net.Node("town")).Pin(f, "x")
		requireError(t, err, daffi.Canceled, "", daffi.MayHaveRun)
		require.LessOrEqual(t, len(b.take()), sent+64)
	})
}

// The numbers of a controller mean nothing to the next one.
func TestEventOverAReconnect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, b := new(wire), new(board)
		w.start(t)
		for _, name := range []string{"a", "b", "c"} {
			_, err := events.RegisterBoard(connect(t, daffi.Options{Name: name, Controller: w}), b)
			require.NoError(t, err)
		}
		town := connect(t, daffi.Options{Name: "town", Controller: w})
		p := events.NewTown(town)
		require.NoError(t, p.Pin(t.Context(), "x"))
		require.Len(t, b.take(), 3)
		w.stop()
		w.start(t)
		for _, name := range []string{"a", "b", "c"} {
			require.NoError(t, town.WaitNode(t.Context(), name))
		}
		synctest.Wait()
		time.Sleep(time.Second)
		require.NoError(t, p.Pin(t.Context(), "y"))
		require.Equal(t, []string{"a: y", "b: y", "c: y"}, b.take())
	})
}

// TestE21EventAllowSelf counts the caller's own node where it is asked to.
func TestE21EventAllowSelf(t *testing.T) {
	eventBubble(t, func(t *testing.T, net *daffitest.Net, b *board, _ *events.TownProxy) {
		node := net.Node("e")
		_, err := events.RegisterBoard(node, b)
		require.NoError(t, err)
		p := events.NewTown(node)
		require.NoError(t, p.Pin(t.Context(), "x"))
		require.Equal(t, []string{"a: x", "b: x", "c: x"}, b.take())
		require.NoError(t, p.Prepare().Pin("x").With(daffi.AllowSelf()).Do(t.Context()))
		require.Equal(t, []string{"a: x", "b: x", "c: x", "e: x"}, b.take())
	})
}
