package controller

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/daffi-rpc/daffi/runtime/internal/control"
	"github.com/daffi-rpc/daffi/runtime/internal/rawpeer"
	"github.com/daffi-rpc/daffi/runtime/transport"
)

// curiousLog asks the controller how it is at every line.
type curiousLog struct {
	slog.Handler
	c    *atomic.Pointer[Controller]
	mu   *sync.Mutex
	seen map[string]int // lines, by their text
	hung map[string]bool
}

func (l curiousLog) Enabled(context.Context, slog.Level) bool { return true }
func (l curiousLog) Handle(_ context.Context, r slog.Record) error {
	c := l.c.Load()
	if c == nil {
		return nil
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		c.Stats()
		c.Tasks()
	}()
	select {
	case <-done:
	case <-time.After(5 * time.Second):
		l.mu.Lock()
		l.hung[r.Message] = true
		l.mu.Unlock()
	}
	l.mu.Lock()
	l.seen[r.Message]++
	l.mu.Unlock()
	return nil
}

// moodyStore fails as long as it is told to.
type moodyStore struct{ fails atomic.Bool }

func (*moodyStore) Load(func(string, []byte) error) error { return nil }
func (s *moodyStore) Commit(map[string][]byte, []string) error {
	if s.fails.Load() {
		return errors.New("disk full")
	}
	return nil
}

// TestLogCallsBack has a log that calls the controller back from every line: none is written while a lock is held.
func TestLogCallsBack(t *testing.T) {
	l := curiousLog{slog.DiscardHandler, new(atomic.Pointer[Controller]), new(sync.Mutex), map[string]int{}, map[string]bool{}}
	const allow, deny = "allow * serve *\nallow * call *\nallow * schedule *\nallow * watch *\n", "deny a serve Late.*\n"
	store, file := new(moodyStore), policyFile(t, allow)
	w := start(t, Options{Logger: slog.New(l), EjectAfter: 1, Store: store, Policy: file})
	l.c.Store(w.Controller)
	a, b, caller := w.join("a"), w.join("b"), w.join("caller")
	caller.Route(t, "S", "M", "()()")
	for p, balance := range map[*rawpeer.Peer]control.Balance{a: control.BalanceRandom, b: control.BalanceRoundRobin} {
		m := control.Register{Service: "S", Methods: rawpeer.Methods("()()", "M"), Balance: balance}
		require.Nil(t, p.Ask(t, m.Append, control.OpOK, nil))
	}
	require.Nil(t, a.Serve(t, "Late", "()()", "M"))

	caller.Call(caller.Route(t, "Late", "M", "()()"), 0, 1, "\x90")
	f := a.Served(t)
	a.Send(transport.Frame{Header: transport.Header{Kind: transport.Error, Call: f.Call}, Payload: rawpeer.ErrorPayload(control.Failure{Code: internal, Reason: reasonPanic, Outcome: ran})})
	caller.Failed(t, transport.CallID(0, 1))

	plan := control.Schedule{ID: "s", Route: caller.Route(t, "S", "M", "()()"), Plan: control.Plan{Timing: control.Every, Interval: 10 * time.Millisecond, Timeout: 10 * time.Millisecond}, Args: []byte("\x90")}
	var done control.Scheduled
	require.Nil(t, caller.Ask(t, plan.Append, control.OpScheduled, &done))
	lines := func(text string) {
		t.Helper()
		w.eventually(func(Stats) bool {
			l.mu.Lock()
			defer l.mu.Unlock()
			return l.seen[text] > 0
		}, text)
	}
	lines("scheduled call failed")
	store.fails.Store(true)
	lines("schedules could not be stored")
	store.fails.Store(false)
	for _, text := range []string{allow + deny, allow} {
		require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
		w.rereadPolicy()
	}
	_, err := w.CancelTask("caller", "s")
	require.NoError(t, err)
	b.Close()
	for _, text := range []string{
		"node joined", "node is gone without a goodbye", "nodes ask for different ways to balance the calls of a service: that of the node that joined first counts",
		"node fails and is left out for a while", "the policy does not let a node serve any more what it serves", "the policy lets a node serve again",
	} {
		lines(text)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	require.Empty(t, l.hung)
}
