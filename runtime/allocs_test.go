package daffi_test

import (
	"context"
	"iter"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/daffi-rpc/daffi/examples/shopping"
	daffi "github.com/daffi-rpc/daffi/runtime"
	"github.com/daffi-rpc/daffi/runtime/daffitest"
	"github.com/daffi-rpc/daffi/runtime/internal/testkit"
)

// quiet is a shopping list that allocates nothing.
type quiet struct{}

func (quiet) GetItems(context.Context) ([]string, error) { return nil, nil }
func (quiet) AddItem(context.Context, string) error      { return nil }
func (quiet) ClearItems(context.Context) error           { return nil }

// TestAllocations holds what a call costs, at the caller, the controller and the callee together: the handler's context, and its arguments as
// far as they are strings. The plain path allocates nothing at the caller.
func TestAllocations(t *testing.T) {
	if raceEnabled {
		t.Log("not counted under the race detector")
		return
	}
	ctx := context.Background()
	item := strings.Repeat("x", 64)
	links := map[string]func(t *testing.T) (server, client *daffi.Node){
		"memory": func(t *testing.T) (server, client *daffi.Node) {
			net := daffitest.New(t)
			return net.Node("server"), net.Node("client")
		},
		"unix": func(t *testing.T) (server, client *daffi.Node) {
			addr := listen(t, "unix://"+t.TempDir()+"/daffi.sock")
			return connect(t, daffi.Options{Name: "server", Addr: addr}), connect(t, daffi.Options{Name: "client", Addr: addr})
		},
	}
	for link, nodes := range links {
		t.Run(link, func(t *testing.T) {
			server, client := nodes(t)
			_, err := shopping.RegisterShoppingService(server, quiet{})
			require.NoError(t, err)
			p := shopping.NewShopper(client)
			for name, c := range map[string]struct {
				want float64
				f    func() error
			}{
				"GetItems":   {1, func() error { _, err := p.GetItems(ctx); return err }},
				"ClearItems": {1, func() error { return p.ClearItems(ctx) }},
				"AddItem":    {2, func() error { return p.AddItem(ctx, item) }},
				"Prepare":    {2, func() error { return p.Prepare().AddItem(item).Do(ctx) }},
			} {
				t.Run(name, func(t *testing.T) {
					got := testing.AllocsPerRun(2000, func() {
						if err := c.f(); err != nil {
							t.Fatal(err)
						}
					})
					t.Logf("%v allocations", got)
					require.LessOrEqual(t, got, c.want)
				})
			}
			t.Run("item of a stream", func(t *testing.T) {
				const items = 20_000
				got := testing.AllocsPerRun(3, func() {
					require.NoError(t, p.AddManyItems(ctx, repeat(item, items)))
				})
				t.Logf("%v allocations", got/items)
				require.LessOrEqual(t, got/items, 1.1, "its string")
			})
		})
	}
}

// TestAllocationsOfLongBytes holds what 64 KiB cost: what the user gets is allocated with the buffer that it comes in, and all else is reused.
func TestAllocationsOfLongBytes(t *testing.T) {
	if raceEnabled {
		t.Log("not counted under the race detector")
		return
	}
	b := make([]byte, 64<<10)
	eachWay(t, 0, func(t *testing.T, server, client *daffi.Node) {
		_, err := testkit.RegisterKit(server, new(testkit.Impl))
		require.NoError(t, err)
		p := testkit.NewKit(client)
		got := testing.AllocsPerRun(500, func() {
			if _, err := p.Echo(t.Context(), b); err != nil {
				t.Fatal(err)
			}
		})
		t.Logf("%v allocations for a call", got)
		require.LessOrEqual(t, got, 8.0, "two in each direction, the context, and a write that has to wait now and then")

		const items = 2000
		send := func(yield func([]byte, error) bool) {
			for range items {
				if !yield(b, nil) {
					return
				}
			}
		}
		got = testing.AllocsPerRun(2, func() {
			n, err := p.Size(t.Context(), send)
			require.NoError(t, err)
			require.Equal(t, items*len(b), n)
		})
		t.Logf("%v allocations for an item", got/items)
		require.LessOrEqual(t, got/items, 5.0, "the blob and its buffer, and what waiting takes")
	})
}

func repeat(s string, n int) iter.Seq[string] {
	return func(yield func(string) bool) {
		for range n {
			if !yield(s) {
				return
			}
		}
	}
}
