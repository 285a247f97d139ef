package aliases

import (
	"context"
	"slices"
	"testing"

	daffi "github.com/daffi-rpc/daffi/runtime"
	"github.com/daffi-rpc/daffi/runtime/daffitest"
)

// cart keeps its items, and under which name the last call has come.
type cart struct {
	items  []string
	method string
}

func (c *cart) AddItem(ctx context.Context, item string) error {
	info, _ := daffi.CallFrom(ctx)
	c.items, c.method = append(c.items, item), info.Method
	return nil
}

func (c *cart) Count(context.Context) (int, error) { return len(c.items), nil }

type both struct{ calls int }

func (b *both) New(context.Context) error {
	b.calls++
	return nil
}

func serve(t *testing.T) (*cart, *daffi.Node) {
	t.Helper()
	net, c := daffitest.New(t), new(cart)
	if _, err := RegisterCart(net.Node("server"), c); err != nil {
		t.Fatal(err)
	}
	return c, net.Node("client")
}

// A service is known by the name that its annotation gives it.
func TestD24NamesOnTheWire(t *testing.T) {
	_, client := serve(t)
	peers, err := client.Peers(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range peers {
		if want := p.Name == "server"; slices.Contains(p.Services, "shop.cart") != want {
			t.Errorf("%s serves %q", p.Name, p.Services)
		}
	}
	if n, err := NewByWire(client).Count(t.Context()); n != 0 || err != nil {
		t.Error(n, err)
	}
}

// A callback answers to its older names, and a fetcher's methods call under others.
func TestD31Aliases(t *testing.T) {
	c, client := serve(t)
	p := NewBuyer(client)
	if err := p.Put(t.Context(), "tea"); err != nil { // by a name that the callback has as an alias
		t.Fatal(err)
	}
	if err := p.Buy(t.Context(), "milk"); err != nil { // by an alias of both
		t.Fatal(err)
	}
	if n, err := p.Size(t.Context()); n != 2 || err != nil {
		t.Error(n, err)
	}
	if !slices.Equal(c.items, []string{"tea", "milk"}) {
		t.Error(c.items, c.method)
	}
}

// There may be any number of proxies, of one interface or of several, at one node.
func TestD32ManyProxies(t *testing.T) {
	_, client := serve(t)
	a, b, other := NewBuyer(client), NewBuyer(client, daffi.To("server")), NewByWire(client)
	if err := a.Buy(t.Context(), "tea"); err != nil {
		t.Fatal(err)
	}
	if n, err := b.Size(t.Context()); n != 1 || err != nil {
		t.Error(n, err)
	}
	if n, err := other.Count(t.Context()); n != 1 || err != nil {
		t.Error(n, err)
	}
}

// One interface may be served and called.
func TestD35CallbackAndFetcherInOne(t *testing.T) {
	net, impl := daffitest.New(t), new(both)
	if _, err := RegisterBoth(net.Node("server"), impl); err != nil {
		t.Fatal(err)
	}
	if err := NewBoth(net.Node("client")).New(t.Context()); err != nil || impl.calls != 1 {
		t.Error(impl.calls, err)
	}
}
