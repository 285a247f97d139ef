// Package shopping keeps a shopping list on one node and lets others read and change it.
package shopping

import (
	"context"
	"iter"
)

//go:generate go tool daffigen

// ShoppingService keeps one shopping list.
//
//daffi:callback
type ShoppingService interface {
	// GetItems returns the items, oldest first.
	GetItems(ctx context.Context) ([]string, error)
	AddItem(ctx context.Context, item string) error
	ClearItems(ctx context.Context) error
}

// Shopper is what a customer may do with a remote ShoppingService.
//
//daffi:fetcher ShoppingService
type Shopper interface {
	GetItems(ctx context.Context) ([]string, error)
	AddItem(ctx context.Context, item string) error
	ClearItems(ctx context.Context) error
	// AddManyItems streams items to AddItem, one call per item, in order.
	//
	//daffi:alias AddItem
	AddManyItems(ctx context.Context, items iter.Seq[string]) error
}
