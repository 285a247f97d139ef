// Package rawpeer is a node made by hand, for tests of what a controller does with frames: it sends whatever it is told to, legal or not, and
// keeps what it gets. [Guest] and [Host] are a node and a controller that do not care what they say once they have joined, [Feed] is a connection that brings any
// bytes, and a [Mutator] makes some that are wrong. [Replay] is a whole side, nodes or controller, whose bytes were recorded.
package rawpeer

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/daffi-rpc/daffi/internal/signature"
	"github.com/daffi-rpc/daffi/runtime/codec"
	"github.com/daffi-rpc/daffi/runtime/internal/control"
	"github.com/daffi-rpc/daffi/runtime/transport"
)

// patience is how long a peer waits for what must come.
const patience = 10 * time.Second

// Peer is the node's end of a link. Its methods may be called from any goroutine, but one waits for frames at a time.
type Peer struct {
	Link    transport.Link
	Session uint32 // once joined

	Secret     [transport.ProofSize]byte // of the link, once joined, for a Resume
	Controller [16]byte                  // incarnation, once joined

	Name string

	// OnFrame, if it is set before the first frame, sees each frame on the link's goroutine; those for which it returns true are not kept.
	OnFrame func(f *transport.Frame) bool

	mu     sync.Mutex
	kept   []transport.Frame
	err    error
	news   chan struct{} // has one element when something was kept since it was last looked at
	closed chan struct{}
	number uint64 // of the last control message
}

// New returns a peer at the node's end of a link; [Peer.Start] starts it.
func New(l transport.Link) *Peer {
	return &Peer{Link: l, news: make(chan struct{}, 1), closed: make(chan struct{})}
}

// Start starts the link and returns p.
func (p *Peer) Start() *Peer {
	p.Link.Start((*handler)(p))
	return p
}

type handler Peer

func (h *handler) HandleFrame(f *transport.Frame) error {
	if h.OnFrame != nil && h.OnFrame(f) {
		return nil
	}
	kept := transport.Frame{Header: f.Header, Payload: append([]byte(nil), f.Payload...)}
	h.mu.Lock()
	h.kept = append(h.kept, kept)
	h.mu.Unlock()
	h.wake()
	return nil
}

func (h *handler) HandleBatch() { h.Link.Flush() }

func (h *handler) HandleClosed(err error) {
	h.mu.Lock()
	h.err = err
	h.mu.Unlock()
	close(h.closed)
	h.wake()
}

func (h *handler) wake() {
	select {
	case h.news <- struct{}{}:
	default:
	}
}

// Send sends frames as they are.
func (p *Peer) Send(frames ...transport.Frame) {
	for _, f := range frames {
		p.Link.Enqueue(f)
	}
	p.Link.Flush()
}

// take removes and returns the first kept frame that match accepts, waiting for it until the deadline.
func (p *Peer) take(wait time.Duration, match func(*transport.Frame) bool) (transport.Frame, error) {
	timeout := time.NewTimer(wait)
	defer timeout.Stop()
	for {
		p.mu.Lock()
		for i := range p.kept {
			if f := p.kept[i]; match(&f) {
				p.kept = append(p.kept[:i], p.kept[i+1:]...)
				p.mu.Unlock()
				return f, nil
			}
		}
		err, left := p.err, len(p.kept)
		p.mu.Unlock()
		if err != nil {
			return transport.Frame{}, fmt.Errorf("link closed: %w", err)
		}
		select {
		case <-p.news:
		case <-timeout.C:
			return transport.Frame{}, fmt.Errorf("nothing came in %v, and %d frames were not asked for", wait, left)
		}
	}
}

// Next returns the next frame, whatever it is. It fails the test if none comes.
func (p *Peer) Next(tb testing.TB) transport.Frame {
	tb.Helper()
	f, err := p.take(patience, func(*transport.Frame) bool { return true })
	if err != nil {
		tb.Fatalf("%s: %v", p.Name, err)
	}
	return f
}

// Poll returns the next frame if there is one.
func (p *Peer) Poll() (f transport.Frame, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.kept) == 0 {
		return f, false
	}
	f = p.kept[0]
	p.kept = p.kept[1:]
	return f, true
}

// Expect is Next for a frame of that kind.
func (p *Peer) Expect(tb testing.TB, kind transport.Kind) transport.Frame {
	tb.Helper()
	f := p.Next(tb)
	if f.Kind != kind {
		tb.Fatalf("%s: got %v %q, want %v", p.Name, f.Kind, f.Payload, kind)
	}
	return f
}

// Nothing fails the test if a frame was kept or comes within wait.
func (p *Peer) Nothing(tb testing.TB, wait time.Duration) {
	tb.Helper()
	if f, err := p.take(wait, func(*transport.Frame) bool { return true }); err == nil {
		tb.Fatalf("%s: got %v %q, want nothing", p.Name, f.Kind, f.Payload)
	}
}

// Failed expects an Error for a call and returns what it says.
func (p *Peer) Failed(tb testing.TB, call uint64) control.Failure {
	tb.Helper()
	f := p.Expect(tb, transport.Error)
	if f.Call != call {
		tb.Fatalf("%s: the error is of call %#x, want %#x", p.Name, f.Call, call)
	}
	return Failure(tb, f)
}

// Failure is what an Error frame says.
func Failure(tb testing.TB, f transport.Frame) (out control.Failure) {
	tb.Helper()
	var d codec.Decoder
	d.Reset(f.Payload)
	if err := out.ReadFrom(&d); err != nil {
		tb.Fatal(err)
	}
	return out
}

// Closed waits for the end of the link and returns why.
func (p *Peer) Closed(tb testing.TB) error {
	tb.Helper()
	select {
	case <-p.closed:
	case <-time.After(patience):
		tb.Fatalf("%s: the link is not closed", p.Name)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.err
}

// Close closes the link and waits for its end.
func (p *Peer) Close() {
	p.Link.Close(nil)
	p.Link.Wait()
}

// Hello sends a Hello and answers the Challenge. It returns what comes then: a Welcome or a Refuse.
func (p *Peer) Hello(tb testing.TB, hello transport.HelloPayload, token []byte) transport.Frame {
	tb.Helper()
	p.Name = hello.Name
	payload := transport.AppendHello(nil, &hello)
	p.Send(transport.Frame{Header: transport.Header{Kind: transport.Hello}, Payload: payload})
	f := p.Next(tb)
	if f.Kind != transport.Challenge {
		return f
	}
	challenge, err := transport.ParseChallenge(f.Payload)
	if err != nil {
		tb.Fatal(err)
	}
	var proof [transport.ProofSize]byte
	if challenge.Auth == transport.AuthToken {
		proof = transport.NodeProof(token, payload, f.Payload)
	}
	if challenge.Auth == transport.AuthTokenTLS {
		copy(proof[:], token)
	}
	p.Secret = transport.ResumeSecret(token, payload, f.Payload)
	p.Send(transport.Frame{Header: transport.Header{Kind: transport.Proof}, Payload: transport.AppendProof(nil, proof)})
	f, err = p.take(patience, func(f *transport.Frame) bool { return f.Kind == transport.Welcome || f.Kind == transport.Refuse })
	if err != nil {
		tb.Fatalf("%s: %v", p.Name, err)
	}
	if f.Kind == transport.Welcome {
		w, err := transport.ParseWelcome(f.Payload)
		if err != nil {
			tb.Fatal(err)
		}
		p.Session, p.Controller = w.Session, w.Incarnation
		p.Link.SetMaxPayload(transport.MaxPayload)
	}
	return f
}

// Join joins under a name and returns p.
func (p *Peer) Join(tb testing.TB, name string) *Peer {
	tb.Helper()
	hello := transport.HelloPayload{Name: name, Incarnation: 1}
	copy(hello.Session[:], name)
	if f := p.Hello(tb, hello, nil); f.Kind != transport.Welcome {
		tb.Fatalf("%s: got %v %q instead of a Welcome", name, f.Kind, f.Payload)
	}
	return p
}

// Control sends a control message and returns its number.
func (p *Peer) Control(fill func(*codec.Encoder)) uint64 {
	var e codec.Encoder
	e.Reset(nil)
	fill(&e)
	p.mu.Lock()
	p.number++
	n := p.number
	p.mu.Unlock()
	p.Send(transport.Frame{Header: transport.Header{Kind: transport.Control, Call: n}, Payload: e.Bytes()})
	return n
}

// Answer waits for a control message of that number, 0 for what the controller says by itself, and opens it.
func (p *Peer) Answer(tb testing.TB, number uint64) (control.Op, *codec.Decoder) {
	tb.Helper()
	f, err := p.take(patience, func(f *transport.Frame) bool { return f.Kind == transport.Control && f.Call == number })
	if err != nil {
		tb.Fatalf("%s: answer %d: %v", p.Name, number, err)
	}
	d := new(codec.Decoder)
	d.Reset(f.Payload)
	return control.ReadOp(d), d
}

// Ask sends a control message and reads the answer, a [control.Failure] or the message of operation want, into out.
func (p *Peer) Ask(tb testing.TB, fill func(*codec.Encoder), want control.Op, out interface{ Read(*codec.Decoder) error }) *control.Failure {
	tb.Helper()
	op, d := p.Answer(tb, p.Control(fill))
	return p.read(tb, op, d, want, out)
}

func (p *Peer) read(tb testing.TB, op control.Op, d *codec.Decoder, want control.Op, out interface{ Read(*codec.Decoder) error }) *control.Failure {
	tb.Helper()
	var f control.Failure
	switch {
	case op == control.OpFailed:
		if err := f.Read(d); err != nil {
			tb.Fatal(err)
		}
		return &f
	case op != want:
		tb.Fatalf("%s: answered by operation %d, want %d", p.Name, op, want)
	case out != nil:
		if err := out.Read(d); err != nil {
			tb.Fatal(err)
		}
	}
	return nil
}

// Methods returns methods that all have one signature, with numbers from 100.
func Methods(sig string, names ...string) []control.Method {
	var ms []control.Method
	for i, name := range names {
		ms = append(ms, control.Method{Name: name, Sig: signature.Fingerprint(sig), Number: uint32(100 + i)})
	}
	return ms
}

// Describe gives the signature of a method.
func (p *Peer) Describe(tb testing.TB, service, sig, name string) *control.Failure {
	tb.Helper()
	m := control.Describe{Service: service, Methods: []control.Description{{Name: name, Sig: sig}}}
	return p.Ask(tb, m.Append, control.OpOK, nil)
}

// ask asks for something about methods of one signature, and gives the signature first where it is missing.
func (p *Peer) ask(tb testing.TB, service, sig string, names []string, fill func(*codec.Encoder), want control.Op, out interface{ Read(*codec.Decoder) error }) *control.Failure {
	tb.Helper()
	op, d := p.Answer(tb, p.Control(fill))
	if op == control.OpMissing {
		var m control.Missing
		if err := m.Read(d); err != nil {
			tb.Fatal(err)
		}
		for _, i := range m.Methods {
			if f := p.Describe(tb, service, sig, names[i]); f != nil {
				return f
			}
		}
		op, d = p.Answer(tb, p.Control(fill))
	}
	return p.read(tb, op, d, want, out)
}

// Serve registers a service whose methods have one signature, and describes them if it must.
func (p *Peer) Serve(tb testing.TB, service, sig string, names ...string) *control.Failure {
	tb.Helper()
	return p.ask(tb, service, sig, names, (&control.Register{Service: service, Methods: Methods(sig, names...)}).Append, control.OpOK, nil)
}

// TryRegister registers a service.
func (p *Peer) TryRegister(tb testing.TB, service string, methods []control.Method) *control.Failure {
	tb.Helper()
	return p.Ask(tb, (&control.Register{Service: service, Methods: methods}).Append, control.OpOK, nil)
}

// Register is TryRegister of methods with the signature "sig", which must work. It returns p.
func (p *Peer) Register(tb testing.TB, service string, methods ...string) *Peer {
	tb.Helper()
	if f := p.TryRegister(tb, service, Methods("sig", methods...)); f != nil {
		tb.Fatalf("%s: registering: %+v", p.Name, f)
	}
	return p
}

// Route resolves one method, and describes it if it must.
func (p *Peer) Route(tb testing.TB, service, method, sig string) uint32 {
	tb.Helper()
	var routes control.Routes
	q := control.Resolve{Service: service, Methods: Methods(sig, method)}
	if f := p.ask(tb, service, sig, []string{method}, q.Append, control.OpRoutes, &routes); f != nil {
		tb.Fatalf("%s: resolving: %+v", p.Name, f)
	}
	return routes.Routes[0].Number
}

// Call sends a small request in the given slot and generation and returns its id.
func (p *Peer) Call(route uint32, slot uint32, generation uint64, payload string) uint64 {
	id := transport.CallID(slot, generation)
	p.Send(transport.Frame{Header: transport.Header{Kind: transport.Request, Call: id, Route: route}, Payload: []byte(payload)})
	return id
}

// Served expects a Request, after the introduction of its caller if there is one, and returns it.
func (p *Peer) Served(tb testing.TB) transport.Frame {
	tb.Helper()
	f := p.Next(tb)
	if f.Kind == transport.Peer {
		f = p.Next(tb)
	}
	if f.Kind != transport.Request {
		tb.Fatalf("%s: got %v %q, want a Request", p.Name, f.Kind, f.Payload)
	}
	return f
}

// Reply answers a call.
func (p *Peer) Reply(call uint64, payload string) {
	p.Send(transport.Frame{Header: transport.Header{Kind: transport.Reply, Call: call}, Payload: []byte(payload)})
}

// ErrorPayload is the payload of an Error frame.
func ErrorPayload(f control.Failure) []byte {
	var e codec.Encoder
	e.Reset(nil)
	f.AppendTo(&e)
	return e.Bytes()
}
