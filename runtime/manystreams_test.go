package daffi_test

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"iter"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	daffi "github.com/daffi-rpc/daffi/runtime"
	"github.com/daffi-rpc/daffi/runtime/daffitest"
	"github.com/daffi-rpc/daffi/runtime/internal/testkit"
	"github.com/daffi-rpc/daffi/runtime/transport"
)

// streamKit is a kit whose server runs as many streams of one caller as a link may have.
func streamKit(t *testing.T) *kit {
	t.Helper()
	k := &kit{net: daffitest.New(t), impl: new(testkit.Impl)}
	k.server = k.net.NodeWith(daffi.Options{Name: "server", MaxRunning: 2 * transport.MaxStreams, MaxRunningPerCaller: 2 * transport.MaxStreams})
	k.client = k.net.Node("client")
	_, err := testkit.RegisterKit(k.server, k.impl)
	require.NoError(t, err)
	k.p = testkit.NewKit(k.client)
	return k
}

// begin opens a stream, takes one item and leaves it idle.
func begin(t *testing.T, seq iter.Seq2[int, error]) (stop func()) {
	t.Helper()
	next, stop := iter.Pull2(seq)
	_, err, ok := next()
	require.True(t, ok)
	require.NoError(t, err)
	return stop
}

// A link has LIM-12's streams, and one more is refused before anything was sent.
func TestLIM12StreamsOverTheLimitAreRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := streamKit(t)
		stops := make([]func(), transport.MaxStreams)
		for i := range stops {
			stops[i] = begin(t, k.p.Count(t.Context(), 1, ""))
		}
		synctest.Wait()
		before := k.net.Controller.Stats()
		for _, err := range k.p.Count(t.Context(), 1, "") {
			requireError(t, err, daffi.ResourceExhausted, daffi.ReasonBusy, daffi.NotRun)
		}
		synctest.Wait()
		require.Equal(t, before.Late, k.net.Controller.Stats().Late)
		stops[0]()
		for _, err := range k.p.Count(t.Context(), 1, "") {
			require.NoError(t, err)
		}
		for _, stop := range stops {
			stop()
		}
		synctest.Wait()
		require.Empty(t, k.client.Held())
		require.Empty(t, k.server.Held())
	})
}

// Streams whose consumers take nothing, as many as there may be, and each with as much on its way as it is granted, hold no more than the budget; one that comes last
// still moves as much as it likes.
func TestIdleStreamsLeaveRoomToGrow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := streamKit(t)
		for i := range 300 {
			if i < 30 { // these have grown, and hold it
				next, stop := iter.Pull2(k.p.Blobs(t.Context(), 1<<30, 4<<10))
				defer stop()
				for range 150 {
					_, err, ok := next()
					require.True(t, ok)
					require.NoError(t, err)
				}
			} else {
				defer begin(t, k.p.Count(t.Context(), 1<<30, ""))()
			}
			require.LessOrEqual(t, daffi.Granted(k.client), 16<<20)
		}
		synctest.Wait()
		sum := 0
		for v, err := range k.p.Count(t.Context(), 10_000, "") {
			require.NoError(t, err)
			sum += v
		}
		require.Equal(t, 10_000*9_999/2, sum)
		n, err := k.p.Size(t.Context(), func(yield func([]byte, error) bool) {
			for range 300 {
				if !yield(make([]byte, 10<<10), nil) {
					return
				}
			}
		})
		require.NoError(t, err)
		require.Equal(t, 300*10<<10, n)
	})
}

// chain is a running hash: equal only if all that went in is, in the same order.
type chain [sha256.Size]byte

func (c *chain) add(item []byte) { *c = sha256.Sum256(append(c[:], item...)) }

func itemOf(stream, i int) []byte {
	b := binary.LittleEndian.AppendUint32(nil, uint32(stream))
	return fmt.Appendf(b, " item %d", i)
}

// ACC-20: many streams on one pair of nodes, all under way at once, in both directions and each in order; and what one that is idle takes of the memory of this process,
// which is caller, controller and callee at once. The same with a process for each is in internal/e2e.
func TestI6ManyStreams(t *testing.T) {
	streams, items := full(1000, 10_000), 100
	k := streamKit(t)
	want := make([]chain, streams)
	for s := range want {
		for i := range items {
			want[s].add(append([]byte("re: "), itemOf(s, i)...))
		}
	}
	before := inUse()
	goOn := make(chan struct{})
	var idle, all sync.WaitGroup
	idle.Add(streams)
	begun := time.Now()
	for s := range streams {
		all.Go(func() {
			var got chain
			n := 0
			for line, err := range k.p.Chat(t.Context(), func(yield func(string, error) bool) {
				for i := range items {
					if i == 1 {
						<-goOn
					}
					if !yield(string(itemOf(s, i)), nil) {
						return
					}
				}
			}) {
				if !assert.NoError(t, err) {
					break
				}
				got.add([]byte(line))
				if n++; n == 1 {
					idle.Done()
				}
			}
			if n == 0 {
				idle.Done()
			}
			assert.Equal(t, items, n)
			assert.Equal(t, want[s], got)
		})
	}
	idle.Wait()
	each := (inUse() - before) / uint64(streams)
	opened := time.Since(begun)
	close(goOn)
	all.Wait()
	t.Logf("%d streams of %d items in each direction: idle %d bytes for each, with the goroutines of producer and consumer, in three processes' worth; opened in %v, ended in %v",
		streams, items, each, opened, time.Since(begun))
	assert.Less(t, each, uint64(2*goroutine+3*8<<10))
}

// full is testkit.Full, but for the race detector, for which those are too many goroutines.
func full(base, night int) int {
	if raceEnabled {
		return base
	}
	return testkit.Full(base, night)
}

// goroutine is what one of the test's own takes, with its stack.
const goroutine = 8 << 10

// inUse is the memory that is in use, heap and stacks, after a collection.
func inUse() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapInuse + m.StackInuse
}
