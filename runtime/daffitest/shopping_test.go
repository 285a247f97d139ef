package daffitest_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/daffi-rpc/daffi/examples/shopping"
	daffi "github.com/daffi-rpc/daffi/runtime"
	"github.com/daffi-rpc/daffi/runtime/daffitest"
)

type list struct {
	mu    sync.Mutex
	items []string
}

func (l *list) GetItems(ctx context.Context) ([]string, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.items), nil
}

func (l *list) AddItem(ctx context.Context, item string) error {
	if item == "" {
		return errors.New("empty item")
	}
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

func TestShopping(t *testing.T) {
	ctx := t.Context()
	net := daffitest.New(t)
	service, client := net.Node("service"), net.Node("client")
	_, err := shopping.RegisterShoppingService(service, &list{})
	require.NoError(t, err)
	shopper := shopping.NewShopper(client)

	items, err := shopper.GetItems(ctx)
	require.NoError(t, err)
	require.Empty(t, items)
	require.NoError(t, shopper.AddItem(ctx, "orange"))
	require.NoError(t, shopper.AddManyItems(ctx, slices.Values([]string{"bread", "cheese"})))
	items, err = shopper.GetItems(ctx)
	require.NoError(t, err)
	require.Equal(t, []string{"orange", "bread", "cheese"}, items)
	require.NoError(t, shopper.ClearItems(ctx))

	err = shopper.AddItem(ctx, "")
	require.EqualError(t, err, "ShoppingService.AddItem at service: unknown: empty item")
	require.Equal(t, daffi.Ran, daffi.OutcomeOf(err))
}
