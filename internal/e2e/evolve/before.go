package evolve

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"

	"github.com/daffi-rpc/daffi/internal/e2e/evolve/before"
	daffi "github.com/daffi-rpc/daffi/runtime"
)

// beforeImpl is the version that serves.
type beforeImpl struct{}

func serveBefore(r daffi.Registrar) (*daffi.Registration, error) {
	return before.RegisterContract(r, beforeImpl{}, daffi.As(Service))
}

func (beforeImpl) Same(ctx context.Context, text string) (string, error) {
	return show("before got", text), nil
}

func (beforeImpl) FieldAdded(ctx context.Context, p before.Person) (before.Person, error) {
	return before.Person{Name: fmt.Sprintf("before got %+v", p)}, nil
}

func (beforeImpl) FieldRemoved(ctx context.Context, a before.Address) (before.Address, error) {
	return before.Address{Street: fmt.Sprintf("before got %+v", a), Zip: "back"}, nil
}

func (beforeImpl) ArgumentAdded(ctx context.Context, text string) (string, error) {
	return show("before got", text), nil
}

func (beforeImpl) ArgumentRemoved(ctx context.Context, text string, n int) (string, error) {
	return show("before got", text, n), nil
}

func (beforeImpl) ResultAdded(ctx context.Context) (string, error) { return "before", nil }

func (beforeImpl) ResultRemoved(ctx context.Context) (string, int, error) {
	return "before", 7, nil
}

func (beforeImpl) FirstResultAdded(ctx context.Context) error            { return nil }
func (beforeImpl) OnlyResultRemoved(ctx context.Context) (string, error) { return "before", nil }

func (beforeImpl) ArgumentWidened(ctx context.Context, n int32) (string, error) {
	return show("before got", n), nil
}

func (beforeImpl) ResultWidened(ctx context.Context) (int32, error) { return 1, nil }

func (beforeImpl) ArgumentNarrowed(ctx context.Context, n int64) (string, error) {
	return show("before got", n), nil
}

func (beforeImpl) ResultNarrowed(ctx context.Context) (int64, error) { return 1, nil }

func (beforeImpl) FieldWidened(ctx context.Context, o before.Order) (string, error) {
	return fmt.Sprintf("before got %+v", o), nil
}

func (beforeImpl) ArgumentChanged(ctx context.Context, v string) (string, error) {
	return show("before got", v), nil
}

func (beforeImpl) ResultChanged(ctx context.Context) (string, error) { return "before", nil }

func (beforeImpl) FieldChanged(ctx context.Context, s before.Stock) (string, error) {
	return fmt.Sprintf("before got %+v", s), nil
}

func (beforeImpl) Removed(ctx context.Context) (string, error) { return "before", nil }

func (beforeImpl) OldName(ctx context.Context, text string) (string, error) {
	return show("before got", text), nil
}

func (beforeImpl) ItemFieldAdded(ctx context.Context, n int) iter.Seq2[before.Person, error] {
	return items(slices.Repeat([]before.Person{{Name: "before"}}, n)...)
}

func (beforeImpl) ItemWidened(ctx context.Context, n int) iter.Seq2[int32, error] {
	return items(slices.Repeat([]int32{1}, n)...)
}

func (beforeImpl) ItemChanged(ctx context.Context, n int) iter.Seq2[int, error] {
	return items(slices.Repeat([]int{1}, n)...)
}

func (beforeImpl) InputFieldAdded(ctx context.Context, in iter.Seq2[before.Person, error]) (string, error) {
	list, err := collect(in)
	return fmt.Sprintf("before got %+v", list), err
}

func (beforeImpl) InputWidened(ctx context.Context, in iter.Seq2[int32, error]) (string, error) {
	list, err := collect(in)
	return show("before got", list), err
}

func (beforeImpl) InputChanged(ctx context.Context, in iter.Seq2[string, error]) (string, error) {
	list, err := collect(in)
	return show("before got", list), err
}

func (beforeImpl) Chat(ctx context.Context, in iter.Seq2[before.Person, error]) iter.Seq2[before.Person, error] {
	return func(yield func(before.Person, error) bool) {
		for p, err := range in {
			if !yield(before.Person{Name: fmt.Sprintf("before got %+v", p)}, err) {
				return
			}
		}
	}
}

func (beforeImpl) ChatChanged(ctx context.Context, in iter.Seq2[int, error]) iter.Seq2[int, error] {
	return in
}

func (beforeImpl) BecameStream(ctx context.Context) (string, error) { return "before", nil }

func (beforeImpl) Put(ctx context.Context, p before.Person) error {
	if p.Name == "last" { // what tells the caller who has served it
		return fmt.Errorf("before got %+v", p)
	}
	return nil
}

func (beforeImpl) PutChanged(ctx context.Context, n int) error {
	return errors.New(show("before got", n))
}

func callsBefore(c daffi.Caller, opts ...daffi.CallOption) calls {
	p, each := before.NewClient(c, opts...), before.NewEach(c, opts...)
	ann, last := before.Person{Name: "Ann"}, before.Person{Name: "last"}
	return calls{
		"Same":       func(ctx context.Context) (string, error) { return p.Same(ctx, "x") },
		"FieldAdded": func(ctx context.Context) (string, error) { return result(p.FieldAdded(ctx, ann)) },
		"FieldRemoved": func(ctx context.Context) (string, error) {
			return result(p.FieldRemoved(ctx, before.Address{Street: "Main", Zip: "10"}))
		},
		"ArgumentAdded":   func(ctx context.Context) (string, error) { return p.ArgumentAdded(ctx, "x") },
		"ArgumentRemoved": func(ctx context.Context) (string, error) { return p.ArgumentRemoved(ctx, "x", 5) },
		"ResultAdded":     func(ctx context.Context) (string, error) { return p.ResultAdded(ctx) },
		"ResultRemoved": func(ctx context.Context) (string, error) {
			s, n, err := p.ResultRemoved(ctx)
			return show(s, n), err
		},
		"FirstResultAdded":  func(ctx context.Context) (string, error) { return done(p.FirstResultAdded(ctx)) },
		"OnlyResultRemoved": func(ctx context.Context) (string, error) { return p.OnlyResultRemoved(ctx) },
		"ArgumentWidened":   func(ctx context.Context) (string, error) { return p.ArgumentWidened(ctx, -1<<31) },
		"ResultWidened":     func(ctx context.Context) (string, error) { return result(p.ResultWidened(ctx)) },
		"ArgumentNarrowed":  func(ctx context.Context) (string, error) { return p.ArgumentNarrowed(ctx, 1<<62) },
		"ResultNarrowed":    func(ctx context.Context) (string, error) { return result(p.ResultNarrowed(ctx)) },
		"FieldWidened": func(ctx context.Context) (string, error) {
			return p.FieldWidened(ctx, before.Order{Lines: []before.Line{{Quantity: 3}}})
		},
		"ArgumentChanged": func(ctx context.Context) (string, error) { return p.ArgumentChanged(ctx, "x") },
		"ResultChanged":   func(ctx context.Context) (string, error) { return result(p.ResultChanged(ctx)) },
		"FieldChanged":    func(ctx context.Context) (string, error) { return p.FieldChanged(ctx, before.Stock{Count: "many"}) },
		"Removed":         func(ctx context.Context) (string, error) { return p.Removed(ctx) },
		"Renamed":         func(ctx context.Context) (string, error) { return p.OldName(ctx, "x") },
		"ItemFieldAdded":  func(ctx context.Context) (string, error) { return result(collect(p.ItemFieldAdded(ctx, 2))) },
		"ItemWidened":     func(ctx context.Context) (string, error) { return result(collect(p.ItemWidened(ctx, 2))) },
		"ItemChanged":     func(ctx context.Context) (string, error) { return result(collect(p.ItemChanged(ctx, 2))) },
		"InputFieldAdded": func(ctx context.Context) (string, error) { return p.InputFieldAdded(ctx, items(ann, last)) },
		"InputWidened":    func(ctx context.Context) (string, error) { return p.InputWidened(ctx, items[int32](1, -1)) },
		"InputChanged":    func(ctx context.Context) (string, error) { return p.InputChanged(ctx, items("x")) },
		"Chat":            func(ctx context.Context) (string, error) { return result(collect(p.Chat(ctx, items(ann)))) },
		"ChatChanged":     func(ctx context.Context) (string, error) { return result(collect(p.ChatChanged(ctx, items(1, 2)))) },
		"BecameStream":    func(ctx context.Context) (string, error) { return p.BecameStream(ctx) },
		"Put":             func(ctx context.Context) (string, error) { return done(p.Put(ctx, last)) },
		"PutAll": func(ctx context.Context) (string, error) {
			return done(each.PutAll(ctx, slices.Values([]before.Person{ann, last})))
		},
		"PutAllChanged": func(ctx context.Context) (string, error) {
			return done(each.PutAllChanged(ctx, slices.Values([]int{1, 2})))
		},
	}
}
