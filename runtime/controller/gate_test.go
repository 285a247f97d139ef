package controller

import (
	"bytes"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/daffi-rpc/daffi/runtime/internal/rawpeer"
	"github.com/daffi-rpc/daffi/runtime/transport"
)

// from returns a started peer that comes over a connection from an address.
func (w *world) from(remote string, token []byte) *rawpeer.Peer {
	x, y := net.Pipe()
	info := transport.Info{Network: "tcp", Remote: remote, UID: -1}
	w.Serve(transport.NewConn(y, info), token)
	p := rawpeer.New(transport.NewConn(x, info)).Start()
	w.peers = append(w.peers, p)
	return p
}

// greet sends a Hello and takes the Challenge.
func greet(t *testing.T, p *rawpeer.Peer) {
	t.Helper()
	h := hello("node", 1, 1)
	p.Send(frame{Header: header{Kind: transport.Hello}, Payload: transport.AppendHello(nil, &h)})
	p.Expect(t, transport.Challenge)
}

// TestLIM3Address lets an address have so many links that wait and no more: another of its own gives way, whatever the total is.
func TestLIM3Address(t *testing.T) {
	w := start(t, Options{MaxPendingPerAddress: 3, MaxPending: 100})
	other := w.from("192.0.2.1:1", nil)
	var of []*rawpeer.Peer
	for i := range 3 {
		of = append(of, w.from(fmt.Sprintf("192.0.2.2:%d", i), nil))
	}
	require.Equal(t, 4, w.Stats().Pending)
	require.Zero(t, w.Stats().Dropped) // at the limit
	w.from("192.0.2.2:9", nil)         // one past
	require.Error(t, of[0].Closed(t))
	require.Equal(t, [2]uint64{1, 1}, [2]uint64{w.Stats().Dropped, w.Stats().Refused})
	require.Equal(t, 4, w.Stats().Pending)
	of[1].Join(t, "one-of-them")
	other.Join(t, "other")
	w.from("192.0.2.2:10", nil) // for which there is room now
	of[2].Join(t, "another-of-them")
	require.EqualValues(t, 1, w.Stats().Dropped)
}

// TestLIM3Order makes the oldest give way of those that have said Hello or of those that have not, whichever are more.
func TestLIM3Order(t *testing.T) {
	w := start(t, Options{MaxPending: 4})
	n := 0
	come := func(greets bool) *rawpeer.Peer {
		n++
		p := w.from(fmt.Sprintf("192.0.2.%d:1", n), nil)
		if greets {
			greet(t, p)
		}
		return p
	}
	greeted := []*rawpeer.Peer{come(true), come(true), come(true)}
	just := come(false)
	silent := come(false) // for which the oldest with a Hello goes, though there are silent ones
	require.Error(t, greeted[0].Closed(t))
	come(false) // two of each: of those that are silent
	require.Error(t, just.Closed(t))
	greet(t, silent)
	come(false) // three have said Hello
	require.Error(t, greeted[1].Closed(t))
	silent.Send(frame{Header: header{Kind: transport.Proof}, Payload: make([]byte, transport.ProofSize)})
	silent.Expect(t, transport.Welcome)
	require.EqualValues(t, 3, w.Stats().Dropped)
}

// TestLIM3Largest does no arithmetic on limits.
func TestLIM3Largest(t *testing.T) {
	const most = int(^uint(0) >> 1)
	w := start(t, Options{MaxPending: most, MaxPendingPerAddress: most, MaxAuthFailures: most})
	for i := range 300 {
		w.from(fmt.Sprintf("192.0.2.1:%d", i), nil)
	}
	require.Equal(t, 300, w.Stats().Pending)
}

// TestLIM2OneDeadline is not moved by what a peer sends, and counts from the start.
func TestLIM2OneDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, Options{})
		begin := time.Now()
		p := w.from("192.0.2.1:1", []byte("token"))
		time.Sleep(3 * time.Second)
		greet(t, p)
		go func() {
			for range 10 {
				time.Sleep(time.Second)
				p.Send(frame{Header: header{Kind: 200, Flags: transport.Optional}}) // it is skipped
			}
		}()
		require.Error(t, p.Closed(t))
		require.Equal(t, 5*time.Second, time.Since(begin))
		require.EqualValues(t, 1, w.Stats().Slow)
		time.Sleep(10 * time.Second)
		w.end()
	})
}

// TestLIM21Failures bars an address after so many wrong proofs in a minute, for a minute, and no other, and nobody who has joined.
func TestLIM21Failures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, Options{DeadInterval: time.Hour})
		token := []byte("token")
		guess := func(from string) {
			require.Equal(t, unauthenticated, refusal(t, w.from(from, token).Hello(t, hello("guess", 1, 1), []byte("wrong"))).Code)
		}
		joined := w.from("192.0.2.1:1", token)
		require.Equal(t, transport.Welcome, joined.Hello(t, hello("joined", 2, 1), token).Kind)
		for i := range 9 {
			guess(fmt.Sprintf("192.0.2.1:%d", i))
		}
		time.Sleep(failureWindow) // and it begins anew
		for i := range 9 {
			guess(fmt.Sprintf("192.0.2.1:%d", i))
		}
		waits := w.from("192.0.2.1:20", token)
		synctest.Wait()
		require.Zero(t, w.Stats().Barred)
		guess("192.0.2.1:21") // the tenth
		require.Error(t, waits.Closed(t))
		time.Sleep(time.Minute - time.Nanosecond)
		require.Error(t, w.from("192.0.2.1:22", token).Closed(t))
		require.Equal(t, transport.Welcome, w.from("192.0.2.2:1", token).Hello(t, hello("neighbour", 3, 1), token).Kind)
		require.Equal(t, [2]uint64{19, 2}, [2]uint64{w.Stats().Failed, w.Stats().Barred})
		time.Sleep(time.Nanosecond)
		require.Equal(t, transport.Welcome, w.from("192.0.2.1:23", token).Hello(t, hello("again", 4, 1), token).Kind)
		joined.Route(t, "Svc", "M", "sig")
		w.end()
	})
}

// TestLIM21Others counts nothing but wrong proofs, and bars neither loopback nor anybody where that is off.
func TestLIM21Others(t *testing.T) {
	token := []byte("token")
	for name, test := range map[string]struct {
		o    Options
		from string
		do   func(t *testing.T, p *rawpeer.Peer)
	}{
		"silence":    {Options{}, "192.0.2.1:1", func(t *testing.T, p *rawpeer.Peer) {}},
		"a Hello":    {Options{}, "192.0.2.1:1", greet},
		"no Hello":   {Options{}, "192.0.2.1:1", func(t *testing.T, p *rawpeer.Peer) { p.Send(frame{Header: header{Kind: transport.Ping}}) }},
		"loopback":   {Options{}, "127.0.0.1:1", wrongProof},
		"loopback 6": {Options{}, "[::1]:1", wrongProof},
		"off":        {Options{MaxAuthFailures: -1}, "192.0.2.1:1", wrongProof},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := start(t, test.o)
				for range 20 {
					p := w.from(test.from, token)
					test.do(t, p)
					p.Close()
				}
				require.Equal(t, transport.Welcome, w.from(test.from, token).Hello(t, hello("good", 2, 1), token).Kind)
				require.Zero(t, w.Stats().Barred)
				w.end()
			})
		})
	}
}

func wrongProof(t *testing.T, p *rawpeer.Peer) { p.Hello(t, hello("guess", 1, 1), []byte("wrong")) }

// TestLIM53Suspects remembers so many addresses, and forgets the oldest for one more.
func TestLIM53Suspects(t *testing.T) {
	o := Options{MaxAuthFailures: 1, AuthFailurePause: time.Minute, MaxPending: 1, MaxPendingPerAddress: 1, HandshakeTimeout: time.Minute}
	g := newGate(&o, new(counters))
	fail := func(i int) {
		v := g.enter(&transport.Info{Network: "tcp", Remote: fmt.Sprintf("10.0.%d.%d:1", i>>8, i&255)}, func(error) {})
		require.NotNil(t, v)
		v.fail()
		v.leave()
	}
	barred := func(ip string) bool {
		g.mu.Lock()
		defer g.mu.Unlock()
		return g.isBarred(netip.MustParsePrefix(ip + "/32"))
	}
	for i := range maxSuspects {
		fail(i)
	}
	require.True(t, barred("10.0.0.0"))
	fail(maxSuspects)
	require.False(t, barred("10.0.0.0"))
	require.True(t, barred("10.0.0.1"))
	require.Len(t, g.suspects, maxSuspects)
	require.Len(t, g.recorded, maxSuspects)
	require.Empty(t, g.of)
}

// TestLIM3Leaving accepts nobody while too many are on their way out, until they are gone or the gate is shut.
func TestLIM3Leaving(t *testing.T) {
	for _, shut := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			o := Options{MaxPending: 1, MaxPendingPerAddress: 1, HandshakeTimeout: time.Hour}
			g := newGate(&o, new(counters))
			var all []*visitor
			enter := func() {
				all = append(all, g.enter(&transport.Info{Network: "unix"}, func(error) {}))
			}
			for range 1 + maxLeaving {
				enter()
			}
			g.settle() // at the limit
			enter()
			settled := false
			go func() { g.settle(); settled = true }()
			synctest.Wait()
			require.False(t, settled)
			if shut {
				g.close()
			} else {
				all[0].leave()
				all[0].leave() // it counts once
			}
			synctest.Wait()
			require.True(t, settled)
			for _, v := range all {
				v.leave()
			}
			require.Zero(t, g.leaving)
			require.Zero(t, g.pending())
			all[0].expire() // a timer that could not be stopped any more
			require.Zero(t, g.leaving)
		})
	}
}

// TestLIM2Late leaves a node alone that joins as its time is over.
func TestLIM2Late(t *testing.T) {
	o := Options{MaxPending: 1, MaxPendingPerAddress: 1, HandshakeTimeout: time.Hour}
	g := newGate(&o, new(counters))
	v := g.enter(&transport.Info{Network: "unix"}, func(error) { t.Error("it was closed") })
	require.NoError(t, v.leave())
	v.expire()
}

func TestAddressOf(t *testing.T) {
	for remote, want := range map[string]string{
		"192.0.2.1:80": "192.0.2.1/32", "[::ffff:192.0.2.1]:80": "192.0.2.1/32", "127.0.0.1:1": "127.0.0.1/32", "127.0.0.2:1": "127.0.0.2/32",
		"[2001:db8:1:2:3:4:5:6]:80": "2001:db8:1:2::/64", "[fe80::1%eth0]:80": "fe80::/64", "[::1]:1": "::1/128",
	} {
		require.Equal(t, want, addressOf(&transport.Info{Network: "tcp", Remote: remote}).String(), remote)
	}
	require.False(t, addressOf(&transport.Info{Network: "unix", Remote: "/run/1:80"}).IsValid())
	require.False(t, addressOf(&transport.Info{Network: "tcp", Remote: "test"}).IsValid())
}

// TestLIM54Lines logs a few lines in a second about those that have not joined, and how many are missing.
func TestLIM54Lines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var text lockedBuffer
		w := start(t, Options{Logger: slog.New(slog.NewTextHandler(&text, nil))})
		wrong := func() {
			p := w.from("192.0.2.1:1", nil)
			p.Send(frame{Header: header{Kind: transport.Ping}})
			p.Closed(t)
			synctest.Wait()
		}
		for range gateLines {
			wrong()
		}
		require.Equal(t, gateLines, strings.Count(text.String(), "link ended"))
		for range 100 {
			wrong()
		}
		require.Equal(t, gateLines, strings.Count(text.String(), "link ended"))
		time.Sleep(time.Second)
		wrong()
		require.Equal(t, gateLines+1, strings.Count(text.String(), "link ended"))
		require.Contains(t, text.String(), "unlogged=100")
		w.join("good") // joins are always logged
		require.Contains(t, text.String(), "node joined")
		w.end()
	})
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}
