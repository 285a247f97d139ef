package jobs

import (
	"context"
	"testing"
	"time"

	"pgregory.net/rapid"

	daffi "github.com/daffi-rpc/daffi/runtime"
	"github.com/daffi-rpc/daffi/testdata/real/both"
)

// prepared has three jobs, one of them leased.
func prepared() Queue {
	m, ctx := NewMemory(both.Clock()), context.Background()
	for _, kind := range []string{"mail", "", "report"} {
		both.Must(m.Insert(ctx, kind, []byte(`{"n":1}`), nil))
	}
	both.Must(m.Lease(ctx, "default", 1, time.Minute))
	return m
}

func TestQueue(t *testing.T) {
	both.Run(t, both.Subject[Queue, Queue]{
		Service:  QueueName,
		New:      prepared,
		Register: RegisterQueue,
		Proxy:    func(c daffi.Caller) Queue { return NewQueue(c) },
		Direct:   func(q Queue) Queue { return q },
		Errors:   both.Is(ErrNoJob, ErrLeaseLost, ErrDuplicate),
		Values: []func(*both.Values){
			both.Of(rapid.SampledFrom([]string{"default", "default", "", "mail"})),
			both.Of(rapid.SampledFrom([]State{Available, Scheduled, Running, Completed, Discarded})),
			both.Of(rapid.Map(rapid.Int64Range(0, 4), func(n int64) ID { return ID(n) })),
			both.Of(rapid.Map(rapid.Uint64Range(1, 4), LeaseNumber)),
			both.Of(rapid.IntRange(-1, 3)),
			both.Of(rapid.Uint8Range(0, 2)),
			both.Of(rapid.SampledFrom([]time.Duration{0, -time.Second, time.Minute})),
		},
	})
}
