// Package jobs is a queue of background work in the shape of river and asynq: workers lease jobs, and say what became of them.
package jobs

import (
	"context"
	"encoding/json"
	"errors"
	"iter"
	"time"

	"github.com/google/uuid"
)

//go:generate go tool daffigen

// What a Queue fails with.
var (
	ErrNoJob     = errors.New("jobs: no such job")
	ErrLeaseLost = errors.New("jobs: the lease is somebody else's by now")
	ErrDuplicate = errors.New("jobs: a job of that key waits already")
)

// ID is that of a job; LeaseID is that of one attempt at it.
type (
	ID      int64
	LeaseID [16]byte
)

// State is where a job is.
type State string

// The states.
const (
	Available State = "available"
	Scheduled State = "scheduled"
	Running   State = "running"
	Completed State = "completed"
	Discarded State = "discarded"
)

// Job is work to be done.
type Job struct {
	ID          ID
	Kind        string
	Args        json.RawMessage
	Queue       string
	State       State
	Priority    int8
	Attempt     int16
	MaxAttempts int16
	ScheduledAt time.Time
	FinalizedAt *time.Time
	Errors      []AttemptError
	Tags        []string
	Metadata    map[string]json.RawMessage
	UniqueKey   *[32]byte
}

// AttemptError is why an attempt failed.
type AttemptError struct {
	At      time.Time
	Attempt int16
	Error   error
	Trace   []string
}

// InsertOpts are those of river.
type InsertOpts struct {
	MaxAttempts int16
	Queue       string
	Priority    int8
	Tags        []string
	ScheduledAt *time.Time
	UniqueOpts  struct {
		ByArgs  bool
		ByState []State
	}
	Retry Retry
}

// Retry says when to try again.
type Retry struct {
	Backoff []time.Duration
	Jitter  float32
}

// InsertResult is a new job, or the one that it repeats.
type InsertResult struct {
	Job                      *Job
	UniqueSkippedAsDuplicate bool
}

// Lease is a job for a worker, for some time.
type Lease struct {
	ID    LeaseID
	Job   Job
	Until time.Time
}

// Done is what a worker says of a lease. Without Err the job is completed.
type Done struct {
	Lease  LeaseID
	Err    error
	Snooze *time.Duration
	Output any
}

// Producer inserts jobs.
type Producer interface {
	Insert(ctx context.Context, kind string, args json.RawMessage, opts *InsertOpts) (*InsertResult, error)
	InsertMany(ctx context.Context, jobs iter.Seq2[Job, error]) (ids []ID, duplicates map[ID]uuid.UUID, err error)
	Cancel(ctx context.Context, id ID, reason ...string) (before State, job *Job, _ error)
}

// Consumer works on them.
type Consumer interface {
	Lease(ctx context.Context, queue string, n int, d time.Duration) ([]Lease, error)
	Heartbeat(ctx context.Context, leases map[LeaseID]time.Duration) (lost map[LeaseID]struct{}, err error)
	Finish(ctx context.Context, done Done) (State, error)
	// Work hands out the next job each time that the one before is done.
	Work(ctx context.Context, queue string, done iter.Seq2[*Done, error]) iter.Seq2[*Lease, error]
}

// Queue is both, and what an operator wants.
//
//daffi:callback
//daffi:fetcher
type Queue interface {
	Producer
	Consumer
	Stats(ctx context.Context) (map[string]map[State]int, error)
	Jobs(ctx context.Context, states []State, kinds ...string) iter.Seq2[Job, error]
	Dead(ctx context.Context, limit uint8) (list [2][]Job, truncated bool, err error)
}
