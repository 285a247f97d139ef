package daffi_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/daffi-rpc/daffi/examples/shopping"
	daffi "github.com/daffi-rpc/daffi/runtime"
	"github.com/daffi-rpc/daffi/runtime/controller"
)

// list is a shopping list: an ordinary implementation of the annotated interface.
type list struct {
	mu    sync.Mutex
	items []string
}

var errEmpty = errors.New("an item needs a name")

func (l *list) GetItems(context.Context) ([]string, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.items), nil
}

func (l *list) AddItem(ctx context.Context, item string) error {
	if item == "" {
		return errEmpty
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.items = append(l.items, item)
	return nil
}

func (l *list) ClearItems(context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.items = nil
	return nil
}

// shop is a controller with a node that serves a list, and another node that calls it.
func shop(ctx context.Context) (shopper *shopping.ShopperProxy, stop func()) {
	ctl := controller.New(controller.Options{})
	server, err := daffi.Connect(ctx, daffi.Options{Name: "eu-1", Controller: ctl})
	if err != nil {
		panic(err)
	}
	if _, err := shopping.RegisterShoppingService(server, new(list)); err != nil {
		panic(err)
	}
	client, err := daffi.Connect(ctx, daffi.Options{Name: "shopper", Controller: ctl})
	if err != nil {
		panic(err)
	}
	return shopping.NewShopper(client), func() {
		client.Close()
		server.Close()
		ctl.Close()
	}
}

// A controller in this process, a node that serves and one that calls. Between processes only the options differ: nodes give the
// controller's address instead of the controller.
func ExampleConnect() {
	ctx := context.Background()
	ctl := controller.New(controller.Options{})
	defer ctl.Close()

	server, err := daffi.Connect(ctx, daffi.Options{Name: "server", Controller: ctl})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer server.Close()
	if _, err := shopping.RegisterShoppingService(server, new(list)); err != nil {
		fmt.Println(err)
		return
	}

	client, err := daffi.Connect(ctx, daffi.Options{Name: "client", Controller: ctl})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.Close()
	shopper := shopping.NewShopper(client)
	fmt.Println(shopper.AddItem(ctx, "orange"))
	fmt.Println(shopper.GetItems(ctx))
	// Output:
	// <nil>
	// [orange] <nil>
}

// New and Run are for programs that serve: what is registered before Run is there from the moment the node is.
func ExampleNode_Run() {
	ctl := controller.New(controller.Options{})
	defer ctl.Close()
	node := daffi.New(daffi.Options{Name: "server", Controller: ctl})
	if _, err := shopping.RegisterShoppingService(node, new(list)); err != nil {
		fmt.Println(err)
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	fmt.Println(node.Run(ctx))
	// Output: <nil>
}

func ExampleAction_Do() {
	ctx := context.Background()
	shopper, stop := shop(ctx)
	defer stop()
	add := shopper.Prepare().AddItem("tea") // not sent yet, and reusable
	fmt.Println(add.Do(ctx))
	fmt.Println(add.With(daffi.To("eu-1")).Do(ctx))
	fmt.Println(add.With(daffi.To("us-1")).Do(ctx))
	fmt.Println(shopper.GetItems(ctx))
	// Output:
	// <nil>
	// <nil>
	// ShoppingService.AddItem: unavailable/no_provider: no node is named "us-1"
	// [tea tea] <nil>
}

// An item stream makes one invocation for each item, in order, and ends with the first that fails.
func ExampleFeed() {
	ctx := context.Background()
	shopper, stop := shop(ctx)
	defer stop()
	fmt.Println(shopper.AddManyItems(ctx, slices.Values([]string{"bread", "", "cheese"})))
	fmt.Println(shopper.GetItems(ctx))
	// Output:
	// ShoppingService.AddItem at eu-1: unknown: an item needs a name
	// [bread] <nil>
}

func ExampleError() {
	ctx := context.Background()
	shopper, stop := shop(ctx)
	defer stop()
	err := shopper.AddItem(ctx, "")
	fmt.Println(daffi.CodeOf(err), daffi.OutcomeOf(err))
	if e, ok := errors.AsType[*daffi.Error](err); ok {
		fmt.Println(e.Method, e.Node, e.Message)
	}
	// Output:
	// unknown ran
	// ShoppingService.AddItem eu-1 an item needs a name
}

// With Serial the implementation needs no lock, and a handler that calls itself is told so.
func ExampleSerial() {
	ctx := context.Background()
	ctl := controller.New(controller.Options{})
	defer ctl.Close()
	node, err := daffi.Connect(ctx, daffi.Options{Name: "eu-1", Controller: ctl})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer node.Close()
	if _, err := shopping.RegisterShoppingService(node, twice{}, daffi.Serial()); err != nil {
		fmt.Println(err)
		return
	}
	err = shopping.NewShopper(node).AddItem(ctx, "tea")
	fmt.Println(daffi.CodeOf(err))
	// Output:
	// reentrant not_run
	// failed_precondition
}

// twice adds every item a second time, by a call.
type twice struct{ *list }

func (twice) AddItem(ctx context.Context, item string) error {
	err := shopping.NewShopper(daffi.NodeFrom(ctx)).AddItem(ctx, item)
	if e, ok := errors.AsType[*daffi.Error](err); ok {
		fmt.Println(e.Reason, e.Outcome)
	}
	return err
}

// Equal keys meet at the same node, whoever calls.
func ExampleHashKey() {
	ctx := context.Background()
	ctl := controller.New(controller.Options{})
	defer ctl.Close()
	for _, name := range []string{"eu-1", "eu-2", "eu-3"} {
		node, err := daffi.Connect(ctx, daffi.Options{Name: name, Controller: ctl})
		if err != nil {
			fmt.Println(err)
			return
		}
		defer node.Close()
		if _, err := shopping.RegisterShoppingService(node, new(list)); err != nil {
			fmt.Println(err)
			return
		}
	}
	client, err := daffi.Connect(ctx, daffi.Options{Controller: ctl})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.Close()
	bob := shopping.NewShopper(client, daffi.HashKey("bob"))
	fmt.Println(bob.AddItem(ctx, "tea"), bob.AddItem(ctx, "milk"))
	fmt.Println(bob.GetItems(ctx))
	// Output:
	// <nil> <nil>
	// [tea milk] <nil>
}

func ExampleNoError() {
	in := daffi.NoError(slices.Values([]int{1, 2}))
	for n, err := range in {
		fmt.Println(n, err)
	}
	// Output:
	// 1 <nil>
	// 2 <nil>
}

func ExampleNode_Peers() {
	ctx := context.Background()
	ctl := controller.New(controller.Options{})
	defer ctl.Close()
	node, err := daffi.Connect(ctx, daffi.Options{Name: "eu-1", Controller: ctl})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer node.Close()
	if _, err := shopping.RegisterShoppingService(node, new(list)); err != nil {
		fmt.Println(err)
		return
	}
	if err := node.WaitMethod(ctx, shopping.ShoppingServiceAddItemMethod); err != nil {
		fmt.Println(err)
		return
	}
	peers, err := node.Peers(ctx)
	for _, p := range peers {
		fmt.Println(p.Name, p.Services)
	}
	fmt.Println(err)
	// Output:
	// eu-1 [ShoppingService]
	// <nil>
}

// What nodes serve can be looked at without their source.
func ExampleNode_Describe() {
	ctx := context.Background()
	ctl := controller.New(controller.Options{})
	defer ctl.Close()
	node, err := daffi.Connect(ctx, daffi.Options{Name: "eu-1", Controller: ctl})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer node.Close()
	if _, err := shopping.RegisterShoppingService(node, new(list)); err != nil {
		fmt.Println(err)
		return
	}

	service, err := node.Describe(ctx, "ShoppingService")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(service.Doc)
	for _, m := range service.Methods {
		fmt.Printf("%s%v %s at %v: %q\n", m.Name, m.Params, m.Signature, m.Nodes, m.Doc)
	}
	// Output:
	// ShoppingService keeps one shopping list.
	// AddItem[item] (string)() at [eu-1]: ""
	// ClearItems[] ()() at [eu-1]: ""
	// GetItems[] ()([]string) at [eu-1]: "GetItems returns the items, oldest first."
}

// A call to every node that serves the method, and to those of a list of names.
func ExampleCall_Broadcast() {
	ctx := context.Background()
	shopper, stop := shop(ctx)
	defer stop()
	fmt.Println(daffi.Errors(shopper.Prepare().AddItem("tea").Broadcast(ctx)))
	for node, r := range shopper.Prepare().GetItems().Broadcast(ctx) {
		fmt.Println(node, r.Value, r.Err)
	}
	lists, err := daffi.Collect(shopper.Prepare().GetItems().With(daffi.To("eu-1", "us-1")).Broadcast(ctx))
	fmt.Println(lists, daffi.CodeOf(err))
	// Output:
	// <nil>
	// eu-1 [tea] <nil>
	// map[eu-1:[tea]] unavailable
}
