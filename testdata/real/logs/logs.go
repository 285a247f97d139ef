// Package logs is a sink of logs and metrics, in the shape of slog and of the clients of prometheus.
package logs

import (
	"context"
	"errors"
	"iter"
	"log/slog"
	"net/url"
	"regexp"
	"runtime/debug"
	"time"
)

//go:generate go tool daffigen

// ErrRange means that a range ends before it begins.
var ErrRange = errors.New("logs: the range ends before it begins")

// Record is a line.
type Record struct {
	Time    time.Time
	Level   slog.Level
	Message string
	Source  *slog.Source
	Attrs   map[string]any
	Err     error
	TraceID [16]byte
	SpanID  [8]byte
	skip    int // frames, of no use elsewhere
}

// Series is a metric with its labels.
type Series struct {
	Metric string
	Labels Labels
}

// Labels are few, so that a Series can be the key of a map.
type Labels struct{ Job, Instance string }

// Sample is a value at a time.
type Sample struct {
	T time.Time
	V float64
}

// Histogram has eight buckets and what was over them.
type Histogram struct {
	Bounds   [8]float32
	Buckets  [9]uint64
	Sum      float64
	Exemplar map[int]*Sample
}

// Query selects records.
type Query struct {
	Since, Until *time.Time
	AtLeast      slog.Level
	Match        *regexp.Regexp
	Attrs        map[string]any
	Traces       [][16]byte
	Limit        uint16
}

// Tree is how much there is of something, and of what is below.
type Tree struct {
	Name  string
	Count int
	Below map[string]*Tree
	Spans [][]complex64
}

// Sink takes records and samples.
type Sink interface {
	// Emit takes records and does not wait.
	//
	//daffi:oneway
	Emit(ctx context.Context, records ...Record) error
	// EmitAll waits until all records are kept.
	EmitAll(ctx context.Context, records iter.Seq2[Record, error]) (kept, dropped uint64, err error)
	Observe(ctx context.Context, samples map[Series][]Sample) (int, error)
	ObserveHistogram(ctx context.Context, s Series, h *Histogram) error
}

// Source gives them back.
type Source interface {
	Query(ctx context.Context, q Query) ([]Record, error)
	Tail(ctx context.Context, q *Query) iter.Seq2[Record, error]
	Range(ctx context.Context, name string, from, to time.Time, step time.Duration) (map[Series][]Sample, error)
	Histogram(ctx context.Context, s Series) (h Histogram, ok bool, err error)
	Levels(ctx context.Context) (map[slog.Level]int, error)
	Tree(ctx context.Context, depth int8) (*Tree, error)
	// Follow answers every query of a sequence with how many records it selects.
	Follow(ctx context.Context, queries iter.Seq2[Query, error]) iter.Seq2[map[slog.Level]uint32, error]
}

// Logs is both.
//
//daffi:callback
//daffi:fetcher
type Logs interface {
	Sink
	Source
	Build(ctx context.Context) (*debug.BuildInfo, error)
	Targets(ctx context.Context, add ...*url.URL) ([]url.URL, url.Values, error)
}
