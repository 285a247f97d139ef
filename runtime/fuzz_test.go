package daffi_test

import (
	"context"
	"encoding/binary"
	"sync"
	"testing"
	"time"

	daffi "github.com/daffi-rpc/daffi/runtime"
	"github.com/daffi-rpc/daffi/runtime/internal/rawpeer"
	"github.com/daffi-rpc/daffi/runtime/internal/testkit"
	"github.com/daffi-rpc/daffi/runtime/transport"
	"github.com/daffi-rpc/daffi/testdata/golden/events"
)

// rogue is a controller that lets a node join, answers its questions, and otherwise sends what it is told to.
type rogue struct {
	host   rawpeer.Host
	link   transport.Link
	joined chan struct{}
	once   sync.Once
}

func (r *rogue) Attach() (transport.Link, error) {
	a, b := transport.Pipe()
	r.link = b
	b.SetMaxPayload(transport.MaxPayload)
	b.Start(r)
	return a, nil
}

func (r *rogue) HandleBatch()       { r.link.Flush() }
func (r *rogue) HandleClosed(error) {}

func (r *rogue) HandleFrame(f *transport.Frame) error {
	if f.Kind == transport.Request {
		r.once.Do(func() { close(r.joined) })
	}
	for _, answer := range r.host.Answer(f) {
		if err := r.link.Enqueue(answer); err != nil {
			return err
		}
	}
	return nil
}

// FuzzSession takes bytes as frames of the controller that a node has joined, while it has a call and a stream of each direction under
// way. Nothing may panic or hang, and the node closes.
//
// A frame is made of 7 bytes: kind, flags, mode and depth, call, route and peer, argument, and the length of the payload that follows.
func FuzzSession(f *testing.F) {
	one := func(kind transport.Kind, flags transport.Flags, mode, call, route, arg byte, payload ...byte) []byte {
		return append([]byte{byte(kind), byte(flags), mode, call, route, arg, byte(len(payload))}, payload...)
	}
	add := func(parts ...[]byte) {
		var all []byte
		for _, p := range parts {
			all = append(all, p...)
		}
		f.Add(all)
	}
	const served = 0x80
	add(one(transport.Peer, 0, 0, 0, 0x10, 0, 'x'), one(transport.Request, 0, 0, served|1, 1, 0, 0x91, 0xc4, 1, 7), one(transport.Peer, 0, 0, 0, 0x10, 0))
	for route := range byte(16) {
		for mode := range byte(16) {
			add(one(transport.Request, 0, mode, served|1, route, 9, 0x92, 3, 3), one(transport.Data, 0, 0, served|1, 0, 0, 2, 0x91, 1),
				one(transport.Data, transport.End, 0, served|1, 0, 0), one(transport.Cancel, 0, 0, served|1, 0, 0))
		}
	}
	for call := range byte(4) {
		id := 0x10*call | 1
		add(one(transport.Reply, 0, 0, id, 0, 0), one(transport.Reply, 0, 0, id, 0, 0, 0x91, 0xc4, 0))
		add(one(transport.Reply, transport.Large, 0, id, 0, 0, 3, 0, 0, 0), one(transport.Chunk, transport.More, 0, id, 0, 0, 1), one(transport.Chunk, 0, 0, id, 0, 0, 1, 2))
		add(one(transport.Data, 0, 0, id, 0, 0, 1, 1), one(transport.Credit, 0, 0, id, 0, 255), one(transport.Stop, 0, 0, id, 0, 0), one(transport.Grant, 0, 0, id, 0, 0))
		add(one(transport.Data, transport.Large, 0, id, 0, 0, 1, 0, 0, 0), one(transport.Chunk, 0, 0, id, 0, 0, 1), one(transport.Data, transport.Large, 0, id, 0, 0, 0, 0, 0, 0))
		add(one(transport.Data, transport.End|transport.Broken, 0, id, 0, 0), one(transport.Error, 0, 0, id, 0, 0, 0x96), one(transport.Accepted, 0, 0, id, 0, 0))
	}
	add(one(transport.Request, transport.Large, 0, served|1, 1, 0, 3, 0, 0, 0), one(transport.Chunk, transport.More, 0, served|1, 0, 0, 0x91), one(transport.Chunk, 0, 0, served|1, 0, 0, 0xc4, 0))
	add(one(transport.Request, transport.Large, 0, served|1, 1, 0, 255, 255, 255, 255), one(transport.Request, 0, 0, served|1, 1, 0))
	add(one(transport.Drain, 0, 0, 0, 0, 0), one(transport.Ping, 0, 0, 0, 0, 1), one(transport.Goodbye, 0, 0, 0, 0, 0))
	tagged := byte(transport.Tagged)
	for _, tag := range [][]byte{nil, {0}, {0x40}, {0x31}, append([]byte{0x11}, make([]byte, 16)...), {32, 1, 1, 2, 3, 4, 5, 6, 7, 8}, {32, 33}} {
		add(one(transport.Request, 0, tagged, served|1, 4, 9, append(tag, 0x91, 3)...), one(transport.Request, 0, tagged|byte(transport.Oneway), served|0x11, 4, 0, append(tag, 0x91, 3)...), one(transport.Request, 0, tagged, served|0x21, 4, 0, append(tag, 0x91, 3)...))
	}
	add(one(transport.Control, transport.More, 2, 0, 0, 0, 0x92, 16, 0x91, 5), one(transport.Control, 0, 2, 0, 0, 0, 0x92, 16, 0x91, 6))
	add(one(transport.Request, transport.Zstd|transport.Meta, 0, served|1, 1, 0, 0, 0, 0x28, 0xb5, 0x2f, 0xfd), one(transport.Control, 0, 0, 0, 0, 0, 0x94, 10, 1, 0x91, 0x93))

	f.Fuzz(func(t *testing.T, data []byte) {
		r := &rogue{host: rawpeer.Host{Name: "rogue"}, joined: make(chan struct{})}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		n, err := daffi.Connect(ctx, daffi.Options{Name: "n", Controller: r, MaxRunning: 4, MaxQueue: 4})
		if err != nil {
			t.Fatal(err)
		}
		var opts []daffi.ServeOption
		if len(data)%2 == 1 {
			opts = append(opts, daffi.Serial())
		}
		if _, err := testkit.RegisterKit(n, new(testkit.Impl), opts...); err != nil {
			t.Fatal(err)
		}
		link := r.link
		var calls sync.WaitGroup
		p := testkit.NewKit(n)
		calls.Go(func() { p.Echo(ctx, make([]byte, 100)) })
		<-r.joined
		calls.Go(func() { p.Echo(ctx, make([]byte, 100<<10)) })
		calls.Go(func() {
			for range p.Blobs(ctx, 3, 3) {
			}
		})
		calls.Go(func() { p.Sum(ctx, 0, numbers(1000)) })
		calls.Go(func() { events.NewTown(n).Pin(ctx, "x") })
		calls.Go(func() {
			for range p.Chat(ctx, func(yield func(string, error) bool) {
				for yield("x", nil) {
				}
			}) {
			}
		})
		for len(data) >= 7 {
			size := min(int(data[6]), len(data)-7)
			f := transport.Frame{Payload: data[7 : 7+size], Header: transport.Header{
				Kind: transport.Kind(data[0]), Flags: transport.Flags(data[1]), Mode: transport.Mode(data[2] & 63), Depth: data[2] >> 4 * 3,
				Call: transport.CallID(uint32(data[3]>>4&7), uint64(data[3]&15)), Route: uint32(data[4] & 15), Peer: uint32(data[4] >> 4), Arg: uint64(data[5]),
			}}
			if data[3]&0x80 != 0 {
				f.Call |= transport.Served
			}
			switch {
			case data[5] == 255:
				f.Arg = 1<<64 - 1
			case f.Kind == transport.Request: // in milliseconds
				f.Arg *= 1e6
			case f.Kind == transport.Control:
				f.Call = binary.LittleEndian.Uint64(append(data[1:4:4], 0, 0, 0, 0, 0))
			}
			link.Enqueue(f)
			link.Flush()
			data = data[7+size:]
		}
		start := time.Now()
		n.Close()
		if took := time.Since(start); took > 20*time.Second {
			t.Errorf("Close took %v", took)
		}
		done := make(chan struct{})
		go func() { calls.Wait(); close(done) }()
		select {
		case <-done:
		case <-time.After(20 * time.Second):
			t.Fatal("a call has not ended")
		}
	})
}
