package bidirectional_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"testing"
	"time"

	"github.com/daffi-rpc/daffi/examples/bidirectional"
	daffi "github.com/daffi-rpc/daffi/runtime"
	"github.com/daffi-rpc/daffi/runtime/controller"
	"github.com/daffi-rpc/daffi/runtime/daffitest"
)

type guest struct{ likes string }

func (g guest) Want(ctx context.Context, extra string) (bool, error) {
	if g.likes == "" {
		return false, errors.New("leave me alone")
	}
	return extra == g.likes, nil
}

func Example() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	ctl := controller.New(controller.Options{})
	defer ctl.Close()
	kitchen := daffi.New(daffi.Options{Name: "kitchen", Controller: ctl})
	defer kitchen.Close()
	if _, err := bidirectional.RegisterKitchen(kitchen, bidirectional.Cook{Extras: []string{"salt", "pepper"}}); err != nil {
		log.Fatal(err)
	}
	table := daffi.New(daffi.Options{Name: "table-4", Controller: ctl})
	defer table.Close()
	if _, err := bidirectional.RegisterGuest(table, guest{likes: "pepper"}); err != nil {
		log.Fatal(err)
	}
	for _, n := range []*daffi.Node{kitchen, table} {
		if err := n.Join(ctx); err != nil {
			log.Fatal(err)
		}
	}
	fmt.Println(bidirectional.NewKitchen(table).Order(ctx, "soup"))
	// Output: soup with pepper <nil>
}

// What the guest has said to the question is what the guest hears of the order.
func TestD71D76GuestRefuses(t *testing.T) {
	net := daffitest.New(t)
	if _, err := bidirectional.RegisterKitchen(net.Node("kitchen"), bidirectional.Cook{Extras: []string{"salt"}}); err != nil {
		t.Fatal(err)
	}
	table := net.Node("table")
	if _, err := bidirectional.RegisterGuest(table, guest{}); err != nil {
		t.Fatal(err)
	}
	for _, service := range []string{bidirectional.KitchenName, bidirectional.GuestName} {
		if err := table.WaitMethod(t.Context(), service); err != nil {
			t.Fatal(err)
		}
	}
	_, err := bidirectional.NewKitchen(table).Order(t.Context(), "soup")
	if err == nil || daffi.OutcomeOf(err) != daffi.Ran {
		t.Error(err)
	}
}
