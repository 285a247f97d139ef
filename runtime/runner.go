package daffi

import (
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/daffi-rpc/daffi/runtime/transport"
)

// runner gives calls to goroutines. A call has one of its own, so that a handler may block, unless the handlers of its method are known to return at once:
// such calls that were read together run one after the other, which spares a change of goroutines and a write for each. Should one of them block after all, the
// others go on without it at the next tick; should they take longer than before, they are spread over more goroutines.
type runner struct {
	workers sync.WaitGroup
	groups  sync.Pool // of *group

	mu     sync.Mutex
	idle   []*worker // the one that was busy last is the last
	epoch  int       // of sweep
	busy   []*group  // that have calls left to start
	ticker *time.Timer
	ticks  bool // the ticker is set
	calm   int  // ticks in a row without work
	sweeps bool // the sweeper is set
	sweep  *time.Timer
	closed bool
}

const (
	tick      = time.Millisecond      // between looks at groups that do not go on
	calmTicks = 16                    // without work, after which the ticker stops
	tickCalls = int(tick / quickTime) // calls of a group that goes on as it should, in a tick
	groupSize = 16                    // calls of a group at least, where there is more than one
)

// worker is a goroutine that runs calls.
type worker struct {
	wake  chan job // one at a time
	epoch int      // when it became idle
}

// job is a call, or a group of them; neither ends the worker.
type job struct {
	in *Incoming
	g  *group
}

// group is a list of calls that run one after the other, on more goroutines if they block.
type group struct {
	link    transport.Link // for the replies
	mu      sync.Mutex
	calls   []*Incoming // that have not started, the next one last
	workers int
	moved   int // calls that were started since the last tick
}

// pace tells methods whose handlers return at once from others, by how long they took.
type pace struct{ score atomic.Int32 }

const (
	quickTime  = 25 * time.Microsecond // of a handler that returns at once: a few times what starting a goroutine for it costs
	quickScore = 8                     // quick calls in a row that make a method quick
	slowScore  = 16                    // quick calls that make up for a slow one
	worstScore = -64
)

func (p *pace) quick() bool { return p.score.Load() >= quickScore }

// note takes down how long a handler took.
func (p *pace) note(d time.Duration) {
	score := p.score.Load()
	switch {
	case d > quickTime:
		p.score.Store(max(score-slowScore, worstScore))
	case score < quickScore:
		p.score.Store(score + 1)
	}
}

// run serves in on a goroutine of its own: one that has just become free, or a new one.
func (r *runner) run(in *Incoming) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.start(job{in: in})
}

// start gives j to a goroutine. Call with the lock held.
func (r *runner) start(j job) {
	n := len(r.idle)
	if n == 0 {
		r.workers.Go(func() { r.work(&worker{wake: make(chan job, 1)}, j) })
		return
	}
	w := r.idle[n-1]
	r.idle[n-1] = nil
	r.idle = r.idle[:n-1]
	w.wake <- j
}

// loneCall is a call that may run where it was read. Until it has run, or another goroutine has it, it counts among the runner's workers: whoever was given it may be
// in another node's link, or in the controller.
type loneCall Incoming

// lone makes in one.
func (r *runner) lone(in *Incoming) *loneCall {
	r.workers.Add(1)
	return (*loneCall)(in)
}

// Here implements [transport.Work].
func (c *loneCall) Here() {
	in := (*Incoming)(c)
	n := in.node
	defer n.runner.workers.Done()
	if next := n.serve(in); next != nil {
		n.runner.run(next)
	}
}

// Elsewhere implements [transport.Work].
func (c *loneCall) Elsewhere() {
	in := (*Incoming)(c)
	r := &in.node.runner
	r.run(in)
	r.workers.Done()
}

// runAll serves calls whose handlers return at once, and sends their replies together.
func (r *runner) runAll(calls []*Incoming, link transport.Link) {
	parts := max(1, min(len(calls)/groupSize, runtime.GOMAXPROCS(0)))
	size := (len(calls) + parts - 1) / parts
	r.mu.Lock()
	defer r.mu.Unlock()
	for len(calls) > 0 {
		part := calls[:min(size, len(calls))]
		calls = calls[len(part):]
		g, _ := r.groups.Get().(*group)
		if g == nil {
			g = new(group)
		}
		g.link, g.workers, g.moved = link, 1, tickCalls // it is not judged by a part of a tick
		for i := len(part) - 1; i >= 0; i-- {
			part[i].batched = true
			g.calls = append(g.calls, part[i])
		}
		r.busy = append(r.busy, g)
		r.start(job{g: g})
	}
	r.setTicker()
}

// setTicker is called with the lock held.
func (r *runner) setTicker() {
	r.calm = 0
	switch {
	case r.ticks || r.closed:
		return
	case r.ticker == nil:
		r.ticker = time.AfterFunc(tick, r.look)
	default:
		r.ticker.Reset(tick)
	}
	r.ticks = true
}

// look lets groups go on whose calls do not return, on twice as many goroutines each time.
func (r *runner) look() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ticks = false
	if r.closed && len(r.busy) == 0 {
		return
	}
	if r.calm++; len(r.busy) > 0 {
		r.calm = 0
	}
	r.busy = slices.DeleteFunc(r.busy, r.push)
	if r.calm < calmTicks {
		r.ticker.Reset(tick)
		r.ticks = true
	}
}

// push sends the replies so far, and lets g go on if its calls block or take long. It reports whether all its calls have started, so that there is nothing more to
// do.
func (r *runner) push(g *group) (started bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	started = len(g.calls) == 0
	if started || g.moved < tickCalls {
		more := min(g.workers, len(g.calls))
		g.workers += more
		for range more {
			r.start(job{g: g})
		}
	}
	g.link.FlushSoon()
	g.moved = 0
	return started
}

// work runs jobs until there was none for a while.
func (r *runner) work(w *worker, j job) {
	for {
		switch {
		case j.g != nil:
			r.serve(j.g)
		default:
			for in := j.in; in != nil; {
				in = in.node.serve(in)
			}
		}
		if !r.rest(w) {
			return
		}
		if j = <-w.wake; j == (job{}) {
			return
		}
	}
}

// rest makes w idle; false ends it.
func (r *runner) rest(w *worker) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return false
	}
	w.epoch = r.epoch
	r.idle = append(r.idle, w)
	if !r.sweeps {
		r.sweeps = true
		if r.sweep == nil {
			r.sweep = time.AfterFunc(workerIdle, r.sweepIdle)
		} else {
			r.sweep.Reset(workerIdle)
		}
	}
	return true
}

// sweepIdle ends the goroutines that have been idle since the last time.
func (r *runner) sweepIdle() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sweeps = false
	old := 0
	for old < len(r.idle) && r.idle[old].epoch < r.epoch {
		r.idle[old].wake <- job{}
		old++
	}
	n := copy(r.idle, r.idle[old:])
	clear(r.idle[n:])
	r.idle = r.idle[:n]
	r.epoch++
	if n > 0 && !r.closed {
		r.sweep.Reset(workerIdle)
		r.sweeps = true
	}
}

// serve runs calls of g until none is left to start.
func (r *runner) serve(g *group) {
	exited := true
	defer func() {
		if exited { // a handler has ended this goroutine: another goes on
			r.mu.Lock()
			r.start(job{g: g})
			r.mu.Unlock()
		}
	}()
	for {
		in := g.next()
		if in == nil {
			break
		}
		if next := in.node.serve(in); next != nil {
			r.run(next)
		}
	}
	exited = false
	g.link.Flush()
	r.leave(g)
}

// next takes the next call to start, nil if there is none.
func (g *group) next() *Incoming {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.moved++
	n := len(g.calls)
	if n == 0 {
		return nil
	}
	in := g.calls[n-1]
	g.calls[n-1] = nil
	g.calls = g.calls[:n-1]
	return in
}

// leave ends one goroutine's part in g.
func (r *runner) leave(g *group) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if i := slices.Index(r.busy, g); i >= 0 {
		r.busy = slices.Delete(r.busy, i, i+1)
	}
	if g.workers--; g.workers == 0 {
		g.link = nil
		r.groups.Put(g)
	}
}

// close ends the goroutines as soon as their calls have ended, and waits for them.
func (r *runner) close() {
	r.mu.Lock()
	r.closed = true
	for _, w := range r.idle {
		w.wake <- job{}
	}
	r.idle = nil
	if r.sweep != nil {
		r.sweep.Stop()
	}
	r.mu.Unlock()
	r.workers.Wait()
	r.mu.Lock()
	if r.ticker != nil {
		r.ticker.Stop()
	}
	r.mu.Unlock()
}
