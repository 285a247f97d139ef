package jobs

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"sync"
	"time"

	"encoding/json"

	"github.com/google/uuid"
)

// Memory is a Queue in memory.
type Memory struct {
	mu     sync.Mutex
	now    func() time.Time
	jobs   []*Job // by ID, from 1
	leases map[LeaseID]*Lease
	last   uint64
}

var _ Queue = (*Memory)(nil)

// NewMemory returns an empty queue whose clock is now.
func NewMemory(now func() time.Time) *Memory {
	return &Memory{now: now, leases: map[LeaseID]*Lease{}}
}

// LeaseNumber is the ID of the n-th lease.
func LeaseNumber(n uint64) (id LeaseID) {
	binary.BigEndian.PutUint64(id[:8], n)
	return id
}

func (m *Memory) insert(j Job, unique bool) (job *Job, duplicate bool) {
	if unique {
		key := sha256.Sum256(append([]byte(j.Kind+"\x00"), j.Args...))
		for _, other := range m.jobs {
			if other.UniqueKey != nil && *other.UniqueKey == key && other.FinalizedAt == nil {
				return other, true
			}
		}
		j.UniqueKey = &key
	}
	j.ID, j.State, j.Attempt = ID(len(m.jobs)+1), Available, 0
	if j.ScheduledAt.After(m.now()) {
		j.State = Scheduled
	}
	j.MaxAttempts = max(j.MaxAttempts, 1)
	m.jobs = append(m.jobs, &j)
	return &j, false
}

// Insert implements [Queue].
func (m *Memory) Insert(_ context.Context, kind string, args json.RawMessage, opts *InsertOpts) (*InsertResult, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if opts == nil {
		opts = &InsertOpts{Queue: "default", MaxAttempts: 2}
	}
	j := Job{Kind: kind, Args: args, Queue: opts.Queue, Priority: opts.Priority, MaxAttempts: opts.MaxAttempts % 4, Tags: opts.Tags}
	if opts.ScheduledAt != nil {
		j.ScheduledAt = *opts.ScheduledAt
	}
	for i, d := range opts.Retry.Backoff {
		if j.Metadata == nil {
			j.Metadata = map[string]json.RawMessage{}
		}
		j.Metadata[fmt.Sprint("backoff ", i)] = fmt.Appendf(nil, "%q", d)
	}
	job, duplicate := m.insert(j, opts.UniqueOpts.ByArgs)
	c := *job
	return &InsertResult{&c, duplicate}, nil
}

// InsertMany implements [Queue].
func (m *Memory) InsertMany(_ context.Context, jobs iter.Seq2[Job, error]) (ids []ID, duplicates map[ID]uuid.UUID, err error) {
	for j, err := range jobs {
		if err != nil {
			return nil, nil, err
		}
		if j.Kind == "" {
			return nil, nil, errors.New("jobs: a job without a kind")
		}
		m.mu.Lock()
		job, duplicate := m.insert(j, j.UniqueKey != nil)
		m.mu.Unlock()
		if duplicate {
			if duplicates == nil {
				duplicates = map[ID]uuid.UUID{}
			}
			duplicates[job.ID] = uuid.NewSHA1(uuid.Nil, job.UniqueKey[:])
			continue
		}
		ids = append(ids, job.ID)
	}
	return ids, duplicates, nil
}

func (m *Memory) job(id ID) (*Job, error) {
	if id < 1 || int(id) > len(m.jobs) {
		return nil, fmt.Errorf("%w: %d", ErrNoJob, id)
	}
	return m.jobs[id-1], nil
}

func (m *Memory) finalize(j *Job, s State) {
	at := m.now()
	j.State, j.FinalizedAt = s, &at
}

// Cancel implements [Queue].
func (m *Memory) Cancel(_ context.Context, id ID, reason ...string) (before State, job *Job, _ error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	j, err := m.job(id)
	if err != nil {
		return "", nil, err
	}
	before = j.State
	if j.FinalizedAt == nil {
		j.Errors = append(slices.Clip(j.Errors), AttemptError{At: m.now(), Attempt: j.Attempt, Error: errors.New("cancelled: " + strings.Join(reason, ", ")), Trace: reason})
		m.finalize(j, Discarded)
	}
	c := *j
	return before, &c, nil
}

func (m *Memory) lease(queue string, n int, d time.Duration) (list []Lease) {
	waiting := slices.DeleteFunc(slices.Clone(m.jobs), func(j *Job) bool { return j.State != Available || j.Queue != queue })
	slices.SortStableFunc(waiting, func(a, b *Job) int { return cmp.Compare(b.Priority, a.Priority) })
	for _, j := range waiting[:min(max(n, 0), len(waiting))] {
		j.State = Running
		j.Attempt++
		m.last++
		l := Lease{LeaseNumber(m.last), *j, m.now().Add(d)}
		m.leases[l.ID] = &l
		list = append(list, l)
	}
	return list
}

// Lease implements [Queue].
func (m *Memory) Lease(_ context.Context, queue string, n int, d time.Duration) ([]Lease, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.lease(queue, n, d), nil
}

// Heartbeat implements [Queue].
func (m *Memory) Heartbeat(_ context.Context, leases map[LeaseID]time.Duration) (lost map[LeaseID]struct{}, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.now()
	lost = map[LeaseID]struct{}{}
	for id, d := range leases {
		if l := m.leases[id]; l != nil {
			l.Until = now.Add(d)
		} else {
			lost[id] = struct{}{}
		}
	}
	return lost, nil
}

func (m *Memory) finish(done Done) (State, error) {
	l := m.leases[done.Lease]
	if l == nil {
		return "", fmt.Errorf("lease %x: %w", done.Lease, ErrLeaseLost)
	}
	delete(m.leases, done.Lease)
	j, err := m.job(l.Job.ID)
	switch {
	case err != nil:
		return "", err
	case j.FinalizedAt != nil: // cancelled
	case done.Snooze != nil:
		j.State, j.ScheduledAt = Scheduled, m.now().Add(*done.Snooze)
	case done.Err == nil:
		m.finalize(j, Completed)
	default:
		j.Errors = append(slices.Clip(j.Errors), AttemptError{At: m.now(), Attempt: j.Attempt, Error: done.Err})
		j.State = Available
		if j.Attempt >= j.MaxAttempts {
			m.finalize(j, Discarded)
		}
	}
	return j.State, nil
}

// Finish implements [Queue].
func (m *Memory) Finish(_ context.Context, done Done) (State, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.finish(done)
}

// Work implements [Queue].
func (m *Memory) Work(_ context.Context, queue string, done iter.Seq2[*Done, error]) iter.Seq2[*Lease, error] {
	return func(yield func(*Lease, error) bool) {
		next := func() bool {
			m.mu.Lock()
			list := m.lease(queue, 1, time.Minute)
			m.mu.Unlock()
			if len(list) == 0 {
				return yield(nil, nil) // nothing to do for now
			}
			return yield(&list[0], nil)
		}
		if !next() {
			return
		}
		for d, err := range done {
			if err == nil && d != nil {
				m.mu.Lock()
				_, err = m.finish(*d)
				m.mu.Unlock()
			}
			if err != nil {
				yield(nil, err)
				return
			}
			if !next() {
				return
			}
		}
	}
}

// Stats implements [Queue].
func (m *Memory) Stats(context.Context) (map[string]map[State]int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	stats := map[string]map[State]int{}
	for _, j := range m.jobs {
		if stats[j.Queue] == nil {
			stats[j.Queue] = map[State]int{}
		}
		stats[j.Queue][j.State]++
	}
	return stats, nil
}

// Jobs implements [Queue].
func (m *Memory) Jobs(_ context.Context, states []State, kinds ...string) iter.Seq2[Job, error] {
	return func(yield func(Job, error) bool) {
		m.mu.Lock()
		var list []Job
		for _, j := range m.jobs {
			if (states == nil || slices.Contains(states, j.State)) && (len(kinds) == 0 || slices.Contains(kinds, j.Kind)) {
				list = append(list, *j)
			}
		}
		m.mu.Unlock()
		for _, j := range list {
			if !yield(j, nil) {
				return
			}
		}
	}
}

// Dead implements [Queue].
func (m *Memory) Dead(_ context.Context, limit uint8) (list [2][]Job, truncated bool, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, j := range m.jobs {
		k := slices.Index([]State{Completed, Discarded}, j.State)
		switch {
		case k < 0:
		case len(list[k]) >= int(limit):
			truncated = true
		default:
			list[k] = append(list[k], *j)
		}
	}
	return list, truncated, nil
}
