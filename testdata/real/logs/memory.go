package logs

import (
	"context"
	"fmt"
	"iter"
	"log/slog"
	"maps"
	"net/url"
	"runtime/debug"
	"slices"
	"sync"
	"time"
)

// Memory is a Logs in memory.
type Memory struct {
	mu         sync.Mutex
	emitted    sync.Cond
	emits      int
	now        func() time.Time
	records    []Record
	samples    map[Series][]Sample
	histograms map[Series]Histogram
	targets    []url.URL
}

var _ Logs = (*Memory)(nil)

// NewMemory returns an empty sink whose clock is now.
func NewMemory(now func() time.Time) *Memory {
	m := &Memory{now: now, samples: map[Series][]Sample{}, histograms: map[Series]Histogram{}}
	m.emitted.L = &m.mu
	return m
}

// AwaitEmits returns when Emit has been called n times.
func (m *Memory) AwaitEmits(n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for m.emits < n {
		m.emitted.Wait()
	}
}

// Emits is how often Emit has been called.
func (m *Memory) Emits() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.emits
}

func (m *Memory) keep(r Record) {
	if r.Time.IsZero() {
		r.Time = m.now()
	}
	r.skip = len(m.records)
	m.records = append(m.records, r)
}

// Emit implements [Sink].
func (m *Memory) Emit(_ context.Context, records ...Record) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, r := range records {
		m.keep(r)
	}
	m.emits++
	m.emitted.Broadcast()
	return nil
}

// EmitAll implements [Sink].
func (m *Memory) EmitAll(_ context.Context, records iter.Seq2[Record, error]) (kept, dropped uint64, err error) {
	for r, err := range records {
		if err != nil {
			return 0, 0, err
		}
		if r.Level < slog.LevelInfo {
			dropped++
			continue
		}
		m.mu.Lock()
		m.keep(r)
		m.mu.Unlock()
		kept++
	}
	return kept, dropped, nil
}

// Observe implements [Sink].
func (m *Memory) Observe(_ context.Context, samples map[Series][]Sample) (n int, _ error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for s, list := range samples {
		m.samples[s] = append(slices.Clip(m.samples[s]), list...)
		n += len(list)
	}
	return n, nil
}

// ObserveHistogram implements [Sink].
func (m *Memory) ObserveHistogram(_ context.Context, s Series, h *Histogram) error {
	if h == nil {
		return fmt.Errorf("logs: a histogram of %s that is nil", s.Metric)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.histograms[s] = *h
	return nil
}

// selects reports whether a query is for a record.
func (q *Query) selects(r Record) bool {
	return r.Level >= q.AtLeast &&
		(q.Since == nil || !r.Time.Before(*q.Since)) && (q.Until == nil || r.Time.Before(*q.Until)) &&
		(q.Match == nil || q.Match.MatchString(r.Message)) &&
		(q.Traces == nil || slices.Contains(q.Traces, r.TraceID))
}

func (m *Memory) query(q *Query) ([]Record, error) {
	if q == nil {
		q = &Query{}
	}
	if q.Since != nil && q.Until != nil && q.Until.Before(*q.Since) {
		return nil, fmt.Errorf("%w: %v to %v", ErrRange, q.Since, q.Until)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	var list []Record
	for _, r := range m.records {
		if q.selects(r) && (q.Limit == 0 || len(list) < int(q.Limit)) {
			list = append(list, r)
		}
	}
	return list, nil
}

// Query implements [Source].
func (m *Memory) Query(_ context.Context, q Query) ([]Record, error) { return m.query(&q) }

// Tail implements [Source].
func (m *Memory) Tail(_ context.Context, q *Query) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		list, err := m.query(q)
		for _, r := range list {
			if !yield(r, nil) {
				return
			}
		}
		if err != nil {
			yield(Record{}, err)
		}
	}
}

// Range implements [Source].
func (m *Memory) Range(_ context.Context, name string, from, to time.Time, step time.Duration) (map[Series][]Sample, error) {
	if to.Before(from) {
		return nil, ErrRange
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	found := map[Series][]Sample{}
	for s, list := range m.samples {
		if s.Metric == name {
			found[s] = slices.DeleteFunc(slices.Clone(list), func(s Sample) bool { return step > 0 && s.T.Before(from) })
		}
	}
	return found, nil
}

// Histogram implements [Source].
func (m *Memory) Histogram(_ context.Context, s Series) (h Histogram, ok bool, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	h, ok = m.histograms[s]
	return h, ok, nil
}

// Levels implements [Source].
func (m *Memory) Levels(context.Context) (map[slog.Level]int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	counts := map[slog.Level]int{}
	for _, r := range m.records {
		counts[r.Level]++
	}
	return counts, nil
}

// Tree implements [Source].
func (m *Memory) Tree(_ context.Context, depth int8) (*Tree, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	root := &Tree{Name: "logs", Count: len(m.records)}
	t := root
	for i := range min(max(int(depth), 0), 8) {
		below := &Tree{Name: fmt.Sprint(i), Spans: make([][]complex64, i)}
		for k := range below.Spans {
			below.Spans[k] = []complex64{complex(float32(i), float32(k))}
		}
		t.Below = map[string]*Tree{below.Name: below, "none": nil}
		t = below
	}
	return root, nil
}

// Follow implements [Source].
func (m *Memory) Follow(_ context.Context, queries iter.Seq2[Query, error]) iter.Seq2[map[slog.Level]uint32, error] {
	return func(yield func(map[slog.Level]uint32, error) bool) {
		for q, err := range queries {
			var list []Record
			if err == nil {
				list, err = m.query(&q)
			}
			if err != nil {
				yield(nil, err)
				return
			}
			counts := map[slog.Level]uint32{}
			for _, r := range list {
				counts[r.Level]++
			}
			if !yield(counts, nil) {
				return
			}
		}
	}
}

// Build implements [Logs].
func (m *Memory) Build(context.Context) (*debug.BuildInfo, error) {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return nil, fmt.Errorf("logs: built without modules")
	}
	return info, nil
}

// Targets implements [Logs].
func (m *Memory) Targets(_ context.Context, add ...*url.URL) ([]url.URL, url.Values, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := url.Values{}
	for _, u := range add {
		if u != nil {
			m.targets = append(m.targets, *u)
		}
	}
	for _, u := range m.targets {
		maps.Copy(all, u.Query())
	}
	return m.targets, all, nil
}
