package daffi

import (
	"encoding/binary"
	"encoding/hex"
	"errors"

	"github.com/daffi-rpc/daffi/runtime/transport"
)

// tag is what a request carries of the circumstances of its call, before metadata and arguments: see package transport. A plain call has none.
type tag struct {
	attempt uint8    // 0 for the first
	id      callID   // equal in all attempts, zero where the call is not idempotent
	turns   []uint64 // that the call's ancestors hold
	replies bool     // the caller takes metadata of the reply
}

// callID tells the calls of idempotent methods apart.
type callID [16]byte

func (id callID) String() string { return hex.EncodeToString(id[:]) }

// The first byte of a tag.
const (
	tagAttempt = 15 // the bits of the attempt
	tagID      = 16
	tagTurns   = 32
	tagReplies = 64
	maxTag     = 1 + len(callID{}) + 1 + 8*transport.MaxDepth
)

// maxWrap is how much longer than its arguments a request may be.
const maxWrap = maxTag + 2 + maxMetadata

func (t *tag) empty() bool {
	return t.attempt == 0 && t.id == callID{} && len(t.turns) == 0 && !t.replies
}

func (t *tag) size() int {
	n := 1
	if t.empty() {
		return 0
	}
	if t.id != (callID{}) {
		n += len(t.id)
	}
	if len(t.turns) > 0 {
		n += 1 + 8*len(t.turns)
	}
	return n
}

func (t *tag) append(b []byte) []byte {
	first := len(b)
	b = append(b, t.attempt)
	if t.replies {
		b[first] |= tagReplies
	}
	if t.id != (callID{}) {
		b[first] |= tagID
		b = append(b, t.id[:]...)
	}
	if len(t.turns) > 0 {
		b[first] |= tagTurns
		b = append(b, byte(len(t.turns)))
		for _, id := range t.turns {
			b = binary.LittleEndian.AppendUint64(b, id)
		}
	}
	return b
}

var errTag = errors.New("the request's tag cannot be read: the caller may be of a newer version")

// read reads the tag in front of a message and returns its length.
func (t *tag) read(b []byte) (n int, err error) {
	if len(b) == 0 || b[0]&^(tagAttempt|tagID|tagTurns|tagReplies) != 0 {
		return 0, errTag
	}
	bits, rest := b[0], b[1:]
	t.attempt, t.replies = bits&tagAttempt, bits&tagReplies != 0
	if bits&tagID != 0 {
		if len(rest) < len(t.id) {
			return 0, errTag
		}
		rest = rest[copy(t.id[:], rest):]
	}
	if bits&tagTurns != 0 {
		if len(rest) == 0 || rest[0] == 0 || rest[0] > transport.MaxDepth || len(rest) < 1+8*int(rest[0]) {
			return 0, errTag
		}
		t.turns = make([]uint64, rest[0])
		rest = rest[1:]
		for i := range t.turns {
			t.turns[i], rest = binary.LittleEndian.Uint64(rest), rest[8:]
		}
	}
	return len(b) - len(rest), nil
}

// readTag takes up what the call's tag says, if it has one.
func (in *Incoming) readTag() *Error {
	if in.mode&transport.Tagged == 0 {
		return nil
	}
	t := new(tag)
	var err error
	if in.skip, err = t.read(in.payload.B); err != nil {
		return &Error{Code: InvalidArgument, Reason: ReasonDecode, Message: err.Error()}
	}
	in.ctx.tag = t
	return nil
}

// wrap is the message with what goes before it, in a buffer of its own.
func wrap(t *tag, md *metadata, message *transport.Buffer) *transport.Buffer {
	var front []byte
	if md != nil {
		front = md.wire
	}
	b := transport.NewBuffer(t.size() + len(front) + len(message.B))
	if !t.empty() {
		b.B = t.append(b.B)
	}
	b.B = append(append(b.B, front...), message.B...)
	return b
}
