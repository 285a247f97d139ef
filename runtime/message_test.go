package daffi_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	daffi "github.com/daffi-rpc/daffi/runtime"
	"github.com/daffi-rpc/daffi/runtime/codec"
	"github.com/daffi-rpc/daffi/runtime/controller"
	"github.com/daffi-rpc/daffi/runtime/daffitest"
)

// shout is a codec of one's own: strings, backwards.
type shout struct{}

func (shout) ID() byte     { return 40 }
func (shout) Name() string { return "backwards" }
func (shout) Marshal(dst []byte, v any) ([]byte, error) {
	s, ok := v.(string)
	if !ok || s == "" {
		return nil, errors.New("only strings that are not empty")
	}
	for i := len(s); i > 0; i-- {
		dst = append(dst, s[i-1])
	}
	return dst, nil
}

func (shout) Unmarshal(data []byte, v any) error {
	b, _ := shout{}.Marshal(nil, string(data))
	*v.(*string) = string(b)
	return nil
}

func TestI3HandleMsg(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := daffitest.New(t)
		server, client := net.Node("server"), net.Node("client")
		orders, texts := make(chan daffi.Msg[*order], 1), make(chan daffi.Msg[string], 1)
		reg, err := daffi.HandleMsg(server, "shop.order", func(_ context.Context, m daffi.Msg[*order]) error { orders <- m; return nil })
		require.NoError(t, err)
		_, err = daffi.HandleMsg(server, "text", func(_ context.Context, m daffi.Msg[string]) error { texts <- m; return errors.New("nobody sees it") })
		require.NoError(t, err)
		require.NoError(t, daffi.SendMsg(t.Context(), client, "shop.order", &order{ID: "1"}))
		require.Equal(t, daffi.Msg[*order]{Kind: "shop.order", From: "client", Value: &order{ID: "1"}}, <-orders)
		require.NoError(t, daffi.SendMsg(t.Context(), client, "text", "hello", daffi.To("server"), daffi.WithAck(daffi.AckAdmitted)))
		require.Equal(t, "hello", (<-texts).Value)
		require.NoError(t, client.WaitMethod(t.Context(), "daffi.msg.text"))
		require.NoError(t, reg.Close())
		requireError(t, daffi.SendMsg(t.Context(), client, "shop.order", &order{}), daffi.Unavailable, daffi.ReasonNoProvider, daffi.NotRun)
	})
}

func TestI8UnknownAndDuplicateKinds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := daffitest.New(t)
		server, client := net.Node("server"), net.Node("client")
		_, err := daffi.HandleMsg(server, "n", func(context.Context, daffi.Msg[int]) error { return nil })
		require.NoError(t, err)
		_, err = daffi.HandleMsg(server, "n", func(context.Context, daffi.Msg[string]) error { return nil })
		requireError(t, err, daffi.AlreadyExists, "", daffi.NotRun)
		requireError(t, daffi.SendMsg(t.Context(), client, "m", 1), daffi.Unimplemented, "", daffi.NotRun)
		requireError(t, daffi.SendMsg(t.Context(), client, "n", "text"), daffi.FailedPrecondition, daffi.ReasonSchema, daffi.NotRun)
		for _, kind := range []string{"", "a."} {
			requireError(t, daffi.SendMsg(t.Context(), client, kind, 1), daffi.InvalidArgument, "", daffi.NotRun)
			_, err = daffi.HandleMsg(server, kind, func(context.Context, daffi.Msg[int]) error { return nil })
			requireError(t, err, daffi.InvalidArgument, "", daffi.NotRun)
		}
		type other struct{ A int }
		err = daffi.SendMsg(t.Context(), client, "n", other{})
		requireError(t, err, daffi.InvalidArgument, "", daffi.NotRun)
		require.ErrorContains(t, err, "mark")
		_, err = daffi.HandleMsg[int](server, "z", nil)
		requireError(t, err, daffi.InvalidArgument, "", daffi.NotRun)
		_, err = daffi.HandleMsg(server, "z", func(context.Context, daffi.Msg[int]) error { return nil }, daffi.DecodedBy("raw"))
		requireError(t, err, daffi.InvalidArgument, "", daffi.NotRun)
	})
}

func TestI7MessagesByCodec(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var codecs codec.Registry
		require.NoError(t, codecs.Register(shout{}))
		net := daffitest.New(t)
		server, client := net.NodeWith(daffi.Options{Name: "server", Codecs: &codecs}), net.NodeWith(daffi.Options{Name: "client", Codecs: &codecs})
		bare := net.Node("bare")
		got := make(chan any, 1)
		for _, c := range []string{"text", "backwards", "json"} {
			_, err := daffi.HandleMsg(server, c, func(_ context.Context, m daffi.Msg[string]) error { got <- m.Value; return nil }, daffi.DecodedBy(c))
			require.NoError(t, err)
			require.NoError(t, daffi.SendMsg(t.Context(), client, c, `{"a":1}`, daffi.EncodedBy(c)))
			require.Equal(t, `{"a":1}`, <-got)
		}
		_, err := daffi.HandleMsg(server, "raw", func(_ context.Context, m daffi.Msg[[]byte]) error { got <- m.Value; return nil }, daffi.DecodedBy("raw"))
		require.NoError(t, err)
		require.NoError(t, daffi.SendMsg(t.Context(), client, "raw", []byte{0, 255}, daffi.EncodedBy("raw")))
		require.Equal(t, []byte{0, 255}, <-got)
		requireError(t, daffi.SendMsg(t.Context(), client, "raw", []byte{0}), daffi.FailedPrecondition, daffi.ReasonSchema, daffi.NotRun)

		// What a codec does not take, or a node without it, is the end of that message alone.
		requireError(t, daffi.SendMsg(t.Context(), client, "backwards", "", daffi.EncodedBy("backwards")), daffi.InvalidArgument, daffi.ReasonEncode, daffi.NotRun)
		err = daffi.SendMsg(t.Context(), bare, "backwards", "x", daffi.EncodedBy("backwards"))
		requireError(t, err, daffi.InvalidArgument, daffi.ReasonEncode, daffi.NotRun)
		require.ErrorContains(t, err, `codec "backwards" is not registered at node bare`)
		require.NoError(t, daffi.SendMsg(t.Context(), client, "backwards", "x", daffi.EncodedBy("backwards")))
		require.Equal(t, "x", <-got)
	})
}

func TestI9RemoteWriter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := daffitest.New(t)
		parent, child := net.Node("parent"), net.Node("child")
		var got bytes.Buffer
		reg, err := daffi.HandleWriter(parent, "stdout", func(_ context.Context, from string, p []byte) error {
			if from != "child" {
				return errors.New("wrong writer")
			}
			time.Sleep(time.Millisecond)
			got.Write(p)
			return nil
		})
		require.NoError(t, err)
		w := daffi.RemoteWriter(child, "stdout")
		var want bytes.Buffer
		for i := range 20000 { // more than it holds: writes wait
			_, err := fmt.Fprintf(io.MultiWriter(w, &want), "%d \xff\n", i)
			require.NoError(t, err)
		}
		big := bytes.Repeat([]byte("x"), 1<<20)
		n, err := w.Write(big)
		require.NoError(t, err)
		require.Equal(t, len(big), n)
		want.Write(big)
		require.NoError(t, w.Flush(t.Context()))
		require.True(t, bytes.Equal(want.Bytes(), got.Bytes()))

		// A piece that nobody takes is lost, and the next who calls is told.
		require.NoError(t, reg.Close())
		_, err = w.Write([]byte("lost"))
		require.NoError(t, err)
		requireError(t, w.Flush(t.Context()), daffi.Unavailable, daffi.ReasonNoProvider, daffi.NotRun)
		require.Equal(t, int64(4), w.Lost())
		require.NoError(t, w.Close())
		require.NoError(t, w.Close())
		_, err = w.Write([]byte("late"))
		require.ErrorIs(t, err, io.ErrClosedPipe)
	})
}

// late is a writer that is chosen later.
type late struct{ w atomic.Pointer[daffi.Writer] }

func (l *late) Write(p []byte) (int, error) {
	if w := l.w.Load(); w != nil {
		return w.Write(p)
	}
	return len(p), nil
}

// TestI9RemoteWriterOfTheNodesLog carries the log of the node that writes, which says that it is lost.
func TestI9RemoteWriterOfTheNodesLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := daffitest.New(t)
		var log late
		logger := slog.New(slog.NewTextHandler(&log, nil))
		child := net.NodeWith(daffi.Options{Name: "child", Logger: logger})
		w := daffi.RemoteWriter(child, "log")
		log.w.Store(w)
		logger.Info("hello")
		synctest.Wait()
		require.NotZero(t, w.Lost())
		_ = w.Close() // the line that says so may have been told, or what came after it
	})
}

// TestI9RemoteWriterCloses ends who waits for room when the writer is closed, and loses nothing that was taken.
func TestI9RemoteWriterCloses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := daffitest.New(t)
		var got atomic.Int64
		_, err := daffi.HandleWriter(net.Node("parent"), "out", func(_ context.Context, _ string, p []byte) error {
			time.Sleep(time.Second)
			got.Add(int64(len(p)))
			return nil
		})
		require.NoError(t, err)
		w := daffi.RemoteWriter(net.Node("child"), "out")
		var taken atomic.Int64
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				n, err := w.Write(make([]byte, 1<<20))
				taken.Add(int64(n))
				require.ErrorIs(t, err, io.ErrClosedPipe)
			})
		}
		time.Sleep(3500 * time.Millisecond)
		require.NoError(t, w.Close())
		wg.Wait()
		require.Equal(t, taken.Load(), got.Load())
		require.Zero(t, w.Lost())
	})
}

// TestI9RemoteWriterIsDrained writes and shuts the node down at once.
func TestI9RemoteWriterIsDrained(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := daffitest.New(t)
		parent, child := net.Node("parent"), net.Node("child")
		var got bytes.Buffer
		_, err := daffi.HandleWriter(parent, "out", func(_ context.Context, _ string, p []byte) error {
			time.Sleep(time.Second)
			got.Write(p)
			return nil
		})
		require.NoError(t, err)
		_, err = daffi.RemoteWriter(child, "out").Write(make([]byte, 60<<10))
		require.NoError(t, err)
		require.NoError(t, child.Shutdown(t.Context()))
		require.Equal(t, 60<<10, got.Len())
		w := daffi.RemoteWriter(child, "out")
		_, err = w.Write([]byte("x"))
		requireError(t, err, daffi.Unavailable, daffi.ReasonClosed, daffi.NotRun)
		require.Equal(t, int64(1), w.Lost())
		require.NoError(t, w.Close())
	})
}

func TestI11ChildEnv(t *testing.T) {
	ctl, err := controller.Listen(t.Context(), controller.Options{Addr: "unix://" + t.TempDir() + "/c.sock"})
	require.NoError(t, err)
	defer ctl.Close()
	parent := daffi.New(daffi.Options{Name: "parent", Controller: ctl})
	env, err := daffi.ChildEnv(parent, "child")
	require.NoError(t, err)
	require.Equal(t, []string{"DAFFI_ADDR=" + ctl.Addr(), "DAFFI_TOKEN_FILE=", "DAFFI_NAME=child"}, env)
	env, err = daffi.ChildEnv(daffi.New(daffi.Options{Addr: "tcp://localhost:1", TokenFile: "t"}), "")
	require.NoError(t, err)
	require.Equal(t, []string{"DAFFI_ADDR=tcp://localhost:1", "DAFFI_TOKEN_FILE=t", "DAFFI_NAME="}, env)
	_, err = daffi.ChildEnv(daffi.New(daffi.Options{Name: "parent", Controller: controller.New(controller.Options{})}), "child")
	requireError(t, err, daffi.FailedPrecondition, "", daffi.NotRun)
}
