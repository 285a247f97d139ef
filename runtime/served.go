package daffi

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"github.com/daffi-rpc/daffi/runtime/codec"
	"github.com/daffi-rpc/daffi/runtime/transport"
)

// Incoming is one call at the callee, as generated code sees it. It must not be used after Serve has returned.
type Incoming struct {
	args codec.Decoder
	out  codec.Encoder

	node    *Node
	session *session
	id      uint64
	mode    transport.Mode
	flags   transport.Flags
	method  *servedMethod
	peer    *peer
	payload *transport.Buffer
	asm     *assembly // of a large request: its room is given back when the arguments were read
	results *transport.Buffer
	ctx     *callCtx
	recv    *receiver
	send    *sender
}

// release ends the use of in. Calls with streams are left to the collector, since a handler may have kept their sequences.
func (in *Incoming) release() {
	if in.payload != nil {
		in.payload.Release()
	}
	if in.asm != nil {
		in.asm.drop()
	}
	if in.results != nil {
		in.results.Release()
	}
	if in.recv != nil || in.send != nil {
		in.payload, in.asm, in.results = nil, nil, nil
		return
	}
	pool := &in.node.incomings
	*in = Incoming{}
	pool.Put(in)
}

// Args opens the argument array.
func (in *Incoming) Args() *codec.Decoder {
	if in.asm != nil { // its room is needed as soon as the arguments were read, not when the handler has ended
		in.args.OnClose(in.asm.drop)
	}
	in.args.Open()
	return &in.args
}

// Results starts an array of n results.
func (in *Incoming) Results(n int) *codec.Encoder { in.out.Array(n); return &in.out }

// serving is the table of the calls that the controller has opened towards a session, by their ids' slots. It holds what the reader may
// touch while the handler runs.
type serving struct {
	mu    sync.Mutex
	items []servedCall
	seen  []uint64 // the latest id in each slot
	live  int
	idle  chan struct{} // closed when none is left; nil when nobody asks
	gone  error
}

type servedCall struct {
	id     uint64 // 0: free
	ctx    *callCtx
	recv   *receiver
	send   *sender
	asm    *assembly    // of a large request that is on its way
	reply  *largeSender // of a large reply
	method *servedMethod
	in     *Incoming // until it was admitted
}

// claim takes the slot of a new call. The Cancel of the call before may still be on its way in the bulk lane: over is that call, if it
// has not ended; late says that the new call itself was cancelled and its request overtaken.
func (t *serving) claim(id uint64) (over servedCall, late bool, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	i := int(transport.SlotOf(id))
	if i >= transport.MaxCalls {
		return over, false, fmt.Errorf("%w: call in slot %d", transport.ErrProtocol, i)
	}
	for i >= len(t.items) {
		t.items, t.seen = append(t.items, servedCall{}), append(t.seen, 0)
	}
	switch gen := transport.GenerationOf(id); {
	case gen == transport.GenerationOf(t.seen[i]):
		return over, false, fmt.Errorf("%w: call id %#x was used before", transport.ErrProtocol, id)
	case gen < transport.GenerationOf(t.seen[i]):
		return over, true, nil
	}
	over, t.seen[i] = t.end(&t.items[i]), id
	return over, false, nil
}

// add enters a call whose slot was claimed.
func (t *serving) add(c servedCall) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.gone != nil {
		return t.gone
	}
	t.items[transport.SlotOf(c.id)] = c
	t.live++
	return nil
}

// end empties a place. Call with the lock held.
func (t *serving) end(c *servedCall) servedCall {
	was := *c
	if was.id != 0 {
		*c = servedCall{}
		t.live--
		t.wake()
	}
	return was
}

// wake tells who waits for the last call. Call with the lock held.
func (t *serving) wake() {
	if t.live == 0 && t.idle != nil {
		close(t.idle)
		t.idle = nil
	}
}

// wait returns when every call has ended: its last frame is with the link.
func (t *serving) wait(ctx context.Context) error {
	t.mu.Lock()
	if t.live == 0 {
		t.mu.Unlock()
		return nil
	}
	if t.idle == nil {
		t.idle = make(chan struct{})
	}
	idle := t.idle
	t.mu.Unlock()
	select {
	case <-idle:
		return nil
	case <-ctx.Done():
		return contextError(ctx, "")
	}
}

// find is the live call of that id. Call with the lock held.
func (t *serving) find(id uint64) *servedCall {
	if i := int(transport.SlotOf(id)); i < len(t.items) && t.items[i].id == id {
		return &t.items[i]
	}
	return nil
}

// get is a copy of the call of that id; the id is 0 if it has ended.
func (t *serving) get(id uint64) servedCall {
	t.mu.Lock()
	defer t.mu.Unlock()
	if c := t.find(id); c != nil {
		return *c
	}
	return servedCall{}
}

// update changes a call that is still there.
func (t *serving) update(id uint64, fn func(c *servedCall)) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	c := t.find(id)
	if c != nil {
		fn(c)
	}
	return c != nil
}

// remove ends a call; the id of what it returns is 0 if it had ended before.
func (t *serving) remove(id uint64) servedCall {
	t.mu.Lock()
	defer t.mu.Unlock()
	c := t.find(id)
	if c == nil {
		return servedCall{}
	}
	return t.end(c)
}

// close ends all calls: nobody waits for their replies any more.
func (t *serving) close(err error) {
	t.mu.Lock()
	calls := t.items
	t.items, t.seen, t.live, t.gone = nil, nil, 0, err
	t.wake()
	t.mu.Unlock()
	for i := range calls {
		if calls[i].id != 0 {
			calls[i].abandon(err)
		}
	}
}

// abandon ends a call whose caller is no longer there or no longer wants it.
func (c *servedCall) abandon(err error) {
	if c.ctx != nil {
		c.ctx.cancel(context.Canceled)
	}
	if c.recv != nil {
		c.recv.abort(err)
	}
	if c.send != nil {
		c.send.abort(nil, context.Canceled)
	}
	if c.reply != nil {
		c.reply.close()
	}
	if c.asm != nil {
		c.asm.drop()
	}
	if c.in != nil { // it was never admitted
		if c.recv != nil {
			c.recv.close()
		}
		c.in.release()
	}
}

var errCallGone = &Error{Code: Canceled, Outcome: Ran, Message: "the caller has cancelled the call or is gone", cause: context.Canceled}

// refuse answers a request that will not run.
func (s *session) refuse(id uint64, e *Error) error {
	e.Outcome, e.Node = NotRun, s.node.opts.Name
	return s.answer(transport.Frame{Header: transport.Header{Kind: transport.Error, Call: id}, Payload: appendFailure(e)})
}

// request takes a new call from the reader.
func (s *session) request(f *transport.Frame) error {
	if f.Call&transport.Served == 0 {
		return fmt.Errorf("%w: request with a caller's id", transport.ErrProtocol)
	}
	over, late, err := s.served.claim(f.Call)
	switch {
	case err != nil:
		return err
	case late:
		s.node.lates.Add(1)
		return nil
	case over.id != 0:
		over.abandon(errCallGone)
	}
	m := s.node.services.method(f.Route)
	switch {
	case m == nil:
		return s.refuse(f.Call, &Error{Code: Unimplemented, Message: "the node does not serve this method any more"})
	case f.Depth > transport.MaxDepth:
		return s.refuse(f.Call, &Error{Code: ResourceExhausted, Reason: ReasonDepth, Method: m.full, Message: fmt.Sprintf("calls are nested deeper than %d", transport.MaxDepth)})
	}
	const whole = transport.Input | transport.Output
	if m.stream != (f.Mode&whole != 0 && f.Mode&transport.Each == 0) {
		return s.refuse(f.Call, &Error{Code: FailedPrecondition, Reason: ReasonShape, Method: m.full, Message: "the method was called in another shape than it has"})
	}
	p := s.peers[f.Peer]
	if p == nil { // it has left between its call and now
		p = new(peer)
	}
	in, _ := s.node.incomings.Get().(*Incoming)
	if in == nil {
		in = new(Incoming)
	}
	in.node, in.session, in.id, in.mode, in.flags, in.method, in.peer = s.node, s, f.Call, f.Mode, f.Flags, m, p
	in.ctx = &callCtx{info: CallInfo{Method: m.full, Caller: p.name}, node: s.node, depth: f.Depth}
	if f.Arg > 0 {
		in.ctx.deadline = time.Now().Add(time.Duration(min(f.Arg, 1<<62)))
	}
	if f.Mode&(transport.Input|transport.Each) != 0 {
		if in.recv = newReceiver(s, f.Call); in.recv == nil {
			in.release()
			return s.refuse(f.Call, &Error{Code: ResourceExhausted, Reason: ReasonBusy, Method: m.full, Message: "no credit is left for another stream"})
		}
	}
	if f.Mode&transport.Output != 0 {
		in.send = newSender(s, f.Call, s.packer(&m.worth, f.Flags&transport.Zstd != 0))
	}
	c := servedCall{id: f.Call, ctx: in.ctx, recv: in.recv, send: in.send, method: m}
	if f.Flags&transport.Large == 0 {
		in.payload = f.Own()
		if err := s.served.add(c); err != nil {
			in.release()
			return err
		}
		return s.admit(in)
	}
	total := transport.AnnouncedLength(f.Payload)
	if total > int64(s.node.opts.MaxMessage) {
		if in.recv != nil {
			in.recv.close()
		}
		in.release()
		return s.refuse(f.Call, tooLarge(int(total), s.node.opts.MaxMessage, m.full))
	}
	id := f.Call
	in.asm = &assembly{of: &s.assemblies, total: int(total), flags: f.Flags, grant: func() {
		s.send(transport.Frame{Header: transport.Header{Kind: transport.Grant, Call: id}})
	}}
	c.asm, c.in = in.asm, in
	if err := s.served.add(c); err != nil {
		c.in = nil
		in.release()
		return err
	}
	s.assemblies.reserve(c.asm)
	return nil
}

// servedFrame takes a frame of a call that was opened before.
func (s *session) servedFrame(f *transport.Frame) error {
	if f.Kind == transport.Cancel {
		c := s.served.remove(f.Call)
		if c.id == 0 {
			s.node.lates.Add(1)
			return nil
		}
		c.abandon(errCallGone)
		return nil
	}
	c := s.served.get(f.Call)
	if c.id == 0 {
		s.node.lates.Add(1)
		return nil
	}
	var err error
	switch f.Kind {
	case transport.Data:
		if c.recv != nil {
			err = c.recv.push(f)
		}
	case transport.Chunk:
		if c.in != nil {
			return s.requestChunk(&c, f)
		}
		if c.recv != nil {
			err = c.recv.chunk(f)
		}
	case transport.Credit:
		if c.send != nil {
			c.send.grow(f.Arg)
		}
	case transport.Grant:
		switch {
		case c.reply != nil:
			c.reply.granted()
		case c.send != nil:
			c.send.grant()
		}
	default:
		return fmt.Errorf("%w: a caller sends no %v", transport.ErrProtocol, f.Kind)
	}
	if err != nil {
		s.breakServed(f.Call, err)
	}
	return nil
}

// breakServed ends a call whose caller broke the rules of its stream.
func (s *session) breakServed(id uint64, err error) {
	c := s.served.remove(id)
	if c.id == 0 {
		return
	}
	e := asProtocol(err)
	e.Method, e.Node = c.method.full, s.node.opts.Name
	c.abandon(e)
	s.send(transport.Frame{Header: transport.Header{Kind: transport.Error, Flags: transport.Bulk, Call: id}, Payload: appendFailure(e)})
}

// asProtocol is err as what it is, or as a breach of the protocol.
func asProtocol(err error) *Error {
	if e, ok := err.(*Error); ok {
		x := *e
		return &x
	}
	return &Error{Code: Internal, Reason: ReasonProtocol, Outcome: Ran, Message: err.Error(), cause: err}
}

// requestChunk takes a piece of a large request.
func (s *session) requestChunk(c *servedCall, f *transport.Frame) error {
	last, ok := c.asm.add(f)
	if !ok {
		s.breakServed(f.Call, fmt.Errorf("the caller sent other chunks than it had announced"))
		return nil
	}
	if !last {
		return nil
	}
	in := c.in
	if !s.served.update(f.Call, func(c *servedCall) { c.in, c.asm = nil, nil }) {
		return nil
	}
	in.payload = in.asm.take()
	return s.admit(in)
}

// admit lets a call run, wait, or be refused (LIM-11).
func (s *session) admit(in *Incoming) error {
	id, oneway, m := in.id, in.mode&transport.Oneway != 0, in.method
	if oneway {
		s.served.remove(id) // from here on nobody can cancel it
	}
	if s.node.admission.enter(in) {
		if oneway {
			return s.answer(transport.Frame{Header: transport.Header{Kind: transport.Reply, Call: id}})
		}
		return nil
	}
	s.served.remove(id)
	if in.recv != nil {
		in.recv.close()
	}
	in.release()
	return s.refuse(id, &Error{Code: ResourceExhausted, Reason: ReasonBusy, Method: m.full, Message: "too many calls run and wait at the node"})
}

// packer returns what compresses a stream's frames.
func (s *session) packer(w *transport.Worth, wanted bool) func([]byte) (*transport.Buffer, bool) {
	if !s.compresses(wanted) {
		return func([]byte) (*transport.Buffer, bool) { return nil, false }
	}
	return func(b []byte) (*transport.Buffer, bool) { return s.node.compress(b, w) }
}

// compresses reports whether messages are to be compressed: remote says that they leave the host further on.
func (s *session) compresses(remote bool) bool {
	switch s.node.opts.Compression {
	case CompressOn:
		return true
	case CompressOff:
		return false
	}
	return remote || !s.link.Info().Local
}

// admission bounds how many handlers run, and queues a bounded number of calls that wait for one to end.
type admission struct {
	node *Node

	mu      sync.Mutex
	running int // of calls that no handler made
	nested  int
	queue   []*Incoming
	oneway  map[*callCtx]struct{} // that run or wait: no session's end cancels them
	idle    chan struct{}         // closed when nothing runs and waits; nil when nobody asks
	closed  bool
}

// enter starts in, or queues it; it reports false when there is no room.
func (a *admission) enter(in *Incoming) bool {
	a.mu.Lock()
	switch {
	case a.closed:
		a.mu.Unlock()
		return false
	case in.ctx.depth > 0:
		// A call made by a handler is never queued behind others: they may wait for just that handler.
		if a.nested >= a.node.opts.MaxRunning {
			a.mu.Unlock()
			return false
		}
		a.nested++
		a.note(in)
	case a.running < a.node.opts.MaxRunning && in.peer.running < a.node.opts.MaxRunningPerCaller:
		a.start(in)
		a.note(in)
	case len(a.queue) < a.node.opts.MaxQueue:
		a.queue = append(a.queue, in)
		a.note(in)
		a.mu.Unlock()
		return true
	default:
		a.mu.Unlock()
		return false
	}
	a.mu.Unlock()
	a.node.run(in)
	return true
}

// note remembers a one-way call. Call with the lock held.
func (a *admission) note(in *Incoming) {
	if in.mode&transport.Oneway == 0 {
		return
	}
	if a.oneway == nil {
		a.oneway = map[*callCtx]struct{}{}
	}
	a.oneway[in.ctx] = struct{}{}
}

// start counts in as running. Call with the lock held.
func (a *admission) start(in *Incoming) {
	a.running++
	in.peer.running++
}

// leave counts a call as ended, and returns one that waited and is to run now.
func (a *admission) leave(ctx *callCtx, p *peer) (next *Incoming) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.oneway, ctx)
	if ctx.depth > 0 {
		a.nested--
	} else {
		a.running--
		p.running--
		for i, in := range a.queue {
			if in.peer.running < a.node.opts.MaxRunningPerCaller {
				a.queue = append(a.queue[:i], a.queue[i+1:]...)
				a.start(in)
				next = in
				break
			}
		}
	}
	if a.idle != nil && a.running+a.nested+len(a.queue) == 0 {
		close(a.idle)
		a.idle = nil
	}
	return next
}

// wait returns when nothing runs and waits.
func (a *admission) wait(ctx context.Context) error {
	a.mu.Lock()
	if a.running+a.nested+len(a.queue) == 0 {
		a.mu.Unlock()
		return nil
	}
	if a.idle == nil {
		a.idle = make(chan struct{})
	}
	idle := a.idle
	a.mu.Unlock()
	select {
	case <-idle:
		return nil
	case <-ctx.Done():
		return contextError(ctx, "")
	}
}

// close refuses all further calls, drops those that wait, and ends the contexts of one-way ones that run.
func (a *admission) close() {
	a.mu.Lock()
	a.closed = true
	queue := a.queue
	a.queue = nil
	for ctx := range a.oneway {
		ctx.cancel(context.Canceled)
	}
	a.mu.Unlock()
	for _, in := range queue {
		in.ctx.cancel(context.Canceled)
		if in.recv != nil {
			in.recv.close()
		}
		in.release()
	}
}

// run serves in on a goroutine: one that has just become free, or a new one.
func (n *Node) run(in *Incoming) {
	select {
	case n.work <- in:
	default:
		n.workers.Go(func() { n.worker(in) })
	}
}

// worker serves calls until there was none for a while.
func (n *Node) worker(in *Incoming) {
	idle := time.NewTimer(workerIdle)
	defer idle.Stop()
	for {
		for in != nil {
			in = n.serve(in)
		}
		idle.Reset(workerIdle)
		select {
		case in = <-n.work:
		case <-idle.C:
			return
		case <-n.stop:
			return
		}
	}
}

// serve serves one call and returns another that may run now.
func (n *Node) serve(in *Incoming) (next *Incoming) {
	ctx, p := in.ctx, in.peer
	ended := true
	defer func() {
		next = n.admission.leave(ctx, p)
		if ended && next != nil { // the handler has ended this goroutine
			n.run(next)
		}
	}()
	in.serve()
	ended = false
	return nil
}

// serve runs the handler and ends the call, also when the handler ends its goroutine.
func (in *Incoming) serve() {
	exited := true
	defer func() {
		if exited {
			in.complete(in.panicked("the handler has called runtime.Goexit"))
		}
	}()
	err := in.handle()
	exited = false
	in.complete(err)
}

// complete sends the terminal frame and lets go of everything.
func (in *Incoming) complete(err error) {
	s, id, ctx, recv, send := in.session, in.id, in.ctx, in.recv, in.send
	if in.mode&transport.Oneway != 0 {
		if err != nil {
			in.node.lost.Add(1)
			in.node.log.Warn("one-way call failed", "method", in.method.full, "caller", in.peer.name, "error", err)
		}
	} else {
		in.finish(err)
	}
	ctx.cancel(context.Canceled)
	if recv != nil {
		recv.close()
	}
	if send == nil {
		s.served.update(id, func(c *servedCall) { c.ctx, c.recv = nil, nil })
	}
	in.release()
}

// handle runs the handler, as far as it is to run.
func (in *Incoming) handle() error {
	switch err := in.ctx.Err(); err {
	case nil:
	case context.DeadlineExceeded:
		return &Error{Code: DeadlineExceeded, Outcome: NotRun, Method: in.method.full, Node: in.node.opts.Name, Message: "the deadline had passed before the handler could start"}
	default:
		return err // cancelled: nobody will see it
	}
	args := in.payload.B
	if in.flags&transport.Meta != 0 {
		var ok bool
		if args, ok = skipMetadata(args); !ok {
			return in.decodeError(fmt.Errorf("metadata is longer than the message"))
		}
	}
	if in.flags&transport.Zstd != 0 {
		raw, err := in.node.decompress(args)
		if err != nil {
			return in.decodeError(err)
		}
		in.payload.Release()
		in.payload, args = raw, raw.B
	}
	in.results = transport.NewBuffer(int(max(in.method.hint.Load(), 256)))
	in.out.Reset(in.results.B)
	if in.mode&transport.Each != 0 {
		return in.serveEach()
	}
	in.args.Reset(args)
	return in.call()
}

// skipMetadata is what follows the metadata of a message.
func skipMetadata(b []byte) ([]byte, bool) {
	if len(b) < 2 {
		return nil, false
	}
	n := int(b[0]) | int(b[1])<<8
	if n > len(b)-2 {
		return nil, false
	}
	return b[2+n:], true
}

// call runs the handler once. What it returns for the caller is an *Error with the method set.
func (in *Incoming) call() (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = in.panicked(r)
		}
	}()
	err = in.method.service.serve(in.ctx, in.method.index, in)
	switch {
	case in.args.Err() != nil:
		return in.decodeError(in.args.Err())
	case err != nil:
		return handlerError(err, in.method.full, in.node.opts.Name)
	case in.out.Err() != nil:
		return &Error{Code: Internal, Reason: ReasonEncode, Outcome: Ran, Method: in.method.full, Node: in.node.opts.Name, Message: in.out.Err().Error()}
	}
	return nil
}

func (in *Incoming) decodeError(err error) error {
	return &Error{Code: InvalidArgument, Reason: ReasonDecode, Outcome: NotRun, Method: in.method.full, Node: in.node.opts.Name, Message: err.Error()}
}

// panicked logs a panic with its stack under an id, and tells the caller the id.
func (in *Incoming) panicked(r any) error {
	var x [4]byte
	rand.Read(x[:])
	id := hex.EncodeToString(x[:])
	in.node.log.Error("handler panicked", "id", id, "method", in.method.full, "caller", in.peer.name, "panic", fmt.Sprint(r), "stack", string(debug.Stack()))
	return &Error{Code: Internal, Reason: ReasonPanic, Outcome: Ran, Method: in.method.full, Node: in.node.opts.Name,
		Message: fmt.Sprintf("handler panicked (id %s): %s", id, cut(fmt.Sprint(r), 256))}
}

// serveEach runs the handler for every item of an item stream, in order, until one fails.
func (in *Incoming) serveEach() error {
	for {
		b, ok, err := in.recv.next(in.ctx.Done(), in.ctx.Err)
		if !ok {
			if err != nil {
				return handlerError(err, in.method.full, in.node.opts.Name)
			}
			in.out.Reset(in.out.Bytes())
			return nil
		}
		in.asm = b.asm
		err = in.recv.each(&b, &in.args, func() error {
			in.out.Reset(in.out.Bytes())
			return in.call()
		})
		if e, ok := err.(*Error); ok && e.Method != "" { // the handler's
			x := *e
			x.Outcome = Ran // as may have others before
			return &x
		}
		if err != nil {
			return handlerError(err, in.method.full, in.node.opts.Name)
		}
	}
}

// finish sends the terminal frame, if somebody still waits for it.
func (in *Incoming) finish(err error) {
	s := in.session
	f := transport.Frame{Header: transport.Header{Kind: transport.Reply, Call: in.id}}
	if err == nil {
		var sent bool
		if f, sent, err = in.reply(f); sent {
			return
		}
	}
	if err != nil {
		e, ok := err.(*Error)
		if !ok {
			e = handlerError(err, in.method.full, in.node.opts.Name)
		}
		f.Kind, f.Flags, f.Payload, f.Buf = transport.Error, 0, appendFailure(e), nil
	}
	if in.recv != nil || in.send != nil {
		f.Flags |= transport.Bulk
	}
	if in.send != nil { // it follows the last item
		last, id := f, in.id
		in.send.finish(&last, func() { s.served.remove(id) })
		return
	}
	if s.served.remove(in.id).id == 0 {
		f.Release()
		return // cancelled
	}
	if s.link.Enqueue(f) != nil {
		s.link.Close(transport.ErrFull)
		return
	}
	s.link.Flush()
}

// reply puts the results into f, or announces and sends them by itself if they are large.
func (in *Incoming) reply(f transport.Frame) (_ transport.Frame, sent bool, _ error) {
	if in.send != nil || in.out.Len() == 0 {
		return f, false, nil
	}
	s := in.session
	in.results.B = in.out.Bytes()
	size := len(in.results.B)
	if limit := min(in.node.opts.MaxMessage, s.limit); size > limit {
		return f, false, &Error{Code: ResourceExhausted, Reason: ReasonReplyTooLarge, Outcome: Ran, Method: in.method.full, Node: in.node.opts.Name,
			Message: fmt.Sprintf("results of %d bytes are over the limit of %d; return them as a stream, or raise Options.MaxMessage of both nodes and the controller", size, limit)}
	}
	in.method.hint.Store(int32(min(size, transport.MaxContent)))
	buf := in.results
	in.results = nil
	if s.compresses(in.flags&transport.Zstd != 0) {
		if packed, ok := in.node.compress(buf.B, &in.method.worth); ok {
			buf.Release()
			buf = packed
			f.Flags |= transport.Zstd
		}
	}
	if len(buf.B) > transport.BulkThreshold {
		f.Flags |= transport.Bulk
	}
	if len(buf.B) <= transport.MaxContent {
		f.Payload, f.Buf = buf.B, buf
		return f, false, nil
	}
	defer buf.Release()
	id := in.id
	large := newLarge(s.link, id, buf, func() { s.served.remove(id) })
	if !s.served.update(id, func(c *servedCall) { c.reply = large }) {
		large.close() // cancelled
		return f, true, nil
	}
	if err := large.announce(f.Header); err != nil {
		s.link.Close(err)
		return f, true, nil
	}
	s.link.Flush()
	return f, true, nil
}
