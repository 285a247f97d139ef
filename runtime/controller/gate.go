package controller

import (
	"cmp"
	"context"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/daffi-rpc/daffi/runtime/transport"
)

// Bounds of the gate that are not options.
const (
	failureWindow = time.Minute // in which failed proofs of an address are counted (LIM-21)
	maxSuspects   = 4096        // addresses with failed proofs that are remembered; of more the oldest is forgotten (LIM-53)
	maxLeaving    = 64          // connections that were ended and are not gone yet; while there are more nobody is accepted
	gateLines     = 5           // of the log in a second about links whose node has not joined (LIM-54)
)

// gate bounds what peers may take before they have shown who they are: how many there are, in all and of one address (LIM-3), for how long (LIM-2), and how often an address may
// fail (LIM-21). From accept on, TLS handshake included, every link has a visitor here until its node has joined.
type gate struct {
	limit, perAddress int
	patience          time.Duration
	failures          int // negative: no bound
	pause             time.Duration
	counts            *counters

	mu       sync.Mutex
	shut     bool
	visitors []*visitor // those that are counted, oldest first
	of       map[netip.Prefix]int
	leaving  int       // visitors that were ended and have not left
	fewer    sync.Cond // of them
	suspects map[netip.Prefix]*suspect
	recorded []netip.Prefix // the suspects, oldest first

	lines    int // of the log, in the second that began at linesAt
	linesAt  time.Time
	unlogged int
}

// visitor is one link, or the connection that is to become one, until its node has joined.
type visitor struct {
	gate    *gate
	address netip.Prefix // not valid where the peer has none of its own: unix sockets, memory
	timer   *time.Timer  // runs from accept until the node has joined; there is no other deadline

	// Guarded by the gate's lock.
	counted bool        // it is not authenticated, and not in memory
	greeted bool        // it has sent a whole Hello
	linked  bool        // the connection is a link, which the controller knows
	close   func(error) // ends the connection, and later the link
	over    error       // why it was ended
	left    bool
}

// suspect is an address whose proofs have failed.
type suspect struct {
	failures int
	since    time.Time // of the first of them
	barred   time.Time // until then
}

func newGate(o *Options, counts *counters) *gate {
	g := &gate{
		limit: o.MaxPending, perAddress: o.MaxPendingPerAddress, patience: o.HandshakeTimeout, failures: o.MaxAuthFailures, pause: o.AuthFailurePause,
		counts: counts, of: map[netip.Prefix]int{}, suspects: map[netip.Prefix]*suspect{},
	}
	g.fewer.L = &g.mu
	return g
}

// addressOf is what tells one peer from another: the address, of IPv6 the /64 that it is in, since a host there has as many as it likes.
func addressOf(info *transport.Info) netip.Prefix {
	at, err := netip.ParseAddrPort(info.Remote)
	if info.Network != "tcp" || err != nil {
		return netip.Prefix{}
	}
	ip, bits := at.Addr().Unmap().WithZone(""), 64
	if ip.Is4() || ip.IsLoopback() {
		bits = ip.BitLen()
	}
	address, _ := ip.Prefix(bits)
	return address
}

// enter lets a peer in whose connection close ends, and begins its time; nil if the gate is shut, or its address is barred. Whoever has to give way for it is closed.
func (g *gate) enter(info *transport.Info, close func(error)) *visitor {
	v := &visitor{gate: g, address: addressOf(info), counted: info.Network != "memory", close: close}
	g.mu.Lock()
	if g.shut || v.counted && g.isBarred(v.address) {
		g.mu.Unlock()
		return nil
	}
	var crowded func(error)
	if v.counted {
		crowded = g.makeRoom(v.address)
		g.visitors = append(g.visitors, v)
		if v.address.IsValid() {
			g.of[v.address]++
		}
	}
	v.timer = time.AfterFunc(g.patience, v.expire)
	g.mu.Unlock()
	if crowded != nil {
		g.counts.dropped.Add(1)
		g.counts.refused.Add(1)
		crowded(errCrowded)
	}
	return v
}

// makeRoom chooses who gives way to another link of from: one of the same address if it has as many as it may, else any, if there are as many as there may be. It is the oldest of
// those that have said Hello or of those that have not, whichever are more, so that neither can crowd out the others: not silent peers one that is about to prove who it is, nor
// those that stop there one that has only just come. Call with the lock held, and what it returns without.
func (g *gate) makeRoom(from netip.Prefix) (close func(error)) {
	full := from.IsValid() && g.of[from] >= g.perAddress
	if !full && len(g.visitors) < g.limit {
		return nil
	}
	var silent, greeted *visitor // the oldest
	balance := 0
	for _, v := range g.visitors {
		switch {
		case full && v.address != from:
		case v.greeted:
			balance--
			greeted = cmp.Or(greeted, v)
		default:
			balance++
			silent = cmp.Or(silent, v)
		}
	}
	if silent == nil || balance < 0 {
		return g.end(greeted, errCrowded)
	}
	return g.end(silent, errCrowded)
}

// end takes v out of what is counted and notes why it is ended. Call with the lock held, and what it returns without.
func (g *gate) end(v *visitor, err error) (close func(error)) {
	g.forget(v)
	v.over = err
	g.leaving++
	return v.close
}

// forget ends the counting of v. Call with the lock held.
func (g *gate) forget(v *visitor) {
	if !v.counted {
		return
	}
	v.counted = false
	i := slices.Index(g.visitors, v)
	g.visitors = slices.Delete(g.visitors, i, i+1)
	if !v.address.IsValid() {
		return
	}
	if g.of[v.address]--; g.of[v.address] == 0 {
		delete(g.of, v.address)
	}
}

// link says that the connection has become a link, which close ends from now on. It returns why not, if v was ended meanwhile.
func (v *visitor) link(close func(error)) error {
	v.gate.mu.Lock()
	defer v.gate.mu.Unlock()
	v.close, v.linked = close, true
	return v.over
}

// hello says that v has sent one.
func (v *visitor) hello() {
	v.gate.mu.Lock()
	v.greeted = true
	v.gate.mu.Unlock()
}

// known says that v has shown who it is: from now on it is nobody's to drop, but its time goes on.
func (v *visitor) known() {
	v.gate.mu.Lock()
	v.gate.forget(v)
	v.gate.mu.Unlock()
}

// leave ends v: its node has joined, or never will. It returns why, if the gate has ended it.
func (v *visitor) leave() error {
	v.timer.Stop()
	g := v.gate
	g.mu.Lock()
	defer g.mu.Unlock()
	g.forget(v)
	if v.over != nil && !v.left {
		g.leaving--
		g.fewer.Signal()
	}
	v.left = true
	return v.over
}

// settle waits while too many that were ended are not gone yet: whoever connects faster than they go would have more goroutines than there may be links.
func (g *gate) settle() {
	g.mu.Lock()
	for g.leaving > maxLeaving && !g.shut {
		g.fewer.Wait()
	}
	g.mu.Unlock()
}

// expire ends a link that takes too long (LIM-2).
func (v *visitor) expire() {
	g := v.gate
	g.mu.Lock()
	var close func(error)
	if v.over == nil && !v.left {
		close = g.end(v, errSlow)
	}
	g.mu.Unlock()
	if close != nil {
		g.counts.slow.Add(1)
		g.counts.refused.Add(1)
		close(errSlow)
	}
}

// fail notes that v's proof was wrong (LIM-21). An address that has failed too often is barred, and its other links that wait are closed.
//
// Loopback addresses are not: every user of the host has them, so that anybody could keep all others out, and a token of 256 bits is not guessed.
func (v *visitor) fail() {
	g := v.gate
	g.counts.failed.Add(1)
	if g.failures < 0 || !v.address.IsValid() || v.address.Addr().IsLoopback() {
		return
	}
	g.mu.Lock()
	var others []func(error)
	if g.suspect(v.address).fails(time.Now(), g) {
		for _, other := range slices.Clone(g.visitors) {
			if other.address == v.address && other != v {
				others = append(others, g.end(other, errBarred))
			}
		}
	}
	g.mu.Unlock()
	for _, close := range others {
		g.counts.barred.Add(1)
		close(errBarred)
	}
}

// fails counts, and reports whether the address is barred now and was not before.
func (s *suspect) fails(now time.Time, g *gate) bool {
	if now.Sub(s.since) >= failureWindow {
		s.failures, s.since = 0, now
	}
	s.failures++
	if s.failures < g.failures || now.Before(s.barred) {
		return false
	}
	s.failures, s.barred = 0, now.Add(g.pause)
	return true
}

// suspect returns what is known of an address. Call with the lock held.
func (g *gate) suspect(address netip.Prefix) *suspect {
	s := g.suspects[address]
	if s != nil {
		return s
	}
	if len(g.recorded) == maxSuspects {
		delete(g.suspects, g.recorded[0])
		g.recorded = append(g.recorded[:0], g.recorded[1:]...)
	}
	s = new(suspect)
	g.suspects[address] = s
	g.recorded = append(g.recorded, address)
	return s
}

// isBarred is called with the lock held.
func (g *gate) isBarred(from netip.Prefix) bool {
	s := g.suspects[from]
	if s == nil || !time.Now().Before(s.barred) {
		return false
	}
	g.counts.barred.Add(1)
	return true
}

// pending is how many links are not authenticated.
func (g *gate) pending() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.visitors)
}

// close lets nobody in any more, and ends the connections that are no links yet.
func (g *gate) close() {
	g.mu.Lock()
	g.shut = true
	g.fewer.Broadcast()
	var closes []func(error)
	for _, v := range g.visitors {
		if !v.linked {
			closes = append(closes, v.close)
		}
	}
	g.mu.Unlock()
	for _, close := range closes {
		close(errShutdown)
	}
}

// note logs a line about a peer that has not joined, unless there were enough in this second (LIM-54): anybody can cause them. The next line says how many are missing.
func (g *gate) note(log *slog.Logger, level slog.Level, text string, attrs ...any) {
	if !log.Enabled(context.Background(), level) {
		return
	}
	now := time.Now()
	g.mu.Lock()
	if now.Sub(g.linesAt) >= time.Second {
		g.lines, g.linesAt = 0, now
	}
	if g.lines++; g.lines > gateLines {
		g.unlogged++
		g.mu.Unlock()
		return
	}
	unlogged := g.unlogged
	g.unlogged = 0
	g.mu.Unlock()
	if unlogged > 0 {
		attrs = append(attrs, "unlogged", unlogged)
	}
	log.Log(context.Background(), level, text, attrs...)
}
