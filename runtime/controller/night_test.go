//go:build unix

package controller

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/daffi-rpc/daffi/runtime/internal/control"
	"github.com/daffi-rpc/daffi/runtime/internal/rawpeer"
	"github.com/daffi-rpc/daffi/runtime/transport"
)

// ACC-21: idle nodes of ten methods each at a controller of their own process: its memory and its time for each, while both sides keep their links alive.
func TestIdleNodes(t *testing.T) {
	onlyNight(t)
	const nodes, methods = 5000, 10
	manyFiles(t, nodes+100)
	p := alone(t)
	first := p.peer()
	first.Start().Join(t, "first")
	before := p.memory("VmRSS")
	names := make([]string, methods)
	for i := range names {
		names[i] = fmt.Sprint("Method", i)
	}
	var peers []*rawpeer.Peer
	var pings atomic.Int64
	for i := range nodes {
		peer := p.peer()
		peer.OnFrame = func(f *transport.Frame) bool {
			if f.Kind == transport.Ping {
				pings.Add(1)
				peer.Link.Enqueue(transport.Frame{Header: header{Kind: transport.Pong, Arg: f.Arg}})
			}
			return f.Kind == transport.Ping || f.Kind == transport.Pong
		}
		peer.Start().Join(t, fmt.Sprintf("node-%d", i))
		k := transport.NewKeepalive(peer.Link, transport.KeepaliveOptions{Ping: 5 * time.Second, Dead: 15 * time.Second, Stop: 10 * time.Second})
		defer k.Stop()
		require.Nil(t, peer.Serve(t, fmt.Sprint("Service", i%50), "(string,int)(string)", names...))
		peers = append(peers, peer)
		if i+1 == 1000 || i+1 == nodes {
			time.Sleep(2 * time.Second)
			t.Logf("%d nodes: %d bytes for each", i+1, (p.memory("VmRSS")-before)/(i+1))
		}
	}
	begun, ran := time.Now(), p.cpu()
	time.Sleep(30 * time.Second)
	each, share := (p.memory("VmRSS")-before)/nodes, float64(p.cpu()-ran)/float64(time.Since(begun))
	t.Logf("%d nodes of %d methods that are idle: %d bytes for each at the controller, %.1f %% of one processor, %d pings", nodes, methods, each, 100*share, pings.Load())
	assert.LessOrEqual(t, each, 16<<10)
	assert.LessOrEqual(t, share, 0.05)
	for _, peer := range peers {
		peer.Send(frame{Header: header{Kind: transport.Ping}})
	}
	assert.LessOrEqual(t, p.memory("VmHWM")-before, 2*nodes*16<<10)
}

// slowCallee serves as many calls at a time as it has places, each for some time, and refuses others, as a node does.
type slowCallee struct {
	peer  *rawpeer.Peer
	takes time.Duration
	queue chan uint64
	busy  []byte
}

func newSlowCallee(t *testing.T, p *process, running, waiting int, takes time.Duration) *slowCallee {
	c := &slowCallee{peer: p.peer(), takes: takes, queue: make(chan uint64, waiting),
		busy: rawpeer.ErrorPayload(control.Failure{Code: resourceExhausted, Reason: reasonBusy, Outcome: notRun})}
	c.peer.OnFrame = c.frame
	c.peer.Start().Join(t, "callee")
	require.Nil(t, c.peer.Serve(t, "Svc", "(string)(string)", "M"))
	for range running {
		go func() {
			for id := range c.queue {
				time.Sleep(c.takes)
				c.peer.Reply(id, "")
			}
		}()
	}
	t.Cleanup(func() { close(c.queue) })
	return c
}

func (c *slowCallee) frame(f *transport.Frame) bool {
	if f.Kind != transport.Request {
		return f.Kind == transport.Peer || f.Kind == transport.Cancel
	}
	select {
	case c.queue <- f.Call:
	default:
		c.peer.Link.Enqueue(frame{Header: header{Kind: transport.Error, Call: f.Call}, Payload: c.busy})
	}
	return true
}

// loadCaller makes calls at a rate, and notes how they end.
type loadCaller struct {
	peer    *rawpeer.Peer
	route   uint32
	mu      sync.Mutex
	sent    map[uint64]time.Time
	done    int
	refused []time.Duration
}

func newLoadCaller(t *testing.T, p *process, name string) *loadCaller {
	c := &loadCaller{peer: p.peer(), sent: map[uint64]time.Time{}}
	c.peer.OnFrame = c.frame
	c.peer.Start().Join(t, name)
	c.route = c.peer.Route(t, "Svc", "M", "(string)(string)")
	return c
}

func (c *loadCaller) frame(f *transport.Frame) bool {
	if f.Kind != transport.Reply && f.Kind != transport.Error {
		return f.Kind == transport.Ping
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	at := c.sent[f.Call]
	delete(c.sent, f.Call)
	if f.Kind == transport.Reply {
		c.done++
	} else {
		c.refused = append(c.refused, time.Since(at))
	}
	return true
}

// run calls for some time, at most rate times a second, with messages of size bytes.
func (c *loadCaller) run(generation *uint64, rate float64, size int, d time.Duration) {
	payload := strings.Repeat("x", size)
	begun := time.Now()
	for n := 0; time.Since(begun) < d; {
		for due := int(rate * time.Since(begun).Seconds()); n < due; n++ {
			*generation++
			id := transport.CallID(uint32(*generation%transport.MaxCalls), *generation/transport.MaxCalls+1)
			c.mu.Lock()
			c.sent[id] = time.Now()
			c.mu.Unlock()
			err := c.peer.Link.Enqueue(frame{Header: header{Kind: transport.Request, Call: id, Route: c.route}, Payload: []byte(payload)})
			if err != nil {
				c.mu.Lock()
				delete(c.sent, id)
				c.mu.Unlock()
				break
			}
		}
		c.peer.Link.Flush()
		time.Sleep(time.Millisecond)
	}
}

func (c *loadCaller) take() (done int, refused []time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	done, refused = c.done, c.refused
	c.done, c.refused = 0, nil
	return done, refused
}

// ACC-26 and ACC-50: four callers offer ten times what a node can do. It goes on to do nearly all that it can, what is too much is refused within milliseconds, and the controller needs little memory for it.
func TestOverloadOfAProcess(t *testing.T) {
	onlyNight(t)
	p := alone(t)
	const running, takes, callers = 16, 10 * time.Millisecond, 4
	const capacity = float64(running) * float64(time.Second/takes)
	newSlowCallee(t, p, running, 4*running, takes)
	var all [callers]*loadCaller
	var generations [callers]uint64
	for i := range all {
		all[i] = newLoadCaller(t, p, fmt.Sprint("caller-", i))
	}
	offer := func(times float64, size int, d time.Duration) (rate float64, refused []time.Duration) {
		var wg sync.WaitGroup
		for i, c := range all {
			wg.Go(func() { c.run(&generations[i], times*capacity/callers, size, d) })
		}
		wg.Wait()
		time.Sleep(200 * time.Millisecond)
		done := 0
		for _, c := range all {
			n, r := c.take()
			done += n
			refused = append(refused, r...)
		}
		return float64(done) / d.Seconds(), refused
	}
	peak := 0.0
	for _, times := range []float64{0.5, 0.8, 1, 1.2, 1.5} {
		rate, _ := offer(times, 1000, 3*time.Second)
		peak = max(peak, rate)
	}
	for _, size := range []int{100, 4 << 10} {
		rate, refused := offer(10, size, 150*time.Second)
		slices.Sort(refused)
		require.NotEmpty(t, refused)
		p99 := refused[len(refused)*99/100]
		most := p.memory("VmHWM")
		t.Logf("messages of %d bytes at ten times the capacity: %.0f a second of %.0f at the peak (%.0f %%), %d refused, after p50 %v, p99 %v; the controller had %d MiB at the most",
			size, rate, peak, 100*rate/peak, len(refused), refused[len(refused)/2], p99, most>>20)
		assert.GreaterOrEqual(t, rate, 0.8*peak)
		assert.LessOrEqual(t, p99, 10*time.Millisecond)
		assert.LessOrEqual(t, most, 256<<20)
	}
}
