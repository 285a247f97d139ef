package daffi_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	daffi "github.com/daffi-rpc/daffi/runtime"
	"github.com/daffi-rpc/daffi/runtime/internal/testkit"
)

// stage is where scripts play: the client's link is the one that is cut.
type stage struct {
	line           *line
	client, server *daffi.Node
	p              *testkit.KitProxy // of the client
	back           *testkit.KitProxy // of the server, to the client's Kit
	k, clientKit   *tally
	act            string // a new one in each case
}

// wanted is what a script says of what it got.
func wanted(got, want any, err error) error {
	if err == nil && fmt.Sprint(got) != fmt.Sprint(want) {
		return fmt.Errorf("got %.100v, want %.100v", got, want)
	}
	return err
}

func echoes(p *testkit.KitProxy, name string, size int) func(context.Context) error {
	return func(ctx context.Context) error {
		b := append([]byte(fmt.Sprintf("%-24s", name)), blob(size)...)
		got, err := p.Echo(ctx, b)
		return wanted(len(got), len(b), err)
	}
}

// fails expects the error of a handler, or another one that is the link's.
func fails(code daffi.Code, err error) error {
	if err == nil {
		return errors.New("no error")
	}
	if daffi.CodeOf(err) == code {
		return nil
	}
	return err
}

// count is what is left of a stream's items and its error.
func count[T any](seq func(func(T, error) bool), leave int) (n int, err error) {
	for _, e := range seq {
		if e != nil {
			return n, e
		}
		if n++; n == leave {
			break
		}
	}
	return n, nil
}

// scripts are played from beginning to end while the link is cut after some byte.
var scripts = []struct {
	name string
	play func(ctx context.Context, s *stage) error
}{
	{"echo", func(ctx context.Context, s *stage) error { return echoes(s.p, s.act, 10)(ctx) }},
	{"echo of 3 KiB", func(ctx context.Context, s *stage) error { return echoes(s.p, s.act, 3<<10)(ctx) }},
	{"echo in the bulk lane", func(ctx context.Context, s *stage) error { return echoes(s.p, s.act, 17<<10)(ctx) }},
	{"echo in chunks", func(ctx context.Context, s *stage) error { return echoes(s.p, s.act, 65<<10)(ctx) }},
	{"three echoes", func(ctx context.Context, s *stage) error {
		for i := range 3 {
			if err := echoes(s.p, fmt.Sprint(s.act, "/", i), 10)(ctx); err != nil {
				return err
			}
		}
		return nil
	}},
	{"echoes at once", func(ctx context.Context, s *stage) error {
		var wg sync.WaitGroup
		errs := make([]error, 4)
		for i := range errs {
			wg.Go(func() { errs[i] = echoes(s.p, fmt.Sprint(s.act, "/", i), 20)(ctx) })
		}
		wg.Wait()
		for _, err := range errs {
			if err != nil {
				return err
			}
		}
		return nil
	}},
	{"one-way", func(ctx context.Context, s *stage) error { return s.p.Note(ctx, s.act) }},
	{"post", func(ctx context.Context, s *stage) error { return s.p.Prepare().Echo([]byte(s.act)).Post(ctx) }},
	{"post in chunks", func(ctx context.Context, s *stage) error {
		return s.p.Prepare().Echo(append([]byte(fmt.Sprintf("%-24s", s.act)), blob(66<<10)...)).Post(ctx)
	}},
	{"error", func(ctx context.Context, s *stage) error {
		_, err := s.p.Fail(ctx, "coded")
		return fails(daffi.NotFound, err)
	}},
	{"panic", func(ctx context.Context, s *stage) error {
		_, err := s.p.Fail(ctx, "panic")
		return fails(daffi.Internal, err)
	}},
	{"cancel", func(ctx context.Context, s *stage) error {
		ctx, cancel := context.WithCancel(ctx)
		done := make(chan error)
		go func() { done <- s.p.Block(ctx) }()
		select {
		case <-s.k.Blocked:
			cancel()
			return fails(daffi.Canceled, <-done)
		case err := <-done:
			cancel()
			return err
		}
	}},
	{"deadline", func(ctx context.Context, s *stage) error {
		return fails(daffi.DeadlineExceeded, s.p.Quick(context.WithoutCancel(ctx)))
	}},
	{"output", func(ctx context.Context, s *stage) error {
		n, err := count(s.p.Count(ctx, 100, ""), 0)
		return wanted(n, 100, err)
	}},
	{"output that fails", func(ctx context.Context, s *stage) error {
		_, err := count(s.p.Count(ctx, 20, "enough"), 0)
		return fails(daffi.Unknown, err)
	}},
	{"output that is left", func(ctx context.Context, s *stage) error {
		n, err := count(s.p.Count(ctx, 1<<20, ""), 30)
		return wanted(n, 30, err)
	}},
	{"output of large items", func(ctx context.Context, s *stage) error {
		n, err := count(s.p.Blobs(ctx, 2, 9<<10), 0)
		return wanted(n, 2, err)
	}},
	{"input", func(ctx context.Context, s *stage) error {
		n, err := s.p.Sum(ctx, 0, numbers(100))
		return wanted(n, 99*50, err)
	}},
	{"input that is stopped", func(ctx context.Context, s *stage) error {
		n, err := s.p.Sum(ctx, 10, numbers(1000))
		return wanted(n, 45, err)
	}},
	{"input of large items", func(ctx context.Context, s *stage) error {
		n, err := s.p.Size(ctx, func(yield func([]byte, error) bool) { _ = yield(blob(5<<10), nil) && yield(blob(9<<10), nil) })
		return wanted(n, 14<<10, err)
	}},
	{"both", func(ctx context.Context, s *stage) error {
		n, err := count(s.p.Chat(ctx, func(yield func(string, error) bool) {
			for i := range 20 {
				if !yield(fmt.Sprint(i), nil) {
					return
				}
			}
		}), 0)
		return wanted(n, 20, err)
	}},
	{"items", func(ctx context.Context, s *stage) error {
		before, err := s.k.Total(ctx)
		if err != nil {
			return err
		}
		if err := testkit.NewMany(s.client).AddEach(ctx, numbers(20)); err != nil {
			return err
		}
		after, err := s.k.Total(ctx)
		return wanted(after-before, 190, err)
	}},
	{"serving", func(ctx context.Context, s *stage) error { return echoes(s.back, s.act, 10)(ctx) }},
	{"serving in chunks", func(ctx context.Context, s *stage) error { return echoes(s.back, s.act, 65<<10)(ctx) }},
	{"serving a stream", func(ctx context.Context, s *stage) error {
		n, err := count(s.back.Count(ctx, 100, ""), 0)
		return wanted(n, 100, err)
	}},
	{"there and back", func(ctx context.Context, s *stage) error {
		if err := echoes(s.back, s.act+"b", 10)(ctx); err != nil {
			return err
		}
		return echoes(s.p, s.act+"a", 10)(ctx)
	}},
	{"registering", func(ctx context.Context, s *stage) error {
		reg, err := testkit.RegisterKit(s.client, s.clientKit, daffi.As("Late"))
		if err != nil {
			return err
		}
		if err := s.server.WaitMethod(ctx, "Late.Echo"); err != nil {
			return err
		}
		return reg.Close()
	}},
	{"resolving", func(ctx context.Context, s *stage) error { return testkit.NewKit(s.client).Note(ctx, s.act) }},
	{"waiting", func(ctx context.Context, s *stage) error { return s.client.WaitMethod(ctx, "Kit.Echo") }},
}

// TestCutAtEveryByte cuts the client's link after every byte that a script sends, in one direction and in the other (ACC-8). With resumption every script plays as
// if nothing had been, and every handler runs once; without, it ends, or fails as SEM-4 says, and no handler runs twice. The night's run is of
// all bytes, the other of some.
func TestCutAtEveryByte(t *testing.T) {
	total := 0
	for _, resumes := range []bool{true, false} {
		for i, script := range scripts {
			for _, from := range []string{"node", "controller"} {
				name := fmt.Sprintf("%s/%s/%s", map[bool]string{true: "resumed", false: "lost"}[resumes], script.name, from)
				t.Run(name, func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						s := newStage(t, resumes)
						total += s.cutEverywhere(t, scripts[i].play, from == "node", resumes)
					})
				})
			}
		}
	}
	t.Logf("%d cases", total)
}

func newStage(t *testing.T, resumes bool) *stage { return newStageOver(t, resumes, func(*line) {}) }

// newStageOver is newStage over a line that prepare has changed.
func newStageOver(t *testing.T, resumes bool, prepare func(*line)) *stage {
	o := resuming()
	if !resumes {
		o.ResumeGrace = -1
	}
	s := &stage{line: newLine(t, o)}
	prepare(s.line)
	serves := func(n *daffi.Node) *tally {
		k := &tally{ran: map[string]int{}}
		k.Blocked = make(chan struct{}, 1)
		_, err := testkit.RegisterKit(n, k)
		require.NoError(t, err)
		return k
	}
	s.server = connect(t, daffi.Options{Name: "server", Controller: s.line.ctl})
	s.k = serves(s.server)
	s.client = connect(t, s.line.options("client"))
	s.clientKit = serves(s.client)
	s.p, s.back = testkit.NewKit(s.client, daffi.To("server")), testkit.NewKit(s.server, daffi.To("client"))
	return s
}

// cutEverywhere plays a script with a cut after 0 bytes, after 1, and so on until it is over before the cut comes.
func (s *stage) cutEverywhere(t *testing.T, play func(context.Context, *stage) error, fromNode, resumes bool) (cases int) {
	for n := 0; ; n += step(n) {
		s.act = fmt.Sprint("act ", n)
		synctest.Wait()
		cut, far := s.line.last()
		if !fromNode {
			cut = far
		}
		dials := s.line.dials()
		cut.CutAfter(n)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		err := play(ctx, s)
		cases++
		switch e := (*daffi.Error)(nil); {
		case err == nil:
		case resumes:
			t.Fatalf("cut after %d bytes: %v", n, err)
		case !errors.As(err, &e):
			t.Fatalf("cut after %d bytes: %T %v", n, err, err)
		case e.Reason != daffi.ReasonLinkLost && e.Reason != daffi.ReasonNodeLost && e.Reason != daffi.ReasonNoProvider:
			t.Fatalf("cut after %d bytes: %v %v", n, e.Reason, err)
		}
		synctest.Wait()
		if !cut.Cut() {
			cancel()
			s.once(t)
			return cases
		}
		s.comeBack(ctx, t, dials)
		cancel()
	}
}

// comeBack waits for the client to have a connection again.
func (s *stage) comeBack(ctx context.Context, t *testing.T, dials int) {
	for s.line.dials() == dials {
		time.Sleep(10 * time.Millisecond)
	}
	require.NoError(t, s.server.WaitNode(ctx, "client"))
	_, err := s.p.Echo(ctx, nil)
	require.NoError(t, err)
	_, err = s.back.Echo(ctx, nil)
	require.NoError(t, err)
}

// once checks that nothing ran twice, and that nothing is left.
func (s *stage) once(t *testing.T) {
	time.Sleep(time.Second)
	for _, k := range []*tally{s.k, s.clientKit} {
		k.mu.Lock()
		defer k.mu.Unlock()
		for name, n := range k.ran {
			if strings.HasPrefix(name, "act ") {
				require.Equal(t, 1, n, name)
			}
		}
	}
	st := s.line.ctl.Stats()
	require.Zero(t, st.Calls+st.Serving+st.Kept, "%+v", st)
	require.Empty(t, s.client.Held())
	require.Empty(t, s.server.Held())
}

// step is how many bytes are between two cuts: in the night's run none, but within the many bytes of a large message.
func step(n int) int {
	switch {
	case !testkit.Night():
		return 1 + n/3
	case n < 4<<10:
		return 1
	}
	return 17
}
