package transport

import (
	"math"
	"runtime"
	"runtime/metrics"
	"sync"
)

// Long payloads that are given away, and what the items of a busy stream are decoded to, become garbage as fast as a link brings them, and a process with a small heap
// would collect it all the time: that takes half of the throughput of 64 KiB items, and a quarter of that of small ones. So there is a reserve as long as they come: memory
// that is never touched, which as a rule the system does not have to provide, but by which the collector lets that much more garbage come together. A process that has set how its
// collector works, by GOGC or a memory limit, is left alone, and one with a larger heap does not need it.
const (
	reserveSize = 16 << 20
	reserveFrom = 1 << 20 // bytes given away from one collection to the next
	reserveHeap = 64 << 20
	decodedFrom = 4 << 10 // bytes of items in a frame
)

var reserve struct {
	sync.Mutex
	given  int // since the last collection
	watch  bool
	asked  bool // whether it is wanted, since the last collection
	memory []byte
}

// Decoded accounts for n bytes of the items of a stream that were decoded. Few at once are not worth it.
func Decoded(n int) {
	if n >= decodedFrom {
		giveAway(n)
	}
}

// giveAway accounts for n bytes that were given away.
func giveAway(n int) {
	r := &reserve
	r.Lock()
	defer r.Unlock()
	r.given += n
	if !r.watch {
		r.watch = true
		watchCollection()
	}
	if r.given >= reserveFrom && r.memory == nil && !r.asked {
		r.asked = true
		if wantsReserve() {
			r.memory = make([]byte, reserveSize)
		}
	}
}

// wantsReserve reports whether the collector works as it does by default, and for a small heap.
func wantsReserve() bool {
	sample := []metrics.Sample{{Name: "/gc/gogc:percent"}, {Name: "/gc/gomemlimit:bytes"}, {Name: "/gc/heap/live:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64() == 100 && sample[1].Value.Uint64() == math.MaxInt64 && sample[2].Value.Uint64() < reserveHeap
}

// watchCollection has collected called after the next collection.
func watchCollection() {
	mark := new([32]byte) // too large to be allocated together with what is not garbage
	runtime.AddCleanup(mark, func(struct{}) { collected() }, struct{}{})
}

// collected lets the reserve go when hardly anything was given away.
func collected() {
	r := &reserve
	r.Lock()
	defer r.Unlock()
	if r.given < reserveFrom {
		r.memory, r.watch = nil, false
	} else {
		watchCollection()
	}
	r.given, r.asked = 0, false
}
