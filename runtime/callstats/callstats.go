// Package callstats counts calls by method: how many, how they ended, how long they took, and what they carried. It is an interceptor, so that only
// programs that want it pay for it.
//
//	stats := callstats.New()
//	node, err := daffi.Connect(ctx, daffi.Options{
//		Interceptors:      []daffi.Interceptor{stats.Interceptor()}, // the calls that the node makes
//		ServeInterceptors: []daffi.Interceptor{stats.Interceptor()}, // those that it serves
//	})
//	http.HandleFunc("/metrics", func(w http.ResponseWriter, _ *http.Request) {
//		w.Header().Set("Content-Type", callstats.ContentType)
//		stats.WriteText(w, node)
//	})
//	expvar.Publish("calls", expvar.Func(func() any { return stats.Snapshot() }))
//
// What an interceptor does not see is not counted: at the callee, calls that were refused before their turn to run.
package callstats

import (
	"context"
	"maps"
	"math"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	daffi "github.com/daffi-rpc/daffi/runtime"
)

const (
	// MaxMethods is how many methods are told apart (LIM-34): names may come from other nodes, where [daffi.HandleUnknown] takes calls. The first have a place for ever.
	MaxMethods = 1024
	// Other is the name under which the calls of all further methods are, and of those whose names are longer than a method's may be or are not UTF-8.
	Other = "other"

	maxName = 128 + len(".") + 128 // LIM-10
	sides   = daffi.AtCallee + 1
	shapes  = daffi.ShapeBroadcast + 1
	codes   = daffi.Unauthenticated + 1
)

// bounds are the upper ends of the buckets, which contain them. They stand 1-2-5 in each decade, so that a quantile that is read from them is wrong by a factor of 2.5
// at most, and go from 10 µs, below which only handlers are, not calls over a connection, to 100 s, more than the deadline of most calls.
var bounds = []time.Duration{
	10 * time.Microsecond, 20 * time.Microsecond, 50 * time.Microsecond, 100 * time.Microsecond, 200 * time.Microsecond, 500 * time.Microsecond,
	1 * time.Millisecond, 2 * time.Millisecond, 5 * time.Millisecond, 10 * time.Millisecond, 20 * time.Millisecond, 50 * time.Millisecond,
	100 * time.Millisecond, 200 * time.Millisecond, 500 * time.Millisecond, 1 * time.Second, 2 * time.Second, 5 * time.Second,
	10 * time.Second, 20 * time.Second, 50 * time.Second, 100 * time.Second,
}

const buckets = 23 // one for each bound, and one for what takes longer than the last

// Bounds are the upper ends of the buckets of [Latency], which contain them: 1-2-5 from 10 µs to 100 s.
func Bounds() []time.Duration { return slices.Clone(bounds) }

// Stats has the counts of the nodes that its interceptor was given to. Make it with [New]. Its methods may run at the same time as calls and each other.
type Stats struct {
	mu      sync.Mutex // of whoever adds a method
	methods atomic.Pointer[map[string]*method]
}

// method has a series for each way that it is called.
type method [sides][shapes]atomic.Pointer[series]

// series are the counters of one method, side and shape.
type series struct {
	inFlight atomic.Int64
	ok       atomic.Uint64
	failed   [codes]atomic.Uint64
	in, out  traffic
	took     [buckets]atomic.Uint64
	seconds  atomic.Uint64 // the bits of a float64: nanoseconds in 64 bits are used up in three weeks by 10 240 streams that stay open
}

type traffic struct{ messages, bytes atomic.Uint64 }

// New returns Stats in which nothing is counted yet.
func New() *Stats {
	s := new(Stats)
	s.methods.Store(&map[string]*method{Other: new(method)})
	return s
}

// Interceptor counts the calls that it is around. It may be given to several nodes, and to both sides of one. As the first of several it counts what the others refuse, as the
// last only what they let through.
func (s *Stats) Interceptor() daffi.Interceptor { return s.count }

func (s *Stats) count(ctx context.Context, c *daffi.Interception, next func(context.Context) error) (err error) {
	m := s.series(c)
	m.inFlight.Add(1)
	start, returned := time.Now(), false
	defer func() {
		switch took := time.Since(start); {
		case !returned:
			m.end(c, took, &m.failed[panicked(c.Side)])
		case err != nil:
			m.end(c, took, &m.failed[known(daffi.CodeOf(err))])
		default:
			m.end(c, took, &m.ok)
		}
	}()
	err = next(ctx)
	returned = true
	return err
}

// panicked is the code of a call whose handler, or whose consumer at the caller, has panicked: what the other side gets.
func panicked(side daffi.Side) daffi.Code {
	if side == daffi.AtCaller {
		return daffi.Canceled
	}
	return daffi.Internal
}

// series are the counters for c.
func (s *Stats) series(c *daffi.Interception) *series {
	m, ok := (*s.methods.Load())[c.Method]
	if !ok {
		m = s.add(c.Method)
	}
	p := &m[c.Side][c.Shape]
	if p.Load() == nil {
		p.CompareAndSwap(nil, new(series))
	}
	return p.Load()
}

// add makes room for a method, or finds that there is none. Who reads the map does not wait: it is never changed, but another takes its place.
func (s *Stats) add(name string) *method {
	if all := *s.methods.Load(); len(all) > MaxMethods || len(name) > maxName || !utf8.ValidString(name) {
		return all[Other]
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	all := *s.methods.Load()
	if m, ok := all[name]; ok {
		return m
	}
	if len(all) > MaxMethods {
		return all[Other]
	}
	all, m := maps.Clone(all), new(method)
	all[strings.Clone(name)] = m
	s.methods.Store(&all)
	return m
}

// known is code, of which a handler may return any.
func known(code daffi.Code) daffi.Code {
	if code >= codes {
		return daffi.Unknown
	}
	return code
}

// end counts a call that took that long, and has ended as how counts.
func (m *series) end(c *daffi.Interception, took time.Duration, how *atomic.Uint64) {
	how.Add(1)
	m.in.add(c.In)
	m.out.add(c.Out)
	i, _ := slices.BinarySearch(bounds, took)
	m.took[i].Add(1)
	for {
		old := m.seconds.Load()
		if m.seconds.CompareAndSwap(old, math.Float64bits(math.Float64frombits(old)+took.Seconds())) {
			break
		}
	}
	m.inFlight.Add(-1)
}

func (t *traffic) add(more daffi.Traffic) {
	if more.Messages > 0 {
		t.messages.Add(uint64(more.Messages))
		t.bytes.Add(uint64(more.Bytes))
	}
}

func (t *traffic) load() Traffic { return Traffic{t.messages.Load(), t.bytes.Load()} }
