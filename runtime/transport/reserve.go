package transport

import (
	"math"
	"runtime"
	"runtime/debug"
	"sync"
)

// Long payloads that are given away become garbage as fast as a link brings them, and a process with a small heap would collect it every few dozen
// of them, which costs more than all the rest. So there is a reserve as long as they come: memory that is never touched, which the system
// therefore does not have to provide, but by which the collector lets that much more garbage come together.
const (
	reserveSize = 16 << 20
	reserveFrom = 1 << 20 // bytes given away from one collection to the next
)

var reserve struct {
	sync.Mutex
	given  int // since the last collection
	watch  bool
	memory []byte
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
	if r.given >= reserveFrom && r.memory == nil && debug.SetMemoryLimit(-1) == math.MaxInt64 { // else somebody wants to have less memory, not less work
		r.memory = make([]byte, reserveSize)
	}
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
	r.given = 0
}
