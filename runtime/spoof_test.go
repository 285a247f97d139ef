package daffi_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/daffi-rpc/daffi/internal/authority"
	daffi "github.com/daffi-rpc/daffi/runtime"
	"github.com/daffi-rpc/daffi/runtime/controller"
	"github.com/daffi-rpc/daffi/runtime/internal/testkit"
	"github.com/daffi-rpc/daffi/runtime/transport"
)

// spoofer wants the victim's name, with what it has.
type spoofer struct {
	name  string
	files *daffi.TLS
	token string     // file
	code  daffi.Code // 0: it is not even let speak
	log   string     // of what it is refused for

	tls   *tls.Config
	proof []byte
}

// same reports whether the spoofer has what the victim has: then the victim's name is its own once the victim has gone.
func (s *spoofer) same() bool { return s.code == daffi.AlreadyExists }

// attempt connects to the controller itself, whoever that is, and asks for the name. Nil if nobody listened to it.
func (s *spoofer) attempt(addr string, session byte) *thief {
	conn, err := net.Dial("tcp", strings.TrimPrefix(addr, "tcp://"))
	if err != nil {
		return nil
	}
	info := transport.Info{Network: "tcp", Remote: addr, UID: -1}
	if s.tls != nil {
		conn, info.TLS = tls.Client(conn, s.tls), true
	}
	return steal(transport.NewConn(conn, info), "victim", session, s.proof)
}

// TestACC63RacesOverTCP is TestACC63RacesForAName over TCP, with every way in which nodes are known there: a token that all have, tokens of their own inside TLS, and certificates. Others ask for a
// node's name with what they have, or with what the node itself has, while it lives, while it comes back, and while it ends and begins anew.
func TestACC63RacesOverTCP(t *testing.T) {
	t.Setenv("XDG_RUNTIME_DIR", t.TempDir())
	c, other := newCluster(t), newCluster(t)
	foreign, err := authority.New("foreign", 0)
	require.NoError(t, err)
	foreigners := &cluster{t: t, dir: t.TempDir(), a: foreign}
	require.NoError(t, foreign.WriteCertificate(foreigners.ca()))
	c.trust(slices.Concat(c.a.PEM(), foreign.PEM())) // the other cluster's authority is known, and its nodes are another cluster's nevertheless
	ofController, ofVictim, trust := c.issue("controller"), c.issue("victim"), &daffi.TLS{CAFile: c.ca()}

	own, ownHash := c.token("own", 1)
	others, othersHash := c.token("others", 2)
	unknown, _ := c.token("unknown", 3)
	list := filepath.Join(c.dir, "tokens")
	require.NoError(t, os.WriteFile(list, []byte(ownHash+" victim\n"+othersHash+" worker-*\n"), 0o600))

	for name, c := range map[string]struct {
		controller     controller.Options
		victim, caller daffi.Options
		spoofers       []spoofer
	}{
		"one token": {
			controller.Options{TokenFile: own}, daffi.Options{TokenFile: own}, daffi.Options{TokenFile: own},
			[]spoofer{
				{name: "the same token", token: own, code: daffi.AlreadyExists, log: "has joined already"},
				{name: "another token", token: unknown, code: daffi.Unauthenticated, log: "is not that of this controller"},
			},
		},
		"tokens over TLS": {
			controller.Options{TLS: &controller.TLS{CertFile: ofController.CertFile, KeyFile: ofController.KeyFile}, TokensFile: list},
			daffi.Options{TLS: trust, TokenFile: own}, daffi.Options{TLS: trust, TokenFile: others},
			[]spoofer{
				{name: "the same token", files: trust, token: own, code: daffi.AlreadyExists, log: "has joined already"},
				{name: "another node's token", files: trust, token: others, code: daffi.PermissionDenied, log: "identity=token "},
				{name: "no node's token", files: trust, token: unknown, code: daffi.Unauthenticated, log: "none of this controller's"},
			},
		},
		"certificates": {
			controller.Options{TLS: ofController}, daffi.Options{TLS: ofVictim}, daffi.Options{TLS: c.issue("worker-caller")},
			[]spoofer{
				{name: "the same certificate", files: ofVictim, code: daffi.AlreadyExists, log: "has joined already"},
				{name: "another node's certificate", files: c.issue("worker"), code: daffi.PermissionDenied, log: "identity=certificate daffi://shop/worker "},
				{name: "the name's certificate of another cluster", files: foreigners.issue("victim"), log: "of another cluster"},
				{name: "the name's certificate of another authority", files: other.issue("victim"), log: "of no authority"},
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			var log gathered
			c.controller.Addr, c.controller.Logger, c.controller.ResumeGrace, c.controller.MaxAuthFailures = "tcp://127.0.0.1:0", log.logger(), time.Minute, -1
			ctl, err := controller.Listen(t.Context(), c.controller)
			require.NoError(t, err)
			defer ctl.Close()
			for i := range c.spoofers {
				s := &c.spoofers[i]
				if s.files != nil {
					s.tls = &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"daffi/1"}, MinVersion: tls.VersionTLS13}
				}
				if s.files != nil && s.files.CertFile != "" {
					pair, err := tls.LoadX509KeyPair(s.files.CertFile, s.files.KeyFile)
					require.NoError(t, err)
					s.tls.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
				}
				if s.token != "" {
					text, err := os.ReadFile(s.token)
					require.NoError(t, err)
					s.proof, err = hex.DecodeString(strings.TrimSpace(string(text)))
					require.NoError(t, err)
				}
			}
			way := newCutter(t, ctl.Addr())
			c.victim.Name, c.victim.Addr, c.victim.ResumeGrace = "victim", way.addr, time.Minute
			c.caller.Name, c.caller.Addr = "worker-caller", ctl.Addr()
			defer func() {
				if text := log.String(); t.Failed() {
					t.Log(text[max(0, len(text)-4000):])
				}
			}()
			r := &races{t: t, ctl: ctl, options: c.victim, kit: testkit.NewKit(connect(t, c.caller))}
			r.begin()
			defer func() { r.victim.Close() }()

			for _, s := range c.spoofers { // alone first: of many at once the log has five lines a second (LIM-54)
				th := s.attempt(ctl.Addr(), 1)
				r.over(&s, th, true)
				if s.code != 0 {
					require.Equal(t, uint8(s.code), th.refused.Load().Code, "%s: %+v", s.name, th.refused.Load())
				}
				words := []string{"node refused", "node=victim", s.log}
				if s.code == 0 {
					words = []string{"connection turned away", "remote=127.0.0.1:", s.log}
				}
				require.Eventually(t, func() bool { return hasLine(log.String(), words...) }, 10*time.Second, time.Millisecond, "%s: not in the log: %s", s.name, &log)
			}
			rounds := testkit.Full(24, 10_000/3/len(c.spoofers)+1)
			for round := range rounds {
				r.round(round, way.cut, func(i int) (*spoofer, *thief) {
					s := &c.spoofers[i%len(c.spoofers)]
					return s, s.attempt(ctl.Addr(), byte(i+1))
				}, len(c.spoofers))
			}
			t.Logf("%d rounds with %d who want the name; after its end %d got it", rounds, len(c.spoofers), r.welcomed)
		})
	}
}

// hasLine reports whether a line has all the words.
func hasLine(text string, words ...string) bool {
	for l := range strings.Lines(text) {
		if !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(l, w) }) {
			return true
		}
	}
	return false
}

// races are rounds in which a node is called and others want its name.
type races struct {
	t        *testing.T
	ctl      *controller.Controller
	options  daffi.Options // of the victim
	victim   *daffi.Node
	kit      *testkit.KitProxy
	welcomed int
}

// begin lets the victim join, also where another holds its name that is about to leave.
func (r *races) begin() {
	r.t.Helper()
	for begin := time.Now(); ; {
		r.victim = daffi.New(r.options)
		_, err := testkit.RegisterKit(r.victim, new(testkit.Impl))
		require.NoError(r.t, err)
		ctx, cancel := context.WithTimeout(r.t.Context(), 10*time.Second)
		err = r.victim.Join(ctx)
		cancel()
		if err == nil {
			return
		}
		require.NoError(r.t, r.victim.Close())
		require.Less(r.t, time.Since(begin), time.Minute, "%v", err)
	}
}

// over waits until it is decided that a thief does not get the name, where that does not take its time, and looks at what it got.
func (r *races) over(s *spoofer, th *thief, lives bool) {
	r.t.Helper()
	require.NotNil(r.t, th, "%s cannot connect", s.name)
	if !s.same() || lives {
		require.Error(r.t, th.Closed(r.t), s.name)
	}
	th.Close()
	if got := th.stolen.Load(); got != nil {
		r.t.Fatalf("%s got %s", s.name, *got)
	}
}

// round is one race: while the node lives, while its connection is cut, or while it ends.
func (r *races) round(n int, cut func(), attempt func(i int) (*spoofer, *thief), spoofers int) {
	kind, resumed := n%3, r.ctl.Stats().Resumed
	pause := func() { time.Sleep(rand.N(2 * time.Millisecond)) } // so that they meet in every order
	thieves := make([]*thief, spoofers)
	as := make([]*spoofer, spoofers)
	var wg sync.WaitGroup
	for i := range thieves {
		wg.Go(func() {
			pause()
			as[i], thieves[i] = attempt(i)
		})
	}
	for i := range 3 {
		wg.Go(func() {
			pause()
			ctx, cancel := context.WithTimeout(r.t.Context(), 30*time.Second)
			defer cancel()
			want := fmt.Appendf(nil, "round %d of %d", n, i)
			got, err := r.kit.Echo(ctx, want)
			var e *daffi.Error
			switch {
			case err == nil && bytes.Equal(got, want):
			case err != nil && kind == 2 && errors.As(err, &e) && (e.Code == daffi.Unavailable || e.Code == daffi.Unimplemented): // SEM-4
			default:
				r.t.Errorf("round %d: %q, %v", n, got, err)
			}
		})
	}
	wg.Go(func() {
		pause()
		switch kind {
		case 1:
			cut()
		case 2:
			r.victim.Close()
		}
	})
	wg.Wait()
	for i, th := range thieves {
		r.over(as[i], th, false)
		if th.welcomed.Load() {
			r.welcomed++
			if kind != 2 || !as[i].same() {
				r.t.Fatalf("round %d: %s got the name", n, as[i].name)
			}
		}
	}
	switch kind {
	case 1: // the calls may have been over before the cut
		require.Eventually(r.t, func() bool { return r.ctl.Stats().Resumed > resumed }, 30*time.Second, time.Millisecond)
	case 2:
		r.begin()
	}
}
