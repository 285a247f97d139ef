package main

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// What somebody could write by hand who needs this one service only: a codec for one type, frames that several callers write together, a goroutine
// for each call; no deadlines, no cancelling, no errors, no limits. In a third process it has a forwarder that reads headers only.
var handSystems = []system{
	{name: "hand-written, tcp", network: "tcp", stream: true, server: handServer("tcp"), client: handClient("tcp")},
	{name: "hand-written, unix", network: "unix", stream: true, server: handServer("unix"), client: handClient("unix")},
	{name: "hand-written forwarded, tcp", network: "tcp", stream: true, broker: handForwarder("tcp"), server: handProvider("tcp"), client: handClient("tcp")},
	{name: "hand-written forwarded, unix", network: "unix", stream: true, broker: handForwarder("unix"), server: handProvider("unix"), client: handClient("unix")},
}

// A frame is 4 bytes with the length of what follows the header, 1 byte that says what it is, the 8 bytes of the call, and its content.
const (
	handHead = 13

	handEcho byte = iota // an item, both ways
	handItem             // of a stream
	handEnd              // of a stream from the client; from the server how many items it had
	handWant             // a stream from the server: number and size of its items
	handJoin             // the first frame of a server that joins a forwarder
)

// A handLink writes what several goroutines send at the same time together.
type handLink struct {
	c     net.Conn
	mu    sync.Mutex
	room  sync.Cond
	out   []byte
	spare []byte
	busy  bool         // somebody writes
	calls atomic.Int32 // under way: with others there, a writer waits a turn for them to join
}

const (
	handQueue = 256 << 10 // bytes that may wait to be written
	handFill  = 32 << 10  // bytes that items of a stream wait for; its end sends them all
)

func newHandLink(c net.Conn) *handLink {
	l := &handLink{c: c}
	l.room.L = &l.mu
	return l
}

func (l *handLink) send(what byte, call uint64, content func([]byte) []byte) {
	l.mu.Lock()
	for len(l.out) > handQueue {
		l.room.Wait()
	}
	at := len(l.out)
	l.out = append(l.out, 0, 0, 0, 0, what)
	l.out = binary.LittleEndian.AppendUint64(l.out, call)
	if content != nil {
		l.out = content(l.out)
	}
	binary.LittleEndian.PutUint32(l.out[at:], uint32(len(l.out)-at-handHead))
	if l.busy || what == handItem && len(l.out) < handFill {
		l.mu.Unlock()
		return
	}
	l.busy = true
	if l.calls.Load() > 1 {
		l.mu.Unlock()
		runtime.Gosched()
		l.mu.Lock()
	}
	for len(l.out) > 0 {
		b := l.out
		l.out = l.spare[:0]
		l.mu.Unlock()
		l.c.Write(b) // the reader sees the error, too
		l.mu.Lock()
		l.spare = b
		l.room.Broadcast()
	}
	l.busy = false
	l.mu.Unlock()
}

// read delivers frames until the connection ends. The content is valid during the call only.
func (l *handLink) read(deliver func(what byte, call uint64, content []byte)) error {
	return handRead(l.c, func(b []byte) error {
		for len(b) > 0 {
			n := handHead + int(binary.LittleEndian.Uint32(b))
			deliver(b[4], binary.LittleEndian.Uint64(b[5:]), b[handHead:n])
			b = b[n:]
		}
		return nil
	})
}

// handRead passes on whole frames, as many as a read has brought.
func handRead(r io.Reader, pass func([]byte) error) error {
	b := make([]byte, 128<<10)
	have := 0
	for {
		n, err := r.Read(b[have:])
		if err != nil {
			return err
		}
		have += n
		whole := 0
		for have-whole >= handHead {
			n := handHead + int(binary.LittleEndian.Uint32(b[whole:]))
			if n > len(b) {
				b = append(b[:have], make([]byte, n)...)
			}
			if have-whole < n {
				break
			}
			whole += n
		}
		if whole == 0 {
			continue
		}
		if err := pass(b[:whole]); err != nil {
			return err
		}
		have = copy(b, b[whole:have])
	}
}

func handServer(network string) func(context.Context, string) (string, error) {
	return func(_ context.Context, addr string) (string, error) {
		return listen(network, addr, func(c net.Conn) { handServe(newHandLink(c)) })
	}
}

func handProvider(network string) func(context.Context, string) (string, error) {
	return func(_ context.Context, addr string) (string, error) {
		c, err := net.Dial(network, addr)
		if err != nil {
			return "", err
		}
		l := newHandLink(c)
		joined := make(chan struct{})
		go l.read(handHandler(l, joined))
		l.send(handJoin, 0, nil)
		select {
		case <-joined:
			return addr, nil
		case <-time.After(10 * time.Second):
			return "", errors.New("the forwarder does not answer")
		}
	}
}

func handServe(l *handLink) error { return l.read(handHandler(l, nil)) }

// handHandler closes joined when the forwarder answers.
func handHandler(l *handLink, joined chan struct{}) func(byte, uint64, []byte) {
	counts := make(map[uint64]uint64)
	return func(what byte, call uint64, content []byte) {
		switch what {
		case handJoin:
			close(joined)
		case handEcho:
			b := slices.Clone(content)
			l.calls.Add(1)
			go func() {
				if item, err := parseItem(b); err == nil {
					l.send(handEcho, call, func(b []byte) []byte { return appendItem(b, &item) })
				}
				l.calls.Add(-1)
			}()
		case handItem:
			if _, err := parseItem(content); err == nil {
				counts[call]++
			}
		case handEnd:
			n := counts[call]
			delete(counts, call)
			l.send(handEnd, call, func(b []byte) []byte { return binary.LittleEndian.AppendUint64(b, n) })
		case handWant:
			n, size := parseWant(content)
			go l.sendItems(call, n, size)
		}
	}
}

func (l *handLink) sendItems(call uint64, n, size int) {
	item := newItem(size)
	add := func(b []byte) []byte { return appendItem(b, &item) }
	for range n {
		item.ID++
		l.send(handItem, call, add)
	}
	l.send(handEnd, call, nil)
}

// handForwarder joins the first connection, which is the server's, with the next one.
func handForwarder(network string) func(context.Context, string) (string, error) {
	return func(_ context.Context, addr string) (string, error) {
		servers := make(chan net.Conn, 1)
		return listen(network, addr, func(c net.Conn) {
			select {
			case server := <-servers:
				go handForward(c, server)
				handForward(server, c)
			default:
				var join [handHead]byte
				if _, err := io.ReadFull(c, join[:]); err != nil {
					return
				}
				servers <- c
				c.Write(join[:])
			}
		})
	}
}

// handForward writes to one what comes from the other. It changes the number of each call, as a forwarder with several clients must.
func handForward(to io.Writer, from io.Reader) error {
	return handRead(from, func(b []byte) error {
		for at := 0; at < len(b); at += handHead + int(binary.LittleEndian.Uint32(b[at:])) {
			call := b[at+5 : at+handHead]
			binary.LittleEndian.PutUint64(call, ^binary.LittleEndian.Uint64(call))
		}
		_, err := to.Write(b)
		return err
	})
}

type handCaller struct {
	l    *handLink
	last atomic.Uint64

	mu      sync.Mutex
	waiting map[uint64]func(what byte, content []byte)
}

func handClient(network string) func(context.Context, string) (client, error) {
	return func(_ context.Context, addr string) (client, error) {
		c, err := net.Dial(network, addr)
		if err != nil {
			return nil, err
		}
		h := &handCaller{l: newHandLink(c), waiting: make(map[uint64]func(byte, []byte))}
		go h.l.read(func(what byte, call uint64, content []byte) {
			h.mu.Lock()
			f := h.waiting[call]
			if what != handItem {
				delete(h.waiting, call)
			}
			h.mu.Unlock()
			if f != nil {
				f(what, content)
			}
		})
		return h, nil
	}
}

// wait has f called with what comes for a new call.
func (h *handCaller) wait(f func(what byte, content []byte)) (call uint64) {
	call = h.last.Add(1)
	h.mu.Lock()
	h.waiting[call] = f
	h.mu.Unlock()
	return call
}

func (h *handCaller) caller(size int) func(context.Context) error {
	in := newItem(size)
	answers := make(chan []byte, 1)
	answer := func(_ byte, content []byte) { answers <- slices.Clone(content) }
	add := func(b []byte) []byte { return appendItem(b, &in) }
	return func(ctx context.Context) error {
		in.ID++
		call := h.wait(answer)
		h.l.calls.Add(1)
		defer h.l.calls.Add(-1)
		h.l.send(handEcho, call, add)
		select {
		case b := <-answers:
			out, err := parseItem(b)
			if err != nil {
				return err
			}
			return sameItem(&in, &out)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (h *handCaller) up(ctx context.Context, n, size int) error {
	counted := make(chan uint64, 1)
	call := h.wait(func(_ byte, content []byte) { counted <- binary.LittleEndian.Uint64(content) })
	h.l.sendItems(call, n, size)
	select {
	case got := <-counted:
		if got != uint64(n) {
			return errWrong
		}
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (h *handCaller) down(ctx context.Context, n, size int) error {
	done := make(chan struct{})
	call := h.wait(func(what byte, content []byte) {
		if what == handEnd {
			close(done)
		} else if _, err := parseItem(content); err == nil {
			n--
		}
	})
	h.l.send(handWant, call, func(b []byte) []byte { return append(b, packWant(n, size)...) })
	select {
	case <-done:
		if n != 0 {
			return errWrong
		}
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
