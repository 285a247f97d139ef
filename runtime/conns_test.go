package daffi_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/daffi-rpc/daffi/runtime/internal/memconn"
	"github.com/daffi-rpc/daffi/runtime/internal/testkit"
)

// awkward is a connection that does all that a connection may, and few do.
type awkward struct {
	net.Conn
	manners
	begun time.Time
	mu    sync.Mutex
	r     *rand.Rand
	used  int // reads and writes since it has joined
}

// manners are how it reads and writes, where it is not as others do.
type manners struct {
	reads, write func(c *awkward, b []byte) (int, error)
}

func (c *awkward) Read(b []byte) (int, error) {
	if c.reads == nil {
		return c.Conn.Read(b)
	}
	return c.reads(c, b)
}

func (c *awkward) Write(b []byte) (int, error) {
	if c.write == nil {
		return c.Conn.Write(b)
	}
	return c.write(c, b)
}

func (c *awkward) n(n int) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.r.IntN(n)
}

// breaks reports whether a read or write is to fail: one in a hundred, and the twentieth, so that each connection that is used breaks.
func (c *awkward) breaks() bool {
	if time.Since(c.begun) <= 100*time.Millisecond { // it has not joined
		return false
	}
	one := c.n(100) == 0
	c.mu.Lock()
	defer c.mu.Unlock()
	c.used++
	return one || c.used == 20
}

var errTemporary = errors.New("connection reset by something in between")

// awkwardConns are the ways in which connections are awkward.
var awkwardConns = map[string]manners{
	"single bytes": {reads: func(c *awkward, b []byte) (int, error) { return c.Conn.Read(b[:1]) }},
	"some bytes":   {reads: func(c *awkward, b []byte) (int, error) { return c.Conn.Read(b[:1+c.n(len(b))]) }},
	"nothing now and then": {reads: func(c *awkward, b []byte) (int, error) {
		if c.n(2) == 0 {
			return 0, nil
		}
		return c.Conn.Read(b)
	}},
	"many at once": {reads: func(c *awkward, b []byte) (int, error) {
		time.Sleep(time.Millisecond)
		return c.Conn.Read(b)
	}},
	"partial writes": {write: func(c *awkward, b []byte) (int, error) {
		if len(b) < 2 || c.n(2) == 0 {
			return c.Conn.Write(b)
		}
		n, err := c.Conn.Write(b[:1+c.n(len(b)-1)])
		if err == nil {
			err = os.ErrDeadlineExceeded
		}
		return n, err
	}},
	"errors that pass": {
		reads: func(c *awkward, b []byte) (int, error) {
			if c.breaks() {
				return 0, errTemporary
			}
			return c.Conn.Read(b)
		},
		write: func(c *awkward, b []byte) (int, error) {
			if c.breaks() {
				n, _ := c.Conn.Write(b[:c.n(len(b))])
				return n, errTemporary
			}
			return c.Conn.Write(b)
		},
	},
}

// TestAwkwardConnections plays every script, and all shapes, over connections that are awkward: the results are those of others (ACC-9).
func TestAwkwardConnections(t *testing.T) {
	for name, kind := range awkwardConns {
		for _, resumes := range []bool{true, false} {
			if !resumes && name == "errors that pass" {
				continue // they are its end
			}
			t.Run(fmt.Sprintf("%s/resumes %v", name, resumes), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					wrap := func(c net.Conn) net.Conn {
						return &awkward{Conn: c, manners: kind, begun: time.Now(), r: rand.New(rand.NewPCG(1, rand.Uint64()))}
					}
					s := newStageOver(t, resumes, func(l *line) { l.wrap = wrap })
					time.Sleep(200 * time.Millisecond)
					if testkit.Night() { // byte by byte it takes long
						everyShape(t, s.client, true)
					}
					for n := range testkit.Full(1, 20) {
						for i, script := range scripts {
							s.act = fmt.Sprintf("act %d.%d", n, i)
							ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
							require.NoError(t, script.play(ctx, s), script.name)
							cancel()
						}
					}
					s.once(t)
					if name == "errors that pass" {
						require.NotZero(t, s.line.ctl.Stats().Resumed)
					}
				})
			})
		}
	}
}

// TestLatency plays every script, and all shapes, over connections of some latency with jitter: results are the same, and deadlines are held (ACC-10).
func TestLatency(t *testing.T) {
	for _, most := range []time.Duration{5 * time.Millisecond, 50 * time.Millisecond, 200 * time.Millisecond} {
		for _, resumes := range []bool{true, false} {
			t.Run(fmt.Sprintf("%v/resumes %v", most, resumes), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s := newStageOver(t, resumes, func(l *line) { l.latency = most })
					everyShape(t, s.client, true)
					for i, script := range scripts {
						s.act = fmt.Sprint("act ", i)
						ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
						require.NoError(t, script.play(ctx, s), script.name)
						cancel()
					}
					ctx, cancel := context.WithTimeout(t.Context(), time.Second)
					defer cancel()
					begin := time.Now()
					requireDeadline(t, s.p.Block(ctx))
					require.InDelta(t, time.Second, time.Since(begin), float64(20*time.Millisecond))
					if resumes { // and a cut over the same
						a, _ := s.line.last()
						a.Close()
						require.NoError(t, echoes(s.p, "after a cut", 70<<10)(t.Context()))
						require.EqualValues(t, 1, s.line.ctl.Stats().Resumed)
					}
					<-s.k.Blocked
					time.Sleep(5 * time.Second)
					s.once(t)
				})
			})
		}
	}
}

// far joins two connections by a path on which everything takes up to most, and arrives in order.
func far(a, b *memconn.Conn, most time.Duration, path *sync.WaitGroup) {
	type piece struct {
		b   []byte
		due time.Time
	}
	for _, d := range [][2]*memconn.Conn{{a, b}, {b, a}} {
		on := make(chan piece, 1024)
		path.Go(func() {
			defer close(on)
			last := time.Now()
			for {
				buf := make([]byte, 32<<10)
				n, err := d[0].Read(buf)
				if err != nil {
					return
				}
				due := time.Now().Add(most/2 + time.Duration(rand.Int64N(int64(most/2))))
				if due.Before(last) {
					due = last
				}
				last = due
				on <- piece{buf[:n], due}
			}
		})
		path.Go(func() {
			for p := range on {
				time.Sleep(time.Until(p.due))
				d[1].Write(p.b)
			}
			time.Sleep(most)
			d[0].Close()
			d[1].Close()
		})
	}
}
