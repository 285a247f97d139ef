package transport

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"math/rand/v2"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
)

// sample is one valid frame of every kind, with every field set.
func sample() [][]byte {
	var frames [][]byte
	for k := range Kind(len(kindNames)) {
		if !k.Known() {
			continue
		}
		h := Header{Kind: k, Flags: Bulk | End, Depth: 3, Mode: Input | Each, Call: CallID(7, 9) | Served, Route: 11, Peer: 13, Arg: math.MaxUint64}
		frames = append(frames, AppendFrame(nil, &h, []byte("payload of a frame")))
	}
	h := Header{Kind: Request, Flags: Large | Zstd | Meta}
	frames = append(frames, AppendFrame(nil, &h, AppendAnnounced(nil, 1<<20)))
	frames = append(frames, AppendFrame(nil, &Header{Kind: 200, Flags: Optional}, nil))
	return frames
}

func TestFrameLayout(t *testing.T) {
	h := Header{Kind: Request, Flags: Zstd | Bulk, Depth: 5, Mode: Oneway | Output, Call: 0x1122334455667788, Route: 0x01020304, Peer: 0x0a0b0c0d, Arg: 0xf1f2f3f4f5f6f7f8}
	b := AppendFrame(nil, &h, []byte{0xaa, 0xbb})
	require.Equal(t, []byte{
		2, 0, 0, 0, 32, 2 | 4, 5, 1 | 4,
		0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11,
		4, 3, 2, 1, 0x0d, 0x0c, 0x0b, 0x0a,
		0xf8, 0xf7, 0xf6, 0xf5, 0xf4, 0xf3, 0xf2, 0xf1,
		0xaa, 0xbb,
	}, b, "the layout is the wire's: it must not change")
	f, rest, ok, err := ParseFrame(append(b, 0xcc), MaxPayload)
	require.NoError(t, err)
	require.True(t, ok)
	require.Equal(t, h, f.Header)
	require.Equal(t, []byte{0xaa, 0xbb}, f.Payload)
	require.Equal(t, []byte{0xcc}, rest)
}

func TestKindNumbersAreTheWires(t *testing.T) {
	want := map[Kind]uint8{Hello: 1, Challenge: 2, Proof: 3, Welcome: 4, Refuse: 5, Ping: 8, Pong: 9, Goodbye: 10, Drain: 11, Ack: 12, Resume: 13, Control: 16, Peer: 17,
		Request: 32, Accepted: 33, Reply: 34, Error: 35, Data: 36, Chunk: 37, Credit: 38, Cancel: 39, Stop: 40, Grant: 41}
	for k := range 256 {
		require.Equal(t, want[Kind(k)] != 0, Kind(k).Known(), "kind %d", k)
	}
	for k, n := range want {
		require.Equal(t, n, uint8(k))
		require.True(t, k.Known())
		require.NotContains(t, k.String(), "kind ")
	}
}

func TestD56I4LIM5FrameLimits(t *testing.T) {
	head := func(n uint32) []byte {
		b := AppendHeader(nil, &Header{Kind: Data}, 0)
		binary.LittleEndian.PutUint32(b, n)
		return b
	}
	for _, limit := range []int{MaxUnproven, MaxPayload} {
		_, _, ok, err := ParseFrame(append(head(uint32(limit)), make([]byte, limit)...), limit)
		require.NoError(t, err)
		require.True(t, ok, "at the limit")
		for _, n := range []uint32{uint32(limit) + 1, 1 << 30, math.MaxInt32, math.MaxInt32 + 1, math.MaxUint32} {
			_, _, ok, err := ParseFrame(head(n), limit)
			require.ErrorIs(t, err, ErrProtocol, "refused before anything of it has come")
			require.False(t, ok)
		}
	}
}

func TestFrameRules(t *testing.T) {
	for name, c := range map[string]struct {
		h       Header
		payload string
		ok      bool
	}{
		"known":            {Header{Kind: Ping}, "", true},
		"unknown":          {Header{Kind: 99}, "", false},
		"unknown optional": {Header{Kind: 99, Flags: Optional}, "", true},
		"announced":        {Header{Kind: Reply, Flags: Large}, "abcd", true},
		"announced badly":  {Header{Kind: Reply, Flags: Large}, "abc", false},
	} {
		_, _, ok, err := ParseFrame(AppendFrame(nil, &c.h, []byte(c.payload)), MaxPayload)
		require.Equal(t, c.ok, ok && err == nil, name)
		if !c.ok {
			require.ErrorIs(t, err, ErrProtocol, name)
		}
	}
}

func TestCallIDs(t *testing.T) {
	for _, slot := range []uint32{0, 1, MaxCalls - 1, 1<<SlotBits - 1} {
		for _, gen := range []uint64{1, 2, 1 << 32, MaxGeneration} {
			id := CallID(slot, gen)
			require.Equal(t, slot, SlotOf(id))
			require.Equal(t, gen, GenerationOf(id))
			require.Zero(t, id&Served)
			require.Equal(t, slot, SlotOf(id|Served))
			require.Equal(t, gen, GenerationOf(id|Served))
		}
	}
}

func TestOwn(t *testing.T) {
	borrowed := []byte("borrowed")
	f := Frame{Payload: borrowed}
	b := f.Own()
	borrowed[0] = 'X'
	require.Equal(t, "borrowed", string(b.B))
	b.Release()

	whole := NewBuffer(4)
	whole.B = append(whole.B, "abcd"...)
	f = Frame{Payload: whole.B, Buf: whole}
	require.Same(t, whole, f.Own())
	f = Frame{Payload: whole.B[1:3], Buf: whole.Retain()}
	part := f.Own()
	require.Equal(t, "bc", string(part.B))
	require.NotSame(t, whole, part)
	part.Release()
	f = Frame{Payload: whole.B[1:3], Buf: whole}
	part = f.Own()
	require.NotSame(t, whole, part, "a little of a buffer does not keep all of it")
	part.Release()

	long := NewBuffer(MaxPayload)
	long.B = long.B[:cap(long.B)]
	f = Frame{Payload: long.B[32 : 32+MaxPayload], Buf: long}
	require.Same(t, long, f.Own())
	require.Len(t, long.B, MaxPayload)
	require.Equal(t, frameSize, long.Size())
	long.Release()
	require.Equal(t, frameSize, cap(long.B), "it is reused as a whole")
	require.Panics(t, whole.Release, "a buffer released twice is a bug that must not stay hidden")
}

func TestMalformedFramesAllocateNothing(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	b := make([]byte, 256)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	refused := 0
	for range 200_000 {
		for i := 0; i < len(b); i += 8 {
			binary.LittleEndian.PutUint64(b[i:], rng.Uint64())
		}
		if rng.IntN(2) == 0 {
			binary.LittleEndian.PutUint32(b, uint32(rng.IntN(300)))
		}
		if _, _, _, err := ParseFrame(b[:rng.IntN(len(b))], MaxPayload); err != nil {
			refused++
		}
	}
	runtime.ReadMemStats(&after)
	require.Positive(t, refused)
	require.Less(t, after.HeapAlloc, before.HeapAlloc+64<<20)
}

// collector is a handler that keeps copies of what it gets.
type collector struct {
	frames []Frame
	err    error
}

func (c *collector) HandleFrame(f *Frame) error {
	c.frames = append(c.frames, Frame{Header: f.Header, Payload: bytes.Clone(f.Payload)})
	return nil
}
func (c *collector) HandleBatch()           {}
func (c *collector) HandleClosed(err error) { c.err = err }

// FuzzFrames parses bytes whole, and split at any place: both must give the same frames, or the same kind of end.
func FuzzFrames(f *testing.F) {
	all := bytes.Join(sample(), nil)
	for _, s := range append(sample(), all) {
		f.Add(s, uint16(len(s)/2))
	}
	f.Fuzz(func(t *testing.T, b []byte, split uint16) {
		if len(b) > 1<<20 {
			return
		}
		var whole []Frame
		rest, failed := b, false
		for {
			fr, r, ok, err := ParseFrame(rest, MaxPayload)
			if err != nil {
				require.ErrorIs(t, err, ErrProtocol)
				failed = true
				break
			}
			if !ok {
				break
			}
			again := AppendFrame(nil, &fr.Header, fr.Payload)
			require.Equal(t, rest[:len(again)], again, "what was read is what would be written")
			if fr.Kind.Known() {
				whole = append(whole, fr)
			}
			rest = r
		}
		// The reader of a connection meets the same bytes in two reads.
		at := int(split) % (len(b) + 1)
		c := &collector{}
		l := &conn{c: &twoReads{b[:at], b[at:]}, handler: c}
		l.r.resize(idleRead)
		l.limit.Store(MaxPayload)
		err := l.readFrames()
		require.Equal(t, failed, errors.Is(err, ErrProtocol), "%v", err)
		require.Len(t, c.frames, len(whole))
		for i := range whole {
			require.Equal(t, whole[i].Header, c.frames[i].Header)
			require.True(t, bytes.Equal(whole[i].Payload, c.frames[i].Payload))
		}
	})
}
