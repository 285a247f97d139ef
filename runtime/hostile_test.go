package daffi_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	daffi "github.com/daffi-rpc/daffi/runtime"
	"github.com/daffi-rpc/daffi/runtime/controller"
	"github.com/daffi-rpc/daffi/runtime/internal/rawpeer"
	"github.com/daffi-rpc/daffi/runtime/internal/testkit"
	"github.com/daffi-rpc/daffi/runtime/transport"
)

// floodChild says, in the environment, that this process is the one that TestACC40MalformedFrames measures.
const floodChild = "DAFFI_TEST_FLOOD"

// TestACC40MalformedFrames gives controllers and nodes a million frames that are wrong somewhere, before and after authentication: none panics, none hangs, the
// tables are empty in the end, others are served all the time, and the process that has done it has never had more than 64 MiB. With the race detector, whose
// memory is another and which takes ten times as long, there are fewer.
func TestACC40MalformedFrames(t *testing.T) {
	total := testkit.Full(1_000_000, 20_000_000)
	if raceEnabled {
		total = testkit.Full(30_000, 1_000_000)
	}
	if raceEnabled || runtime.GOOS != "linux" || os.Getenv(floodChild) != "" {
		flood(t, total)
		return
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestACC40MalformedFrames$", "-test.v", "-test.timeout=30m")
	cmd.Env = append(os.Environ(), floodChild+"=1")
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	m := regexp.MustCompile(`VmHWM:\s+(\d+) kB`).FindSubmatch(out)
	require.NotNil(t, m, "%s", out)
	peak, _ := strconv.Atoi(string(m[1]))
	t.Logf("%s", regexp.MustCompile(`(?m)^.*frames in .*$`).Find(out))
	t.Logf("at most %d KiB resident", peak)
	require.LessOrEqual(t, peak, 64<<10, "KiB resident")
}

// flood shares the frames among the four places where a stranger may speak.
func flood(t *testing.T, total int) {
	corpus, err := rawpeer.ReadCorpus("../testdata/frames")
	require.NoError(t, err)
	for _, part := range []struct {
		name  string
		share int // of 100
		side  rawpeer.Side
		run   func(*testing.T, *stranger)
	}{
		{"controller before", 15, rawpeer.Stranger, floodController}, {"controller", 40, rawpeer.FromNode, floodController},
		{"node before", 5, rawpeer.Stranger, floodNode}, {"node", 40, rawpeer.FromController, floodNode},
	} {
		t.Run(part.name, func(t *testing.T) {
			begin := time.Now()
			s := &stranger{says: corpus.Of(part.side), early: part.side == rawpeer.Stranger, total: int64(total / 100 * part.share)}
			synctest.Test(t, func(t *testing.T) { part.run(t, s) })
			t.Logf("%d frames in %d connections and %v, seed %d", s.sent.Load(), s.conns, time.Since(begin).Round(time.Millisecond), floodSeed)
			require.GreaterOrEqual(t, s.sent.Load(), s.total)
			require.True(t, s.early || s.sent.Load() > 5*int64(s.conns), "connections end before they have said much")
		})
	}
	if status, err := os.ReadFile("/proc/self/status"); err == nil && os.Getenv(floodChild) != "" {
		fmt.Printf("%s\n", regexp.MustCompile(`VmHWM:.*`).Find(status))
	}
}

// stranger makes one connection after the other, each of which says something else.
type stranger struct {
	says  *rawpeer.Usual
	early bool         // it does not authenticate itself
	total int64        // frames that it will have sent
	sent  atomic.Int64 // counted as they are read
	conns int
}

// perConn is how many frames one connection brings at most.
const perConn = 200

// floodSeed and the number of a connection decide what it says.
const floodSeed = 40

// feed makes the next connection.
func (s *stranger) feed() (*rawpeer.Feed, *rawpeer.Mutator) {
	s.conns++
	c := rawpeer.NewFeed()
	r := rand.New(rand.NewPCG(floodSeed, uint64(s.conns)))
	m := s.says.Mutator(r)
	var b []byte
	left := perConn
	c.Next = func() []byte {
		if left--; left < 0 {
			return nil
		}
		s.sent.Add(1)
		b = m.Append(b[:0])
		if s.early && r.IntN(2) == 0 && len(b) >= transport.HeaderSize { // of a kind that may be skipped
			b[4], b[5] = 200+byte(r.IntN(56)), b[5]|byte(transport.Optional)
		}
		return b
	}
	return c, m
}

// closed waits until the other end has closed the connection.
func closed(t *testing.T, c *rawpeer.Feed) {
	t.Helper()
	select {
	case <-c.Done():
	case <-time.After(time.Minute):
		t.Fatal("the connection is not closed")
	}
}

// brief waits for nobody for ever: one-way calls, which nothing cancels, may have no deadline.
type brief struct{ testkit.Impl }

func (b *brief) Block(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	return b.Impl.Block(ctx)
}

func (b *brief) Quick(ctx context.Context) error { return b.Block(ctx) }

func floodController(t *testing.T, s *stranger) {
	ctl := controller.New(controller.Options{})
	defer ctl.Close()
	server := daffi.New(daffi.Options{Name: "server", Controller: ctl})
	_, err := testkit.RegisterKit(server, new(brief))
	require.NoError(t, err)
	require.NoError(t, server.Join(t.Context()))
	caller := daffi.New(daffi.Options{Name: "caller", Controller: ctl})
	require.NoError(t, caller.Join(t.Context()))
	p := testkit.NewKit(caller, daffi.To("server"))

	for s.sent.Load() < s.total {
		c, m := s.feed()
		guest := rawpeer.Guest{Hello: transport.HelloPayload{Name: "stranger", Incarnation: uint64(s.conns)}}
		c.OnFrame = func(f *transport.Frame) {
			switch {
			case s.early:
				return
			case guest.Joined:
				if f.Kind == transport.Request {
					m.Call(f.Call)
				}
				return
			}
			c.PushFrames(guest.Answer(f)...)
			if guest.Joined {
				c.Begin()
			}
		}
		if s.early {
			c.Begin()
		} else {
			c.PushFrames(guest.First())
		}
		ctl.Serve(transport.NewConn(c, transport.Info{Network: "tcp", Remote: fmt.Sprintf("10.0.%d.%d:1", s.conns>>8&255, s.conns&255), UID: -1}), nil)
		closed(t, c)
		if s.conns%100 == 0 {
			time.Sleep(time.Minute) // timers that were stopped keep what they would have ended until their time has come
			if b, err := p.Echo(t.Context(), []byte("others")); err != nil || string(b) != "others" {
				t.Fatalf("others get %q, %v", b, err)
			}
		}
	}
	time.Sleep(time.Minute) // calls of strangers that are still with the server end by themselves
	require.NoError(t, caller.Close())
	require.Empty(t, server.Held())
	require.NoError(t, server.Close())
	synctest.Wait()
	st := ctl.Stats()
	require.Zero(t, [...]int{st.Links, st.Pending, st.Nodes, st.Waiting, st.Services, st.Providers, st.Watchers, st.Calls, st.Serving, st.Introductions, st.Kept}, "%+v", st)
}

// attaching is where a node finds its controller.
type attaching func() (transport.Link, error)

func (f attaching) Attach() (transport.Link, error) { return f() }

func floodNode(t *testing.T, s *stranger) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	enough := make(chan struct{})
	var once sync.Once
	n := daffi.New(daffi.Options{Name: "n", MaxRunning: 4, MaxQueue: 4, Controller: attaching(func() (transport.Link, error) {
		if s.sent.Load() >= s.total {
			once.Do(func() { close(enough) })
			return nil, transport.ErrClosed
		}
		c, m := s.feed()
		host := rawpeer.Host{Name: "stranger"}
		asked := 0
		c.OnFrame = func(f *transport.Frame) {
			if s.early {
				return
			}
			c.PushFrames(host.Answer(f)...)
			if f.Kind == transport.Request {
				m.Call(f.Call)
			}
			if f.Kind == transport.Control || f.Kind == transport.Request {
				if asked++; asked == 8 {
					c.Begin()
				}
			}
		}
		if s.early {
			c.Begin()
		}
		return transport.NewConn(c, transport.Info{Network: "tcp", Remote: "controller", UID: -1}), nil
	})})
	_, err := testkit.RegisterKit(n, new(brief))
	require.NoError(t, err)
	go n.Join(ctx)
	p := testkit.NewKit(n)
	calls := []func(context.Context){
		func(ctx context.Context) { p.Echo(ctx, make([]byte, 100)) },
		func(ctx context.Context) { p.Echo(ctx, make([]byte, 100<<10)) },
		func(ctx context.Context) { p.Note(ctx, "one-way") },
		func(ctx context.Context) { p.Sum(ctx, 0, numbers(1000)) },
		func(ctx context.Context) {
			for range p.Blobs(ctx, 3, 3) {
			}
		},
		func(ctx context.Context) {
			for range p.Chat(ctx, func(yield func(string, error) bool) {
				for range 100 {
					if !yield("x", nil) {
						return
					}
				}
			}) {
			}
		},
	}
	if !s.early {
		for _, call := range calls {
			go func() {
				for ctx.Err() == nil {
					ctx, done := context.WithTimeout(ctx, 10*time.Second)
					call(ctx)
					done()
					time.Sleep(10 * time.Millisecond)
				}
			}()
		}
	}
	<-enough
	cancel()
	synctest.Wait()
	time.Sleep(time.Minute) // one-way calls that were admitted end by themselves
	require.Equal(t, "no session", n.Held())
	require.NoError(t, n.Close())
	synctest.Wait()
}
