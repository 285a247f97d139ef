package rawpeer

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/daffi-rpc/daffi/runtime/internal/control"
	"github.com/daffi-rpc/daffi/runtime/internal/golden"
	"github.com/daffi-rpc/daffi/runtime/transport"
)

// Corpus is frames as they must be, from which others are made that must not be.
type Corpus [][]byte

// maxSample is how much of a payload a corpus keeps: longer ones cost time, and lead to nothing that shorter ones do not.
const maxSample = 1 << 10

// ReadCorpus reads the golden frames and the recorded sessions of the directory testdata/frames.
func ReadCorpus(dir string) (c Corpus, err error) {
	files, err := filepath.Glob(filepath.Join(dir, "v1", "*.hex"))
	if err != nil {
		return nil, err
	}
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		b, err := golden.Bytes(text)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		c.add(b)
	}
	sessions, err := filepath.Glob(filepath.Join(dir, "sessions", "*"))
	if err != nil {
		return nil, err
	}
	for _, name := range sessions {
		text, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		if err := c.addSession(string(text)); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	if len(c) == 0 {
		return nil, errors.New("no frames at " + dir)
	}
	return c, nil
}

func (c *Corpus) add(frame []byte) {
	if len(frame) < transport.HeaderSize {
		return
	}
	frame = frame[:min(len(frame), transport.HeaderSize+maxSample)]
	binary.LittleEndian.PutUint32(frame, uint32(len(frame)-transport.HeaderSize))
	*c = append(*c, frame)
}

func (c *Corpus) addSession(text string) error {
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "#")
		words := strings.SplitN(strings.TrimSpace(line), " ", 3)
		if len(words) < 3 || !strings.ContainsAny(words[1][:1], "<>") {
			continue
		}
		tokens, err := golden.Tokens(words[2])
		if err != nil {
			return err
		}
		var b []byte
		for _, t := range tokens {
			b = append(b, t.Bytes...)
		}
		c.add(b)
	}
	return nil
}

// Side is whose frames a [Mutator] makes.
type Side uint8

// Who may speak to a node or a controller.
const (
	Stranger Side = iota // one that has not joined, of either side
	FromNode
	FromController
)

// kinds are what a side may send, and what it does not send is made of.
var kinds = map[Side][]transport.Kind{
	Stranger: {transport.Hello, transport.Challenge, transport.Proof, transport.Welcome, transport.Refuse, transport.Resume},
	FromNode: {transport.Request, transport.Control, transport.Cancel, transport.Data, transport.Chunk, transport.Credit, transport.Grant, transport.Reply, transport.Error,
		transport.Stop, transport.Ping, transport.Pong, transport.Drain},
	FromController: {transport.Request, transport.Control, transport.Cancel, transport.Data, transport.Chunk, transport.Credit, transport.Grant, transport.Reply, transport.Error,
		transport.Stop, transport.Ping, transport.Pong, transport.Drain, transport.Peer, transport.Accepted},
}

// answers are the control messages that only a controller sends.
var answers = []control.Op{control.OpOK, control.OpFailed, control.OpRoutes, control.OpFound, control.OpTable, control.OpMissing, control.OpInspected, control.OpSessions, control.OpScheduled,
	control.OpTaskList, control.OpTaskState, control.OpRuns, control.OpIntroduce}

// Mutator makes frames that are wrong somewhere of frames that are right, the same ones for the same seed. Most are such that the connection lives on, since what follows one that
// is not would never be looked at.
type Mutator struct {
	side    Side
	all     Corpus
	usual   Corpus // what the side sends
	r       *rand.Rand
	highest uint64 // generation that was made up

	mu    sync.Mutex
	calls [64]uint64 // ids that mean something to the peer
	seen  int
}

// Usual is what a side says, with the rest of the corpus for what it should not; its mutators share it.
type Usual struct {
	side       Side
	all, usual Corpus
}

// Of returns what a side says.
func (c Corpus) Of(side Side) *Usual {
	u := &Usual{side: side, all: c}
	for _, f := range c {
		if !slices.Contains(kinds[side], transport.Kind(f[4])) {
			continue
		}
		if op := f[transport.HeaderSize:]; transport.Kind(f[4]) == transport.Control && len(op) > 1 && slices.Contains(answers, control.Op(op[1])) == (side == FromNode) {
			continue
		}
		u.usual = append(u.usual, f)
	}
	return u
}

// Mutator returns one that takes its chances from r.
func (u *Usual) Mutator(r *rand.Rand) *Mutator {
	return &Mutator{side: u.side, all: u.all, usual: u.usual, r: r}
}

// Call makes m use the id of a call every now and then. It may be called at any time.
func (m *Mutator) Call(id uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.calls[m.seen%len(m.calls)] = id
	m.seen++
}

// call returns one of these ids.
func (m *Mutator) call() (id uint64, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.seen == 0 {
		return 0, false
	}
	return m.calls[m.r.IntN(min(m.seen, len(m.calls)))], true
}

// numbers are where arithmetic goes wrong.
var numbers = []uint64{
	0, 1, 2, 3, 127, 128, 255, 256, 1023, 1024, 4095, 4096, 4097, 1<<16 - 1, 1 << 16, transport.MaxPayload, transport.MaxPayload + 1, transport.MaxCalls - 1, transport.MaxCalls,
	1<<20 - 1, 1 << 20, transport.MaxMessage, transport.MaxMessage + 1, math.MaxInt32 - 32, math.MaxInt32, math.MaxInt32 + 1, math.MaxUint32 - 31, math.MaxUint32, math.MaxInt64, 1 << 63, math.MaxUint64,
}

// codecs are bytes that say more than they hold, or that no encoder writes.
var codecs = [][]byte{
	{0xdd, 0xff, 0xff, 0xff, 0xff}, {0xdf, 0xff, 0xff, 0xff, 0xff}, {0xdb, 0xff, 0xff, 0xff, 0xff}, {0xc6, 0xff, 0xff, 0xff, 0xff}, {0xc9, 0xff, 0xff, 0xff, 0xff, 0xff},
	{0xc1}, {0xc0}, {0x90}, {0x80}, {0xa0}, {0xcf, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, {0xd3, 0x80, 0, 0, 0, 0, 0, 0, 0}, {0xcb, 0x7f, 0xf8, 0, 0, 0, 0, 0, 1},
	{0xa2, 0xff, 0xfe}, {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01}, {0x28, 0xb5, 0x2f, 0xfd}, {0xdc, 0x00, 0x10}, {0x9f, 0x9f, 0x9f, 0x9f, 0x9f, 0x9f, 0x9f, 0x9f},
}

func (m *Mutator) number() uint64 { return numbers[m.r.IntN(len(numbers))] }

// Append appends a frame to b.
func (m *Mutator) Append(b []byte) []byte {
	from := len(b)
	if m.r.IntN(64) == 0 {
		b = append(b, m.all[m.r.IntN(len(m.all))]...)
	} else {
		b = append(b, m.usual[m.r.IntN(len(m.usual))]...)
	}
	if changes := m.r.IntN(4); m.side == Stranger || transport.Kind(b[from+4]) != transport.Control || m.r.IntN(8) == 0 {
		for range changes {
			b = m.payload(b, from+transport.HeaderSize)
		}
	}
	length := len(b) - from - transport.HeaderSize
	binary.LittleEndian.PutUint32(b[from:], uint32(length))
	for range 1 + m.r.IntN(3) {
		m.header(b[from:])
	}
	if m.r.IntN(48) != 0 {
		m.tidy(b[from:])
	}
	switch m.r.IntN(400) {
	case 0: // the length lies
		binary.LittleEndian.PutUint32(b[from:], uint32(m.number()))
	case 1: // noise
		for i := from; i < len(b); i++ {
			b[i] = byte(m.r.Uint32())
		}
	case 2: // cut
		b = b[:from+1+m.r.IntN(len(b)-from)]
	}
	return b
}

// tidy undoes what would end the connection before anything else of the frame is looked at.
func (m *Mutator) tidy(b []byte) {
	if len(b) != transport.HeaderSize+4 {
		b[5] &^= byte(transport.Large)
	}
	id := binary.LittleEndian.Uint64(b[8:])
	kind := transport.Kind(b[4])
	opens := kind == transport.Request || kind == transport.Cancel
	answers := kind == transport.Reply || kind == transport.Error || kind == transport.Stop
	switch {
	case kind == transport.Control || m.side == Stranger:
		return
	case kind == transport.Request && m.r.IntN(16) != 0: // one that was not there before
		m.highest++
		id = transport.CallID(m.r.Uint32N(64), m.highest)
		if m.side == FromController {
			id |= transport.Served
		}
		m.Call(id)
	case m.r.IntN(4) != 0:
		if known, ok := m.call(); ok {
			id = known
		}
	}
	switch {
	case m.side == FromNode && answers || m.side == FromController && opens:
		id |= transport.Served
	case m.side == FromNode && opens || m.side == FromController && answers:
		id &^= transport.Served
	}
	binary.LittleEndian.PutUint64(b[8:], id)
}

// header changes a field of a header.
func (m *Mutator) header(b []byte) {
	switch m.r.IntN(16) {
	case 0:
		if m.r.IntN(16) == 0 {
			b[4] = byte(m.r.Uint32())
		} else {
			b[4] = byte(kinds[m.side][m.r.IntN(len(kinds[m.side]))])
		}
	case 1, 2:
		b[5] ^= 1 << m.r.IntN(8)
	case 3:
		b[6] = byte(m.number())
	case 4, 5:
		b[7] ^= 1 << m.r.IntN(8)
	case 6, 7, 8: // a small slot and generation, of either side
		id := transport.CallID(m.r.Uint32N(8), 1+m.r.Uint64N(64))
		if b[15]&0x80 != 0 || m.r.IntN(4) == 0 {
			id |= transport.Served
		}
		binary.LittleEndian.PutUint64(b[8:], id)
	case 9:
		binary.LittleEndian.PutUint64(b[8:], m.number())
	case 10, 11:
		binary.LittleEndian.PutUint32(b[16:], m.r.Uint32N(16))
	case 12:
		binary.LittleEndian.PutUint32(b[16:], uint32(m.number()))
	case 13:
		binary.LittleEndian.PutUint32(b[20:], m.r.Uint32N(16))
	case 14:
		binary.LittleEndian.PutUint32(b[20:], uint32(m.number()))
	case 15:
		binary.LittleEndian.PutUint64(b[24:], m.number())
	}
}

// payload changes what follows b[from:].
func (m *Mutator) payload(b []byte, from int) []byte {
	n := len(b) - from
	at := from
	if n > 0 {
		at += m.r.IntN(n)
	}
	switch m.r.IntN(8) {
	case 0:
		return b[:at]
	case 1:
		if n > 0 {
			b[at] ^= 1 << m.r.IntN(8)
		}
	case 2:
		if n > 0 {
			b[at] = byte(m.r.Uint32())
		}
	case 3: // a count or a length, of one byte or more
		if n > 4 {
			at = min(at, len(b)-4)
			binary.BigEndian.PutUint32(b[at:], uint32(m.number()))
		}
	case 4:
		return append(b[:at], codecs[m.r.IntN(len(codecs))]...)
	case 5: // twice
		return append(b, b[at:]...)
	case 6: // what belongs to another frame
		other := m.all[m.r.IntN(len(m.all))][transport.HeaderSize:]
		return append(b[:at], other[min(len(other), m.r.IntN(len(other)+1)):]...)
	case 7:
		word := codecs[m.r.IntN(len(codecs))]
		copy(b[at:], word)
	}
	return b
}
