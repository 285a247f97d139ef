package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"io"
	"net"
	"time"

	"golang.org/x/sync/errgroup"
)

// The floor: bytes of the right number are echoed, without a codec, without a goroutine per call, and with many callers by one goroutine that has
// as many messages under way. What an RPC system costs beyond it, it costs.
var rawSystems = []system{
	{name: "raw bytes, tcp", network: "tcp", stream: true, server: rawServer("tcp"), client: rawClient("tcp")},
	{name: "raw bytes, unix", network: "unix", stream: true, server: rawServer("unix"), client: rawClient("unix")},
}

// A raw connection begins each exchange with 17 bytes: what it is, a number of items and their size.
const (
	rawEcho byte = iota // echo n items, in pieces as they come
	rawUp               // read n items, then send one byte
	rawDown             // send n items
)

func rawServer(network string) func(context.Context, string) (string, error) {
	return func(ctx context.Context, addr string) (string, error) {
		return listen(network, addr, func(c net.Conn) { rawServe(c) })
	}
}

// listen serves connections until the process ends, and returns the address.
func listen(network, addr string, serve func(net.Conn)) (string, error) {
	l, err := net.Listen(network, addr)
	if err != nil {
		return "", err
	}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go serve(c)
		}
	}()
	return l.Addr().String(), nil
}

func rawServe(c net.Conn) error {
	defer c.Close()
	b := make([]byte, 256<<10)
	for {
		var head [17]byte
		if _, err := io.ReadFull(c, head[:]); err != nil {
			return err
		}
		left := binary.LittleEndian.Uint64(head[1:]) * binary.LittleEndian.Uint64(head[9:])
		switch head[0] {
		case rawEcho, rawUp:
			for left > 0 {
				n, err := c.Read(b[:min(left, uint64(len(b)))])
				if err != nil {
					return err
				}
				left -= uint64(n)
				if head[0] == rawUp {
					continue
				}
				if _, err := c.Write(b[:n]); err != nil {
					return err
				}
			}
			if head[0] == rawUp {
				if _, err := c.Write(b[:1]); err != nil {
					return err
				}
			}
		case rawDown:
			for left > 0 {
				n, err := c.Write(b[:min(left, uint64(len(b)))])
				if err != nil {
					return err
				}
				left -= uint64(n)
			}
		}
	}
}

type raw struct {
	c net.Conn
	b []byte
}

func rawClient(network string) func(context.Context, string) (client, error) {
	return func(ctx context.Context, addr string) (client, error) {
		c, err := net.Dial(network, addr)
		return &raw{c: c, b: make([]byte, 256<<10)}, err
	}
}

func (r *raw) begin(what byte, n, size int) error {
	head := binary.LittleEndian.AppendUint64([]byte{what}, uint64(n))
	_, err := r.c.Write(binary.LittleEndian.AppendUint64(head, uint64(size)))
	return err
}

// endless is a number of items that is not reached.
const endless = 1 << 40

// caller echoes on a connection of its own.
func (r *raw) caller(size int) func(context.Context) error {
	addr := r.c.RemoteAddr()
	c, err := net.Dial(addr.Network(), addr.String())
	one := &raw{c: c, b: make([]byte, size)}
	if err == nil {
		err = one.begin(rawEcho, endless, size)
	}
	in := bufio.NewReaderSize(c, size) // one read for each answer
	return func(context.Context) error {
		if err != nil {
			return err
		}
		if _, err := c.Write(one.b); err != nil {
			return err
		}
		_, err := io.ReadFull(in, one.b)
		return err
	}
}

// window keeps s.Callers items under way, half of them written at a time.
func (r *raw) window(ctx context.Context, s scenario, d time.Duration) (answer, error) {
	addr := r.c.RemoteAddr()
	c, err := net.Dial(addr.Network(), addr.String())
	if err != nil {
		return answer{}, err
	}
	defer c.Close()
	w := &raw{c: c}
	if err := w.begin(rawEcho, endless, s.Size); err != nil {
		return answer{}, err
	}
	half := s.Callers / 2
	room := make(chan struct{}, 2)
	sent := make(chan struct{}, 2) // halves under way
	room <- struct{}{}
	room <- struct{}{}
	var a answer
	start := time.Now()
	g, ctx := errgroup.WithContext(ctx)
	context.AfterFunc(ctx, func() { c.Close() }) // an error of one ends the other
	g.Go(func() error {
		defer close(sent)
		b := make([]byte, half*s.Size)
		for first := true; first || time.Since(start) < d; first = false {
			select {
			case <-room:
			case <-ctx.Done():
				return ctx.Err()
			}
			sent <- struct{}{} // has room whenever room had something
			if _, err := c.Write(b); err != nil {
				return err
			}
		}
		return nil
	})
	g.Go(func() error {
		b := make([]byte, half*s.Size)
		for range sent {
			if _, err := io.ReadFull(c, b); err != nil {
				return err
			}
			a.N += half
			room <- struct{}{}
		}
		a.Elapsed = time.Since(start)
		return nil
	})
	err = g.Wait()
	return a, err
}

func (r *raw) up(_ context.Context, n, size int) error {
	if err := r.begin(rawUp, n, size); err != nil {
		return err
	}
	for left := n * size; left > 0; {
		k, err := r.c.Write(r.b[:min(left, len(r.b))])
		if err != nil {
			return err
		}
		left -= k
	}
	_, err := io.ReadFull(r.c, r.b[:1])
	return err
}

func (r *raw) down(_ context.Context, n, size int) error {
	if err := r.begin(rawDown, n, size); err != nil {
		return err
	}
	for left := n * size; left > 0; {
		k, err := r.c.Read(r.b[:min(left, len(r.b))])
		if err != nil {
			return err
		}
		left -= k
	}
	return nil
}
