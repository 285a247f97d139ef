// Package shop has a callback that another package calls.
package shop

import (
	"context"
	"time"
)

// Price is in cents.
type Price int64

// Order is a struct with unexported fields.
type Order struct {
	ID    string
	Lines []Line
	At    time.Time
	cache map[string]int
}

// Line is part of an Order.
type Line struct {
	Article string
	Price   Price
}

// Pricer is embedded elsewhere.
type Pricer interface {
	// PriceOf comes from package shop.
	PriceOf(ctx context.Context, article string) (Price, error)
}

// Shop sells.
//
//daffi:callback name=shop
type Shop interface {
	Pricer
	Place(ctx context.Context, o *Order) (id string, err error)
}

var _ = Order{}.cache
