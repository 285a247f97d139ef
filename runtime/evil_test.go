package daffi_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/daffi-rpc/daffi/internal/evil"
	daffi "github.com/daffi-rpc/daffi/runtime"
	"github.com/daffi-rpc/daffi/runtime/codec"
	"github.com/daffi-rpc/daffi/runtime/controller"
	"github.com/daffi-rpc/daffi/runtime/internal/control"
	"github.com/daffi-rpc/daffi/runtime/internal/rawpeer"
	"github.com/daffi-rpc/daffi/runtime/internal/safetext"
	"github.com/daffi-rpc/daffi/runtime/internal/testkit"
	"github.com/daffi-rpc/daffi/runtime/transport"
)

// TestACC68TextsOfOthers has peers send texts of control characters, newlines, escape sequences, marks of direction, bytes that are no UTF-8 and great length wherever a peer may say something. None
// gets raw into a log, or into what an error says of itself, at either side.
func TestACC68TextsOfOthers(t *testing.T) {
	r := rand.New(rand.NewPCG(68, 1))
	var ctlLog, log gathered
	ctl := controller.New(controller.Options{Logger: ctlLog.logger()})
	defer ctl.Close()
	shown := 0
	show := func(err error) {
		t.Helper()
		if err == nil {
			return
		}
		shown++
		text := err.Error()
		if !safetext.Printable(text) || len(text) > 8<<10 {
			t.Fatalf("%d bytes: %.2000q", len(text), text)
		}
	}
	causes := make(chan error, 1)
	server := connect(t, daffi.Options{Name: "server", Controller: ctl, Logger: log.logger()})
	client := connect(t, daffi.Options{Name: "client", Controller: ctl, Logger: log.logger(), Timeout: 20 * time.Second})
	say := ""
	for method, handle := range map[string]func(context.Context, string) (string, error){
		"Own": func(context.Context, string) (string, error) { return "", errors.New(say) },
		"Coded": func(context.Context, string) (string, error) {
			return "", &daffi.Error{Code: 99, Reason: daffi.Reason(say), Message: say}
		},
		"Panic": func(context.Context, string) (string, error) { panic(say) },
		"Wait": func(ctx context.Context, _ string) (string, error) {
			<-ctx.Done()
			causes <- context.Cause(ctx)
			return "", ctx.Err()
		},
	} {
		_, err := daffi.Handle(server, "evil."+method, handle)
		require.NoError(t, err)
	}
	link := func() *rawpeer.Peer {
		l, err := ctl.Attach()
		require.NoError(t, err)
		p := rawpeer.New(l)
		p.OnFrame = func(f *transport.Frame) bool {
			if f.Kind == transport.Ping {
				l.Enqueue(transport.Frame{Header: transport.Header{Kind: transport.Pong, Arg: f.Arg}})
			}
			return f.Kind == transport.Ping
		}
		return p.Start()
	}
	raw := link().Join(t, "raw")
	defer raw.Close()
	require.Nil(t, raw.Serve(t, "Svc", "(string)(string)", "Echo"))
	route := raw.Route(t, "evil", "Wait", "(string)(string)")
	str := func(e *codec.Encoder) { e.Array(1); e.String("x") }

	ask := func(fill func(*codec.Encoder)) {
		t.Helper()
		op, d := raw.Answer(t, raw.Control(fill))
		if op == control.OpFailed {
			var f control.Failure
			require.NoError(t, f.Read(d))
			show(&daffi.Error{Code: daffi.Code(f.Code), Reason: daffi.Reason(f.Reason), Message: f.Message, Node: f.Node, Method: f.Method})
		}
	}
	calls := uint64(0)
	cases := []func(text string){
		func(text string) { // what a callee says of a failure
			f := make(chan error, 1)
			go func() {
				_, err := called(client, "Svc", "Echo", "(string)(string)", str, codec.ReadString).Do(t.Context())
				f <- err
			}()
			raw.Send(transport.Frame{Header: transport.Header{Kind: transport.Error, Call: raw.Served(t).Call}, Payload: rawpeer.ErrorPayload(control.Failure{
				Code: 200, Reason: text, Outcome: 9, Message: text, Node: text, Method: text, Identities: []control.Identity{{Name: text, Value: []byte(text)}}, Metadata: map[string]string{text: text}})})
			show(<-f)
		},
		func(text string) {
			ask((&control.Register{Service: text, Methods: rawpeer.Methods("sig", "M")}).Append)
		},
		func(text string) {
			ask((&control.Register{Service: "S", Methods: []control.Method{{Name: text, Sig: text}}}).Append)
		},
		func(text string) { ask((&control.Unregister{Service: text}).Append) },
		func(text string) {
			ask((&control.Resolve{Service: text, Methods: rawpeer.Methods("sig", text)}).Append)
		},
		func(text string) {
			ask((&control.Describe{Service: "Svc", Doc: text, Methods: []control.Description{{Name: text, Sig: text, Doc: text}}}).Append)
		},
		func(text string) { ask((&control.Inspect{Service: text}).Append) },
		func(text string) { ask((&control.About{Labels: []control.Label{{Name: text, Value: text}}}).Append) },
		func(text string) { ask((&control.Find{Node: text}).Append) },
		func(text string) {
			ask((&control.TaskControl{TaskKey: control.TaskKey{Owner: text, ID: text}, Action: 1}).Append)
		},
		func(text string) {
			ask((&control.Schedule{Route: route, ID: text, To: text, Plan: control.Plan{Timing: control.Cron, Expression: text, Zone: text}}).Append)
		},
		func(text string) { // a handler's own words
			say = text
			method := []string{"Own", "Coded", "Panic"}[len(text)%3]
			_, err := called(client, "evil", method, "(string)(string)", str, codec.ReadString).Do(t.Context())
			show(err)
		},
		func(text string) { // why a caller gives up
			calls++
			id := transport.CallID(0, calls)
			var x codec.Encoder
			x.Reset(nil)
			str(&x)
			raw.Send(transport.Frame{Header: transport.Header{Kind: transport.Request, Call: id, Route: route}, Payload: x.Bytes()})
			raw.Send(transport.Frame{Header: transport.Header{Kind: transport.Cancel, Call: id}, Payload: rawpeer.ErrorPayload(control.Failure{Code: 1, Reason: text, Message: text, Node: text})})
			select {
			case err := <-causes:
				show(err)
			case <-time.After(time.Millisecond): // it was over before it began
			}
		},
		func(text string) { // who joins, and with what
			p := link()
			h := transport.AppendHello(nil, &transport.HelloPayload{Name: "x", Incarnation: 1})
			h = append(append(h[:len(h)-2], byte(min(len(text), 255))), text[:min(len(text), 255)]...)
			kind := []transport.Kind{transport.Hello, transport.Resume, transport.Goodbye, transport.Kind(99)}[len(text)%4]
			p.Send(transport.Frame{Header: transport.Header{Kind: kind}, Payload: h[:min(len(h), 4096)]})
			show(p.Closed(t))
			p.Link.Wait()
		},
		func(text string) { // how a controller refuses
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
			defer cancel()
			_, err := daffi.Connect(ctx, daffi.Options{Name: "refused", Logger: log.logger(), Controller: refusing{text}})
			show(err)
		},
		func(text string) { // names that the own program gives
			_, err := daffi.Connect(t.Context(), daffi.Options{Name: text, Logger: log.logger(), Controller: ctl})
			show(err)
			_, err = daffi.Invoke(t.Context(), client, "evil."+text, text)
			show(err)
		},
	}
	last := len(cases) - 2
	spent := map[int]time.Duration{}
	defer func() { t.Log(spent) }()
	for i := range testkit.Full(10_000, 100_000) {
		k := i % last
		if i%500 == 499 { // they make a node
			k = last + i/500%2
		}
		most := 8 << 10 // several of them fit into a frame
		if k == 3 || k == 6 || k == 8 || k == 11 {
			most = 60 << 10
		}
		begin := time.Now()
		cases[k](evil.Text(r, most))
		spent[k] += time.Since(begin)
	}
	client.Close()
	server.Close()
	for where, g := range map[string]*gathered{"controller": &ctlLog, "node": &log} {
		lines := 0
		for l := range strings.Lines(g.String()) {
			lines++
			l = strings.TrimPrefix(strings.TrimSuffix(l, "\n"), "\t") // of a stack, which is several lines of our own
			if !safetext.Printable(l) || len(l) > 4<<10 {
				t.Fatalf("%s: %.2000q", where, l)
			}
		}
		require.Greater(t, lines, 10, where)
	}
	require.Greater(t, shown, 2500)
}

// refusing is a controller that lets nobody in.
type refusing struct{ text string }

func (r refusing) Attach() (transport.Link, error) {
	a, b := transport.Pipe()
	b.Start(&refuser{b, r.text})
	return a, nil
}

type refuser struct {
	transport.Link
	text string
}

func (r *refuser) HandleFrame(*transport.Frame) error {
	p := transport.AppendRefuse(nil, &transport.RefusePayload{Code: 6, Reason: r.text, Message: r.text})
	r.Enqueue(transport.Frame{Header: transport.Header{Kind: transport.Refuse}, Payload: p})
	return nil
}

func (r *refuser) HandleBatch()       { r.Flush() }
func (r *refuser) HandleClosed(error) {}
