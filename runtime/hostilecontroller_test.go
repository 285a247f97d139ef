package daffi_test

import (
	"context"
	"fmt"
	"math"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	daffi "github.com/daffi-rpc/daffi/runtime"
	"github.com/daffi-rpc/daffi/runtime/codec"
	"github.com/daffi-rpc/daffi/runtime/daffitest"
	"github.com/daffi-rpc/daffi/runtime/internal/control"
	"github.com/daffi-rpc/daffi/runtime/internal/rawpeer"
	"github.com/daffi-rpc/daffi/runtime/internal/testkit"
	"github.com/daffi-rpc/daffi/runtime/transport"
)

// captor is a controller without manners, which a node has joined.
type captor struct {
	attacker
	numbers map[string]uint32 // of the node's methods
	welcome func(*transport.WelcomePayload)
}

// capture returns the node's end of a connection to it.
func (c *captor) capture(t *testing.T) transport.Link {
	a, b := wires(t)
	c.conn, c.numbers = b, map[string]uint32{}
	c.Peer = rawpeer.New(transport.NewConn(b, wireInfo))
	c.Link.SetMaxPayload(transport.MaxPayload)
	host := rawpeer.Host{Name: "captor"}
	c.OnFrame = func(f *transport.Frame) bool {
		c.deaf.Lock()
		defer c.deaf.Unlock()
		if c.rough.Load() {
			c.got[f.Kind].Add(1)
			return true
		}
		var d codec.Decoder
		d.Reset(f.Payload)
		if f.Kind == transport.Control && control.ReadOp(&d) == control.OpRegister {
			var m control.Register
			if m.Read(&d) == nil {
				for _, x := range m.Methods {
					c.numbers[x.Name] = x.Number
				}
			}
		}
		for _, g := range host.Answer(f) {
			if g.Kind == transport.Welcome && c.welcome != nil {
				w, _ := transport.ParseWelcome(g.Payload)
				c.welcome(&w)
				g.Payload = transport.AppendWelcome(nil, &w)
			}
			c.Link.Enqueue(g)
		}
		return true
	}
	c.Start()
	return transport.NewConn(a, wireInfo)
}

// slotted is the id of the i-th call of a flood, in slots that are used over and over.
func slotted(i, slots int) uint64 {
	return transport.Served | transport.CallID(uint32(i%slots), uint64(i/slots)+1)
}

func (c *captor) request(method string, call uint64, flags transport.Flags, mode transport.Mode, payload string) transport.Frame {
	return transport.Frame{Header: transport.Header{Kind: transport.Request, Flags: flags, Mode: mode, Call: call, Route: c.numbers[method], Peer: 1}, Payload: []byte(payload)}
}

func news(fill func(*codec.Encoder)) transport.Frame {
	return transport.Frame{Header: transport.Header{Kind: transport.Control}, Payload: message(fill)}
}

// captorFloods are what a controller may send, and whether the node ends the link.
var captorFloods = map[string]struct {
	end   end
	n     int // frames, if fewer do
	frame func(c *captor, i int) transport.Frame
}{
	"requests with ids of the node's": {always, 0, func(c *captor, i int) transport.Frame {
		return c.request("Echo", uint64(i)+1<<20, 0, 0, "\x91\xc4\x00")
	}},
	"requests beyond the slots": {always, 0, func(c *captor, i int) transport.Frame {
		return c.request("Echo", slotted(transport.MaxCalls, 1<<20), 0, 0, "")
	}},
	"requests with one id": {always, 0, func(c *captor, i int) transport.Frame { return c.request("Echo", slotted(0, 1), 0, 0, "\x91\xc4\x00") }},
	"requests of no method": {answered, 0, func(c *captor, i int) transport.Frame {
		return c.request("No", slotted(i*37, transport.MaxCalls), 0, 0, "")
	}},
	"requests in odd slots": {answered, 0, func(c *captor, i int) transport.Frame {
		return c.request("Echo", slotted(65_535-i*64%65_536, transport.MaxCalls)+uint64(i)<<40, 0, 0, "\x91\xc4\x00")
	}},
	"requests of later ones": {answered, 0, func(c *captor, i int) transport.Frame {
		return c.request("Echo", slotted(i, 1000), 0, 128, "\x91\xc4\x00")
	}},
	"large requests that never come": {answered, 60_000, func(c *captor, i int) transport.Frame {
		return c.request("Echo", slotted(i, 60_000), transport.Large, 0, "\x00\x00\x10\x00")
	}},
	"streams in that never come": {answered, 60_000, func(c *captor, i int) transport.Frame {
		return c.request("Sum", slotted(i, 60_000), 0, transport.Input, "\x91\x01")
	}},
	"callers with new names": {never, 60_000, func(_ *captor, i int) transport.Frame {
		return introduced(i+10, fmt.Sprintf("a-name-of-more-than-thirty-bytes-%d", i))
	}},
	"callers with long names": {always, 0, func(_ *captor, i int) transport.Frame {
		return introduced(i+10, strings.Repeat("x", transport.MaxContent))
	}},
	"one caller again":         {always, 0, func(_ *captor, i int) transport.Frame { return introduced(7, "x") }},
	"callers that come and go": {never, 0, func(_ *captor, i int) transport.Frame { return introduced(i/2+10, strings.Repeat("x", 1-i%2)) }},
	"replies":                  {never, 0, useless(transport.Reply, nobody)},
	"errors":                   {never, 0, useless(transport.Error, nobody)},
	"data":                     {never, 0, useless(transport.Data, nobody)},
	"data for served calls":    {never, 0, useless(transport.Data, transport.Served|nobody)},
	"chunks":                   {never, 0, useless(transport.Chunk, transport.Served|nobody)},
	"credit":                   {never, 0, useless(transport.Credit, nobody)},
	"credit for served calls":  {never, 0, useless(transport.Credit, transport.Served|nobody)},
	"grants":                   {never, 0, useless(transport.Grant, nobody)},
	"stops":                    {never, 0, useless(transport.Stop, nobody)},
	"cancels":                  {never, 0, useless(transport.Cancel, transport.Served|nobody)},
	"accepted":                 {never, 0, useless(transport.Accepted, nobody)},
	"pings":                    {answered, 0, useless(transport.Ping, 0)},
	"pongs":                    {never, 0, useless(transport.Pong, 0)},
	"drains":                   {never, 0, useless(transport.Drain, 0)},
	"welcomes":                 {always, 0, useless(transport.Welcome, 0)},
	"resumes":                  {always, 0, useless(transport.Resume, 0)},
	"acks":                     {always, 0, useless(transport.Ack, 0)},
	"unknown optional frames": {never, 0, func(*captor, int) transport.Frame {
		return transport.Frame{Header: transport.Header{Kind: 200, Flags: transport.Optional}}
	}},
	"unknown frames": {always, 0, useless(200, 0)},
	"answers that nobody asked for": {never, 0, func(_ *captor, i int) transport.Frame {
		f := news(func(e *codec.Encoder) { control.AppendPlain(e, control.OpOK) })
		f.Call = uint64(i + 1000)
		return f
	}},
	"news of later ones": {never, 0, func(*captor, int) transport.Frame {
		return news(func(e *codec.Encoder) { control.AppendPlain(e, 200) })
	}},
	"methods that nobody serves": {never, 0, func(_ *captor, i int) transport.Frame {
		return news((&control.Introduce{Number: control.Introduced + uint32(i), Service: "S", Method: "M", Sig: strings.Repeat("x", 10_000)}).Append)
	}},
	"rows of the table": {never, 0, func(_ *captor, i int) transport.Frame {
		return news((&control.Table{Revision: uint64(i), Nodes: rows(i)}).Append)
	}},
	"rows of the table that say little": {never, 0, func(_ *captor, i int) transport.Frame {
		return news((&control.Table{Nodes: []control.Node{{Session: uint32(i)}}, More: true}).Append)
	}},
}

func useless(kind transport.Kind, call uint64) func(*captor, int) transport.Frame {
	return func(*captor, int) transport.Frame {
		return transport.Frame{Header: transport.Header{Kind: kind, Call: call, Arg: math.MaxUint64}, Payload: []byte{1, 2}}
	}
}

func introduced(session int, name string) transport.Frame {
	return transport.Frame{Header: transport.Header{Kind: transport.Peer, Peer: uint32(session)}, Payload: []byte(name)}
}

func rows(i int) (list []control.Node) {
	for k := range 4 {
		list = append(list, control.Node{Session: uint32(4*i + k), Name: fmt.Sprint("n", 4*i+k), Services: []control.Service{{Name: "S", Methods: []string{"A", "B", strings.Repeat("m", 100)}}}})
	}
	return list
}

// ACC-47 for a node: whatever its controller sends it next to nothing is kept, the link ends where the protocol is broken, and the node joins again elsewhere.
func TestACC47HostileController(t *testing.T) {
	for name, flood := range captorFloods {
		for _, deaf := range []bool{false, true} {
			if deaf && flood.end != answered {
				continue
			}
			t.Run(fmt.Sprintf("%s/deaf %v", name, deaf), func(t *testing.T) {
				c := &captor{}
				ctl := daffitest.New(t).Controller
				var links atomic.Int32
				n := daffi.New(daffi.Options{Name: "victim", Limits: daffi.Limits{TableBytes: 1 << 20}, Controller: attaching(func() (transport.Link, error) {
					if links.Add(1) == 1 {
						return c.capture(t), nil
					}
					return ctl.Attach()
				})})
				t.Cleanup(func() { n.Close() })
				_, err := testkit.RegisterKit(n, new(testkit.Impl))
				require.NoError(t, err)
				if name == "methods that nobody serves" {
					_, err := daffi.HandleUnknown(n, "S", func(context.Context, *daffi.RawCall) error { return nil })
					require.NoError(t, err)
				}
				require.NoError(t, n.Join(t.Context()))
				t.Cleanup(func() { c.resume(); c.Close() })
				go n.WaitNode(t.Context(), "nobody") // asks for the table
				c.Send(introduced(1, "x"))

				if deaf {
					c.pause()
				}
				total := testkit.Full(5_000, 100_000)
				if flood.n > 0 {
					total = flood.n
				}
				most := 4 << 20
				if flood.end == answered { // in a table with room for 65 536 calls, whose answers wait
					most += transport.MaxCalls * 80
				}
				if deaf || flood.end == answered { // also who reads may be slower than it is answered
					most += transport.QueueBytes
				}
				if name == "methods that nobody serves" {
					most += 1 << 20 // they alone may take 4 MiB
				}
				before, more, begun := testkit.LiveHeap(), 0, time.Now()
				sent := c.flood(total, func(i int) transport.Frame {
					if i%(total/2) == total/2-1 {
						more = max(more, testkit.Held(before, most))
					}
					return flood.frame(c, i)
				})
				if !deaf && flood.end == never { // it reads on
					c.got[transport.Pong].Store(0)
					c.Send(transport.Frame{Header: transport.Header{Kind: transport.Ping}})
					require.Eventually(t, func() bool { return c.got[transport.Pong].Load() > 0 }, 10*time.Second, time.Millisecond)
				}
				more = max(more, testkit.Held(before, most))
				t.Logf("%d frames in %v, %d bytes more", sent, time.Since(begun).Round(time.Millisecond), more)
				assert.LessOrEqual(t, more, most)
				c.resume()
				if flood.end == always {
					c.Closed(t)
				}
				c.Close()
				caller, err := daffi.Connect(t.Context(), daffi.Options{Name: "caller", Controller: ctl})
				require.NoError(t, err)
				defer caller.Close()
				kit := testkit.NewKit(caller)
				require.NoError(t, kit.WaitReady(t.Context()))
				_, err = kit.Echo(t.Context(), []byte("x"))
				require.NoError(t, err)
			})
		}
	}
}

// A hostile Welcome makes no node spin, and none wait for ever for a controller that says nothing.
func TestACC47HostileWelcome(t *testing.T) {
	for name, change := range map[string]func(*transport.WelcomePayload){
		"often":  func(w *transport.WelcomePayload) { w.Ping, w.Dead = time.Millisecond, 2*time.Millisecond },
		"never":  func(w *transport.WelcomePayload) { w.Ping, w.Dead = 49*24*time.Hour-time.Second, 49*24*time.Hour },
		"little": func(w *transport.WelcomePayload) { w.MessageLimit = 1 },
		"all":    func(w *transport.WelcomePayload) { w.MessageLimit, w.Session = math.MaxUint32, math.MaxUint32 },
	} {
		t.Run(name, func(t *testing.T) {
			c := &captor{welcome: change}
			ctl := daffitest.New(t).Controller
			var links atomic.Int32
			n := daffi.New(daffi.Options{Name: "victim", Controller: attaching(func() (transport.Link, error) {
				if links.Add(1) == 1 {
					return c.capture(t), nil
				}
				return ctl.Attach()
			})})
			t.Cleanup(func() { n.Close() })
			require.NoError(t, n.Join(t.Context()))
			c.Close()
			require.NoError(t, n.WaitNode(t.Context(), "victim"))
			require.GreaterOrEqual(t, links.Load(), int32(2))
		})
	}
}

// LIM-70 and LIM-73, at the bound and one past it.
func TestLIM70LIM73CallersAndAnnounced(t *testing.T) {
	c := &captor{}
	n := daffi.New(daffi.Options{Name: "victim", MaxRunning: 1, MaxQueue: 2, Limits: daffi.Limits{Callers: 2}, Controller: attaching(func() (transport.Link, error) { return c.capture(t), nil })})
	t.Cleanup(func() { n.Close() })
	_, err := testkit.RegisterKit(n, new(testkit.Impl))
	require.NoError(t, err)
	require.NoError(t, n.Join(t.Context()))
	t.Cleanup(func() { c.Close() })
	c.rough.Store(true)
	gets := func(kind transport.Kind, count int64) {
		t.Helper()
		require.Eventually(t, func() bool { return c.got[kind].Load() == count }, 10*time.Second, time.Millisecond, "%v: %d", kind, c.got[kind].Load())
	}
	from := func(peer uint32, call uint64) transport.Frame {
		f := c.request("Echo", call, 0, 0, "\x91\xc4\x00")
		f.Header.Peer = peer
		return f
	}
	c.Send(introduced(1, "x"), introduced(2, "y"), from(2, slotted(0, 8)))
	gets(transport.Reply, 1)
	c.Send(introduced(3, "z"), from(3, slotted(1, 8)))
	gets(transport.Error, 1)
	c.Send(from(1, slotted(2, 8)))
	gets(transport.Reply, 2)

	large := func(i int) transport.Frame {
		return c.request("Echo", slotted(i, 8), transport.Large, 0, "\x00\x00\x02\x00")
	}
	c.Send(large(3), large(4), large(5))
	gets(transport.Grant, 3)
	c.Send(large(6))
	gets(transport.Error, 2)
	c.Send(transport.Frame{Header: transport.Header{Kind: transport.Cancel, Call: slotted(3, 8)}}, large(7))
	gets(transport.Grant, 4)
	require.EqualValues(t, 2, c.got[transport.Error].Load())
}
