// Package chat has rooms with streams in both directions, in the shape of the clients of Slack and Matrix.
package chat

import (
	"context"
	"encoding/json"
	"errors"
	"iter"
	"time"

	"github.com/google/uuid"
)

//go:generate go tool daffigen

// What a Server fails with.
var (
	ErrNoRoom    = errors.New("chat: no such room")
	ErrForbidden = errors.New("chat: forbidden")
	ErrBanned    = errors.New("chat: banned")
)

// RoomID is !opaque:server; UserID is @name:server.
type (
	RoomID string
	UserID string
)

// Cursor is where a sync has got to.
type Cursor = uint64

// Message is one, with what was answered to it.
type Message struct {
	ID        uuid.UUID
	From      UserID
	Text      string
	Blocks    []json.RawMessage
	Reactions map[string][]UserID
	Thread    []*Message
	Edited    *struct {
		By UserID
		At time.Time
	}
	SentAt time.Time
	local  bool
}

// ClientEvent is what a client says: exactly one field is set.
type ClientEvent struct {
	Post    *Post
	Typing  *bool
	React   *Reaction
	Read    *Cursor
	Leave   *struct{}
	Unknown any // of newer clients
}

// Post is a new message, or an answer to another.
type Post struct {
	Text    string
	Blocks  []json.RawMessage
	ReplyTo *uuid.UUID
}

// Reaction is an emoji on a message.
type Reaction struct {
	To    uuid.UUID
	Emoji rune
}

// Header is what all events of a server have.
type Header struct {
	Seq  Cursor
	Room RoomID
	At   time.Time
}

// ServerEvent is what clients are told.
type ServerEvent struct {
	Header
	Message  *Message
	Typing   map[UserID]bool
	Receipts map[UserID]Cursor
	Failed   error // what the client asked for
	Echo     any
}

// HistoryOptions select messages.
type HistoryOptions struct {
	Latest, Oldest *time.Time
	Inclusive      bool
	Limit          int
	From           []UserID
}

// Member is somebody in a room.
type Member struct {
	User   UserID
	Joined time.Time
	Power  int8
	Avatar []byte
}

// Server has rooms.
//
//daffi:callback name=chat
//daffi:fetcher
type Server interface {
	// Connect is the life of a client in a room: it goes on where resume left off.
	Connect(ctx context.Context, room RoomID, as UserID, resume *Cursor, events iter.Seq2[ClientEvent, error]) iter.Seq2[ServerEvent, error]
	Create(ctx context.Context, room RoomID, topic string, members ...Member) (created bool, err error)
	Rooms(ctx context.Context) (map[RoomID][]Member, error)
	History(ctx context.Context, room RoomID, opts HistoryOptions) (messages []*Message, hasMore bool, err error)
	Thread(ctx context.Context, room RoomID, root uuid.UUID) (*Message, error)
	Sync(ctx context.Context, room RoomID, since Cursor) iter.Seq2[ServerEvent, error]
	// Import adds messages of another server.
	Import(ctx context.Context, room RoomID, messages iter.Seq2[*Message, error]) (first, last time.Time, n int, err error)
	Delete(ctx context.Context, room RoomID) error

	// Moderation is for those who may.
	Moderation() Moderation
}

// Moderation is below a Server.
//
//daffi:callback
//daffi:fetcher
type Moderation interface {
	Ban(ctx context.Context, room RoomID, user UserID, reason *string) error
	Banned(ctx context.Context, room RoomID) (map[UserID]*string, error)
	Redact(ctx context.Context, room RoomID, ids ...uuid.UUID) iter.Seq2[Message, error]
}
