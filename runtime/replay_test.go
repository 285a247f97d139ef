package daffi_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"iter"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	daffi "github.com/daffi-rpc/daffi/runtime"
	"github.com/daffi-rpc/daffi/runtime/controller"
	"github.com/daffi-rpc/daffi/runtime/internal/golden"
	"github.com/daffi-rpc/daffi/runtime/internal/memconn"
	"github.com/daffi-rpc/daffi/runtime/internal/rawpeer"
	"github.com/daffi-rpc/daffi/runtime/transport"
	"github.com/daffi-rpc/daffi/testdata/generations/g1"
	"github.com/daffi-rpc/daffi/testdata/generations/shape"
)

// steady serves and calls what code of the first generation does.
type steady struct {
	g1.Service // Document, Text and Close are not called
	mu         sync.Mutex
	lines      []string
}

func (s *steady) Below() g1.Below                       { return s }
func (s *steady) Where(context.Context) (string, error) { return "here", nil }

func (s *steady) Echo(_ context.Context, item shape.Item) (shape.Item, error) { return item, nil }
func (s *steady) Bytes(_ context.Context, data []byte) ([]byte, error)        { return data, nil }
func (s *steady) Several(_ context.Context, name string, numbers ...int) (int, string, error) {
	return len(numbers), name, nil
}
func (s *steady) Fail(context.Context, string) error { return fmt.Errorf("wrapped: %w", shape.ErrGone) }
func (s *steady) Ring(ctx context.Context, bell string) error {
	return s.Add(ctx, "ring "+bell)
}

// Range yields one point and waits if n is negative.
func (s *steady) Range(ctx context.Context, n int) iter.Seq2[shape.Point, error] {
	return func(yield func(shape.Point, error) bool) {
		if n < 0 {
			if yield(shape.Point{}, nil) {
				<-ctx.Done()
				time.Sleep(time.Millisecond) // else the handler may end before the rest of its call has
			}
			return
		}
		for k := range int32(n) {
			if !yield(shape.Point{X: k, Y: -k}, nil) {
				return
			}
		}
	}
}

// Sum takes one point only if it starts with -1.
func (s *steady) Sum(_ context.Context, start int64, points iter.Seq2[shape.Point, error]) (int64, error) {
	for p, err := range points {
		if err != nil {
			return 0, err
		}
		if start == -1 {
			return int64(p.X), nil
		}
		start += int64(p.X)
	}
	return start, nil
}

func (s *steady) Chat(_ context.Context, said iter.Seq2[string, error]) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for text, err := range said {
			goOn := err == nil && yield(text, nil)
			time.Sleep(time.Millisecond) // what was yielded goes before the credit, and the handler ends after the rest of its call
			if !goOn {
				return
			}
		}
	}
}

func (s *steady) Add(_ context.Context, line string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lines = append(s.lines, line)
	return nil
}

func (s *steady) Lines(context.Context) ([]string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.lines), nil
}

// cast is who is there in a session: two nodes, and what they do, by name.
type cast struct {
	server, client *daffi.Node
	registration   *daffi.Registration
	steps          []string
	do             map[string]func(ctx context.Context) error
}

// play is the session that is recorded: every kind of frame that a node and a controller send each other, but those of the handshake that end it.
func play(attach func(node string) daffi.Controller) *cast {
	c := &cast{do: map[string]func(ctx context.Context) error{}}
	step := func(name string, f func(ctx context.Context) error) {
		c.steps = append(c.steps, name)
		c.do[name] = f
	}
	var p *g1.ClientProxy
	step("join server", func(ctx context.Context) (err error) {
		c.server = daffi.New(daffi.Options{Name: "server", Controller: attach("server")})
		if c.registration, err = g1.RegisterService(c.server, new(steady)); err != nil {
			return err
		}
		return c.server.Join(ctx)
	})
	step("join client", func(ctx context.Context) error {
		c.client = daffi.New(daffi.Options{Name: "client", Controller: attach("client")})
		p = g1.NewClient(c.client)
		if err := c.client.Join(ctx); err != nil {
			return err
		}
		return c.client.WaitNode(ctx, "server")
	})
	step("plain call", func(ctx context.Context) error {
		_, err := p.Bytes(ctx, []byte("bytes"))
		return err
	})
	step("named node", func(ctx context.Context) error {
		_, err := g1.NewClient(c.client, daffi.To("server")).Bytes(ctx, []byte("bytes"))
		return err
	})
	step("metadata and key", func(ctx context.Context) error {
		_, _, err := p.Several(daffi.WithMetadata(ctx, map[string]string{"trace": "1"}), "apple", 1, 2, 3)
		return err
	})
	step("idempotent", func(ctx context.Context) error {
		_, err := p.Echo(ctx, shape.Item{Name: "pear"})
		return err
	})
	step("error", func(ctx context.Context) error {
		if err := p.Fail(ctx, "gone"); !errors.Is(err, shape.ErrGone) {
			return fmt.Errorf("not gone, but %w", err)
		}
		return nil
	})
	step("one-way and serial", func(ctx context.Context) error { return p.Note(ctx, "note") })
	step("event", func(ctx context.Context) error { return p.Ring(ctx, "bell") })
	step("output", func(ctx context.Context) error {
		n := 0
		for point, err := range p.Range(ctx, 1) {
			if err != nil || point != (shape.Point{}) {
				return fmt.Errorf("%v: %w", point, err)
			}
			n++
		}
		return want(n, 1)
	})
	step("output, left", func(ctx context.Context) error {
		for range p.Range(ctx, -1) {
			break
		}
		return nil
	})
	points := make(chan int32)
	step("input", func(ctx context.Context) error {
		sum, err := p.Sum(ctx, 1, func(yield func(shape.Point) bool) {
			for {
				select {
				case x, ok := <-points:
					if !ok || !yield(shape.Point{X: x}) {
						return
					}
				case <-ctx.Done():
					return
				}
			}
		})
		return errors.Join(err, want(sum, 43))
	})
	step("input, an item", func(context.Context) error { points <- 42; return nil })
	step("input, the end", func(context.Context) error { close(points); return nil })
	step("input, stopped", func(ctx context.Context) error {
		sum, err := p.Sum(ctx, -1, func(yield func(shape.Point) bool) {
			for yield(shape.Point{X: 7}) {
				time.Sleep(time.Millisecond)
			}
		})
		return errors.Join(err, want(sum, 7))
	})
	step("calls in a stream", func(ctx context.Context) error { return p.AddAll(ctx, slices.Values([]string{"one"})) })
	step("credit", func(ctx context.Context) error { return chat(ctx, p, nil, strings.Repeat("c", 9000)) })
	step("large item", func(ctx context.Context) error { return chat(ctx, p, nil, strings.Repeat("l", 70_000)) })
	step("broken input", func(ctx context.Context) error {
		if err := chat(ctx, p, errors.New("the input broke")); err == nil {
			return errors.New("nobody says so")
		}
		return nil
	})
	step("large message", func(ctx context.Context) error {
		b, err := p.Bytes(ctx, bytes.Repeat([]byte{'m'}, 100_000))
		return errors.Join(err, want(len(b), 100_000))
	})
	ctx, cancel := context.WithCancel(context.Background())
	step("cancelled", func(context.Context) error {
		if err := chat(ctx, p, nil, "said", "never"); !errors.Is(err, context.Canceled) {
			return fmt.Errorf("not cancelled, but %w", err)
		}
		return nil
	})
	step("cancel", func(context.Context) error { cancel(); return nil })
	step("describe", func(ctx context.Context) error {
		d, err := c.client.Describe(ctx, "generation.Service.Below")
		if err != nil {
			return err
		}
		return want(len(d.Methods), 1)
	})
	step("wait 6s", nil)
	c.do["refused"] = func(ctx context.Context) error {
		n := daffi.New(daffi.Options{Name: "refused", Controller: attach("refused")})
		defer n.Close()
		err := n.Join(ctx)
		return errors.Join(want(daffi.CodeOf(err), daffi.AlreadyExists), want(daffi.OutcomeOf(err), daffi.NotRun))
	}
	c.do["refused question"] = func(ctx context.Context) error {
		_, err := c.client.Describe(ctx, "generation.Service")
		return want(daffi.CodeOf(err), daffi.InvalidArgument)
	}
	step("unregister", func(ctx context.Context) error { return c.registration.Close() })
	step("drain", func(ctx context.Context) error { return c.server.Shutdown(ctx) })
	step("leave", func(ctx context.Context) error { return c.client.Close() })
	return c
}

func want[T comparable](got, want T) error {
	if got != want {
		return fmt.Errorf("got %v, want %v", got, want)
	}
	return nil
}

// chat says texts and wants to hear them, and then the input ends, or breaks.
func chat(ctx context.Context, p *g1.ClientProxy, broken error, texts ...string) error {
	heard := 0
	more := make(chan struct{}, 1)
	more <- struct{}{}
	defer close(more)
	for text, err := range p.Chat(ctx, func(yield func(string, error) bool) {
		for _, text := range texts {
			<-more
			if text == "never" {
				<-more // the call has ended
				return
			}
			if !yield(text, nil) {
				return
			}
		}
		<-more
		time.Sleep(10 * time.Millisecond) // credit for what was said and heard goes first
		if broken != nil {
			yield("", broken)
		}
	}) {
		if err != nil {
			return err
		}
		if text != texts[heard] {
			return fmt.Errorf("heard %d bytes instead of %d", len(text), len(texts[heard]))
		}
		heard++
		more <- struct{}{}
	}
	return want(heard, len(texts))
}

var sessions = filepath.Join("..", "testdata", "frames", "sessions")

// TestSessions plays what nodes and a controller have said to each other when a version came to be: its nodes against today's controller, and its
// controller against today's nodes, whose generated code is of the first generation (ACC-80). What ends in .nodes or .controller is of one side only.
func TestSessions(t *testing.T) {
	for _, path := range sessionFiles(t, ".session", ".nodes") {
		t.Run("nodes of "+filepath.Base(path), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { playNodes(t, path) })
		})
	}
	for _, path := range sessionFiles(t, ".session", ".controller") {
		t.Run("controller of "+filepath.Base(path), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { playController(t, path) })
		})
	}
}

// TestSessionsHaveEveryKind looks at what the sessions say.
func TestSessionsHaveEveryKind(t *testing.T) {
	seen := map[transport.Kind]bool{}
	for _, path := range sessionFiles(t, "") {
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		for line := range strings.Lines(string(text)) {
			line, _, _ = strings.Cut(line, "#")
			words := strings.Fields(line)
			if len(words) < 4 || !strings.ContainsAny(words[1], "<>") {
				continue
			}
			tokens, err := golden.Tokens(strings.Join(words[2:], " "))
			require.NoError(t, err)
			var b []byte
			for _, token := range tokens {
				b = append(b, token.Bytes...)
			}
			h, _, err := transport.ParseHeader(b, transport.MaxPayload)
			require.NoError(t, err, line)
			seen[h.Kind] = true
		}
	}
	for n := range 256 {
		if k := transport.Kind(n); k.Known() && k != transport.Ack && k != transport.Resume { // what resumes is not one connection, byte by byte
			assert.True(t, seen[k], "no session has a %v", k)
		}
	}
}

func sessionFiles(t *testing.T, endings ...string) (paths []string) {
	for _, ending := range endings {
		some, err := filepath.Glob(filepath.Join(sessions, "*"+ending))
		require.NoError(t, err)
		require.NotEmpty(t, some, ending)
		paths = append(paths, some...)
	}
	return paths
}

func playNodes(t *testing.T, path string) {
	c := controller.New(controller.Options{})
	defer c.Close()
	r := rawpeer.Replay{Dial: func(string) net.Conn {
		near, far := memconn.Pair()
		c.Serve(transport.NewConn(far, transport.Info{Network: "mem", Remote: "node", Local: true, UID: -1}), nil)
		t.Cleanup(func() { near.Close() })
		return near
	}}
	r.Run(t, path)
}

func playController(t *testing.T, path string) {
	far := map[string]*memconn.Conn{}
	cast := play(func(node string) daffi.Controller {
		var near *memconn.Conn
		near, far[node] = memconn.Pair()
		return attached{near}
	})
	defer func() {
		for _, conn := range far {
			conn.Close()
		}
		for _, n := range []*daffi.Node{cast.server, cast.client} {
			if n != nil {
				n.Close()
			}
		}
	}()
	r := rawpeer.Replay{Controller: true,
		Dial: func(node string) net.Conn { synctest.Wait(); return far[node] },
		Do:   func(name string) error { return cast.do[name](t.Context()) },
	}
	r.Run(t, path)
}

// attached is a controller at the other end of a connection.
type attached struct{ net.Conn }

func (a attached) Attach() (transport.Link, error) {
	return transport.NewConn(a.Conn, transport.Info{Network: "mem", Remote: "controller", Local: true, UID: -1}), nil
}

// TestT9TokenSessions are sessions over TCP, where both sides prove that they know a token.
func TestT9TokenSessions(t *testing.T) {
	t.Setenv("XDG_RUNTIME_DIR", t.TempDir())
	token := bytes.Repeat([]byte{0x5a}, transport.TokenSize)
	file := filepath.Join(t.TempDir(), "token")
	require.NoError(t, os.WriteFile(file, []byte(hex.EncodeToString(token)+"\n"), 0o600))
	for _, path := range sessionFiles(t, ".tcp") {
		t.Run("node of "+filepath.Base(path), func(t *testing.T) {
			c, err := controller.Listen(t.Context(), controller.Options{Addr: "tcp://127.0.0.1:0", TokenFile: file})
			require.NoError(t, err)
			defer c.Close()
			conn, err := net.Dial("tcp", strings.TrimPrefix(c.Addr(), "tcp://"))
			require.NoError(t, err)
			defer conn.Close()
			r := rawpeer.Replay{Token: token, Dial: func(string) net.Conn { return conn }}
			r.Run(t, path)
		})
		t.Run("controller of "+filepath.Base(path), func(t *testing.T) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			require.NoError(t, err)
			defer l.Close()
			n := daffi.New(daffi.Options{Name: "node", Addr: "tcp://" + l.Addr().String(), TokenFile: file})
			defer n.Close()
			do := map[string]func() error{"join": func() error { return n.Join(t.Context()) }, "leave": n.Close}
			r := rawpeer.Replay{Token: token, Controller: true, Do: func(name string) error { return do[name]() }, Dial: func(string) net.Conn {
				conn, err := l.Accept()
				require.NoError(t, err)
				t.Cleanup(func() { conn.Close() })
				return conn
			}}
			r.Run(t, path)
		})
	}
}

// TestT9ShownTokenSessions are sessions inside TLS, where nodes show tokens of which the controller knows hashes: of one that may join, one that wants a name which its token is not for, and one whose
// token nobody knows.
func TestT9ShownTokenSessions(t *testing.T) {
	c := newCluster(t)
	known, hash := c.token("known", 0x5a)
	unknown, _ := c.token("unknown", 0x7b)
	list := filepath.Join(c.dir, "tokens")
	require.NoError(t, os.WriteFile(list, []byte(hash+" node\n"), 0o600))
	files := c.issue("controller")
	authorities := x509.NewCertPool()
	authorities.AddCert(c.a.Certificate())
	for _, path := range sessionFiles(t, ".tls") {
		t.Run("nodes of "+filepath.Base(path), func(t *testing.T) {
			ctl := c.listen(controller.Options{TLS: &controller.TLS{CertFile: files.CertFile, KeyFile: files.KeyFile}, TokensFile: list})
			r := rawpeer.Replay{Dial: func(string) net.Conn {
				conn, err := tls.Dial("tcp", strings.TrimPrefix(ctl.Addr(), "tcp://"), &tls.Config{RootCAs: authorities, NextProtos: []string{"daffi/1"}, MinVersion: tls.VersionTLS13})
				require.NoError(t, err)
				t.Cleanup(func() { conn.Close() })
				return conn
			}}
			r.Run(t, path)
		})
		t.Run("controller of "+filepath.Base(path), func(t *testing.T) {
			pair, err := tls.LoadX509KeyPair(files.CertFile, files.KeyFile)
			require.NoError(t, err)
			l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{pair}, NextProtos: []string{"daffi/1"}, MinVersion: tls.VersionTLS13})
			require.NoError(t, err)
			defer l.Close()
			options := func(name, token string) daffi.Options {
				return daffi.Options{Name: name, Addr: "tcp://" + l.Addr().String(), TLS: &daffi.TLS{CAFile: c.ca()}, TokenFile: token}
			}
			n := daffi.New(options("node", known))
			defer n.Close()
			refused := func(o daffi.Options, code daffi.Code) func() error {
				return func() error {
					n := daffi.New(o)
					defer n.Close()
					err := n.Join(t.Context())
					return errors.Join(want(daffi.CodeOf(err), code), want(daffi.OutcomeOf(err), daffi.NotRun))
				}
			}
			do := map[string]func() error{
				"join": func() error { return n.Join(t.Context()) }, "leave": n.Close,
				"join under another name": refused(options("other", known), daffi.PermissionDenied),
				"join with another token": refused(options("node", unknown), daffi.Unauthenticated),
			}
			r := rawpeer.Replay{Controller: true, Do: func(name string) error { return do[name]() }, Dial: func(string) net.Conn {
				conn, err := l.Accept()
				require.NoError(t, err)
				t.Cleanup(func() { conn.Close() })
				return conn
			}}
			r.Run(t, path)
		})
	}
}
