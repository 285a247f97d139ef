package testkit

import (
	"runtime"
	"sync"
	"time"
)

// LiveHeap is how many bytes of the heap are in use, and not only because the collector has not looked yet.
func LiveHeap() int {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC() // what pools keep goes with the second
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}

// Held is by how much the live heap is above before. What others make while the collector looks counts as well, much of it on a busy machine, so it looks again while that is
// over a limit: what is really held stays.
func Held(before, limit int) int {
	held := LiveHeap() - before
	for i := 0; i < 20 && held > limit; i++ {
		held = min(held, LiveHeap()-before)
	}
	return held
}

// WatchHeap looks at the live heap every now and then, until the function that it returns is called, which says by how much it had grown at the most since the start.
func WatchHeap(every time.Duration) (grown func() int) {
	before := LiveHeap()
	most, stop := 0, make(chan struct{})
	var looking sync.WaitGroup
	tick := time.NewTicker(every)
	looking.Go(func() {
		defer tick.Stop()
		for {
			select {
			case <-stop:
				return
			case <-tick.C:
				most = max(most, min(LiveHeap(), LiveHeap())-before) // see Held
			}
		}
	})
	return func() int {
		close(stop)
		looking.Wait()
		return max(most, LiveHeap()-before)
	}
}
