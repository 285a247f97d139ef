package chat

import (
	"context"
	"testing"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	daffi "github.com/daffi-rpc/daffi/runtime"
	"github.com/daffi-rpc/daffi/testdata/real/both"
)

// prepared has a room in which somebody spoke.
func prepared() Server {
	m, ctx := NewMemory(both.Clock()), context.Background()
	both.Must(m.Create(ctx, "!a:x", "topic", Member{User: "@ann:x", Power: 100}))
	said := func(yield func(ClientEvent, error) bool) {
		_ = yield(ClientEvent{Post: &Post{Text: "hello"}}, nil) && yield(ClientEvent{React: &Reaction{MessageID(1), '👍'}}, nil)
	}
	for _, err := range m.Connect(ctx, "!a:x", "@ann:x", nil, said) {
		both.Must(m, err)
	}
	return m
}

func TestServer(t *testing.T) {
	both.Run(t, both.Subject[Server, Server]{
		Service:  ServerName,
		New:      prepared,
		Register: RegisterServer,
		Proxy:    func(c daffi.Caller) Server { return NewServer(c) },
		Direct:   func(s Server) Server { return s },
		Errors:   both.Is(ErrNoRoom, ErrForbidden, ErrBanned),
		Args: map[string]func(*rapid.T) []any{
			"Delete": func(t *rapid.T) []any {
				return []any{rapid.SampledFrom([]RoomID{"", "!b:x", "!b:x", "!a:x"}).Draw(t, "room")}
			},
			"Moderation.Redact": func(t *rapid.T) []any {
				ids := [][]uuid.UUID{{MessageID(1)}, {MessageID(0), MessageID(1)}, {MessageID(1), MessageID(7)}, nil}
				return []any{RoomID("!a:x"), rapid.SampledFrom(ids).Draw(t, "ids")}
			},
			"Moderation.Ban": func(t *rapid.T) []any {
				return []any{RoomID("!a:x"), rapid.SampledFrom([]UserID{"@eve:x", "@eve:x", "@bob:x"}).Draw(t, "user")}
			},
		},
		Values: []func(*both.Values){
			both.Of(rapid.SampledFrom([]RoomID{"!a:x", "!a:x", "!a:x", "!b:x", ""})),
			both.Of(rapid.SampledFrom([]UserID{"@ann:x", "@bob:x", "@eve:x"})),
			both.Of(rapid.SampledFrom([]Cursor{0, 1, 2, 9})),
			both.Of(rapid.IntRange(-1, 3)),
			both.Of(rapid.Map(rapid.SampledFrom([]int{1, 0, 2, 7}), MessageID)),
			both.Of(rapid.Custom(func(t *rapid.T) *uuid.UUID {
				if rapid.Bool().Draw(t, "nil") {
					return nil
				}
				id := MessageID(rapid.IntRange(0, 3).Draw(t, "id"))
				return &id
			})),
		},
	})
}
