package daffi_test

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	daffi "github.com/daffi-rpc/daffi/runtime"
	"github.com/daffi-rpc/daffi/runtime/codec"
	"github.com/daffi-rpc/daffi/runtime/internal/control"
	"github.com/daffi-rpc/daffi/runtime/internal/memconn"
	"github.com/daffi-rpc/daffi/runtime/internal/rawpeer"
	"github.com/daffi-rpc/daffi/runtime/internal/testkit"
	"github.com/daffi-rpc/daffi/runtime/transport"
)

// These tests play controllers of a later version, which send what this one does not know (ACC-81).

type frame = transport.Frame
type header = transport.Header

// later is a controller that says what a test makes it say. A node can reach it once.
type later struct {
	conn bool
	*rawpeer.Peer
	log testkit.Journal
}

func (l *later) Attach() (transport.Link, error) {
	if l.Peer != nil {
		return nil, errors.New("gone")
	}
	near, far := transport.Pipe()
	if l.conn {
		x, y := memconn.Pair()
		near, far = transport.NewConn(x, transport.Info{Network: "mem", UID: -1}), transport.NewConn(y, transport.Info{})
	}
	l.Peer = rawpeer.New(far)
	far.SetMaxPayload(transport.MaxPayload)
	l.Start()
	return near, nil
}

// overLater runs f in memory and over a connection, each in a bubble, with a node that has not joined yet.
func overLater(t *testing.T, o daffi.Options, f func(t *testing.T, l *later, n *daffi.Node)) {
	for _, conn := range []bool{false, true} {
		t.Run(fmt.Sprintf("conn %v", conn), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := &later{conn: conn}
				o.Name, o.Controller, o.Logger = "node", l, slog.New(slog.NewTextHandler(&l.log, nil))
				n := daffi.New(o)
				joined := make(chan error, 1)
				go func() { joined <- n.Join(t.Context()) }()
				synctest.Wait()
				f(t, l, n)
				n.Close()
				l.Close()
				<-joined
			})
		})
	}
}

// welcome lets the node in.
func (l *later) welcome(t *testing.T, features uint8, more ...byte) {
	l.Expect(t, transport.Hello)
	c := transport.ChallengePayload{Features: features}
	l.Send(frame{Header: header{Kind: transport.Challenge}, Payload: append(transport.AppendChallenge(nil, &c), more...)})
	l.Expect(t, transport.Proof)
	w := transport.WelcomePayload{Session: 1, Ping: time.Minute, Dead: time.Hour, MessageLimit: transport.MaxMessage, Name: "later"}
	l.Send(frame{Header: header{Kind: transport.Welcome}, Payload: append(transport.AppendWelcome(nil, &w), more...)})
}

// answer answers the node's next question.
func (l *later) answer(t *testing.T, want control.Op, fill func(*codec.Encoder)) {
	f := l.Expect(t, transport.Control)
	var d codec.Decoder
	d.Reset(f.Payload)
	require.Equal(t, want, control.ReadOp(&d))
	l.Send(frame{Header: header{Kind: transport.Control, Call: f.Call}, Payload: encoded(fill)})
}

// TestD43OfAnEarlierController asks for names one that does not know of them: nothing is sent. What a later one adds is skipped.
func TestD43OfAnEarlierController(t *testing.T) {
	overLater(t, daffi.Options{}, func(t *testing.T, l *later, n *daffi.Node) {
		l.welcome(t, 0)
		b := daffi.Bind(n, &daffi.Client{Service: "Svc", Methods: []daffi.Method{{Name: "M", Sig: "()()"}}})
		errs := make(chan error, 1)
		broadcast := func() { errs <- daffi.Errors(daffi.NewAction(b, 0, nil).Broadcast(t.Context())) }
		go broadcast()
		l.answer(t, control.OpResolve, (&control.Routes{Routes: []control.Route{{Number: 5}}}).Append)
		l.answer(t, control.OpTargets, (&control.Sessions{Numbers: []uint32{7, 8}}).Append)
		e := requireError(t, <-errs, daffi.Unimplemented, "", daffi.NotRun)
		require.Contains(t, e.Message, "of an earlier version")

		go broadcast()
		l.answer(t, control.OpTargets, func(e *codec.Encoder) {
			e.Array(4)
			e.Uint8(uint8(control.OpSessions))
			codec.WriteSlice(e, []uint32{7, 8}, codec.WriteUint32)
			codec.WriteStrings(e, []string{"a", "b"})
			e.String("later")
		})
		for _, session := range []uint32{7, 8} {
			f := l.Expect(t, transport.Request)
			require.Equal(t, session, f.Header.Peer)
			l.Send(frame{Header: header{Kind: transport.Reply, Call: f.Call}})
		}
		require.NoError(t, <-errs)
	})
}

// laterFrame is one of a kind that is not known, with everything set that a frame has.
func laterFrame(flags transport.Flags, size int) frame {
	return frame{Payload: make([]byte, size), Header: header{Kind: 99, Flags: flags, Depth: 255, Mode: 255, Call: 1<<64 - 1, Route: 1<<32 - 1, Peer: 1<<32 - 1, Arg: 1<<64 - 1}}
}

// TestLaterKinds sends them before the Challenge, before the Welcome and after it.
func TestLaterKinds(t *testing.T) {
	for _, size := range []int{0, 4, transport.MaxUnproven} {
		for name, moment := range map[string]int{"before the Challenge": 0, "before the Welcome": 1, "after joining": 2} {
			t.Run(fmt.Sprintf("%s, %d bytes", name, size), func(t *testing.T) {
				run := func(t *testing.T, l *later, f frame) {
					for i, step := range []func(){
						func() {
							l.Expect(t, transport.Hello)
							l.Send(frame{Header: header{Kind: transport.Challenge}, Payload: transport.AppendChallenge(nil, &transport.ChallengePayload{})})
						},
						func() {
							l.Expect(t, transport.Proof)
							w := transport.WelcomePayload{Session: 1, Ping: time.Minute, Dead: time.Hour, MessageLimit: 1, Name: "later"}
							l.Send(frame{Header: header{Kind: transport.Welcome}, Payload: transport.AppendWelcome(nil, &w)})
						},
						func() {},
					} {
						if i == moment {
							if i == 2 {
								synctest.Wait() // for the limit of those who have joined
								f.Payload = append(f.Payload, make([]byte, transport.MaxPayload-len(f.Payload))...)
							}
							l.Send(f)
							if f.Flags&transport.Optional == 0 {
								return
							}
						}
						step()
					}
				}
				overLater(t, daffi.Options{}, func(t *testing.T, l *later, n *daffi.Node) {
					run(t, l, laterFrame(0xff, size))
					l.Send(frame{Header: header{Kind: transport.Ping, Arg: 7}})
					require.Equal(t, header{Kind: transport.Pong, Arg: 7}, l.Expect(t, transport.Pong).Header)
				})
				overLater(t, daffi.Options{}, func(t *testing.T, l *later, n *daffi.Node) {
					run(t, l, laterFrame(0xff&^transport.Optional, size))
					require.Error(t, l.Closed(t))
					synctest.Wait()
					require.Contains(t, l.log.String(), "frame of the unknown kind 99, which is not optional: the peer is of a later version, or does not speak daffi")
				})
			})
		}
	}
}

// TestLaterHandshake joins where payloads are longer than known. Compression is used where the controller takes it up.
func TestLaterHandshake(t *testing.T) {
	for _, features := range []uint8{0, 0xfe, transport.FeatureZstd, 0xff} {
		for _, more := range []int{0, 1, transport.MaxUnproven - 200} {
			t.Run(fmt.Sprintf("features %d, %d bytes more", features, more), func(t *testing.T) {
				overLater(t, daffi.Options{Compression: daffi.CompressOn}, func(t *testing.T, l *later, n *daffi.Node) {
					l.welcome(t, features, make([]byte, more)...)
					b := daffi.Bind(n, &daffi.Client{Service: "Svc", Methods: []daffi.Method{{Name: "M", Sig: "(string)()"}}})
					called := make(chan error, 1)
					go func() {
						called <- daffi.NewAction(b, 0, func(e *codec.Encoder) { e.Array(1); e.String(strings.Repeat("x", 2000)) }).Do(t.Context())
					}()
					l.answer(t, control.OpResolve, func(e *codec.Encoder) { // rows and messages of a later version
						e.Array(3)
						e.Uint8(uint8(control.OpRoutes))
						e.Array(1)
						e.Array(3)
						e.Uint32(5)
						e.Bool(false)
						e.String("later")
						e.Nil()
					})
					f := l.Expect(t, transport.Request)
					require.Equal(t, features&transport.FeatureZstd != 0, f.Flags&transport.Zstd != 0)
					l.Send(frame{Header: header{Kind: transport.Reply, Flags: transport.Optional | transport.Broken, Mode: 255, Depth: 255, Peer: 9, Arg: 9, Call: f.Call}})
					require.NoError(t, <-called)
				})
			})
		}
	}
	overLater(t, daffi.Options{}, func(t *testing.T, l *later, n *daffi.Node) {
		l.Expect(t, transport.Hello)
		refuse := transport.RefusePayload{Code: 200, Reason: "later_reason", Message: "a later word"}
		l.Send(frame{Header: header{Kind: transport.Refuse}, Payload: append(transport.AppendRefuse(nil, &refuse), 1, 2, 3)})
		require.Error(t, l.Closed(t))
		synctest.Wait()
		require.Contains(t, l.log.String(), "a later word")
	})
	overLater(t, daffi.Options{}, func(t *testing.T, l *later, n *daffi.Node) {
		l.Expect(t, transport.Hello)
		c := transport.AppendChallenge(nil, &transport.ChallengePayload{})
		c[2] = 9
		l.Send(frame{Header: header{Kind: transport.Challenge}, Payload: c})
		require.Error(t, l.Closed(t))
		synctest.Wait()
		require.Contains(t, l.log.String(), "authentication 9, which is not known")
	})
}

// TestLaterCalls sends the node what it does not know of calls and control messages; its session goes on.
func TestLaterCalls(t *testing.T) {
	overLater(t, daffi.Options{}, func(t *testing.T, l *later, n *daffi.Node) {
		l.welcome(t, transport.FeatureZstd)
		registered := make(chan error, 1)
		go func() {
			_, err := daffi.Register(n, service("Svc", "()()"), plain{})
			registered <- err
		}()
		q := l.Expect(t, transport.Control)
		var d codec.Decoder
		var r control.Register
		d.Reset(q.Payload)
		require.Equal(t, control.OpRegister, control.ReadOp(&d))
		require.NoError(t, r.Read(&d))
		l.Send(frame{Header: header{Kind: transport.Control, Call: q.Call}, Payload: encoded(func(e *codec.Encoder) {
			e.Array(3)
			e.Uint8(uint8(control.OpOK))
			e.Array(0)
			e.String("later")
		})})
		require.NoError(t, <-registered)

		for _, call := range []uint64{0, 12345} { // what the controller says by itself, and an answer that nobody awaits
			for _, op := range []uint8{0, 42, 255, uint8(control.OpInspect)} {
				l.Send(frame{Header: header{Kind: transport.Control, Call: call}, Payload: encoded(func(e *codec.Encoder) { e.Array(2); e.Uint8(op); e.Nil() })})
			}
		}
		l.Send(frame{Header: header{Kind: transport.Peer, Peer: 3}, Payload: []byte("caller")})
		id := uint64(0)
		request := func(h header, payload ...byte) uint64 {
			id++
			h.Kind, h.Call, h.Peer = transport.Request, transport.Served|transport.CallID(0, id), 3
			h.Route = r.Methods[0].Number
			l.Send(frame{Header: h, Payload: payload})
			return h.Call
		}
		for _, mode := range []transport.Mode{128, 128 | transport.Oneway, 128 | transport.Tagged} {
			for _, flags := range []transport.Flags{0, transport.Large} {
				f := l.Failed(t, request(header{Mode: mode, Flags: flags}, 0, 0, 0, 0))
				require.Equal(t, uint8(daffi.FailedPrecondition), f.Code)
				require.Equal(t, string(daffi.ReasonShape), f.Reason)
				require.Equal(t, uint8(daffi.NotRun), f.Outcome)
				require.Contains(t, f.Message, fmt.Sprintf("the mode %d, which this node does not know", mode&128))
			}
		}
		for _, bits := range []byte{128, 128 | 16} {
			f := l.Failed(t, request(header{Mode: transport.Tagged}, append([]byte{bits}, make([]byte, 100)...)...))
			require.Equal(t, uint8(daffi.InvalidArgument), f.Code)
			require.Equal(t, string(daffi.ReasonDecode), f.Reason)
			require.Equal(t, uint8(daffi.NotRun), f.Outcome)
		}
		call := request(header{Flags: transport.Optional | transport.More | transport.End | transport.Broken}, 0x90)
		require.Equal(t, call, l.Expect(t, transport.Reply).Call)

		b := daffi.Bind(n, &daffi.Client{Service: "Svc", Methods: []daffi.Method{{Name: "M", Sig: "()()"}}})
		called := make(chan error, 1)
		go func() { called <- daffi.NewAction(b, 0, nil).Do(t.Context()) }()
		l.answer(t, control.OpResolve, (&control.Routes{Routes: []control.Route{{Number: 5}}}).Append)
		f := l.Expect(t, transport.Request)
		l.Send(frame{Header: header{Kind: transport.Error, Call: f.Call}, Payload: encoded(func(e *codec.Encoder) {
			e.Array(9)
			e.Uint8(200)
			e.String("later_reason")
			e.Uint8(77)
			e.String("a later word")
			e.String("there")
			e.String("Svc.M")
			e.Array(0)
			e.Map(0)
			e.String("more")
		})})
		e := requireError(t, <-called, daffi.Code(200), "later_reason", daffi.MayHaveRun)
		require.Equal(t, "a later word", e.Message)
		require.Equal(t, "code(200)", e.Code.String())
	})
}

// A controller of an earlier version takes neither labels nor choices: the node joins all the same, and no call goes where it may not.
func TestEarlierControllerTakesNoChoices(t *testing.T) {
	overLater(t, daffi.Options{Labels: map[string]string{"zone": "eu"}}, func(t *testing.T, l *later, n *daffi.Node) {
		unknown := control.Failure{Code: uint8(daffi.Unimplemented), Outcome: uint8(daffi.NotRun), Message: "the controller does not know the control message"}
		l.welcome(t, 0)
		l.answer(t, control.OpAbout, unknown.Append)
		b := daffi.Bind(n, &daffi.Client{Service: "Svc", Methods: []daffi.Method{{Name: "M", Sig: "()()"}}})
		called := make(chan error, 1)
		go func() {
			called <- daffi.NewAction(b, 0, nil).With(daffi.Where("zone", "eu")).Do(t.Context())
		}()
		l.answer(t, control.OpSelect, unknown.Append)
		e := requireError(t, <-called, daffi.Unimplemented, "", daffi.NotRun)
		require.Contains(t, e.Message, "the controller is of an earlier version")
		require.Contains(t, l.log.String(), "does not take labels")
	})
}

// An earlier controller knows neither of two providers for one call nor of who admits it: a hedged call goes on as it is, and one that wants to know is told that it cannot.
func TestEarlierControllerHedgesAndAdmitsNothing(t *testing.T) {
	overLater(t, daffi.Options{}, func(t *testing.T, l *later, n *daffi.Node) {
		unknown := control.Failure{Code: uint8(daffi.Unimplemented), Outcome: uint8(daffi.NotRun), Message: "the controller does not know the control message"}
		l.welcome(t, 0)
		b := daffi.Bind(n, &daffi.Client{Service: "Svc", Methods: []daffi.Method{{Name: "M", Sig: "()()", Idempotent: true}}})
		a := daffi.NewAction(b, 0, nil)
		called := make(chan error, 1)
		go func() { called <- a.With(daffi.Hedge(time.Second)).Do(t.Context()) }()
		l.answer(t, control.OpResolve, (&control.Routes{Routes: []control.Route{{Number: 5}}}).Append)
		f := l.Expect(t, transport.Request)
		l.answer(t, control.OpSelect, unknown.Append)
		l.Send(frame{Header: header{Kind: transport.Reply, Call: f.Call}, Payload: []byte{0x90}})
		require.NoError(t, <-called)

		admitted := a.With(daffi.WithAck(daffi.AckAdmitted))
		go func() { called <- admitted.Post(t.Context()) }()
		l.answer(t, control.OpSelect, unknown.Append)
		e := requireError(t, <-called, daffi.Unimplemented, "", daffi.NotRun)
		require.Contains(t, e.Message, "the controller is of an earlier version")

		// A call that is waited for has no level.
		go func() { called <- admitted.Do(t.Context()) }()
		f = l.Expect(t, transport.Request)
		l.Send(frame{Header: header{Kind: transport.Reply, Call: f.Call}, Payload: []byte{0x90}})
		require.NoError(t, <-called)
	})
}
