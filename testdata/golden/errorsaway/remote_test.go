package errorsaway

import (
	"context"
	stderrors "errors"
	"fmt"
	"io"
	"iter"
	"testing"

	daffi "github.com/daffi-rpc/daffi/runtime"
	"github.com/daffi-rpc/daffi/runtime/daffitest"
	"github.com/daffi-rpc/daffi/testdata/golden/errors"
)

// shop fails with err, and keeps how its input ends.
type shop struct {
	errors.Shop
	err, input error
}

func (s *shop) Unary(context.Context, int) (int, error) { return 0, s.err }
func (s *shop) Act(context.Context) error               { return s.err }
func (s *shop) Chosen(context.Context) error            { return s.err }
func (s *shop) None(context.Context) error              { return s.err }

func (s *shop) Up(_ context.Context, in iter.Seq2[int, error]) (int, error) {
	for _, err := range in {
		s.input = err
	}
	return 0, s.err
}

// relay calls a shop for its caller.
type relay struct{ shop *errors.ShopProxy }

func (r relay) Relay(ctx context.Context) error {
	if err := r.shop.Act(ctx); err != nil {
		return fmt.Errorf("relayed: %w", err)
	}
	return nil
}

type kit struct {
	shop     *shop
	buyer    *BuyerProxy
	picky    *PickyProxy
	stranger *StrangerProxy
	service  *ServiceProxy
}

func newKit(t *testing.T) *kit {
	net := daffitest.New(t)
	server, middle, client := net.Node("server"), net.Node("middle"), net.Node("client")
	s := new(shop)
	_, err := errors.RegisterShop(server, s)
	_, err2 := RegisterService(middle, relay{errors.NewShop(middle)})
	if err := stderrors.Join(err, err2); err != nil {
		t.Fatal(err)
	}
	return &kit{s, NewBuyer(client), NewPicky(client), NewStranger(client), NewService(client)}
}

// wants checks that errors.Is finds in got what it finds, and not what it does not find.
func wants(t *testing.T, got error, is []error, not ...error) {
	t.Helper()
	for _, err := range is {
		if !stderrors.Is(got, err) {
			t.Errorf("%v is no %v", got, err)
		}
	}
	for _, err := range not {
		if stderrors.Is(got, err) {
			t.Errorf("%v is %v", got, err)
		}
	}
}

// TestAway finds the errors of a service in another package.
func TestAway(t *testing.T) {
	k, ctx := newKit(t), t.Context()
	limit := errors.ErrLimit{Max: 3}
	k.shop.err = stderrors.Join(errors.ErrSoldOut, errors.ErrB, limit, &errors.ErrQuota{User: "bob"}, errors.ErrCode(4), ErrAway, io.EOF)
	is := func(list ...error) []error { return list }

	_, err := k.buyer.Unary(ctx, 1)
	wants(t, err, is(errors.ErrSoldOut, errors.ErrA, errors.ErrB, limit, errors.ErrCode(4)), ErrAway, ErrB, io.EOF)
	if quota, ok := stderrors.AsType[*errors.ErrQuota](err); !ok || quota.User != "bob" {
		t.Error(err)
	}
	wants(t, k.buyer.Chosen(ctx), is(errors.ErrSoldOut, io.EOF), errors.ErrB, limit)
	wants(t, k.buyer.None(ctx), nil, errors.ErrSoldOut, io.EOF)

	wants(t, k.picky.Act(ctx), is(errors.ErrSoldOut), errors.ErrB, limit, errors.ErrCode(4))
	_, err = k.picky.Unary(ctx, 1)
	wants(t, err, is(errors.ErrCode(4)), errors.ErrSoldOut)

	// who knows the service by its name on the wire has an error of the same name
	wants(t, k.stranger.Act(ctx), is(ErrB), errors.ErrB, errors.ErrSoldOut)
}

// TestInput sends the error of an input to a service that knows it by the same name.
func TestInput(t *testing.T) {
	k := newKit(t)
	_, err := k.buyer.Up(t.Context(), func(yield func(int, error) bool) { yield(0, stderrors.Join(errors.ErrB, ErrAway)) })
	wants(t, err, []error{errors.ErrB, ErrAway})
	wants(t, k.shop.input, []error{errors.ErrB}, ErrAway)
}

// TestHops relays an error: each hop knows it by its own table.
func TestHops(t *testing.T) {
	k := newKit(t)
	limit := errors.ErrLimit{Max: 3, Unit: "x"}
	k.shop.err = stderrors.Join(&daffi.Error{Code: daffi.NotFound, Message: "gone"}, errors.ErrSoldOut, limit, errors.ErrB)
	err := k.service.Relay(t.Context())
	wants(t, err, []error{errors.ErrSoldOut, limit}, errors.ErrB)
	if e, ok := stderrors.AsType[*daffi.Error](err); !ok || e.Code != daffi.NotFound || e.Node != "middle" {
		t.Error(err)
	}
}
