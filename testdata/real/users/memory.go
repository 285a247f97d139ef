package users

import (
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
)

// Memory is a UserRepository in memory.
type Memory struct {
	mu   sync.Mutex
	now  func() time.Time
	last uint64
	rows map[uuid.UUID]User
}

var _ UserRepository = (*Memory)(nil)

// NewMemory returns a repository without rows whose clock is now.
func NewMemory(now func() time.Time) *Memory {
	return &Memory{now: now, rows: map[uuid.UUID]User{}}
}

// ID is that of the n-th row.
func ID(n uint64) (id uuid.UUID) {
	binary.BigEndian.PutUint64(id[8:], n)
	return id
}

func (m *Memory) get(id uuid.UUID) (User, error) {
	u, ok := m.rows[id]
	if !ok {
		return User{}, fmt.Errorf("user %v: %w", id, ErrNotFound)
	}
	return u, nil
}

func (m *Memory) insert(u User) (User, error) {
	for _, other := range m.rows {
		if other.Email == u.Email {
			return User{}, fmt.Errorf("user %q: %w", u.Email, ErrDuplicate)
		}
	}
	m.last++
	u.ID, u.Revision, u.CreatedAt = ID(m.last), 1, m.now()
	u.UpdatedAt = u.CreatedAt
	m.rows[u.ID] = u
	return u, nil
}

// Get implements [Repository].
func (m *Memory) Get(_ context.Context, id uuid.UUID) (User, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.get(id)
}

// GetMany implements [Repository].
func (m *Memory) GetMany(_ context.Context, ids []uuid.UUID) (map[uuid.UUID]User, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	found := map[uuid.UUID]User{}
	for _, id := range ids {
		if u, err := m.get(id); err == nil {
			found[id] = u
		}
	}
	return found, nil
}

// Insert implements [Repository].
func (m *Memory) Insert(_ context.Context, u User) (User, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.insert(u)
}

// InsertMany implements [Repository].
func (m *Memory) InsertMany(_ context.Context, rows iter.Seq2[User, error]) (ids []uuid.UUID, err error) {
	for u, err := range rows {
		if err != nil {
			return nil, err
		}
		m.mu.Lock()
		u, err = m.insert(u)
		m.mu.Unlock()
		if err != nil {
			return nil, err
		}
		ids = append(ids, u.ID)
	}
	return ids, nil
}

// Delete implements [Repository].
func (m *Memory) Delete(_ context.Context, id uuid.UUID, revision int64) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	u, err := m.get(id)
	switch {
	case err != nil:
		return err
	case u.Revision != revision:
		return fmt.Errorf("user %v: %w", id, ErrStale)
	}
	u.DeletedAt.Time, u.DeletedAt.Valid = m.now(), true
	u.Revision++
	m.rows[id] = u
	return nil
}

// sorted are the rows that keep accepts.
func (m *Memory) sorted(opts ListOptions, keep func(User) bool) (list []User) {
	for _, u := range m.rows {
		if (opts.WithDeleted || !u.DeletedAt.Valid) && keep(u) {
			list = append(list, u)
		}
	}
	slices.SortFunc(list, func(a, b User) int {
		for _, o := range opts.OrderBy {
			c := 0
			switch o.Column {
			case "email":
				c = cmp.Compare(a.Email, b.Email)
			case "age":
				c = cmp.Compare(a.Age.V, b.Age.V)
			}
			if o.Descending {
				c = -c
			}
			if c != 0 {
				return c
			}
		}
		return slices.Compare(a.ID[:], b.ID[:])
	})
	return list
}

func (m *Memory) page(opts ListOptions, keep func(User) bool) Page[User] {
	list := m.sorted(opts, keep)
	p := Page[User]{Total: int64(len(list))}
	from := min(max(opts.Offset, 0), len(list))
	to := len(list)
	if opts.Limit > 0 {
		to = min(from+opts.Limit, to)
	}
	p.Items, p.HasMore = list[from:to], to < len(list)
	if p.HasMore {
		next := opts
		next.Offset = to
		p.Next = &next
	}
	return p
}

// List implements [Repository].
func (m *Memory) List(_ context.Context, opts ListOptions) (Page[User], error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.page(opts, func(User) bool { return true }), nil
}

// All implements [Repository].
func (m *Memory) All(context.Context) iter.Seq2[User, error] {
	return func(yield func(User, error) bool) {
		m.mu.Lock()
		list := m.sorted(ListOptions{WithDeleted: true}, func(User) bool { return true })
		m.mu.Unlock()
		for _, u := range list {
			if !yield(u, nil) {
				return
			}
		}
	}
}

// FindByEmail implements [UserRepository].
func (m *Memory) FindByEmail(_ context.Context, email string) (user *User, found bool, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, u := range m.rows {
		if u.Email == email {
			return &u, true, nil
		}
	}
	return nil, false, nil
}

// Search implements [UserRepository].
func (m *Memory) Search(_ context.Context, f Filter, opts *ListOptions) (*Page[User], error) {
	if opts == nil {
		opts = &ListOptions{Limit: 2}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	p := m.page(*opts, f.selects)
	return &p, nil
}

func (f Filter) selects(u User) bool {
	for _, no := range []bool{
		f.IDs != nil && !slices.Contains(f.IDs, u.ID),
		f.EmailLike != nil && !strings.Contains(u.Email, *f.EmailLike),
		f.Roles != nil && !f.Roles[u.Role],
		f.CreatedAfter != nil && !u.CreatedAt.After(*f.CreatedAfter),
		slices.ContainsFunc(f.And, func(g Filter) bool { return !g.selects(u) }),
		f.Or != nil && !slices.ContainsFunc(f.Or, func(g Filter) bool { return g.selects(u) }),
		f.Not != nil && f.Not.selects(u),
		f.LastIPWithin != nil && (u.LastIP == nil || !f.LastIPWithin.Contains(*u.LastIP)),
		f.HasReferrer != nil && *f.HasReferrer != (u.Referrer != nil),
		f.NameIsNull.Set && f.NameIsNull.Value == u.Name.Valid,
		f.AgeAtLeast.Set && f.AgeAtLeast.Value != nil && u.Age.V < *f.AgeAtLeast.Value,
		f.RevisionRange[0] != nil && u.Revision < *f.RevisionRange[0],
		f.RevisionRange[1] != nil && u.Revision > *f.RevisionRange[1],
	} {
		if no {
			return false
		}
	}
	return true
}

// CountByRole implements [UserRepository].
func (m *Memory) CountByRole(context.Context) (map[Role]int64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	counts := map[Role]int64{}
	for u := range maps.Values(m.rows) {
		counts[u.Role]++
	}
	return counts, nil
}

// Save implements [UserRepository].
func (m *Memory) Save(_ context.Context, u User) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for id, old := range m.rows {
		if old.Email != u.Email {
			continue
		}
		if old.DeletedAt.Valid {
			return fmt.Errorf("user %q: %w", u.Email, ErrNotFound)
		}
		u.Model = old.Model
		u.Revision++
		m.rows[id] = u
		return nil
	}
	_, err := m.insert(u)
	return err
}

// Update implements [UserRepository].
func (m *Memory) Update(_ context.Context, id uuid.UUID, revision int64, changes Update) (before, after *User, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	u, err := m.get(id)
	switch {
	case err != nil:
		return nil, nil, err
	case u.Revision != revision:
		return nil, nil, ErrStale
	}
	old := u
	if changes.Email != nil {
		u.Email = *changes.Email
	}
	if changes.Role != nil {
		u.Role = *changes.Role
	}
	if changes.Name.Set {
		u.Name = changes.Name.Value
	}
	if changes.Settings.Set {
		u.Settings = changes.Settings.Value
	}
	if changes.Address.Set {
		u.Address = changes.Address.Value
	}
	u.Revision++
	u.UpdatedAt = m.now()
	m.rows[id] = u
	return &old, &u, nil
}

// WithTx implements [UserRepository]: there is nobody to roll back for.
func (m *Memory) WithTx(_ context.Context, fn func(UserRepository) error) error { return fn(m) }

// Close implements [UserRepository].
func (m *Memory) Close() error { return nil }
