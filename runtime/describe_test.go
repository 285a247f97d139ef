package daffi_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/daffi-rpc/daffi/internal/signature"
	daffi "github.com/daffi-rpc/daffi/runtime"
	"github.com/daffi-rpc/daffi/runtime/codec"
	"github.com/daffi-rpc/daffi/runtime/daffitest"
	"github.com/daffi-rpc/daffi/runtime/internal/control"
	"github.com/daffi-rpc/daffi/runtime/internal/rawpeer"
	"github.com/daffi-rpc/daffi/runtime/internal/testkit"
	"github.com/daffi-rpc/daffi/runtime/transport"
)

// plain is an implementation for services that are written down by hand.
type plain struct{}

func servePlain(_ context.Context, _ plain, c *daffi.Incoming) error {
	if err := c.Args().Close(); err != nil {
		return err
	}
	c.Results(0)
	return nil
}

// service has handlers with the given signatures, called M000, M001 and so on.
func service(name string, sigs ...string) *daffi.Service[plain] {
	s := &daffi.Service[plain]{Name: name, Doc: "About " + name + "."}
	for i, sig := range sigs {
		s.Handlers = append(s.Handlers, daffi.Handler[plain]{Name: fmt.Sprintf("M%03d", i), Sig: sig, Serve: servePlain})
	}
	return s
}

// wideSig is a signature of n bytes.
func wideSig(name string, n int) string {
	sig := "({" + name + strings.Repeat("x", n-len("({ int})()")-len(name)) + " int})()"
	if len(sig) != n {
		panic(n)
	}
	return sig
}

func TestDescribe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := daffitest.New(t)
		caller, a, b := net.Node("caller"), net.Node("a"), net.Node("b")
		_, err := caller.Describe(t.Context(), "Kit")
		requireError(t, err, daffi.NotFound, daffi.ReasonNoProvider, daffi.NotRun)
		_, err = caller.Describe(t.Context(), "no name")
		requireError(t, err, daffi.InvalidArgument, "", daffi.NotRun)

		_, err = testkit.RegisterKit(a, new(testkit.Impl))
		require.NoError(t, err)
		other := service("Kit", "()()", "(string)()")
		other.Handlers[0] = daffi.Handler[plain]{Name: "Note", Aliases: []string{"Log"}, Sig: "(string,int)()", Params: []string{"line", ""}, Results: []string{}, Doc: "Another.", Oneway: true, Serve: servePlain}
		reg, err := daffi.Register(b, other, plain{})
		require.NoError(t, err)
		info, err := caller.Describe(t.Context(), "Kit")
		require.NoError(t, err)
		require.Equal(t, "Kit", info.Name)
		require.Equal(t, "Kit is served and called.", info.Doc, "the first one stays")
		byName := map[string][]daffi.MethodInfo{}
		for _, m := range info.Methods {
			byName[m.Name] = append(byName[m.Name], m)
		}
		require.Len(t, byName, 17)
		require.Equal(t, []daffi.MethodInfo{{Name: "Sum", Signature: "(int,<int)(int)", Params: []string{"limit", "in"},
			Doc: "Sum adds what is sent, until it has taken limit numbers; 0 is no limit.", Nodes: []string{"a"}}}, byName["Sum"])
		require.Equal(t, []string{"caller", "left"}, byName["Who"][0].Results)
		require.Equal(t, []daffi.MethodInfo{
			{Name: "Note", Signature: "(string)()", Params: []string{"line"}, Doc: "Note is not answered.", Oneway: true, Nodes: []string{"a"}},
			{Name: "Note", Signature: "(string,int)()", Params: []string{"line", ""}, Results: []string{}, Doc: "Another.", Oneway: true, Nodes: []string{"b"}},
		}, byName["Note"])
		require.Equal(t, []daffi.MethodInfo{
			{Name: "Log", Signature: "(string,int)()", Params: []string{"line", ""}, Results: []string{}, Doc: "Another.", Alias: "Note", Oneway: true, Nodes: []string{"b"}},
		}, byName["Log"])

		_, err = daffi.Register(caller, service("Kit", "()()", "(string)()"), plain{})
		require.NoError(t, err)
		require.NoError(t, reg.Close())
		require.NoError(t, a.Close())
		synctest.Wait() // Close does not wait until the controller has seen it
		info, err = caller.Describe(t.Context(), "Kit")
		require.NoError(t, err)
		require.Equal(t, []daffi.MethodInfo{{Name: "M000", Signature: "()()", Nodes: []string{"caller"}}, {Name: "M001", Signature: "(string)()", Nodes: []string{"caller"}}}, info.Methods)
	})
}

// TestDescribeMany publishes and reads what takes many messages.
func TestDescribeMany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := daffitest.New(t)
		caller, server := net.Node("caller"), net.Node("server")
		var sigs []string
		for i := range 100 {
			sigs = append(sigs, wideSig(fmt.Sprintf("A%d", i), 100+300*i))
		}
		s := service("Many", sigs...)
		s.Doc = strings.Repeat("ö", control.MaxDoc/2) + "x"
		for i := range s.Handlers {
			s.Handlers[i].Doc = strings.Repeat("d", 40*i+1)
			s.Handlers[i].Params = strings.Split(strings.Repeat("n,", 20*i)+"n", ",")
			s.Handlers[i].Results = []string{"r"}
		}
		_, err := daffi.Register(server, s, plain{})
		require.NoError(t, err)
		info, err := caller.Describe(t.Context(), "Many")
		require.NoError(t, err)
		require.Equal(t, strings.Repeat("ö", control.MaxDoc/2-2)+"…", info.Doc)
		require.Len(t, info.Methods, len(sigs))
		for i, m := range info.Methods {
			h := &s.Handlers[i]
			want := daffi.MethodInfo{Name: h.Name, Signature: h.Sig, Params: h.Params, Results: h.Results, Doc: h.Doc, Nodes: []string{"server"}}
			require.Equal(t, want, m)
		}

		b := daffi.Bind(caller, &daffi.Client{Service: "Many", Methods: []daffi.Method{{Name: "M099", Sig: sigs[99]}, {Name: "M098", Sig: wideSig("Other", 5000)}}})
		for m := range 2 { // a field that is not there is skipped
			require.NoError(t, daffi.NewAction(b, m, func(e *codec.Encoder) { e.Array(1); e.Map(0) }).Do(t.Context()))
		}
	})
}

// TestSignatureFromManyProxies names one signature that the controller does not know from many proxies of one node at once.
func TestSignatureFromManyProxies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := daffitest.New(t)
		caller, server := net.Node("caller"), net.Node("server")
		_, err := daffi.Register(server, service("Svc", wideSig("A", 300)), plain{})
		require.NoError(t, err)
		client := &daffi.Client{Service: "Svc", Methods: []daffi.Method{{Name: "M000", Sig: wideSig("B", 400)}}}
		var calls sync.WaitGroup
		errs := make([]error, 16)
		for i := range errs {
			b := daffi.Bind(caller, client)
			calls.Go(func() { errs[i] = daffi.NewAction(b, 0, nil).Do(t.Context()) })
		}
		calls.Wait()
		for _, err := range errs {
			require.NoError(t, err)
		}
	})
}

// TestSignatureLimit serves and calls by a signature that is as long as may be, and one byte longer.
func TestSignatureLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := daffitest.New(t)
		caller, server := net.Node("caller"), net.Node("server")
		longest, tooLong := wideSig("A", signature.MaxText), wideSig("A", signature.MaxText+1)
		_, err := daffi.Register(server, service("Svc", longest, tooLong), plain{})
		e := requireError(t, err, daffi.InvalidArgument, daffi.ReasonTooLarge, daffi.NotRun)
		require.Equal(t, "Svc.M001", e.Method)
		require.Contains(t, e.Message, "the signature of Svc.M001 has 32769 bytes, more than 32768")
		_, err = daffi.Register(server, service("Svc", longest), plain{})
		require.NoError(t, err, "nothing was left behind")

		b := daffi.Bind(caller, &daffi.Client{Service: "Svc", Methods: []daffi.Method{{Name: "M001", Sig: tooLong}, {Name: "M000", Sig: longest}}})
		for range 2 {
			err = daffi.NewAction(b, 0, nil).Do(t.Context())
			e = requireError(t, err, daffi.InvalidArgument, daffi.ReasonTooLarge, daffi.NotRun)
			require.Contains(t, e.Message, "the signature of Svc.M001 has 32769 bytes, more than 32768")
			require.NoError(t, daffi.NewAction(b, 1, nil).Do(t.Context()), "the other one works")
		}
	})
}

// asker is a controller that answers the node's questions from a script, the first with a bare OK.
type asker struct {
	rogue
	mu      sync.Mutex
	answers [][]byte
	asked   []control.Op
}

func (a *asker) Attach() (transport.Link, error) {
	near, far := transport.Pipe()
	a.link = far
	far.SetMaxPayload(transport.MaxPayload)
	far.Start(a)
	return near, nil
}

func (a *asker) HandleFrame(f *transport.Frame) error {
	if f.Kind != transport.Control {
		return a.rogue.HandleFrame(f)
	}
	var d codec.Decoder
	d.Reset(f.Payload)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.asked = append(a.asked, control.ReadOp(&d))
	payload := encoded(func(e *codec.Encoder) { control.AppendPlain(e, control.OpOK) })
	if len(a.answers) > 0 {
		payload, a.answers = a.answers[0], a.answers[1:]
	}
	return a.link.Enqueue(transport.Frame{Header: transport.Header{Kind: transport.Control, Call: f.Call}, Payload: payload})
}

func encoded(fill func(*codec.Encoder)) []byte {
	var e codec.Encoder
	fill(&e)
	return e.Bytes()
}

func (a *asker) join(t testing.TB, answers ...[]byte) *daffi.Node {
	n, err := daffi.Connect(t.Context(), daffi.Options{Name: "n", Controller: a})
	require.NoError(t, err)
	t.Cleanup(func() { n.Close() })
	a.answers, a.asked = answers, nil
	return n
}

// TestControllerAsksForNonsense registers, calls and describes where the answers are not such as a controller gives.
func TestControllerAsksForNonsense(t *testing.T) {
	missing := func(indexes ...uint32) []byte { return encoded((&control.Missing{Methods: indexes}).Append) }
	ok := encoded(func(e *codec.Encoder) { control.AppendPlain(e, control.OpOK) })
	forever := control.Inspected{Doc: "x", More: true}
	for name, test := range map[string]struct {
		answers [][]byte
		want    string
	}{
		"no such method": {[][]byte{missing(2)}, "it asks for method 2 of 2"},
		"too many":       {[][]byte{missing(0, 1, 0)}, "it asks for method 0 of 2"},
		"again":          {[][]byte{missing(0), ok, missing(0), ok, missing(0)}, "it asks for them again"},
		"unreadable":     {[][]byte{{0x92, byte(control.OpMissing), 0xa1, 'x'}}, "cannot be used"},
	} {
		t.Run(name, func(t *testing.T) {
			a := &asker{rogue: rogue{host: rawpeer.Host{Name: "rogue"}, joined: make(chan struct{})}}
			n := a.join(t, test.answers...)
			_, err := daffi.Register(n, service("Svc", "()()", "(int)()"), plain{})
			e := requireError(t, err, daffi.Internal, daffi.ReasonProtocol, daffi.NotRun)
			require.Contains(t, e.Message, test.want)
			require.LessOrEqual(t, len(a.asked), 5)
			a.answers = test.answers
			b := daffi.Bind(n, &daffi.Client{Service: "Svc", Methods: []daffi.Method{{Name: "A", Sig: "()()"}, {Name: "B", Sig: "()()"}}})
			err = daffi.NewAction(b, 0, nil).Do(t.Context())
			e = requireError(t, err, daffi.Internal, daffi.ReasonProtocol, daffi.NotRun)
			require.Contains(t, e.Message, test.want)
		})
	}

	a := &asker{rogue: rogue{host: rawpeer.Host{Name: "rogue"}, joined: make(chan struct{})}}
	n := a.join(t, encoded((&control.Registered{Describe: []uint32{7}}).Append))
	_, err := daffi.Register(n, service("Svc", "()()"), plain{})
	require.NoError(t, err, "documentation is not worth failing for")
	a.answers = [][]byte{encoded(forever.Append)}
	_, err = n.Describe(t.Context(), "Svc")
	requireError(t, err, daffi.Internal, daffi.ReasonProtocol, daffi.NotRun)
	a.answers = nil
	for i := range 1000 {
		forever.Next.Route = uint32(i + 1)
		a.answers = append(a.answers, encoded(forever.Append))
	}
	_, err = n.Describe(t.Context(), "Svc")
	requireError(t, err, daffi.ResourceExhausted, daffi.ReasonTooLarge, daffi.NotRun)
	require.Greater(t, len(a.answers), 700)
}

// FuzzAnswers takes bytes as the controller's answers to a node that registers, calls and describes. Nothing may panic or hang.
//
// An answer is its length in a byte, and as many bytes.
func FuzzAnswers(f *testing.F) {
	add := func(answers ...[]byte) {
		var all []byte
		for _, a := range answers {
			all = append(append(all, byte(len(a))), a...)
		}
		f.Add(all)
	}
	ok := encoded(func(e *codec.Encoder) { control.AppendPlain(e, control.OpOK) })
	missing := encoded((&control.Missing{Methods: []uint32{0, 1}}).Append)
	routes := encoded((&control.Routes{Routes: make([]control.Route, 2)}).Append)
	page := control.Inspected{Doc: "d", Methods: []control.Description{{Name: "M", Sig: "()()", Params: []string{"p"}, Route: 1, Nodes: []string{"n"}}}, More: true, Next: control.Cursor{Method: "M"}}
	add(missing, ok, encoded((&control.Registered{Describe: []uint32{1}}).Append), ok, missing, ok, routes, encoded(page.Append), ok)
	add(ok, routes, encoded(page.Append), encoded(page.Append))
	add(encoded((&control.Failure{Code: 5, Message: "no"}).Append), routes)
	f.Fuzz(func(t *testing.T, data []byte) {
		var answers [][]byte
		for len(data) > 0 {
			n := min(int(data[0]), len(data)-1)
			answers = append(answers, data[1:1+n])
			data = data[1+n:]
		}
		synctest.Test(t, func(t *testing.T) {
			a := &asker{rogue: rogue{host: rawpeer.Host{Name: "rogue"}, joined: make(chan struct{})}}
			n := a.join(t, answers...)
			_, _ = daffi.Register(n, service("Svc", "()()", wideSig("A", 100)), plain{})
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			b := daffi.Bind(n, &daffi.Client{Service: "Svc", Methods: []daffi.Method{{Name: "A", Sig: "()()"}, {Name: "B", Sig: wideSig("B", 100)}}})
			_ = daffi.NewAction(b, 0, nil).Do(ctx)
			_, _ = n.Describe(ctx, "Svc")
		})
	})
}
