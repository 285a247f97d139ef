package daffi_test

import (
	"context"
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/daffi-rpc/daffi/runtime/codec"
	"github.com/daffi-rpc/daffi/runtime/controller"
	"github.com/daffi-rpc/daffi/runtime/daffitest"
	"github.com/daffi-rpc/daffi/runtime/internal/control"
	"github.com/daffi-rpc/daffi/runtime/internal/rawpeer"
	"github.com/daffi-rpc/daffi/runtime/internal/testkit"
	"github.com/daffi-rpc/daffi/runtime/transport"
)

// message is the payload of a control message.
func message(fill func(*codec.Encoder)) []byte {
	var e codec.Encoder
	e.Reset(nil)
	fill(&e)
	return e.Bytes()
}

func bare(op control.Op) []byte {
	return message(func(e *codec.Encoder) { control.AppendPlain(e, op) })
}

// floodOf is one kind of flood.
type floodOf struct {
	end   end
	frame func(v *victims, i int) transport.Frame
}

// end is whether the controller ends the link.
type end int

const (
	never    end = iota
	answered     // if the answers are not read as fast as they come
	always
)

// victims are what floods may name.
type victims struct {
	route  uint32 // of a method of another node
	stream uint64 // a call that the attacker has made, with items in both directions
	served uint64 // one that it serves
}

func again(h transport.Header, payload ...byte) func(*victims, int) transport.Frame {
	return func(*victims, int) transport.Frame { return transport.Frame{Header: h, Payload: payload} }
}

func ask(fill func(v *victims, i int) []byte) func(*victims, int) transport.Frame {
	return func(v *victims, i int) transport.Frame {
		return transport.Frame{Header: transport.Header{Kind: transport.Control, Call: uint64(i + 1)}, Payload: fill(v, i)}
	}
}

// either alternates.
func either(a, b func(v *victims, i int) []byte) func(v *victims, i int) []byte {
	return func(v *victims, i int) []byte {
		if i%2 == 0 {
			return a(v, i/2)
		}
		return b(v, i/2)
	}
}

// said gives the same message each time, which is made once.
func said(fill func(*codec.Encoder)) func(*victims, int) []byte {
	b := message(fill)
	return func(*victims, int) []byte { return b }
}

const nobody = 1<<40 | 77 // a call that nobody has made

var floods = map[string]floodOf{
	"ping":                      {always, again(transport.Header{Kind: transport.Ping})},
	"pong":                      {never, again(transport.Header{Kind: transport.Pong})},
	"credit for unknown calls":  {never, again(transport.Header{Kind: transport.Credit, Call: nobody, Arg: math.MaxUint64})},
	"credit for unknown served": {never, again(transport.Header{Kind: transport.Credit, Call: transport.Served | nobody, Arg: 1})},
	"grant for unknown calls":   {never, again(transport.Header{Kind: transport.Grant, Call: nobody, Arg: 1})},
	"stop for unknown calls":    {never, again(transport.Header{Kind: transport.Stop, Call: transport.Served | nobody})},
	"stop for an own call":      {always, again(transport.Header{Kind: transport.Stop, Call: nobody})},
	"cancel for unknown calls":  {never, again(transport.Header{Kind: transport.Cancel, Call: nobody}, make([]byte, 2000)...)},
	"cancel for a served call":  {always, again(transport.Header{Kind: transport.Cancel, Call: transport.Served | nobody})},
	"replies":                   {never, again(transport.Header{Kind: transport.Reply, Call: transport.Served | nobody}, 0x91, 1)},
	"replies to own calls":      {always, again(transport.Header{Kind: transport.Reply, Call: nobody})},
	"errors":                    {never, again(transport.Header{Kind: transport.Error, Call: transport.Served | nobody}, rawpeer.ErrorPayload(control.Failure{})...)},
	"data":                      {never, again(transport.Header{Kind: transport.Data, Call: nobody, Flags: transport.Bulk}, 1, 2)},
	"chunks":                    {never, again(transport.Header{Kind: transport.Chunk, Call: nobody, Flags: transport.Bulk | transport.More}, 1, 2)},
	"accepted":                  {always, again(transport.Header{Kind: transport.Accepted, Call: nobody})},
	"peers":                     {always, again(transport.Header{Kind: transport.Peer, Peer: 1}, 0x6f)},
	"hello":                     {always, again(transport.Header{Kind: transport.Hello}, transport.AppendHello(nil, &transport.HelloPayload{Name: "x"})...)},
	"ack":                       {always, again(transport.Header{Kind: transport.Ack, Arg: 1})},
	"resume":                    {always, again(transport.Header{Kind: transport.Resume}, transport.AppendResume(nil, &transport.ResumePayload{})...)},
	"goodbye":                   {always, again(transport.Header{Kind: transport.Goodbye})},
	"drain":                     {never, again(transport.Header{Kind: transport.Drain})},
	"unknown optional frames":   {never, again(transport.Header{Kind: 200, Flags: transport.Optional}, make([]byte, 100)...)},
	"unknown frames":            {always, again(transport.Header{Kind: 200})},

	"credit of a stream": {never, func(v *victims, _ int) transport.Frame {
		return transport.Frame{Header: transport.Header{Kind: transport.Credit, Call: v.stream, Arg: math.MaxUint64}}
	}},
	"grants of a stream": {never, func(v *victims, _ int) transport.Frame {
		return transport.Frame{Header: transport.Header{Kind: transport.Grant, Call: v.stream}}
	}},
	"credit of a served stream": {never, func(v *victims, _ int) transport.Frame {
		return transport.Frame{Header: transport.Header{Kind: transport.Credit, Call: v.served, Arg: math.MaxUint64}}
	}},
	"stops of a served stream": {never, func(v *victims, _ int) transport.Frame {
		return transport.Frame{Header: transport.Header{Kind: transport.Stop, Call: v.served}}
	}},
	"requests of no route": {answered, func(_ *victims, i int) transport.Frame {
		return transport.Frame{Header: transport.Header{Kind: transport.Request, Call: transport.CallID(uint32(i%1000)+1000, uint64(i/1000)+1), Route: 1 << 30}}
	}},

	"register and unregister": {answered, ask(either(
		said((&control.Register{Service: "Storm", Methods: rawpeer.Methods("()()", "A", "B", "C")}).Append),
		said((&control.Unregister{Service: "Storm"}).Append)))},
	"register again":      {answered, ask(said((&control.Register{Service: "Mine", Methods: rawpeer.Methods("()()", "M")}).Append))},
	"catch and uncatch":   {answered, ask(either(said((&control.Catch{Prefix: "x"}).Append), said((&control.Uncatch{Prefix: "x"}).Append)))},
	"resolve":             {answered, ask(said((&control.Resolve{Service: testkit.KitName, Methods: rawpeer.Methods("(bytes)(bytes)", "Echo")}).Append))},
	"select":              {answered, ask(said((&control.Select{Service: testkit.KitName, Methods: rawpeer.Methods("(bytes)(bytes)", "Echo"), Choice: control.Choice{Self: true}}).Append))},
	"find":                {answered, ask(said((&control.Find{Node: "server"}).Append))},
	"inspect":             {answered, ask(said((&control.Inspect{Service: testkit.KitName}).Append))},
	"about":               {answered, ask(said((&control.About{}).Append))},
	"describe unasked":    {answered, ask(said((&control.Describe{Service: "Mine", Methods: []control.Description{{Name: "M", Sig: "()()"}}}).Append))},
	"targets":             {answered, ask(func(v *victims, _ int) []byte { return message((&control.Targets{Route: v.route, Named: true}).Append) })},
	"watch":               {answered, ask(func(*victims, int) []byte { return bare(control.OpWatch) })},
	"await what is there": {answered, ask(func(v *victims, _ int) []byte { return message((&control.Await{Routes: []uint32{v.route}}).Append) })},
	"await and forget": {answered, ask(either(func(v *victims, _ int) []byte {
		return message((&control.Await{Routes: []uint32{v.route}, Nodes: []string{"no"}}).Append)
	}, func(_ *victims, i int) []byte { return message((&control.Forget{Number: uint64(2*i + 1)}).Append) }))},
	"schedule and cancel": {answered, ask(either(storm, func(*victims, int) []byte {
		return message((&control.TaskControl{TaskKey: control.TaskKey{Owner: "attacker", ID: "s"}, Action: control.TaskCancel}).Append)
	}))},
	"tasks":                   {answered, ask(said((&control.Tasks{}).Append))},
	"questions of later ones": {answered, ask(func(*victims, int) []byte { return bare(200) })},
	"answers":                 {always, ask(func(*victims, int) []byte { return bare(control.OpOK) })},
	"news of later ones": {never, func(*victims, int) transport.Frame {
		return transport.Frame{Header: transport.Header{Kind: transport.Control}, Payload: bare(200)}
	}},
}

func storm(v *victims, _ int) []byte {
	return message((&control.Schedule{ID: "s", Route: v.route, Plan: control.Plan{Timing: control.Every, Interval: time.Hour}, Args: []byte("\x91\xc4\x00")}).Append)
}

// ACC-47: floods of frames that cost their sender little, legal ones and others. A node that breaks the protocol is closed; else it is read on, or told what it may not, and if it does not
// take its answers it is closed as well. Calls of others go on meanwhile, and next to nothing is kept.
func TestACC47ControlFlood(t *testing.T) {
	for name, c := range floods {
		for _, deaf := range []bool{false, true} {
			if deaf && c.end == never {
				continue
			}
			t.Run(fmt.Sprintf("%s/deaf %v", name, deaf), func(t *testing.T) { controlFlood(t, c, deaf) })
		}
	}
}

// floodMemory is what a flood may have the controller and its victims keep.
const floodMemory = 4 << 20

func controlFlood(t *testing.T, c floodOf, deaf bool) {
	w := wired{t, daffitest.New(t).Controller}
	server := w.node("server")
	_, err := testkit.RegisterKit(server, new(testkit.Impl))
	require.NoError(t, err)
	caller := w.node("caller")
	kit := testkit.NewKit(caller)
	echo := func(ctx context.Context) error { _, err := kit.Echo(ctx, make([]byte, 100)); return err }
	require.NoError(t, echo(t.Context()))

	a := w.attacker("attacker")
	v := victims{route: a.Route(t, testkit.KitName, "Echo", "(bytes)(bytes)")}
	require.Nil(t, a.Serve(t, "Mine", "(<string)>string", "M"))
	chat := a.Route(t, testkit.KitName, "Chat", "(<string)>string")
	v.stream = transport.CallID(1, 1)
	a.Send(transport.Frame{Header: transport.Header{Kind: transport.Request, Call: v.stream, Route: chat, Mode: transport.Input | transport.Output}, Payload: []byte("\x90")})
	other := rawpeer.New(transport.NewConn(w.dial(), wireInfo)).Start().Join(t, "other")
	t.Cleanup(other.Close)
	other.Send(transport.Frame{Header: transport.Header{Kind: transport.Request, Call: transport.CallID(1, 1), Route: other.Route(t, "Mine", "M", "(<string)>string"), Mode: transport.Input | transport.Output}})
	v.served = a.Served(t).Call

	if deaf {
		a.pause()
	}
	stop := honest(t, echo)
	n, begun, before, more := testkit.Full(5_000, 1_000_000), time.Now(), testkit.LiveHeap(), 0
	sent := a.flood(n, func(i int) transport.Frame {
		if i%(n/2) == n/2-1 {
			more = max(more, testkit.Held(before, floodMemory))
		}
		return c.frame(&v, i)
	})
	took := time.Since(begun)
	if !deaf && c.end == never {
		require.Equal(t, n, sent)
		a.rough.Store(false)
		a.Send(transport.Frame{Header: transport.Header{Kind: transport.Control, Call: 1 << 50}, Payload: message((&control.Find{Node: "server"}).Append)})
		op, _ := a.Answer(t, 1<<50)
		assert.Equal(t, control.OpFound, op, "it is not read any more")
	}
	more = max(more, testkit.Held(before, floodMemory))
	calls := stop()
	t.Logf("%d frames in %v, %d bytes more, %d calls of others meanwhile", sent, took.Round(time.Millisecond), more, len(calls))
	assert.LessOrEqual(t, more, floodMemory)
	a.resume()
	if c.end == always {
		a.Closed(t)
	}
	a.Close()
	other.Close()
	w.eventually(func(st controller.Stats) bool { return st.Calls == 0 && st.Serving == 0 && st.Nodes == 2 }, "something is left")
	require.NoError(t, echo(t.Context()))
}
