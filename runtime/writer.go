package daffi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/daffi-rpc/daffi/runtime/codec"
)

const (
	writers     = reservedPrefix + "out" // the service of all writers
	writersSig  = "(bytes)()"
	writerRoom  = 64 << 10 // bytes that a Writer holds
	writerChunk = 32 << 10 // of those that it sends at a time
)

// errWriterClosed is what a closed Writer says.
var errWriterClosed = &Error{Code: FailedPrecondition, Outcome: NotRun, Message: "the writer was closed", cause: io.ErrClosedPipe}

// Writer sends what is written to it to another node, in order; see [RemoteWriter].
type Writer struct {
	b    *Binding
	opts []CallOption

	mu      sync.Mutex
	buf     []byte
	sending bool          // a goroutine sends what is there
	changed chan struct{} // closed and replaced when room was made, or all was sent
	closed  bool
	err     error // of what was lost since somebody was told
	lost    int64
	failing bool // the last piece was lost
}

// RemoteWriter writes to whoever handles name with [HandleWriter]: the standard output of a worker, for its parent. It holds at most 64 KiB, for which a Write that does not fit
// waits. What is written is sent at once, in order, each piece after the answer to the one before; of several nodes that handle the name, one gets all that this node writes. A piece that
// fails is lost and counted, and its error is what the next Write, Flush or Close returns. Any bytes may be written, from any goroutine.
func RemoteWriter(c Caller, name string, opts ...CallOption) *Writer {
	n := c.caller()
	b := n.messages.binding(n, writers, name, writersSig)
	return &Writer{b: b, opts: append([]CallOption{HashKey(n.opts.Name + "\n" + name)}, opts...), changed: make(chan struct{})}
}

// HandleWriter takes what [RemoteWriter]s of a name write, in the order of each; p must not be kept. An error is the writer's.
func HandleWriter(r Registrar, name string, fn func(ctx context.Context, from string, p []byte) error, opts ...ServeOption) (*Registration, error) {
	if fn == nil {
		return nil, wrongHandler(writers+"."+name, fmt.Errorf("the function is nil"))
	}
	return registerOne(r.registrar(), writers, one{name: name, sig: writersSig, serve: wrote(fn)}, opts)
}

// wrote dispatches to a function for what is written.
type wrote func(ctx context.Context, from string, p []byte) error

func (wrote) errors(int) func() []KnownError { return nil }

func (fn wrote) serve(ctx context.Context, _ int, c *Incoming) error {
	args := c.Args()
	var p []byte
	if args.Next() {
		p = args.Blob()
	}
	if err := args.Close(); err != nil {
		return err
	}
	c.Results(0)
	return fn(ctx, c.peer.name, p)
}

// Write takes p, all of it unless there is an error, which may be of what was written before. It does not wait for p to arrive.
func (w *Writer) Write(p []byte) (int, error) {
	n := 0
	for {
		w.mu.Lock()
		if err := w.failed(); err != nil {
			w.mu.Unlock()
			return n, err
		}
		k := min(len(p), writerRoom-len(w.buf))
		w.buf = append(w.buf, p[:k]...)
		n, p = n+k, p[k:]
		if !w.sending && len(w.buf) > 0 {
			if err := w.b.node.work.begin(); err != nil {
				w.lost += int64(len(w.buf))
				w.buf = nil
				w.mu.Unlock()
				return n - k, err
			}
			w.sending = true
			go w.send()
		}
		changed := w.changed
		w.mu.Unlock()
		if len(p) == 0 {
			return n, nil
		}
		<-changed
	}
}

// failed takes the error that there is to tell. Call with the lock held.
func (w *Writer) failed() error {
	if w.closed {
		return errWriterClosed
	}
	err := w.err
	w.err = nil
	return err
}

// send sends until nothing is left; it is work of the node's, so that a Shutdown waits for it. The node's default timeout bounds how long a piece takes, and the node's end ends it.
func (w *Writer) send() {
	defer w.b.node.work.end()
	for {
		w.mu.Lock()
		piece := w.buf[:min(len(w.buf), writerChunk)]
		if len(piece) == 0 {
			w.buf, w.sending = nil, false
			w.wake()
			w.mu.Unlock()
			return
		}
		w.mu.Unlock()
		err := NewAction(w.b, 0, func(e *codec.Encoder) { e.Array(1); e.Blob(piece) }).With(w.opts...).Do(context.Background())
		w.mu.Lock()
		first := err != nil && !w.failing
		if w.failing = err != nil; w.failing {
			w.lost += int64(len(piece))
			w.err = errors.Join(w.err, err)
		}
		w.buf = append([]byte(nil), w.buf[len(piece):]...) // piece may be a part of it
		w.wake()
		w.mu.Unlock()
		if first { // once for all that are lost one after the other, and without the lock: the log may be what is written here
			w.b.node.log.Warn("what is written is lost", "writer", w.b.methods[0].full, "bytes", len(piece), "error", err)
		}
	}
}

// wake tells who waits for room, or for the end. Call with the lock held.
func (w *Writer) wake() {
	close(w.changed)
	w.changed = make(chan struct{})
}

// Flush waits until all that was written has been answered for.
func (w *Writer) Flush(ctx context.Context) error {
	for {
		w.mu.Lock()
		if !w.sending {
			defer w.mu.Unlock()
			err := w.err
			w.err = nil
			return err
		}
		changed := w.changed
		w.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return contextError(ctx, w.b.methods[0].full)
		}
	}
}

// Close flushes, for as long as the node's default timeout lets the pieces take, and takes nothing more. It may be called more than once.
func (w *Writer) Close() error {
	w.mu.Lock()
	w.closed = true
	w.mu.Unlock()
	return w.Flush(context.Background())
}

// Lost is how many bytes have not arrived, as far as is known.
func (w *Writer) Lost() int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.lost
}
