// Package users is a repository of rows, in the shape of what sqlc and hand-written repositories look like.
package users

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"iter"
	"net/netip"
	"time"

	"github.com/google/uuid"
)

//go:generate go tool daffigen

// What a repository fails with.
var (
	ErrNotFound  = errors.New("users: not found")
	ErrDuplicate = errors.New("users: the address is taken")
	ErrStale     = errors.New("users: the row has changed since it was read")
)

// Model is what all rows have.
type Model struct {
	ID        uuid.UUID `db:"id" json:"id"`
	CreatedAt time.Time `db:"created_at" json:"created_at"`
	UpdatedAt time.Time
	DeletedAt sql.NullTime
	Revision  int64
}

// User is a row.
type User struct {
	Model
	Email        string `json:"email" daffi:"email"`
	Name         sql.NullString
	Age          sql.Null[uint8]
	Balance      sql.NullFloat64
	Role         Role
	PasswordHash []byte `json:"-" daffi:"-"`
	LastIP       *netip.Addr
	AllowedFrom  []netip.Prefix
	Settings     json.RawMessage
	Address      *Address
	Referrer     *User
	Labels       map[string]struct{}
}

// Address is part of a user.
type Address struct {
	Street, City string
	Location     *[2]float64
}

// Role is stored as text.
type Role string

// The roles.
const (
	Member Role = "member"
	Admin  Role = "admin"
)

// Order is a column, descending or not.
type Order struct {
	Column     string
	Descending bool
}

// ListOptions are those of any list.
type ListOptions struct {
	Limit, Offset int
	OrderBy       []Order
	WithDeleted   bool
}

// Page is a part of a list.
type Page[T any] struct {
	Items   []T
	Total   int64
	HasMore bool
	Next    *ListOptions
}

// Optional tells a value that is to be set to zero from one that is left alone.
type Optional[T any] struct {
	Set   bool
	Value T
}

// Filter selects users; what is nil selects all.
type Filter struct {
	IDs           []uuid.UUID
	EmailLike     *string
	Roles         map[Role]bool
	CreatedAfter  *time.Time
	And, Or       []Filter
	Not           *Filter
	LastIPWithin  *netip.Prefix
	HasReferrer   *bool
	NameIsNull    Optional[bool]
	AgeAtLeast    Optional[*uint8]
	RevisionRange [2]*int64
}

// Update says what changes.
type Update struct {
	Email    *string
	Name     Optional[sql.NullString]
	Role     *Role
	Settings Optional[json.RawMessage]
	Address  Optional[*Address]
}

// Repository is any repository.
type Repository[T any, ID comparable] interface {
	Get(ctx context.Context, id ID) (T, error)
	GetMany(ctx context.Context, ids []ID) (map[ID]T, error)
	Insert(ctx context.Context, row T) (T, error)
	InsertMany(ctx context.Context, rows iter.Seq2[T, error]) (ids []ID, err error)
	Delete(ctx context.Context, id ID, revision int64) error
	List(ctx context.Context, opts ListOptions) (Page[T], error)
	All(ctx context.Context) iter.Seq2[T, error]
}

// UserRepository is the one of users, as its owner has it.
//
//daffi:callback name=accounts.users
type UserRepository interface {
	Repository[User, uuid.UUID]
	FindByEmail(ctx context.Context, email string) (user *User, found bool, err error)
	Search(ctx context.Context, f Filter, opts *ListOptions) (*Page[User], error)
	CountByRole(ctx context.Context) (map[Role]int64, error)
	// Save inserts a row, or replaces the one of that address.
	Save(ctx context.Context, row User) error
	Update(ctx context.Context, id uuid.UUID, revision int64, changes Update) (before, after *User, err error)

	// WithTx runs fn in a transaction.
	//
	//daffi:local
	WithTx(ctx context.Context, fn func(UserRepository) error) error
	//daffi:local
	Close() error
}

// Users is the same for others.
//
//daffi:fetcher UserRepository
type Users interface {
	Repository[User, uuid.UUID]
	FindByEmail(ctx context.Context, email string) (user *User, found bool, err error)
	Search(ctx context.Context, f Filter, opts *ListOptions) (*Page[User], error)
	CountByRole(ctx context.Context) (map[Role]int64, error)
	// Save inserts a row, or replaces the one of that address.
	Save(ctx context.Context, row User) error
	Update(ctx context.Context, id uuid.UUID, revision int64, changes Update) (before, after *User, err error)
	// SaveEach saves until the first row that cannot be.
	//
	//daffi:alias Save
	SaveEach(ctx context.Context, rows iter.Seq2[User, error]) error
}
