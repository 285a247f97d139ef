// Package generated has a signature that names a type that daffigen generates.
package generated

import "context"

// Meter measures.
//
//daffi:callback
//daffi:fetcher
type Meter interface {
	Stats(ctx context.Context, key string) (mean float64, tags []string, err error)
	Store(ctx context.Context, stats MeterStatsResult) error
	History(ctx context.Context) ([]MeterStatsResult, error)
}
