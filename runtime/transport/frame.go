package transport

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
)

// Limits of a frame; see the package comment.
const (
	HeaderSize    = 32
	MaxContent    = 64 << 10         // content of one frame (LIM-5)
	MaxPayload    = MaxContent + 256 // with what wraps it
	MaxUnproven   = 4 << 10          // payload before authentication (LIM-1)
	MaxMessage    = 4 << 20          // default of a message (LIM-6)
	BulkThreshold = 16 << 10         // a message above this travels in the bulk lane
	MinCost       = 256              // what a Data frame costs at least
	MinCredit     = 1 << 10          // of each stream direction: what it begins with, and always has (LIM-13)
	InitialCredit = 16 << 10         // what an output begins with if its Request says Wide
	MaxCredit     = 1 << 20          // of each stream direction (LIM-13)
	MaxDepth      = 32               // calls within calls (LIM-20)
	SlotBits      = 20               // of a call id
	MaxCalls      = 1 << 16          // slots that one side may use at a time
	MaxStreams    = 10 << 10         // stream directions that a node receives at a time on one link (LIM-12)
	slotMask      = 1<<SlotBits - 1
	MaxGeneration = 1<<(63-SlotBits) - 1 // of a slot
)

// Kind says what a frame is. The numbers are the wire's; retired ones are never used again.
type Kind uint8

// The kinds.
const (
	Hello     Kind = 1
	Challenge Kind = 2
	Proof     Kind = 3
	Welcome   Kind = 4
	Refuse    Kind = 5

	Ping    Kind = 8
	Pong    Kind = 9
	Goodbye Kind = 10
	Drain   Kind = 11
	Ack     Kind = 12
	Resume  Kind = 13

	Control Kind = 16
	Peer    Kind = 17

	Request  Kind = 32
	Accepted Kind = 33
	Reply    Kind = 34
	Error    Kind = 35
	Data     Kind = 36
	Chunk    Kind = 37
	Credit   Kind = 38
	Cancel   Kind = 39
	Stop     Kind = 40
	Grant    Kind = 41
)

var kindNames = [...]string{
	Hello: "Hello", Challenge: "Challenge", Proof: "Proof", Welcome: "Welcome", Refuse: "Refuse",
	Ping: "Ping", Pong: "Pong", Goodbye: "Goodbye", Drain: "Drain", Ack: "Ack", Resume: "Resume", Control: "Control", Peer: "Peer",
	Request: "Request", Accepted: "Accepted", Reply: "Reply", Error: "Error", Data: "Data", Chunk: "Chunk",
	Credit: "Credit", Cancel: "Cancel", Stop: "Stop", Grant: "Grant",
}

func (k Kind) String() string {
	if k.Known() {
		return kindNames[k]
	}
	return "kind " + strconv.Itoa(int(k))
}

// Known reports whether k is a kind of this version.
func (k Kind) Known() bool { return int(k) < len(kindNames) && kindNames[k] != "" }

// Handshake reports whether k is one of the frames that are exchanged before a link is authenticated.
func (k Kind) Handshake() bool { return k >= Hello && k <= Refuse }

// numbered reports whether the bytes of such frames count in the offsets of a resumable link.
func (k Kind) numbered() bool { return !k.Handshake() && k != Ack && k != Resume }

// Flags of a frame.
type Flags uint8

const (
	Large    Flags = 1 << iota // the payload is the length of a message that follows in chunks, once granted
	Zstd                       // the message is compressed
	Bulk                       // the frame travels in the bulk lane
	More                       // further chunks follow
	End                        // the input is complete
	Meta                       // the message begins with metadata
	Broken                     // with End: the input broke; the payload is why, instead of items
	Optional                   // a receiver that does not know the kind skips the frame
)

// Mode of a Request.
type Mode uint8

const (
	Oneway Mode = 1 << iota // no reply is awaited
	Input                   // the caller sends a stream
	Output                  // the callee sends a stream
	Each                    // the input's items are the arguments of one invocation each
	Keyed                   // peer is the hash of what decides the provider
	Tagged                  // the message begins with a tag
	Wide                    // the output begins with InitialCredit

	knownModes = Oneway | Input | Output | Each | Keyed | Tagged | Wide
)

// Unknown is those bits of m that this version does not know. They may change what the message is, so whoever meets some refuses the call.
func (m Mode) Unknown() Mode { return m &^ knownModes }

// Header is what a frame begins with. The zero value of a field that a kind does not use is what is sent.
type Header struct {
	Kind  Kind
	Flags Flags
	Depth uint8
	Mode  Mode
	Call  uint64
	Route uint32
	Peer  uint32
	Arg   uint64
}

// CallID makes a call's id of a slot and its generation.
func CallID(slot uint32, generation uint64) uint64 {
	return generation<<SlotBits | uint64(slot)&slotMask
}

// Served is set in the id of every call that the controller opened towards a node, so that a node's own calls and those that it serves
// are told apart in either direction.
const Served uint64 = 1 << 63

// SlotOf is the slot in a call's id, GenerationOf the generation.
func SlotOf(call uint64) uint32       { return uint32(call & slotMask) }
func GenerationOf(call uint64) uint64 { return call &^ Served >> SlotBits }

// A Frame is a header and a payload.
//
// In a [Handler]'s call the payload is borrowed: it is valid until the call returns, unless Buf is set, which the handler may keep by
// [Frame.Own]. In [Link.Enqueue] a Buf passes to the link, which releases it in any case; a payload without one is copied.
type Frame struct {
	Header
	Payload []byte
	Buf     *Buffer
}

// Own makes the payload the caller's: it returns a buffer that holds it, copying where the payload was borrowed, or is but a part of what
// others refer to as well or of what is much larger. The frame's own reference is gone afterwards.
func (f *Frame) Own() *Buffer {
	b := f.Buf
	switch {
	case b != nil && len(b.B) == len(f.Payload):
	case b != nil && b.Sole() && len(f.Payload) >= b.Size()/2:
		b.whole, b.B = b.B[:cap(b.B)], f.Payload
	default:
		b = NewBuffer(len(f.Payload))
		b.B = append(b.B, f.Payload...)
		f.Release()
		return b
	}
	f.Buf, f.Payload = nil, nil
	return b
}

// Release gives the frame's buffer back, if it has one.
func (f *Frame) Release() {
	if f.Buf != nil {
		f.Buf.Release()
	}
	f.Buf, f.Payload = nil, nil
}

// Cost is what a Data frame takes of its stream's credit.
func Cost(payload int) int {
	if payload == 0 {
		return 0
	}
	return max(payload, MinCost)
}

// AppendFrame appends header and payload to b. It does not look at the length: [Link.Enqueue] does.
func AppendFrame(b []byte, h *Header, payload []byte) []byte {
	b = AppendHeader(b, h, len(payload))
	return append(b, payload...)
}

// AppendHeader appends the header of a frame whose payload has length bytes.
func AppendHeader(b []byte, h *Header, length int) []byte {
	var x [HeaderSize]byte
	binary.LittleEndian.PutUint32(x[0:], uint32(length))
	x[4], x[5], x[6], x[7] = byte(h.Kind), byte(h.Flags), h.Depth, byte(h.Mode)
	binary.LittleEndian.PutUint64(x[8:], h.Call)
	binary.LittleEndian.PutUint32(x[16:], h.Route)
	binary.LittleEndian.PutUint32(x[20:], h.Peer)
	binary.LittleEndian.PutUint64(x[24:], h.Arg)
	return append(b, x[:]...)
}

// ErrProtocol is wrapped by every error that a peer's bytes cause; the link they came on is closed.
var ErrProtocol = errors.New("protocol error")

// ParseHeader reads a header from the first [HeaderSize] bytes of b, and the payload's length, which is at most limit. It refuses what
// no peer may send; b must be long enough.
func ParseHeader(b []byte, limit int) (h Header, length int, err error) {
	_ = b[HeaderSize-1]
	n := binary.LittleEndian.Uint32(b[0:])
	h = Header{
		Kind: Kind(b[4]), Flags: Flags(b[5]), Depth: b[6], Mode: Mode(b[7]),
		Call:  binary.LittleEndian.Uint64(b[8:]),
		Route: binary.LittleEndian.Uint32(b[16:]),
		Peer:  binary.LittleEndian.Uint32(b[20:]),
		Arg:   binary.LittleEndian.Uint64(b[24:]),
	}
	if uint64(n) > uint64(limit) {
		return h, 0, fmt.Errorf("%w: %v frame of %d bytes, at most %d are allowed here", ErrProtocol, h.Kind, n, limit)
	}
	if !h.Kind.Known() {
		return h, int(n), unknownKind(&h)
	}
	if h.Flags&Large != 0 && n != 4 {
		return h, 0, fmt.Errorf("%w: large %v announced in %d bytes instead of 4", ErrProtocol, h.Kind, n)
	}
	return h, int(n), nil
}

// unknownKind is what a frame of a kind that this version does not know leads to: nothing where its sender can do without an answer.
func unknownKind(h *Header) error {
	if h.Flags&Optional != 0 {
		return nil
	}
	return fmt.Errorf("%w: frame of the unknown %v, which is not optional: the peer is of a later version, or does not speak daffi", ErrProtocol, h.Kind)
}

// ParseFrame reads one frame from b. The payload is part of b; rest is what follows. ok is false, without an error, while b does not hold
// the whole frame.
func ParseFrame(b []byte, limit int) (f Frame, rest []byte, ok bool, err error) {
	if len(b) < HeaderSize {
		return f, b, false, nil
	}
	h, n, err := ParseHeader(b, limit)
	if err != nil {
		return f, b, false, err
	}
	if len(b)-HeaderSize < n {
		return f, b, false, nil
	}
	end := HeaderSize + n
	return Frame{Header: h, Payload: b[HeaderSize:end:end]}, b[end:], true, nil
}

// AnnouncedLength is the length in the payload of a frame with the flag Large.
func AnnouncedLength(payload []byte) int64 {
	if len(payload) < 4 {
		return 0
	}
	return int64(binary.LittleEndian.Uint32(payload))
}

// AppendAnnounced appends the payload that announces a message of n bytes.
func AppendAnnounced(b []byte, n int) []byte { return binary.LittleEndian.AppendUint32(b, uint32(n)) }
