package controller

import (
	"fmt"
	"math"
	"runtime/debug"
	"runtime/metrics"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/daffi-rpc/daffi/internal/cgroup"
	"github.com/daffi-rpc/daffi/runtime/internal/control"
	"github.com/daffi-rpc/daffi/runtime/transport"
)

// Shares of the memory, in percent, from which on something is refused (LIM-16), and what it must have fallen below until that ends.
const (
	shedFrom  = 80 // calls
	shedUntil = 70
	shutFrom  = 90 // and nodes, and calls that handlers make
	shutUntil = 80
	fullFrom  = 100 // and the link of the node for which most is held is closed

	defaultMemory = 1 << 30
	memoryTick    = 50 * time.Millisecond // between looks, while there are calls
	sweepPause    = time.Second           // between collections that a lack of memory asks for
	reliefPause   = time.Second           // between looks at what is held for each node
)

// What is refused. Calls look at the level, and do nothing else while it is watched.
const (
	unwatched int32 = iota // the next call has somebody look
	watched
	shedding
	shut
)

// memory watches over what the controller holds for its nodes and what the process occupies, and has calls refused before the one or the other gets too much (SEM-27).
//
// What is held tells of itself as it grows: see [transport.Meter]. What the process occupies has to be looked at, which a goroutine does while there are calls, where there is a ceiling.
type memory struct {
	c       *Controller
	level   atomic.Int32
	refused atomic.Uint64 // calls
	most    int64         // that is held
	meter   *transport.Meter
	process func() int // what the process occupies, in percent of what it may; nil where there is no ceiling
	sweep   func()     // gives back what is garbage

	mu     sync.Mutex
	looks  bool // the goroutine runs
	closed bool

	// Of that goroutine.
	swept    time.Time
	relieved time.Time
	backlogs map[*session]*transport.Backlog // while what is held is what runs short
}

func newMemory(c *Controller) *memory {
	l := &c.opts.Limits
	m := &memory{c: c, most: l.Memory, sweep: debug.FreeOSMemory}
	switch {
	case l.ProcessMemory > 0:
		m.process = processShare(l.ProcessMemory, math.MaxInt64)
	case l.ProcessMemory == 0:
		m.process = processShare(cgroup.MemoryLimit(), debug.SetMemoryLimit(-1))
	}
	m.meter = transport.NewMeter(m.most/100*shedFrom, m.alarm)
	c.kept.OnShort(m.look)
	m.level.Store(m.calm())
	return m
}

// heldMemory is the default of what is held: of a process with a ceiling half of that, since what is held is not all that it takes.
func heldMemory(process int64) int64 {
	if process == 0 {
		process = cgroup.MemoryLimit()
	}
	if process > 0 {
		return min(defaultMemory, process/2)
	}
	return defaultMemory
}

// calm is the level at which there is nothing to do.
func (m *memory) calm() int32 {
	if m.process == nil {
		return watched
	}
	return unwatched
}

// processShare returns what measures the process, nil where there is neither limit. Against the ceiling counts what the system has given it, as it does for who may end the process; against the
// limit of the Go runtime, which keeps garbage below that anyway, what is in use.
func processShare(ceiling, soft int64) func() int {
	if ceiling <= 0 && soft == math.MaxInt64 {
		return nil
	}
	return func() (share int) {
		total, garbage := occupied()
		if ceiling > 0 {
			share = percent(total, ceiling)
		}
		if soft != math.MaxInt64 {
			share = max(share, percent(total-garbage, soft))
		}
		return share
	}
}

// occupied is what the system has given to this process, and what of it is not in use.
func occupied() (total, garbage int64) {
	read := []metrics.Sample{
		{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}, {Name: "/gc/heap/live:bytes"},
		{Name: "/memory/classes/heap/objects:bytes"}, {Name: "/memory/classes/heap/unused:bytes"}, {Name: "/memory/classes/heap/free:bytes"},
	}
	metrics.Read(read)
	n := func(i int) int64 { return int64(read[i].Value.Uint64()) }
	return n(0) - n(1), max(n(3)+n(4)+n(5)-n(2), 0)
}

func percent(n, of int64) int { return int(float64(n) * 100 / float64(max(of, 1))) }

// held is what queues hold, and links that may resume.
func (m *memory) held() int64 { return m.meter.Held() + int64(m.c.kept.Used()) }

// takes reports whether a call may come in at a level that is not watched.
func (m *memory) takes(level int32, nested bool) bool {
	switch {
	case level == unwatched:
		if m.level.CompareAndSwap(unwatched, watched) {
			m.look()
		}
		return true
	case level == shedding && nested: // so that the calls that wait for it end
		return true
	}
	m.refused.Add(1)
	return false
}

// takesNode reports whether one more node may join.
func (m *memory) takesNode() bool {
	level := m.level.Load()
	return level == watched || level == shedding || level == unwatched && m.takes(level, false)
}

// alarm is called by queues that grow beyond what may be held.
func (m *memory) alarm() {
	level := shedding
	if percent(m.meter.Held(), m.most) >= shutFrom {
		level = shut
	}
	for {
		was := m.level.Load()
		if was >= level {
			return
		}
		if m.level.CompareAndSwap(was, level) {
			m.look()
			return
		}
	}
}

// look has a goroutine look from now on. It may be called with the locks of queues and of the controller held.
func (m *memory) look() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.looks || m.closed {
		return
	}
	m.looks = true
	m.c.wg.Go(m.watch)
}

// close has nobody look any more, before the controller's goroutines are waited for.
func (m *memory) close() {
	m.mu.Lock()
	m.closed = true
	m.mu.Unlock()
}

// watch looks until there is nothing to be seen.
func (m *memory) watch() {
	tick := time.NewTicker(memoryTick)
	defer tick.Stop()
	told := watched // what the log says
	for {
		was := m.level.Load()
		held, process := percent(m.held(), m.most), m.processShare(was)
		level := levelOf(max(held, process), was)
		short := level >= shedding && held >= shedUntil || m.c.kept.Short()
		m.relieve(short, held)
		switch {
		case level < shedding && was == m.calm():
			if !short && m.rest() {
				return
			}
		case level < shedding && was == watched: // a call says that there is one
			m.level.CompareAndSwap(watched, unwatched)
		case level != was:
			m.level.CompareAndSwap(was, level)
		}
		if level != told && max(level, told) >= shedding {
			m.tell(level, held, process)
			told = level
		}
		select {
		case <-tick.C:
		case <-m.c.closing:
			return
		}
	}
}

// relieve has nodes let go of what is held for them, where that is what runs short: links are closed of those that have not taken for long what waited for them, who would else keep others from their part as long as they
// take a byte now and then; and at the bound, which what was granted before may reach though nothing new is let in, the link for which most is held.
func (m *memory) relieve(short bool, held int) {
	if !short {
		m.backlogs = nil
		return
	}
	if held < fullFrom && time.Since(m.relieved) < reliefPause {
		return
	}
	m.relieved = time.Now()
	m.c.mu.Lock()
	sessions := slices.Clone(m.c.sessions)
	m.c.mu.Unlock()
	before, patience := m.backlogs, max(m.c.opts.Limits.StallTimeout, reliefPause)
	m.backlogs = make(map[*session]*transport.Backlog, len(sessions))
	var worst *session
	most := 0
	for _, s := range sessions {
		b := before[s]
		if b == nil {
			b = new(transport.Backlog)
		}
		m.backlogs[s] = b
		n, waits := b.Look(s.link, m.relieved)
		switch {
		case waits > patience:
			m.drop(s, n, waits)
		case n > most:
			worst, most = s, n
		}
	}
	if held >= fullFrom && worst != nil && percent(m.held(), m.most) >= fullFrom {
		m.drop(worst, most, 0)
	}
}

// drop closes a link that holds too much.
func (m *memory) drop(s *session, held int, waits time.Duration) {
	m.c.log.Warn("memory runs short: closing the link of a node that does not take what waits for it", "node", s.name, "session", s.number, "held", held, "waits", waits)
	s.link.Close(fmt.Errorf("%w: %d bytes were held for it", errMemory, held))
}

// levelOf is what is refused at a share of the memory.
func levelOf(share int, was int32) int32 {
	switch {
	case share >= shutFrom, share >= shutUntil && was == shut:
		return shut
	case share >= shedFrom, share >= shedUntil && was >= shedding:
		return shedding
	}
	return watched
}

// processShare is what the process occupies. Garbage is no load: it is collected before something is refused for it.
func (m *memory) processShare(level int32) int {
	if m.process == nil {
		return 0
	}
	from := shedFrom
	if level >= shedding {
		from = shedUntil
	}
	share := m.process()
	if share >= from && time.Since(m.swept) >= sweepPause {
		m.sweep()
		m.swept = time.Now()
		share = m.process()
	}
	return share
}

// tell logs what changes.
func (m *memory) tell(level int32, held, process int) {
	attrs := []any{"held_percent", held, "process_percent", process, "refused", m.refused.Load()}
	switch level {
	case shut:
		m.c.log.Warn("memory runs short: calls and nodes are refused", attrs...)
	case shedding:
		m.c.log.Warn("memory runs short: calls are refused", attrs...)
	default:
		m.c.log.Info("memory suffices again", attrs...)
	}
}

// rest ends the goroutine, unless it was called for meanwhile.
func (m *memory) rest() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.level.Load() != m.calm() || m.c.kept.Short() {
		return false
	}
	m.looks = false
	return true
}

// overloaded is the answer to a call that is refused.
func overloaded(r string) *control.Failure {
	return &control.Failure{Code: resourceExhausted, Reason: reasonOverloaded, Outcome: notRun, Method: r, Message: "the controller runs short of memory: call again later"}
}
