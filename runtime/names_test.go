package daffi_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	daffi "github.com/daffi-rpc/daffi/runtime"
	"github.com/daffi-rpc/daffi/runtime/controller"
	"github.com/daffi-rpc/daffi/runtime/internal/memconn"
	"github.com/daffi-rpc/daffi/runtime/internal/rawpeer"
	"github.com/daffi-rpc/daffi/runtime/internal/testkit"
	"github.com/daffi-rpc/daffi/runtime/transport"
)

// thief wants a name, and notes whatever it gets beyond the handshake.
type thief struct {
	*rawpeer.Peer
	welcomed atomic.Bool
	refused  atomic.Pointer[transport.RefusePayload]
	stolen   atomic.Pointer[string]
}

// steal asks for the name over l, with as high an incarnation as there is, and with a token if it has one.
func steal(l transport.Link, name string, session byte, token []byte) *thief {
	th := &thief{Peer: rawpeer.New(l)}
	guest := rawpeer.Guest{Hello: transport.HelloPayload{Name: name, Session: [16]byte{session}, Incarnation: 1 << 40}, Token: token}
	th.OnFrame = func(f *transport.Frame) bool {
		switch f.Kind {
		case transport.Challenge, transport.Welcome, transport.Refuse:
			for _, answer := range guest.Answer(f) {
				l.Enqueue(answer)
			}
			th.welcomed.Store(guest.Joined)
			th.refused.Store(guest.Refused)
		case transport.Ping, transport.Goodbye, transport.Ack:
		default:
			got := fmt.Sprintf("%v %q", f.Kind, f.Payload)
			th.stolen.Store(&got)
		}
		return true
	}
	th.Start()
	th.Send(guest.First())
	return th
}

// TestACC63RacesForAName lets others, of the same identity and of another, ask for a node's name while it lives, while its connection is cut and comes back, and while it ends and another of
// that name begins. As long as its session lives they never get it, and whatever happens no frame of its calls gets to them.
func TestACC63RacesForAName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLine(t, controller.Options{ResumeGrace: time.Minute, MaxNodes: 1 << 20})
		options := func(name string) daffi.Options {
			return daffi.Options{Name: name, Controller: l, ResumeGrace: time.Minute}
		}
		var victim *daffi.Node
		begin := func() {
			victim = daffi.New(options("victim"))
			_, err := testkit.RegisterKit(victim, new(testkit.Impl))
			require.NoError(t, err)
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			if err := victim.Join(ctx); err != nil { // another was faster, and leaves soon
				victim.Close()
				victim = nil
			}
		}
		begin()
		caller := connect(t, daffi.Options{Name: "caller", Controller: l.ctl})
		kit := testkit.NewKit(caller)
		var lives, cuts, ends, welcomed int
		for round := range testkit.Full(300, 10_000) {
			pause := func() { time.Sleep(rand.N(2 * time.Millisecond)) }
			kind := round % 3
			if victim == nil {
				begin()
				continue
			}
			var wg sync.WaitGroup
			thieves := make([]*thief, 4)
			for i := range thieves {
				wg.Go(func() {
					pause()
					a, b := memconn.Pair()
					info := transport.Info{Network: "mem", Remote: "node", UID: -1, Local: true}
					if i%2 == 1 { // another user
						info = transport.Info{Network: "unix", UID: 7, Local: true}
					}
					l.ctl.Serve(transport.NewConn(b, info), nil)
					thieves[i] = steal(transport.NewConn(a, info), "victim", byte(i+1), nil)
				})
			}
			for i := range 3 {
				wg.Go(func() {
					pause()
					want := fmt.Appendf(nil, "round %d of %d", round, i)
					got, err := kit.Echo(t.Context(), want)
					var e *daffi.Error
					switch {
					case err == nil && bytes.Equal(got, want):
					case err != nil && kind == 2 && errors.As(err, &e) && (e.Code == daffi.Unavailable || e.Code == daffi.Unimplemented): // SEM-4
					default:
						t.Errorf("round %d: %q, %v", round, got, err)
					}
				})
			}
			wg.Go(func() {
				pause()
				switch kind {
				case 0:
					lives++
				case 1:
					cuts++
					l.mu.Lock()
					for _, c := range l.conns {
						c[0].Close()
					}
					l.conns = nil
					l.mu.Unlock()
				case 2:
					ends++
					victim.Close()
				}
			})
			wg.Wait()
			synctest.Wait()
			for _, th := range thieves {
				if got := th.stolen.Load(); got != nil {
					t.Fatalf("round %d: somebody else got %s", round, *got)
				}
				if th.welcomed.Load() {
					welcomed++
					if kind != 2 {
						t.Fatalf("round %d: the name of a node that lives was taken", round)
					}
				}
				th.Close()
			}
			if kind == 2 {
				begin()
			}
		}
		t.Logf("%d rounds while it lives, %d while it is cut, %d while it ends; then %d got the name", lives, cuts, ends, welcomed)
		require.NotZero(t, lives*cuts*ends)
		if victim != nil {
			require.NoError(t, victim.Close())
		}
	})
}
