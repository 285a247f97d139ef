package users

import (
	"context"
	"iter"
	"testing"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	daffi "github.com/daffi-rpc/daffi/runtime"
	"github.com/daffi-rpc/daffi/testdata/real/both"
)

// local is what a service in the same process would be to those who know Users only.
type local struct{ UserRepository }

func (l local) SaveEach(ctx context.Context, rows iter.Seq2[User, error]) error {
	for u, err := range rows {
		if err != nil {
			return err
		}
		if err := l.Save(ctx, u); err != nil {
			return err
		}
	}
	return nil
}

// prepared has two rows, one of which refers to the other.
func prepared() UserRepository {
	m, ctx := NewMemory(both.Clock()), context.Background()
	ann := both.Must(m.Insert(ctx, User{Email: "a@x", Role: Admin, Labels: map[string]struct{}{"first": {}}}))
	both.Must(m.Insert(ctx, User{Email: "b@x", Role: Member, Referrer: &ann}))
	return m
}

func TestUsers(t *testing.T) {
	both.Run(t, both.Subject[UserRepository, Users]{
		Service:  UserRepositoryName,
		New:      prepared,
		Register: RegisterUserRepository,
		Proxy:    func(c daffi.Caller) Users { return NewUsers(c) },
		Direct:   func(r UserRepository) Users { return local{r} },
		Errors:   both.Is(ErrNotFound, ErrDuplicate, ErrStale),
		Values: []func(*both.Values){
			both.Of(rapid.OneOf(rapid.Map(rapid.Uint64Range(1, 4), ID), rapid.Map(rapid.SliceOfN(rapid.Byte(), 16, 16), func(b []byte) uuid.UUID { return uuid.UUID(b) }))),
			both.Of(rapid.SampledFrom([]Role{Member, Admin, ""})),
			both.Of(rapid.Int64Range(1, 2)),
			both.Of(rapid.IntRange(-1, 3)),
			both.Field[Order]("Column", rapid.SampledFrom([]string{"email", "age", "id"})),
			both.Field[User]("Email", rapid.SampledFrom([]string{"a@x", "b@x", "c@y", "d@y"})),
		},
		Args: map[string]func(*rapid.T) []any{
			"FindByEmail": func(t *rapid.T) []any { return []any{rapid.SampledFrom([]string{"a@x", "b@x", ""}).Draw(t, "email")} },
		},
		Local: []string{"WithTx", "Close"},
	})
}
