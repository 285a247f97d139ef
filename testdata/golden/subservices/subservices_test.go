package subservices

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"testing"

	daffi "github.com/daffi-rpc/daffi/runtime"
	"github.com/daffi-rpc/daffi/runtime/daffitest"
	"github.com/daffi-rpc/daffi/testdata/golden/subservices/away"
)

type head struct{ left, right Node }

func (h head) WhoAmI(ctx context.Context) (string, error) { return who(ctx, "head") }
func (h head) Left() Node                                 { return h.left }
func (h head) Right() Node                                { return h.right }
func (h head) Far() away.Far                              { return far{} }

type node string

func (n node) WhoAmI(ctx context.Context) (string, error) { return who(ctx, string(n)) }
func (n node) Leaf() Leaf                                 { return leaf{} }
func (n node) Count(_ context.Context, to int) iter.Seq2[int, error] {
	return func(yield func(int, error) bool) {
		for k := range to {
			if !yield(k, nil) {
				return
			}
		}
	}
}

type leaf struct{}

func (leaf) Add(_ context.Context, a, b int) (int, error) { return a + b, nil }

type far struct{}

func (far) Echo(ctx context.Context, text string) (string, error) { return who(ctx, text) }

// who is a name and the method that was called.
func who(ctx context.Context, name string) (string, error) {
	info, ok := daffi.CallFrom(ctx)
	if !ok {
		return "", errors.New("no call")
	}
	return name + " as " + info.Method, nil
}

func TestE12Subservices(t *testing.T) {
	net, ctx := daffitest.New(t), t.Context()
	server, other := net.Node("server"), net.Node("client")
	reg, err := RegisterHead(server, head{node("left"), node("right")})
	if err != nil {
		t.Fatal(err)
	}
	client := NewClient(other)
	for _, test := range []struct {
		want string
		call func(context.Context) (string, error)
	}{
		{"head as head.WhoAmI", client.WhoAmI},
		{"left as head.Left.WhoAmI", client.Left().WhoAmI},
		{"right as head.Right.WhoAmI", client.Other().WhoAmI},
		{"right as head.Right.WhoAmI", client.Prepare().Other().WhoAmI().Do},
		{"x as head.Far.Echo", func(ctx context.Context) (string, error) { return client.Far().Echo(ctx, "x") }},
		{"y as head.Far.Echo", client.Prepare().Far().Echo("y").Do},
		{"3", func(ctx context.Context) (string, error) {
			sum, err := client.Left().Leaf().Add(ctx, 1, 2)
			return fmt.Sprint(sum), err
		}},
	} {
		if got, err := test.call(ctx); got != test.want || err != nil {
			t.Errorf("%q, %v; want %q", got, err, test.want)
		}
	}
	n := 0
	for k, err := range client.Other().Count(ctx, 5) {
		if k != n || err != nil {
			t.Fatal(k, err)
		}
		n++
	}
	if n != 5 {
		t.Errorf("%d items", n)
	}

	// A node of its own name is another service.
	if _, err := NewNode(other).WhoAmI(ctx); !errors.Is(err, &daffi.Error{Code: daffi.Unavailable, Reason: daffi.ReasonNoProvider}) {
		t.Errorf("Node alone: %v", err)
	}
	if err := reg.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := client.Left().Leaf().Add(ctx, 1, 2); !errors.Is(err, &daffi.Error{Code: daffi.Unavailable, Reason: daffi.ReasonNoProvider}) {
		t.Errorf("after Close: %v", err)
	}
}

// TestSubservicesUnderAnotherName renames the service, and the names of those below it follow.
func TestSubservicesUnderAnotherName(t *testing.T) {
	net, ctx := daffitest.New(t), t.Context()
	server, client := net.Node("server"), net.Node("client")
	if _, err := RegisterNode(server, node("n"), daffi.As("tree.one")); err != nil {
		t.Fatal(err)
	}
	if err := client.WaitMethod(ctx, "tree.one.Leaf"); err != nil {
		t.Fatal(err)
	}
	if _, err := RegisterLeaf(server, leaf{}, daffi.As("tree.one.Leaf")); daffi.CodeOf(err) != daffi.AlreadyExists {
		t.Errorf("%v", err)
	}
}

// TestSubserviceRefused registers a tree of which one part cannot be served: nothing of it stays.
func TestSubserviceRefused(t *testing.T) {
	net := daffitest.New(t)
	server := net.Node("server")
	_, err := RegisterHead(server, head{left: node("left")})
	if daffi.CodeOf(err) != daffi.InvalidArgument || err.Error() != "invalid_argument: register head.Right: the implementation is nil" {
		t.Errorf("%v", err)
	}
	reg, err := RegisterHead(server, head{node("left"), node("right")})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := RegisterHead(server, head{node("left"), node("right")}); daffi.CodeOf(err) != daffi.AlreadyExists {
		t.Errorf("%v", err)
	}
	if got, err := NewClient(net.Node("client")).Left().WhoAmI(t.Context()); err != nil {
		t.Errorf("the first registration is gone: %q %v", got, err)
	}
	if err := reg.Close(); err != nil {
		t.Error(err)
	}
}

// TestProxiesShareRoutes asks for a proxy of the same service again and again: routes are asked for once.
func TestProxiesShareRoutes(t *testing.T) {
	net, ctx := daffitest.New(t), t.Context()
	if _, err := RegisterHead(net.Node("server"), head{node("left"), node("right")}); err != nil {
		t.Fatal(err)
	}
	client := NewClient(net.Node("client"))
	first := client.Left().(*NodeProxy)
	if _, err := first.WhoAmI(ctx); err != nil {
		t.Fatal(err)
	}
	if again := client.Left().(*NodeProxy); again.b != first.b || client.Other().(*NodeProxy).b == first.b {
		t.Error("bindings are not shared as they should be")
	}
}
