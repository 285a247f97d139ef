package transport

import "time"

// blocks is a lane of encoded frames.
type blocks struct {
	list []block
	size int
}

type block struct {
	buf    *Buffer
	since  time.Time // when its first Request came, and once it is taken, when that was; zero if there is none
	frames int       // all
	counts int       // those that the queue's bound counts
	bytes  int
	credit int  // bytes of the others, which credit or a grant covers
	apart  bool // a frame that is not numbered: nothing else is in the block
}

const blockSize = MaxContent

func (bs *blocks) append(h *Header, payload []byte) {
	size := HeaderSize + len(payload)
	var last *block
	if n := len(bs.list); n > 0 {
		last = &bs.list[n-1]
	}
	switch {
	case last != nil && !last.apart && len(last.buf.B)+size <= cap(last.buf.B):
	case last != nil && !last.apart && cap(last.buf.B) < blockSize && len(last.buf.B)+size <= blockSize:
		big := NewBuffer(blockSize)
		big.B = append(big.B, last.buf.B...)
		last.buf.Release()
		last.buf = big
	case last == nil:
		last = bs.add(max(size, 4<<10))
	default:
		last = bs.add(max(size, blockSize))
	}
	last.buf.B = AppendFrame(last.buf.B, h, payload)
	last.frames++
	bs.size += size
	if h.Kind == Request && last.since.IsZero() {
		last.since = time.Now()
	}
	if credited(h.Kind) {
		last.credit += charge(len(payload))
	} else {
		last.counts++
		last.bytes += size
	}
}

func (bs *blocks) add(size int) *block {
	bs.list = append(bs.list, block{buf: NewBuffer(size)})
	return &bs.list[len(bs.list)-1]
}

// addApart adds a frame that is not numbered.
func (bs *blocks) addApart(h *Header, payload []byte) {
	b := bs.add(HeaderSize + len(payload))
	b.buf.B = AppendFrame(b.buf.B, h, payload)
	b.frames, b.apart = 1, true
	bs.size += len(b.buf.B)
}

func (bs *blocks) pop() block {
	b := bs.list[0]
	copy(bs.list, bs.list[1:])
	bs.list[len(bs.list)-1] = block{}
	bs.list = bs.list[:len(bs.list)-1]
	bs.size -= len(b.buf.B)
	return b
}
