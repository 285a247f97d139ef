package main

import (
	"context"
	"slices"
	"sync"

	"github.com/daffi-rpc/daffi/examples/shopping"
)

// list is a shopping list in memory. Calls come at the same time, so it has a lock.
type list struct {
	mu    sync.Mutex
	items []string
}

var _ shopping.ShoppingService = (*list)(nil)

func (l *list) GetItems(ctx context.Context) ([]string, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.items), nil
}

func (l *list) AddItem(ctx context.Context, item string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.items = append(l.items, item)
	return nil
}

func (l *list) ClearItems(ctx context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.items = nil
	return nil
}
