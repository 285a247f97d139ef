package daffi_test

import (
	"context"
	"fmt"
	"strings"

	"github.com/daffi-rpc/daffi/examples/shopping"
	daffi "github.com/daffi-rpc/daffi/runtime"
	"github.com/daffi-rpc/daffi/runtime/controller"
)

// An observer changes nothing: it calls next and returns what that has returned. The same one can stand on both sides. (E-10)
func ExampleInterceptor() {
	observe := func(ctx context.Context, c *daffi.Interception, next func(context.Context) error) error {
		fmt.Println("begin:", c.Side, c.Method)
		err := next(ctx)
		fmt.Println("end:", c.Side, c.Method, daffi.CodeOf(err))
		return err
	}
	ctx := context.Background()
	ctl := controller.New(controller.Options{})
	defer ctl.Close()
	server, _ := daffi.Connect(ctx, daffi.Options{Name: "eu-1", Controller: ctl, ServeInterceptors: []daffi.Interceptor{observe}})
	defer server.Close()
	client, _ := daffi.Connect(ctx, daffi.Options{Name: "shopper", Controller: ctl, Interceptors: []daffi.Interceptor{observe}})
	defer client.Close()
	shopping.RegisterShoppingService(server, new(list))
	shopping.NewShopper(client).AddItem(ctx, "tea")
	// Output:
	// begin: caller ShoppingService.AddItem
	// begin: callee ShoppingService.AddItem
	// end: callee ShoppingService.AddItem unknown
	// end: caller ShoppingService.AddItem unknown
}

// filtered lets an interceptor see the methods that keep likes. (E-11)
func filtered(keep func(method string) bool, i daffi.Interceptor) daffi.Interceptor {
	return func(ctx context.Context, c *daffi.Interception, next func(context.Context) error) error {
		if !keep(c.Method) {
			return next(ctx)
		}
		return i(ctx, c, next)
	}
}

// An interceptor for some methods: here those that change something are refused before any handler runs.
func ExampleInterceptHandlers() {
	changes := func(method string) bool { return !strings.Contains(method, ".Get") }
	readOnly := filtered(changes, func(context.Context, *daffi.Interception, func(context.Context) error) error {
		return &daffi.Error{Code: daffi.PermissionDenied, Message: "the list is read-only"}
	})
	ctx := context.Background()
	ctl := controller.New(controller.Options{})
	defer ctl.Close()
	node, _ := daffi.Connect(ctx, daffi.Options{Name: "eu-1", Controller: ctl})
	defer node.Close()
	shopping.RegisterShoppingService(node, new(list), daffi.InterceptHandlers(readOnly))
	shopper := shopping.NewShopper(node)
	fmt.Println(shopper.AddItem(ctx, "tea"))
	items, err := shopper.GetItems(ctx)
	fmt.Println(items, err)
	// Output:
	// ShoppingService.AddItem at eu-1: permission_denied: the list is read-only
	// [] <nil>
}
