package transport

import (
	"errors"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// ACC-43: every bomb is refused for its reason, the memory of the node grows by little for each, and a thousand at once wait for the decoders without holding any.
func TestACC43LIM7Bombs(t *testing.T) {
	c := NewCompressor()
	defer c.Close()
	warm, err := c.Unpack(c.Compress(nil, text(MaxMessage)), MaxMessage, nil) // what is made once
	if err != nil {
		t.Fatal(err)
	}
	warm.Release()
	bombs := badFrames()
	slowest := time.Duration(0)
	for name, bomb := range bombs {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		begun := time.Now()
		out, err := c.Unpack(bomb.frame, MaxMessage, nil)
		slowest = max(slowest, time.Since(begun))
		runtime.ReadMemStats(&after)
		if out != nil || !errors.Is(err, ErrCompressed) || !strings.Contains(err.Error(), bomb.want) {
			t.Errorf("%s: %v, want %q", name, err, bomb.want)
		}
		if n := after.TotalAlloc - before.TotalAlloc; n > 8<<20 {
			t.Errorf("%s: allocated %d bytes", name, n)
		}
	}
	// What is refused by its header costs nothing; of the rest the decoder makes as much as a message may have, at most.
	if slowest > 10*time.Second {
		t.Errorf("a bomb took %v", slowest)
	}
	t.Logf("%d bombs, the slowest took %v", len(bombs), slowest)

	names := slices.Collect(func(yield func(string) bool) {
		for range 1000/len(bombs) + 1 {
			for name := range bombs {
				if !yield(name) {
					return
				}
			}
		}
	})
	var before, during runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for range cap(c.decoders.slots) { // all decoders are busy
		c.decoders.slots <- struct{}{}
	}
	var wg sync.WaitGroup
	for _, name := range names {
		wg.Go(func() {
			if out, err := c.Unpack(bombs[name].frame, MaxMessage, nil); out != nil || !errors.Is(err, ErrCompressed) {
				t.Errorf("%s: %v", name, err)
			}
		})
	}
	for range 100 {
		runtime.Gosched()
	}
	time.Sleep(10 * time.Millisecond) // nothing depends on how far they are
	runtime.GC()
	runtime.ReadMemStats(&during)
	for range cap(c.decoders.slots) {
		<-c.decoders.slots
	}
	most := int64(0)
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	for running := true; running; {
		select {
		case <-done:
			running = false
		default:
			var now runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&now)
			most = max(most, int64(now.HeapAlloc)-int64(before.HeapAlloc))
		}
	}
	waiting := int64(during.HeapAlloc) - int64(before.HeapAlloc)
	t.Logf("%d at once: %d bytes more while they waited, %d bytes while they were looked at", len(names), waiting, most)
	if waiting > 8<<20 || most > 64<<20 {
		t.Errorf("%d bytes more, and %d", waiting, most)
	}
}
