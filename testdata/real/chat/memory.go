package chat

import (
	"context"
	"encoding/binary"
	"fmt"
	"iter"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"
)

// Memory is a Server in memory.
type Memory struct {
	mu    sync.Mutex
	now   func() time.Time
	rooms map[RoomID]*room
}

type room struct {
	members  []Member
	messages []*Message
	log      []ServerEvent
	receipts map[UserID]Cursor
	banned   map[UserID]*string
}

var _ Server = (*Memory)(nil)

// NewMemory returns a server without rooms whose clock is now.
func NewMemory(now func() time.Time) *Memory {
	return &Memory{now: now, rooms: map[RoomID]*room{}}
}

// MessageID is that of the n-th message of a room.
func MessageID(n int) (id uuid.UUID) {
	binary.BigEndian.PutUint32(id[:4], uint32(n))
	return id
}

func (m *Memory) room(id RoomID) (*room, error) {
	r, ok := m.rooms[id]
	if !ok {
		return nil, fmt.Errorf("%w: %q", ErrNoRoom, id)
	}
	return r, nil
}

// event enters one into the log.
func (m *Memory) event(id RoomID, r *room, e ServerEvent) ServerEvent {
	e.Header = Header{Seq: Cursor(len(r.log) + 1), Room: id, At: m.now()}
	r.log = append(r.log, e)
	return e
}

// copied is a message that will not change.
func (msg *Message) copied() *Message {
	if msg == nil {
		return nil
	}
	c := *msg
	c.Reactions = maps.Clone(msg.Reactions)
	c.Thread = nil
	for _, answer := range msg.Thread {
		c.Thread = append(c.Thread, answer.copied())
	}
	return &c
}

func (r *room) message(id uuid.UUID) (*Message, error) {
	for _, msg := range r.messages {
		if msg.ID == id {
			return msg, nil
		}
	}
	return nil, fmt.Errorf("chat: no message %v", id)
}

// handle is what becomes of an event.
func (m *Memory) handle(id RoomID, as UserID, e ClientEvent) ServerEvent {
	m.mu.Lock()
	defer m.mu.Unlock()
	r, err := m.room(id)
	if err != nil {
		return ServerEvent{Failed: err}
	}
	switch {
	case e.Post != nil:
		msg := &Message{ID: MessageID(len(r.messages)), From: as, Text: e.Post.Text, Blocks: e.Post.Blocks, SentAt: m.now(), local: true}
		if e.Post.ReplyTo != nil {
			to, err := r.message(*e.Post.ReplyTo)
			if err != nil {
				return ServerEvent{Failed: err}
			}
			to.Thread = append(to.Thread, msg)
		}
		r.messages = append(r.messages, msg)
		return m.event(id, r, ServerEvent{Message: msg.copied()})
	case e.Typing != nil:
		return m.event(id, r, ServerEvent{Typing: map[UserID]bool{as: *e.Typing}})
	case e.React != nil:
		msg, err := r.message(e.React.To)
		if err != nil {
			return ServerEvent{Failed: err}
		}
		if msg.Reactions == nil {
			msg.Reactions = map[string][]UserID{}
		}
		msg.Reactions[string(e.React.Emoji)] = append(slices.Clip(msg.Reactions[string(e.React.Emoji)]), as)
		return m.event(id, r, ServerEvent{Message: msg.copied()})
	case e.Read != nil:
		r.receipts[as] = *e.Read
		return m.event(id, r, ServerEvent{Receipts: maps.Clone(r.receipts)})
	default:
		return ServerEvent{Echo: e.Unknown}
	}
}

// Connect implements [Server].
func (m *Memory) Connect(_ context.Context, id RoomID, as UserID, resume *Cursor, events iter.Seq2[ClientEvent, error]) iter.Seq2[ServerEvent, error] {
	return func(yield func(ServerEvent, error) bool) {
		m.mu.Lock()
		r, err := m.room(id)
		var missed []ServerEvent
		if err == nil && resume != nil {
			missed = slices.Clone(r.log[min(*resume, Cursor(len(r.log))):])
		}
		if err == nil {
			if _, ok := r.banned[as]; ok {
				err = ErrBanned
			}
		}
		m.mu.Unlock()
		if err != nil {
			yield(ServerEvent{}, err)
			return
		}
		for _, e := range missed {
			if !yield(e, nil) {
				return
			}
		}
		for e, err := range events {
			if err != nil {
				yield(ServerEvent{}, fmt.Errorf("%s is gone: %w", as, err))
				return
			}
			if e.Leave != nil {
				return
			}
			if !yield(m.handle(id, as, e), nil) {
				return
			}
		}
	}
}

// Create implements [Server].
func (m *Memory) Create(_ context.Context, id RoomID, topic string, members ...Member) (created bool, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if id == "" {
		return false, fmt.Errorf("%w: a room without a name", ErrForbidden)
	}
	if m.rooms[id] != nil {
		return false, nil
	}
	r := &room{members: members, receipts: map[UserID]Cursor{}, banned: map[UserID]*string{}}
	r.messages = []*Message{{ID: MessageID(0), Text: topic, SentAt: m.now()}}
	m.rooms[id] = r
	return true, nil
}

// Rooms implements [Server].
func (m *Memory) Rooms(context.Context) (map[RoomID][]Member, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := map[RoomID][]Member{}
	for id, r := range m.rooms {
		all[id] = r.members
	}
	return all, nil
}

// History implements [Server].
func (m *Memory) History(_ context.Context, id RoomID, opts HistoryOptions) (messages []*Message, hasMore bool, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r, err := m.room(id)
	if err != nil {
		return nil, false, err
	}
	for _, msg := range r.messages {
		switch {
		case opts.Oldest != nil && msg.SentAt.Before(*opts.Oldest):
		case opts.Latest != nil && msg.SentAt.After(*opts.Latest):
		case opts.From != nil && !slices.Contains(opts.From, msg.From):
		case opts.Limit > 0 && len(messages) == opts.Limit:
			return messages, true, nil
		default:
			messages = append(messages, msg.copied())
		}
	}
	return messages, false, nil
}

// Thread implements [Server].
func (m *Memory) Thread(_ context.Context, id RoomID, root uuid.UUID) (*Message, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r, err := m.room(id)
	if err != nil {
		return nil, err
	}
	msg, err := r.message(root)
	if err != nil {
		return nil, err
	}
	return msg.copied(), nil
}

// Sync implements [Server].
func (m *Memory) Sync(_ context.Context, id RoomID, since Cursor) iter.Seq2[ServerEvent, error] {
	return func(yield func(ServerEvent, error) bool) {
		m.mu.Lock()
		r, err := m.room(id)
		var list []ServerEvent
		if err == nil {
			list = slices.Clone(r.log[min(since, Cursor(len(r.log))):])
		}
		m.mu.Unlock()
		if err != nil {
			yield(ServerEvent{}, err)
			return
		}
		for _, e := range list {
			if !yield(e, nil) {
				return
			}
		}
	}
}

// Import implements [Server].
func (m *Memory) Import(_ context.Context, id RoomID, messages iter.Seq2[*Message, error]) (first, last time.Time, n int, err error) {
	var list []*Message
	for msg, err := range messages {
		switch {
		case err != nil:
			return first, last, 0, err
		case msg == nil:
			return first, last, 0, fmt.Errorf("chat: message %d is nil", len(list))
		}
		list = append(list, msg.copied())
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	r, err := m.room(id)
	if err != nil || len(list) == 0 {
		return first, last, 0, err
	}
	r.messages = append(r.messages, list...)
	return list[0].SentAt, list[len(list)-1].SentAt, len(list), nil
}

// Delete implements [Server].
func (m *Memory) Delete(_ context.Context, id RoomID) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	_, err := m.room(id)
	delete(m.rooms, id)
	return err
}

// Moderation implements [Server].
func (m *Memory) Moderation() Moderation { return moderation{m} }

type moderation struct{ *Memory }

// Ban implements [Moderation].
func (m moderation) Ban(_ context.Context, id RoomID, user UserID, reason *string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	r, err := m.room(id)
	if err != nil {
		return err
	}
	r.banned[user] = reason
	return nil
}

// Banned implements [Moderation].
func (m moderation) Banned(_ context.Context, id RoomID) (map[UserID]*string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r, err := m.room(id)
	if err != nil {
		return nil, err
	}
	return maps.Clone(r.banned), nil
}

// Redact implements [Moderation].
func (m moderation) Redact(_ context.Context, id RoomID, ids ...uuid.UUID) iter.Seq2[Message, error] {
	return func(yield func(Message, error) bool) {
		for _, one := range ids {
			m.mu.Lock()
			r, err := m.room(id)
			var before Message
			if err == nil {
				var msg *Message
				if msg, err = r.message(one); err == nil {
					before = *msg.copied()
					msg.Text, msg.Blocks = "", nil
				}
			}
			m.mu.Unlock()
			if err != nil {
				yield(Message{}, err)
				return
			}
			if !yield(before, nil) {
				return
			}
		}
	}
}
