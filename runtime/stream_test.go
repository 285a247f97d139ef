package daffi_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	daffi "github.com/daffi-rpc/daffi/runtime"
	"github.com/daffi-rpc/daffi/runtime/codec"
	"github.com/daffi-rpc/daffi/runtime/internal/testkit"
)

// numbers yields 0 to n-1.
func numbers(n int) iter.Seq2[int, error] {
	return func(yield func(int, error) bool) {
		for i := range n {
			if !yield(i, nil) {
				return
			}
		}
	}
}

// requireQuiet checks that nothing of a call is left at the controller.
func (k *kit) requireQuiet(t *testing.T) {
	t.Helper()
	synctest.Wait()
	assert.Zero(t, k.net.Controller.Stats().Calls)
}

func TestD50ServerStream(t *testing.T) {
	bubble(t, func(t *testing.T, k *kit) {
		for _, n := range []int{0, 1, 10, 100_000} {
			next := 0
			for i, err := range k.p.Count(t.Context(), n, "") {
				require.NoError(t, err)
				require.Equal(t, next, i)
				next++
			}
			require.Equal(t, n, next)
		}
		k.requireQuiet(t)
	})
}

func TestServerStreamOfEverySize(t *testing.T) {
	bubble(t, func(t *testing.T, k *kit) {
		for _, size := range []int{0, 100, 1 << 10, 8 << 10, 17 << 10, 60 << 10, 64 << 10, 64<<10 + 300, 1 << 20, 4<<20 - 5} {
			n := 0
			for b, err := range k.p.Blobs(t.Context(), 9, size) {
				require.NoError(t, err)
				require.Len(t, b, size)
				if size > 0 {
					require.Equal(t, byte(n), b[0])
					require.Equal(t, byte(n+size-1), b[size-1])
				}
				n++
			}
			require.Equal(t, 9, n, "%d bytes", size)
		}
		k.requireQuiet(t)
	})
}

func TestItemOverTheLimit(t *testing.T) {
	bubble(t, func(t *testing.T, k *kit) {
		// 4 MiB less the blob's header of five bytes.
		for b, err := range k.p.Blobs(t.Context(), 1, 4<<20-5) {
			require.NoError(t, err)
			require.Len(t, b, 4<<20-5)
		}
		var last error
		for _, err := range k.p.Blobs(t.Context(), 1, 4<<20-4) {
			last = err
		}
		requireError(t, last, daffi.ResourceExhausted, daffi.ReasonTooLarge, daffi.Ran)

		_, err := k.p.Size(t.Context(), daffi.NoError(slices.Values([][]byte{make([]byte, 10), make([]byte, 4<<20-4)})))
		requireError(t, err, daffi.ResourceExhausted, daffi.ReasonTooLarge, daffi.MayHaveRun)
		k.requireQuiet(t)
	})
}

func TestServerStreamThatFails(t *testing.T) {
	bubble(t, func(t *testing.T, k *kit) {
		for how, want := range map[string]daffi.Code{"no more": daffi.Unknown, "panic": daffi.Internal} {
			n, ends := 0, 0
			var last error
			for _, err := range k.p.Count(t.Context(), 1000, how) {
				if err != nil {
					last = err
					ends++
					continue
				}
				require.Zero(t, ends, "an item after the error")
				n++
			}
			require.Equal(t, 1000, n, "what came before the error is not lost")
			require.Equal(t, 1, ends)
			require.Equal(t, want, daffi.CodeOf(last))
			require.Equal(t, daffi.Ran, daffi.OutcomeOf(last))
		}
		k.requireQuiet(t)
	})
}

func TestD50LeavingALoopStopsTheServer(t *testing.T) {
	bubble(t, func(t *testing.T, k *kit) {
		k.impl.Ended = make(chan error, 1)
		for i, err := range k.p.Count(t.Context(), 1<<30, "") {
			require.NoError(t, err)
			if i == 10 {
				break
			}
		}
		require.ErrorContains(t, <-k.impl.Ended, "left after")
		k.requireQuiet(t)
		// Large items, which wait to be granted.
		for _, err := range k.p.Blobs(t.Context(), 1<<30, 1<<20) {
			require.NoError(t, err)
			break
		}
		require.ErrorContains(t, <-k.impl.Ended, "left after")
		k.requireQuiet(t)
	})
}

func TestT8StreamIsLazyAndSingleUse(t *testing.T) {
	bubble(t, func(t *testing.T, k *kit) {
		call := k.p.Prepare().Count(3, "")
		seq := call.Do(t.Context())
		k.requireQuiet(t)
		n := 0
		for _, err := range seq {
			require.NoError(t, err)
			n++
		}
		require.Equal(t, 3, n)
		for _, err := range seq {
			require.ErrorIs(t, err, daffi.ErrStreamConsumed)
			n++
		}
		require.Equal(t, 4, n)
		for _, err := range call.Do(t.Context()) { // the prepared call is not single use
			require.NoError(t, err)
			n++
		}
		require.Equal(t, 7, n)
	})
}

func TestServerStreamEndsWithItsContext(t *testing.T) {
	bubble(t, func(t *testing.T, k *kit) {
		k.impl.Ended = make(chan error, 1)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		var last error
		for _, err := range k.p.Count(ctx, 1<<30, "") {
			last = err
			if err == nil {
				time.Sleep(time.Millisecond)
			}
		}
		require.Equal(t, daffi.DeadlineExceeded, daffi.CodeOf(last))
		require.ErrorContains(t, <-k.impl.Ended, "left after")
		k.requireQuiet(t)
	})
}

func TestLIM13SlowConsumerHoldsOnlyItsWindow(t *testing.T) {
	bubble(t, func(t *testing.T, k *kit) {
		next, stop := iter.Pull2(k.p.Count(t.Context(), 1<<30, ""))
		defer stop()
		_, err, ok := next()
		require.True(t, ok)
		require.NoError(t, err)
		synctest.Wait() // the producer has run into its window and waits
		for range 100 {
			_, err := k.p.Echo(t.Context(), []byte("others go on"))
			require.NoError(t, err)
		}
		sum := 0
		for i, err := range k.p.Count(t.Context(), 50_000, "") {
			require.NoError(t, err)
			sum += i
		}
		require.Equal(t, 50_000*49_999/2, sum)
		for i := 1; i < 20_000; i++ {
			v, err, ok := next()
			require.True(t, ok)
			require.NoError(t, err)
			require.Equal(t, i, v)
		}
	})
}

func TestManyStuckLargeStreamsLeaveRoomForOthers(t *testing.T) {
	bubble(t, func(t *testing.T, k *kit) {
		for range 12 { // four more than there is room for
			next, stop := iter.Pull2(k.p.Blobs(t.Context(), 100, 2<<20))
			defer stop()
			_, err, ok := next()
			require.True(t, ok)
			require.NoError(t, err)
		}
		synctest.Wait()
		got, err := k.p.Echo(t.Context(), make([]byte, 3<<20))
		require.NoError(t, err)
		require.Len(t, got, 3<<20)
	})
}

func TestClientStream(t *testing.T) {
	bubble(t, func(t *testing.T, k *kit) {
		for _, n := range []int{0, 1, 10, 100_000} {
			sum, err := k.p.Sum(t.Context(), 0, numbers(n))
			require.NoError(t, err)
			require.Equal(t, n*(n-1)/2, sum)
		}
		for _, size := range []int{0, 100, 17 << 10, 64 << 10, 64<<10 + 300, 1 << 20, 4<<20 - 5} {
			got, err := k.p.Size(t.Context(), func(yield func([]byte, error) bool) {
				for range 7 {
					if !yield(make([]byte, size), nil) {
						return
					}
				}
			})
			require.NoError(t, err)
			require.Equal(t, 7*size, got)
		}
		k.requireQuiet(t)
	})
}

func TestCalleeMayStopTheInput(t *testing.T) {
	bubble(t, func(t *testing.T, k *kit) {
		told := make(chan int, 1)
		sum, err := k.p.Sum(t.Context(), 5, func(yield func(int, error) bool) {
			for i := 0; ; i++ {
				if !yield(i, nil) {
					told <- i
					return
				}
			}
		})
		require.NoError(t, err)
		require.Equal(t, 0+1+2+3+4, sum)
		require.Positive(t, <-told)
		k.requireQuiet(t)
	})
}

func TestInputThatBreaks(t *testing.T) {
	bubble(t, func(t *testing.T, k *kit) {
		k.impl.Ended = make(chan error, 1)
		broken := errors.New("the disk is gone")
		_, err := k.p.Sum(t.Context(), 0, func(yield func(int, error) bool) {
			_ = yield(1, nil) && yield(2, nil) && yield(0, broken)
		})
		require.ErrorIs(t, err, broken, "the caller gets its own error back")
		requireError(t, err, daffi.Aborted, "", daffi.Ran)
		require.ErrorContains(t, <-k.impl.Ended, "the disk is gone", "and the callee knows why")
		k.requireQuiet(t)
	})
}

func TestInputThatPanics(t *testing.T) {
	bubble(t, func(t *testing.T, k *kit) {
		k.impl.Ended = make(chan error, 1)
		require.PanicsWithValue(t, "producer", func() {
			k.p.Sum(t.Context(), 0, func(yield func(int, error) bool) {
				yield(1, nil)
				synctest.Wait() // the handler has it
				panic("producer")
			})
		})
		require.Equal(t, daffi.Canceled, daffi.CodeOf(<-k.impl.Ended))
		k.requireQuiet(t)
	})
}

func TestBlockedProducerDoesNotHoldTheCall(t *testing.T) {
	bubble(t, func(t *testing.T, k *kit) {
		release := make(chan struct{})
		ended := make(chan struct{})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		_, err := k.p.Sum(ctx, 0, func(yield func(int, error) bool) {
			defer close(ended)
			yield(1, nil)
			<-release
			assert.False(t, yield(2, nil), "the producer learns of the end at its next yield")
		})
		require.Equal(t, daffi.DeadlineExceeded, daffi.CodeOf(err))
		require.Equal(t, time.Second, time.Since(start))
		close(release)
		<-ended
		k.requireQuiet(t)
	})
}

func TestClientStreamHasNoDefaultDeadline(t *testing.T) {
	bubble(t, func(t *testing.T, k *kit) {
		sum, err := k.p.Sum(context.Background(), 0, func(yield func(int, error) bool) {
			for i := range 5 {
				time.Sleep(time.Minute)
				if !yield(i, nil) {
					return
				}
			}
		})
		require.NoError(t, err)
		require.Equal(t, 10, sum)
	})
}

func TestBidirectional(t *testing.T) {
	bubble(t, func(t *testing.T, k *kit) {
		// In turns: the next line is only said when the last was answered.
		answered := make(chan struct{}, 1)
		lines := []string{"a", "b", strings.Repeat("c", 100<<10), "d"}
		var got []string
		for line, err := range k.p.Chat(t.Context(), func(yield func(string, error) bool) {
			for _, l := range lines {
				if !yield(l, nil) {
					return
				}
				<-answered
			}
		}) {
			require.NoError(t, err)
			got = append(got, strings.TrimPrefix(line, "re: "))
			answered <- struct{}{}
		}
		require.Equal(t, lines, got)

		// All at once, far more than the windows hold.
		n := 0
		for line, err := range k.p.Chat(t.Context(), func(yield func(string, error) bool) {
			for i := range 100_000 {
				if !yield(fmt.Sprint(i), nil) {
					return
				}
			}
		}) {
			require.NoError(t, err)
			require.Equal(t, fmt.Sprint("re: ", n), line)
			n++
		}
		require.Equal(t, 100_000, n)

		// Leaving the loop ends the input.
		ended := make(chan struct{})
		for _, err := range k.p.Chat(t.Context(), func(yield func(string, error) bool) {
			defer close(ended)
			for yield("again", nil) {
			}
		}) {
			require.NoError(t, err)
			break
		}
		<-ended
		k.requireQuiet(t)
	})
}

func TestItemStream(t *testing.T) {
	bubble(t, func(t *testing.T, k *kit) {
		many := testkit.NewMany(k.client)
		require.NoError(t, many.AddEach(t.Context(), numbers(10_000)))
		n, err := k.p.Total(t.Context())
		require.NoError(t, err)
		require.Equal(t, 10_000*9_999/2, n, "acknowledged when all have run")

		// After the first error nothing more runs.
		told := false
		err = many.AddEach(t.Context(), func(yield func(int, error) bool) {
			for i := range 1 << 30 {
				v := 1
				if i == 100 {
					v = -7
				}
				if !yield(v, nil) {
					told = true
					return
				}
			}
		})
		requireError(t, err, daffi.Unknown, "", daffi.Ran)
		require.ErrorContains(t, err, "-7 is negative")
		synctest.Wait()
		require.True(t, told)
		n, err = k.p.Total(t.Context())
		require.NoError(t, err)
		require.Equal(t, 10_000*9_999/2+100, n)
		k.requireQuiet(t)
	})
}

func TestStreamWhoseCalleeIsLost(t *testing.T) {
	bubble(t, func(t *testing.T, k *kit) {
		n := 0
		var last error
		for _, err := range k.p.Count(t.Context(), 1<<30, "") {
			if err != nil {
				last = err
				continue
			}
			if n++; n == 5 {
				require.NoError(t, k.server.Close())
			}
		}
		requireError(t, last, daffi.Unavailable, daffi.ReasonNodeLost, daffi.MayHaveRun)
		require.GreaterOrEqual(t, n, 5)
	})
}

func TestStreamWhoseCallerIsLost(t *testing.T) {
	bubble(t, func(t *testing.T, k *kit) {
		k.impl.Ended = make(chan error, 1)
		_, err := k.p.Sum(t.Context(), 0, func(yield func(int, error) bool) {
			for i := 0; yield(i, nil); i++ {
				if i == 10 {
					synctest.Wait() // the handler takes them
					k.client.Close()
				}
			}
		})
		requireError(t, err, daffi.Unavailable, daffi.ReasonClosed, daffi.MayHaveRun)
		require.Error(t, <-k.impl.Ended, "a cut upload does not look complete")
		synctest.Wait()
		require.Zero(t, k.net.Controller.Stats().Calls)
	})
}

func TestItemStreamKeepsTheError(t *testing.T) {
	bubble(t, func(t *testing.T, k *kit) {
		err := testkit.NewMany(k.client).AddEach(t.Context(), func(yield func(int, error) bool) {
			_ = yield(1, nil) && yield(-7, nil)
		})
		e := requireError(t, err, daffi.Unknown, "", daffi.Ran)
		require.Equal(t, "-7 is negative", e.Message)
		require.Equal(t, "server", e.Node)
	})
}

// bomb is an item whose decoder panics.
func bomb(*codec.Decoder) []byte { panic("bomb") }

func TestPanicWhileReadingAnItemGivesItsRoomBack(t *testing.T) {
	bubble(t, func(t *testing.T, k *kit) {
		b := daffi.Bind(k.client, &daffi.Client{Service: "Kit", Methods: []daffi.Method{{Name: "Blobs", Sig: "(int,int)>bytes"}}})
		for range 10 {
			s := daffi.NewStream(b, 0, func(e *codec.Encoder) { e.Array(2); e.Int(1); e.Int(3 << 20) }, bomb)
			require.PanicsWithValue(t, "bomb", func() {
				for range s.Do(t.Context()) {
				}
			})
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := k.p.Echo(ctx, make([]byte, 3<<20))
		require.NoError(t, err)
	})
}

func TestInputThatEndsItsGoroutine(t *testing.T) {
	bubble(t, func(t *testing.T, k *kit) {
		_, err := k.p.Sum(t.Context(), 0, func(yield func(int, error) bool) {
			yield(1, nil)
			runtime.Goexit()
		})
		requireError(t, err, daffi.Internal, daffi.ReasonPanic, daffi.MayHaveRun)
		k.requireQuiet(t)
	})
}

func TestOtherShapeIsRefused(t *testing.T) {
	bubble(t, func(t *testing.T, k *kit) {
		b := daffi.Bind(k.client, &daffi.Client{Service: "Kit", Methods: []daffi.Method{
			{Name: "Count", Sig: "(int,string)>int"}, {Name: "Echo", Sig: "(bytes)(bytes)"}, {Name: "Sum", Sig: "(int,<int)(int)", EachItem: true},
		}})
		_, err := daffi.NewCall(b, 0, nil, codec.ReadInt).Do(t.Context())
		requireError(t, err, daffi.FailedPrecondition, daffi.ReasonShape, daffi.NotRun)
		for _, err := range daffi.NewStream(b, 1, nil, codec.ReadInt).Do(t.Context()) {
			requireError(t, err, daffi.FailedPrecondition, daffi.ReasonShape, daffi.NotRun)
		}
		err = daffi.NewFeedAction(b, 2, nil, daffi.FeedErr(numbers(1), codec.WriteInt)).Do(t.Context())
		requireError(t, err, daffi.FailedPrecondition, daffi.ReasonShape, daffi.NotRun)
	})
}
