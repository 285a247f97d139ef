package kv

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"iter"
	"maps"
	"path"
	"slices"
	"strconv"
	"sync"
	"time"
)

// Memory is a Store that forgets.
type Memory struct {
	mu      sync.Mutex
	now     func() time.Time
	version uint64
	items   map[string]Item
	hashes  map[string]map[string]any
	sets    map[string]map[string]float64
}

var _ Store = (*Memory)(nil)

// NewMemory returns an empty store whose clock is now.
func NewMemory(now func() time.Time) *Memory {
	return &Memory{now: now, items: map[string]Item{}, hashes: map[string]map[string]any{}, sets: map[string]map[string]float64{}}
}

// item is a live one.
func (m *Memory) item(key string) (Item, bool) {
	it, ok := m.items[key]
	if ok && it.ExpiresAt != nil && !m.now().Before(*it.ExpiresAt) {
		delete(m.items, key)
		return Item{}, false
	}
	return it, ok
}

func (m *Memory) put(it Item) uint64 {
	m.version++
	it.Version = m.version
	it.Value = bytes.Clone(it.Value)
	m.items[it.Key] = it
	return it.Version
}

func (m *Memory) expiry(key string, d time.Duration) *time.Time {
	switch {
	case d == KeepTTL:
		return m.items[key].ExpiresAt
	case d <= 0:
		return nil
	}
	at := m.now().Add(d)
	return &at
}

// Get implements [Store].
func (m *Memory) Get(_ context.Context, key string) (*Item, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	it, ok := m.item(key)
	if !ok {
		return nil, fmt.Errorf("get %q: %w", key, ErrNotFound)
	}
	return &it, nil
}

// MGet implements [Store].
func (m *Memory) MGet(_ context.Context, keys ...string) ([]*Item, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var list []*Item
	for _, key := range keys {
		if it, ok := m.item(key); ok {
			list = append(list, &it)
		} else {
			list = append(list, nil)
		}
	}
	return list, nil
}

// Exists implements [Store].
func (m *Memory) Exists(_ context.Context, keys ...string) (n int64, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, key := range keys {
		if _, ok := m.item(key); ok {
			n++
		}
	}
	return n, nil
}

// TTL implements [Store].
func (m *Memory) TTL(_ context.Context, key string) (time.Duration, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch it, ok := m.item(key); {
	case !ok:
		return 0, ErrNotFound
	case it.ExpiresAt == nil:
		return KeepTTL, nil
	default:
		return it.ExpiresAt.Sub(m.now()), nil
	}
}

// Scan implements [Store].
func (m *Memory) Scan(_ context.Context, cursor uint64, match string, count int64) (keys []string, next uint64, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := slices.Sorted(maps.Keys(m.items))
	for i := cursor; i < uint64(len(all)); i++ {
		ok, err := path.Match(match, all[i])
		if err != nil {
			return nil, 0, err
		}
		if ok {
			keys = append(keys, all[i])
		}
		if int64(len(keys)) >= max(1, count) && i+1 < uint64(len(all)) {
			return keys, i + 1, nil
		}
	}
	return keys, 0, nil
}

// Iterate implements [Store].
func (m *Memory) Iterate(_ context.Context, opts IteratorOptions) iter.Seq2[Item, error] {
	return func(yield func(Item, error) bool) {
		m.mu.Lock()
		all := slices.SortedFunc(maps.Values(m.items), func(a, b Item) int { return cmp.Compare(a.Key, b.Key) })
		m.mu.Unlock()
		if opts.Reverse {
			slices.Reverse(all)
		}
		for _, it := range all {
			if !bytes.HasPrefix([]byte(it.Key), opts.Prefix) {
				continue
			}
			if !opts.PrefetchValues {
				it.Value = nil
			}
			if !yield(it, nil) {
				return
			}
		}
	}
}

// Set implements [Store].
func (m *Memory) Set(_ context.Context, key string, value []byte, expiration time.Duration) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.put(Item{Key: key, Value: value, ExpiresAt: m.expiry(key, expiration)})
	return nil
}

// SetArgs implements [Store].
func (m *Memory) SetArgs(_ context.Context, key string, value []byte, a SetArgs) (old []byte, done bool, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	it, ok := m.item(key)
	if a.Get {
		old = it.Value
	}
	if a.Mode == IfNew && ok || a.Mode == IfOld && !ok {
		return old, false, nil
	}
	m.put(Item{Key: key, Value: value, UserMeta: a.UserMeta, ExpiresAt: m.expiry(key, a.TTL)})
	return old, true, nil
}

// Del implements [Store].
func (m *Memory) Del(_ context.Context, keys ...string) (n int64, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, key := range keys {
		if _, ok := m.item(key); ok {
			delete(m.items, key)
			n++
		}
	}
	return n, nil
}

// IncrBy implements [Store].
func (m *Memory) IncrBy(_ context.Context, key string, value int64) (int64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	it, ok := m.item(key)
	var n int64
	if ok {
		var err error
		if n, err = strconv.ParseInt(string(it.Value), 10, 64); err != nil {
			return 0, fmt.Errorf("%w: %w", ErrWrongType, err)
		}
	}
	n += value
	it.Key, it.Value = key, strconv.AppendInt(nil, n, 10)
	m.put(it)
	return n, nil
}

// Write implements [Store].
func (m *Memory) Write(_ context.Context, batch []Op) (versions []uint64, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i, op := range batch {
		if op.CAS != nil {
			if it, _ := m.item(op.CAS.Key); it.Version != op.CAS.Expect {
				return nil, fmt.Errorf("operation %d: %w", i, ErrConflict)
			}
		}
	}
	for _, op := range batch {
		switch {
		case op.Set != nil:
			versions = append(versions, m.put(*op.Set))
		case op.CAS != nil:
			versions = append(versions, m.put(op.CAS.Item))
		case op.Delete != nil:
			delete(m.items, *op.Delete)
		}
	}
	return versions, nil
}

// Load implements [Store].
func (m *Memory) Load(_ context.Context, overwrite bool, items iter.Seq2[Item, error]) (loaded int, err error) {
	var list []Item
	for it, err := range items {
		if err != nil {
			return 0, fmt.Errorf("load: %w", err)
		}
		list = append(list, it)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, it := range list {
		if _, ok := m.item(it.Key); !ok || overwrite {
			m.put(it)
			loaded++
		}
	}
	return loaded, nil
}

// ZAdd implements [Store].
func (m *Memory) ZAdd(_ context.Context, key string, members ...Z) (added int64, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	set := m.sets[key]
	if set == nil {
		set = map[string]float64{}
		m.sets[key] = set
	}
	for _, z := range members {
		if _, ok := set[z.Member]; !ok {
			added++
		}
		set[z.Member] = z.Score
	}
	return added, nil
}

// ZRangeByScore implements [Store].
func (m *Memory) ZRangeByScore(_ context.Context, key string, by *ZRangeBy) ([]Z, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	list := []Z{}
	for member, score := range m.sets[key] {
		if by == nil || by.Min <= score && score <= by.Max {
			list = append(list, Z{score, member})
		}
	}
	slices.SortFunc(list, func(a, b Z) int {
		return cmp.Or(cmp.Compare(a.Score, b.Score), cmp.Compare(a.Member, b.Member))
	})
	if by != nil {
		from := min(max(by.Offset, 0), int64(len(list)))
		list = list[from:]
		if by.Count > 0 {
			list = list[:min(by.Count, int64(len(list)))]
		}
	}
	return list, nil
}

// ZScores implements [Store].
func (m *Memory) ZScores(_ context.Context, key string) (map[string]float64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return maps.Clone(m.sets[key]), nil
}

// HSet implements [Store].
func (m *Memory) HSet(_ context.Context, key string, fields map[string]any) (added int, _ error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	h := m.hashes[key]
	if h == nil {
		h = map[string]any{}
		m.hashes[key] = h
	}
	for f, v := range fields {
		if _, ok := h[f]; !ok {
			added++
		}
		h[f] = v
	}
	return added, nil
}

// HGetAll implements [Store].
func (m *Memory) HGetAll(_ context.Context, key string) (map[string]any, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return maps.Clone(m.hashes[key]), nil
}

// HMGet implements [Store].
func (m *Memory) HMGet(_ context.Context, key string, fields ...string) (list []any, _ error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, f := range fields {
		list = append(list, m.hashes[key][f])
	}
	return list, nil
}
