package daffi_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	daffi "github.com/daffi-rpc/daffi/runtime"
	"github.com/daffi-rpc/daffi/runtime/callstats"
	"github.com/daffi-rpc/daffi/runtime/codec"
	"github.com/daffi-rpc/daffi/runtime/controller"
	"github.com/daffi-rpc/daffi/runtime/internal/testkit"
	"github.com/daffi-rpc/daffi/runtime/transport"
)

// gathered is what a logger was given, at every level, as text and as Go syntax.
type gathered struct {
	mu  sync.Mutex
	out bytes.Buffer
}

func (g *gathered) logger() *slog.Logger { return slog.New(&gatherer{g: g}) }

func (g *gathered) String() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.out.String()
}

type gatherer struct {
	g     *gathered
	attrs []slog.Attr
}

func (h *gatherer) Enabled(context.Context, slog.Level) bool { return true }

func (h *gatherer) Handle(_ context.Context, r slog.Record) error {
	h.g.mu.Lock()
	defer h.g.mu.Unlock()
	fmt.Fprint(&h.g.out, r.Message)
	show := func(a slog.Attr) bool {
		fmt.Fprintf(&h.g.out, " %s=%+v", a.Key, a.Value.Any())
		if a.Value.Kind() == slog.KindAny {
			fmt.Fprintf(&h.g.out, " %#v", a.Value.Any())
		}
		return true
	}
	for _, a := range h.attrs {
		show(a)
	}
	r.Attrs(show)
	h.g.out.WriteByte('\n')
	return nil
}

func (h *gatherer) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &gatherer{h.g, append(h.attrs[:len(h.attrs):len(h.attrs)], attrs...)}
}

func (h *gatherer) WithGroup(string) slog.Handler { return h }

// forms are the ways in which a secret may stand in a text: a part of it is enough.
func forms(secret string) []string {
	part := secret[:min(len(secret), 12)]
	raw := []byte(part)
	list := []string{part, hex.EncodeToString(raw), strings.ToUpper(hex.EncodeToString(raw)), base64.StdEncoding.EncodeToString(raw[:len(raw)/3*3]),
		strings.Trim(fmt.Sprint(raw), "[]"), strings.TrimSuffix(strings.TrimPrefix(fmt.Sprintf("%#v", raw), "[]byte{"), "}")}
	if b, err := hex.DecodeString(secret); err == nil { // a token
		list = append(list, string(b[:8]), strings.Trim(fmt.Sprint(b[:8]), "[]"), base64.StdEncoding.EncodeToString(b[:9]))
	}
	return list
}

// shows returns the first of the secrets that is in text.
func shows(text string, secrets ...string) (string, bool) {
	for _, s := range secrets {
		for _, form := range forms(s) {
			if strings.Contains(text, form) {
				return s, true
			}
		}
	}
	return "", false
}

// denied has a secret that its text does not tell.
type denied struct{ why string }

func (*denied) Error() string { return "denied" }

// loud is a codec that panics on what it reads, with it.
type loud struct{}

func (loud) ID() byte                                  { return 77 }
func (loud) Name() string                              { return "loud" }
func (loud) Marshal(dst []byte, v any) ([]byte, error) { return fmt.Append(dst, v), nil }
func (loud) Unmarshal(data []byte, _ any) error        { panic("cannot read " + string(data)) }

// TestACC67NothingSecretIsShown plants secrets wherever there are some, does everything that nodes and a controller do, well and badly, and looks for them in whatever they show.
func TestACC67NothingSecretIsShown(t *testing.T) {
	const (
		payload   = "canaryPayload-3b1f"
		metadata  = "canaryMetadata-77aa"
		reply     = "canaryReply-01cd"
		panicked  = "canaryPanic-9d2e"
		argument  = "canaryArgument-55f0"
		scheduled = "canarySchedule-c0de"
		private   = "canaryPrivate-ab12"
		message   = "canaryMessage-8e8e"
		coded     = "canaryCoded-4411"
		written   = "canaryWritten-f00d"
	)
	token := "ca9a41" + strings.Repeat("5eC7e7", 9) + "beef"
	secrets := []string{strings.ToLower(token), payload, metadata, reply, panicked, argument, scheduled, private, message, coded, written}
	t.Setenv("XDG_RUNTIME_DIR", t.TempDir())
	file := filepath.Join(t.TempDir(), "token")
	require.NoError(t, os.WriteFile(file, []byte(strings.ToLower(token)+"\n"), 0o600))
	wrong := filepath.Join(t.TempDir(), "wrong")
	require.NoError(t, os.WriteFile(wrong, []byte(strings.Repeat("ab", 32)+"\n"), 0o600))

	var ctlLog, serverLog, clientLog gathered
	var told []string // to the user at the wrong end
	var mu sync.Mutex
	note := func(v ...any) {
		mu.Lock()
		defer mu.Unlock()
		for _, v := range v {
			told = append(told, fmt.Sprintf("%v", v), fmt.Sprintf("%+v", v), fmt.Sprintf("%#v", v), fmt.Sprintf("%s %q %x %d", v, v, v, v))
		}
	}
	ctl, err := controller.Listen(t.Context(), controller.Options{Addr: "tcp://localhost:0", TokenFile: file, Logger: ctlLog.logger()})
	require.NoError(t, err)
	defer ctl.Close()
	stats := callstats.New()
	codecs := new(codec.Registry)
	require.NoError(t, codecs.Register(loud{}))
	options := func(name string, log *gathered) daffi.Options {
		return daffi.Options{
			Name: name, Addr: ctl.Addr(), TokenFile: file, Logger: log.logger(), Codecs: codecs, OnLost: func(c daffi.LostCall) { note(c.Method, c.Caller, c.Node) },
			Interceptors: []daffi.Interceptor{stats.Interceptor()}, ServeInterceptors: []daffi.Interceptor{stats.Interceptor()},
		}
	}
	server, client := connect(t, options("server", &serverLog)), connect(t, options("client", &clientLog))
	serve := func(reg *daffi.Registration, err error) {
		t.Helper()
		require.NoError(t, err)
		note(reg)
	}
	_, err = testkit.RegisterKit(server, new(testkit.Impl))
	require.NoError(t, err)
	serve(daffi.Handle(server, "vault.Panic", func(ctx context.Context, s string) (string, error) { panic(panicked + s) }))
	serve(daffi.Handle(server, "vault.Deny", func(ctx context.Context, s string) (string, error) {
		note(ctx)
		daffi.SetReplyMetadata(ctx, map[string]string{"k": reply})
		return "", fmt.Errorf("not today: %w", &denied{private})
	}))
	serve(daffi.Handle(server, "vault.Invalid", func(_ context.Context, s string) (string, error) {
		return "", &daffi.InvalidArgumentError{Field: "s", Got: s, Want: "another"}
	}))
	serve(daffi.Handle(server, "vault.Number", func(_ context.Context, n int) (int, error) { return n, nil }))
	ran := make(chan struct{}, 100)
	serve(daffi.Handle(server, "vault.Run", func(ctx context.Context, s string) (string, error) {
		ran <- struct{}{}
		info, _ := daffi.CallFrom(ctx)
		note(info)
		panic(panicked)
	}))
	serve(daffi.HandleMsg(server, "loud", func(context.Context, daffi.Msg[string]) error { return nil }, daffi.DecodedBy("loud")))
	serve(daffi.HandleMsg(server, "kind", func(_ context.Context, m daffi.Msg[string]) error {
		return &daffi.InvalidArgumentError{Field: "m", Got: message, Want: "none"}
	}))
	serve(daffi.HandleWriter(server, "out", func(_ context.Context, _ string, p []byte) error { return errors.New("disk full") }))
	serve(daffi.HandleUnknown(server, "any", func(_ context.Context, c *daffi.RawCall) error {
		note(c)
		panic(string(c.Payload()))
	}))

	outgoing := map[string]string{"authorization": metadata}
	ctx := daffi.WithMetadata(t.Context(), outgoing)
	note(ctx)
	kit := testkit.NewKit(client)
	_, err = kit.Echo(ctx, []byte(payload))
	require.NoError(t, err)
	_, err = kit.Meta(ctx)
	require.NoError(t, err)
	for _, how := range []string{"plain", "coded", "wrapped", "panic", "goexit", "huge", "long text"} {
		_, err = kit.Fail(ctx, how)
		note(err)
	}
	failing := func(method string) *daffi.Error {
		t.Helper()
		var r daffi.ReplyMetadata
		ctx := daffi.WithReplyMetadata(ctx, &r)
		f := called(client, "vault", method, "(string)(string)", func(e *codec.Encoder) { e.Array(1); e.String(argument) }, codec.ReadString).Go(ctx)
		note(f, ctx)
		_, err := f.Wait(t.Context())
		require.Error(t, err)
		note(f, &r)
		e, ok := errors.AsType[*daffi.Error](err)
		require.True(t, ok)
		return e
	}
	e := failing("Panic")
	require.Equal(t, daffi.ReasonPanic, e.Reason)
	require.Regexp(t, `^handler panicked \(id [0-9a-f]{8}\)$`, e.Message)
	note(e)
	id := e.Message[len("handler panicked (id ") : len(e.Message)-1]
	require.Contains(t, serverLog.String(), id)
	note(failing("Deny"))
	require.ErrorContains(t, failing("Invalid"), argument, "the caller is told what it has given")
	e = failing("Number")
	note(e)
	_, err = daffi.Invoke(ctx, client, "vault.Number", argument)
	require.Error(t, err)
	_, err = daffi.Invoke(ctx, client, "any.Thing", payload)
	note(err)
	called(client, "any", "Thing", "(string)(string)", func(e *codec.Encoder) { e.Array(1); e.String(payload) }, codec.ReadString).Do(ctx)
	line := func(s string) iter.Seq2[string, error] {
		return func(yield func(string, error) bool) { _ = yield(s, nil) && yield("", errors.New("broken")) }
	}
	for _, err := range kit.Chat(ctx, line(payload)) {
		note(err)
	}
	require.NoError(t, kit.Note(ctx, payload))
	daffi.SendMsg(ctx, client, "kind", message)
	note(daffi.SendMsg(ctx, client, "loud", message, daffi.EncodedBy("loud")))
	daffi.SendMsg(ctx, client, "nobody", message)
	loudly := daffi.NewAction(daffi.Bind(client, &daffi.Client{Service: "vault", Methods: []daffi.Method{{Name: "Number", Sig: "(int)(int)"}}}), 0,
		func(e *codec.Encoder) { e.Array(1); e.String(coded) })
	note(loudly.Do(ctx))
	w := daffi.RemoteWriter(client, "out")
	fmt.Fprint(w, written)
	note(w, w.Flush(ctx))
	task, err := called(client, "vault", "Run", "(string)(string)", func(e *codec.Encoder) { e.Array(1); e.String(scheduled) }, codec.ReadString).Schedule(ctx, daffi.Every(10*time.Millisecond))
	require.NoError(t, err)
	<-ran
	<-ran
	list, err := client.Tasks(ctx, daffi.TaskFilter{})
	require.NoError(t, err)
	note(task, list, ctl.Tasks())
	_, err = task.Cancel(ctx)
	require.NoError(t, err)
	info, err := client.Describe(ctx, "vault")
	require.NoError(t, err)
	peers, err := client.Peers(ctx)
	require.NoError(t, err)
	env, err := daffi.ChildEnv(client, "child")
	require.NoError(t, err)
	note(info, *info, peers, env)

	_, err = daffi.Connect(ctx, daffi.Options{Name: "wrong", Addr: ctl.Addr(), TokenFile: wrong, Logger: clientLog.logger()})
	note(err)
	_, err = transport.LoadToken(wrong)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(wrong, []byte(token+"x\n"), 0o600)) // almost one
	_, err = transport.LoadToken(wrong)
	note(err)
	conn, dialed, _, err := transport.Dial(ctx, mustAddr(t, ctl.Addr()), transport.DialOptions{TokenFile: file})
	require.NoError(t, err)
	link := transport.NewConn(conn, dialed)
	note(link, dialed)
	require.NoError(t, conn.Close())

	o := options("again", &clientLog)
	note(o, &o, controller.Options{Addr: ctl.Addr(), TokenFile: file, Name: "c"})
	note(server, client, ctl, ctl.Stats(), server.Stats(), client.Stats(), server.Lost(), client.Lost(), stats.Snapshot())
	var text bytes.Buffer
	require.NoError(t, stats.WriteText(&text, server, client))
	told = append(told, text.String())
	note(&transport.HelloPayload{Session: [16]byte([]byte(payload)), Name: "n"}, transport.ResumeOptions{Secret: [32]byte([]byte(payload + payload + payload))},
		transport.Frame{Payload: []byte(payload)}, transport.ResumePayload{Proof: [32]byte([]byte(payload + payload + payload))})

	ctl.Close()
	_, err = kit.Echo(must2(context.WithTimeout(ctx, 50*time.Millisecond)), []byte(payload))
	note(err)
	client.Close()
	server.Close()

	require.NotEmpty(t, ctlLog.String())
	for where, text := range map[string]string{"the controller's log": ctlLog.String(), "the caller's log": clientLog.String(), "what is shown": strings.Join(told, "\n")} {
		if s, ok := shows(text, secrets...); ok {
			t.Errorf("%s is in %s", s, where)
			for l := range strings.Lines(text) {
				for _, form := range forms(s) {
					if i := strings.Index(l, form); i >= 0 {
						t.Logf("%q: %.60s … %s", form, l, l[max(0, i-60):min(len(l), i+60)])
					}
				}
			}
		}
	}
	// The callee's own log has the panics of its own handlers, and nothing else.
	for l := range strings.Lines(serverLog.String()) {
		if strings.Contains(l, "panicked") || strings.HasPrefix(l, "\t") || strings.Contains(l, "panic(") {
			continue
		}
		if s, ok := shows(l, secrets...); ok {
			t.Errorf("%s is in the callee's log: %s", s, l)
		}
	}
	if s, ok := shows("x "+strings.ToLower(token), secrets...); !ok || s == "" {
		t.Error("the search finds nothing")
	}
}

func must2(ctx context.Context, _ context.CancelFunc) context.Context { return ctx }

func mustAddr(t *testing.T, text string) transport.Addr {
	t.Helper()
	a, err := transport.ParseAddr(text)
	require.NoError(t, err)
	return a
}
