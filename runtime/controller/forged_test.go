package controller

import (
	"bytes"
	"fmt"
	"log/slog"
	"maps"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/daffi-rpc/daffi/runtime/codec"
	"github.com/daffi-rpc/daffi/runtime/internal/control"
	"github.com/daffi-rpc/daffi/runtime/internal/rawpeer"
	"github.com/daffi-rpc/daffi/runtime/internal/safetext"
	"github.com/daffi-rpc/daffi/runtime/transport"
)

// forging is what becomes of a frame of a joined node that has to do with a call, or a session, that is not its own.
type forging int

const (
	closes   forging = iota // a node never sends the kind: its link is closed
	ofCallee                // dropped; closed where the id is not one that the controller gives
	ofCaller                // dropped; closed where the id is not one that a node gives
	ofBoth                  // dropped
	harmless                // it is of the own link or opens a call of the own
)

// forgings has a row for every kind, without which the test fails.
var forgings = map[transport.Kind]forging{
	transport.Hello: closes, transport.Challenge: closes, transport.Proof: closes, transport.Welcome: closes, transport.Refuse: closes,
	transport.Ping: harmless, transport.Pong: harmless, transport.Goodbye: harmless, transport.Drain: harmless,
	transport.Ack: closes, transport.Resume: closes, transport.Control: harmless, transport.Peer: closes,
	transport.Request: harmless, transport.Accepted: closes, transport.Reply: ofCallee, transport.Error: ofCallee,
	transport.Data: ofBoth, transport.Chunk: ofBoth, transport.Credit: ofBoth, transport.Grant: ofBoth,
	transport.Cancel: ofCaller, transport.Stop: ofCallee,
}

// TestACC64ForgedFields has a node send every kind of frame with every header field set to what is another session's. Its link is closed or the frame dropped, and two others, in the middle
// of a call with streams both ways, notice nothing.
func TestACC64ForgedFields(t *testing.T) {
	fields := []string{}
	for _, f := range reflect.VisibleFields(reflect.TypeFor[header]()) {
		fields = append(fields, f.Name)
	}
	require.Equal(t, []string{"Kind", "Flags", "Depth", "Mode", "Call", "Route", "Peer", "Arg"}, fields, "a new field needs values here")
	attacks := 0
	for k := range 256 {
		kind := transport.Kind(k)
		row, known := forgings[kind]
		require.Equal(t, kind.Known(), known, "%v has no row here, or is none", kind)
		if !known && k%64 != 63 { // of those that are not known some
			continue
		}
		if !known {
			row = closes
		}
		t.Run(fmt.Sprint(kind), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { attacks += forge(t, kind, row) })
		})
	}
	t.Logf("%d frames", attacks)
	require.Greater(t, attacks, 1000)
}

// forge sends the frames of one kind, each from another node, and returns how many.
func forge(t *testing.T, kind transport.Kind, row forging) (n int) {
	w := start(t, Options{})
	caller, callee, route := w.pair()
	call := transport.CallID(0, 1)
	both := header{Kind: transport.Request, Call: call, Route: route, Mode: transport.Input | transport.Output}
	caller.Send(frame{Header: both, Payload: []byte("args")})
	served := callee.Served(t).Call

	values := map[string][]uint64{
		"Flags": {0, 1, 2, 4, 8, 16, 32, 64, 127},
		"Depth": {0, 1, transport.MaxDepth, transport.MaxDepth + 1, 255},
		"Mode":  {0, 1, 2, 4, 8, 16, 32, 64, 128, 255},
		"Call":  {call, served, call | transport.Served, served &^ transport.Served, 0, math.MaxUint64, transport.CallID(0, 2), transport.CallID(1, 1) | transport.Served},
		"Route": {uint64(route), 100, 0, 1 << 31, math.MaxUint32},
		"Peer":  {uint64(caller.Session), uint64(callee.Session), 0, math.MaxUint32},
		"Arg":   {0, 1, 1 << 20, 1 << 62, math.MaxUint64},
	}
	for _, field := range slices.Sorted(maps.Keys(values)) {
		for _, v := range values[field] {
			for _, id := range []uint64{call, served} {
				if field == "Call" && id == served {
					continue
				}
				h := header{Kind: kind, Call: id, Route: route}
				set := reflect.ValueOf(&h).Elem().FieldByName(field)
				set.SetUint(v)
				n++
				attacker := w.join(fmt.Sprintf("attacker-%d", n))
				attacker.Send(frame{Header: h, Payload: forgedPayload(kind, caller)})
				synctest.Wait()
				checkForged(t, row, h, attacker)
				attacker.Close()
				synctest.Wait()
				ofAttacker(t, callee, attacker.Session)
				if f, ok := caller.Poll(); ok {
					t.Fatalf("%+v: the caller got %v %q", fmt.Sprintf("%#v", h), f.Kind, f.Payload)
				}
			}
		}
	}

	// The call goes on as if nothing had been.
	caller.Send(frame{Header: header{Kind: transport.Data, Call: call, Flags: transport.Bulk}, Payload: []byte("\x01i")})
	require.Equal(t, "\x01i", string(callee.Expect(t, transport.Data).Payload))
	callee.Send(frame{Header: header{Kind: transport.Data, Call: served, Flags: transport.Bulk}, Payload: []byte("\x01o")})
	require.Equal(t, "\x01o", string(caller.Expect(t, transport.Data).Payload))
	callee.Send(frame{Header: header{Kind: transport.Reply, Call: served, Flags: transport.Bulk}})
	require.Equal(t, call, caller.Expect(t, transport.Reply).Call)
	w.end()
	return n
}

// forgedPayload is one that the kind could have.
func forgedPayload(kind transport.Kind, victim *rawpeer.Peer) []byte {
	switch kind {
	case transport.Peer:
		return []byte(victim.Name)
	case transport.Control:
		var e codec.Encoder
		e.Reset(nil)
		(&control.Unregister{Service: "Svc"}).Append(&e)
		return e.Bytes()
	}
	return []byte{1, 'x', 0, 0}
}

// checkForged expects the attacker's link to be closed or not, and nothing there of what the others say.
func checkForged(t *testing.T, row forging, h header, attacker *rawpeer.Peer) {
	t.Helper()
	shown := fmt.Sprintf("%#v", h)
	large := h.Flags&transport.Large != 0 && len(forgedPayload(h.Kind, attacker)) != 4
	wantClosed := row == closes || large && h.Kind.Known() || row == ofCallee && h.Call&transport.Served == 0 || row == ofCaller && h.Call&transport.Served != 0
	if row != harmless {
		require.Equal(t, wantClosed, ended(attacker), "%s", shown)
	}
	for {
		f, ok := attacker.Poll()
		if !ok {
			return
		}
		switch f.Kind {
		case transport.Pong, transport.Drain, transport.Control:
		case transport.Error, transport.Accepted:
			require.Equal(t, h.Call, f.Call, "%s", shown)
		case transport.Credit, transport.Grant, transport.Reply, transport.Data, transport.Chunk, transport.Request, transport.Peer:
			t.Fatalf("%s: the attacker got %v %q", shown, f.Kind, f.Payload)
		}
	}
}

// ended reports whether the peer's link is closed.
func ended(p *rawpeer.Peer) bool {
	return p.Link.Enqueue(frame{Header: header{Kind: transport.Pong}}) != nil
}

// ofAttacker reads what the callee got, which may only be what a node that calls it sends under its own name.
func ofAttacker(t *testing.T, callee *rawpeer.Peer, session uint32) {
	t.Helper()
	own := map[uint64]bool{}
	for {
		f, ok := callee.Poll()
		if !ok {
			return
		}
		switch f.Kind {
		case transport.Peer:
			require.Equal(t, session, f.Header.Peer)
			require.NotEqual(t, "caller", string(f.Payload))
			require.Zero(t, f.Arg, "only the controller fires")
		case transport.Request:
			require.Equal(t, session, f.Header.Peer, "who has called is said by the controller alone")
			require.LessOrEqual(t, f.Depth, uint8(transport.MaxDepth))
			own[f.Call] = true
		default:
			require.True(t, own[f.Call], "%v of another's call", f.Kind)
		}
	}
}

// TestACC64EqualNumbers has an attacker serve and make calls whose ids are, on its link, the same numbers as another's: what it sends for them reaches its own calls only.
func TestACC64EqualNumbers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, Options{})
		caller, callee, route := w.pair()
		attacker := w.join("attacker").Register(t, "Other", "M")
		other := caller.Route(t, "Other", "M", "sig")
		own, foreign := caller.Call(route, 0, 1, "for callee"), caller.Call(other, 1, 1, "for attacker")
		atCallee, atAttacker := callee.Served(t).Call, attacker.Served(t).Call
		require.Equal(t, atCallee, atAttacker, "the numbers are the same, each on its link")
		attacker.Reply(atAttacker, "mine")
		require.Equal(t, foreign, caller.Expect(t, transport.Reply).Call)
		for _, kind := range []transport.Kind{transport.Reply, transport.Error, transport.Data, transport.Chunk, transport.Credit, transport.Grant, transport.Stop} {
			attacker.Send(frame{Header: header{Kind: kind, Call: atAttacker}, Payload: []byte{1, 'x', 0, 0}}) // the call has ended
		}
		attacker.Send(frame{Header: header{Kind: transport.Cancel, Call: own}})
		synctest.Wait()
		_, got := caller.Poll()
		require.False(t, got)
		_, got = callee.Poll()
		require.False(t, got)
		callee.Reply(atCallee, "yours")
		f := caller.Expect(t, transport.Reply)
		require.Equal(t, own, f.Call)
		require.Equal(t, "yours", string(f.Payload))
	})
}

// TestACC63LookAlikes refuses names that look like another's, before anything is done by them. What is said and logged of them is quoted and short.
func TestACC63LookAlikes(t *testing.T) {
	const victim = "victim"
	for _, name := range []string{
		"", "Victim", "VICTIM", "victim.", ".victim", "victim ", " victim", "victim\x00", "victim\n", "victim\x1b[2K", "v\u0456ctim", "vict\u0131m", "ｖictim", "victim\u200b", "\u202evictim", "vic\u00adtim",
		"victim\xff", "-victim", "victim-", "victim/x", "daffi://shop/victim", "víctim", string(make([]byte, transport.MaxName+1)), string(bytes.Repeat([]byte("v"), 255)),
	} {
		t.Run(fmt.Sprintf("%.20q", name), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var log lockedBuffer
				w := start(t, Options{Logger: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))})
				w.join(victim).Register(t, "Svc", "M")
				p := w.peer()
				h := hello("x", 1, 1)
				raw := transport.AppendHello(nil, &h)
				raw = append(append(raw[:len(raw)-2], byte(len(name))), name...)
				p.Send(frame{Header: header{Kind: transport.Hello}, Payload: raw})
				r := refusal(t, p.Next(t))
				require.Equal(t, internal, r.Code)
				require.True(t, safetext.Printable(r.Message), "%q", r.Message)
				require.Less(t, len(r.Message), 512)
				p.Closed(t)
				refused := 0
				for l := range strings.Lines(log.String()) {
					require.True(t, safetext.Printable(strings.TrimSuffix(l, "\n")), "%q", l)
					require.Less(t, len(l), 4*safetext.MaxLog)
					if strings.Contains(l, "node refused") {
						refused++
					}
				}
				require.Equal(t, 1, refused, "%s", log.String())
				require.Equal(t, 1, w.Stats().Nodes)
				w.end()
			})
		})
	}
	t.Run("64 KiB", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := start(t, Options{})
			w.conn = true
			p := w.peer()
			p.Send(frame{Header: header{Kind: transport.Hello}, Payload: append(transport.AppendHello(nil, &transport.HelloPayload{Name: "x"}), make([]byte, 64<<10)...)})
			require.Error(t, p.Closed(t))
			require.Zero(t, w.Stats().Nodes)
			w.end()
		})
	})
}
