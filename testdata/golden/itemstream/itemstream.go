// Package itemstream has fetchers that call a unary method for every item of a sequence.
package itemstream

import (
	"context"
	"iter"
)

// Point is an item.
type Point struct{ X, Y int }

// Plotter draws.
//
//daffi:callback
type Plotter interface {
	Plot(ctx context.Context, p Point) error
	Label(ctx context.Context, text string) error
	PlotAll(ctx context.Context, points iter.Seq2[Point, error]) error
}

// Pen draws from afar.
//
//daffi:fetcher Plotter
type Pen interface {
	// The callback in the same package decides: Plot is unary.
	//
	//daffi:alias Plot
	PlotMany(ctx context.Context, points iter.Seq[Point]) error
	//daffi:alias Label each
	LabelMany(ctx context.Context, texts iter.Seq2[string, error]) error
	//daffi:alias PlotAll
	PlotStream(ctx context.Context, points iter.Seq[Point]) error
	//daffi:alias PlotAll whole
	PlotWhole(ctx context.Context, points iter.Seq2[Point, error]) error
}

// Remote has no callback in this package, so it says what it means.
//
//daffi:fetcher elsewhere.Store
type Remote interface {
	//daffi:alias Add each
	AddMany(ctx context.Context, items iter.Seq[string]) error
	//daffi:alias Load whole
	LoadAll(ctx context.Context, items iter.Seq[string]) error
	Upload(ctx context.Context, items iter.Seq[string]) (int, error)
}
