package evolve

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"

	"github.com/daffi-rpc/daffi/internal/e2e/evolve/after"
	daffi "github.com/daffi-rpc/daffi/runtime"
)

// afterImpl is the version that serves.
type afterImpl struct{}

func serveAfter(r daffi.Registrar) (*daffi.Registration, error) {
	return after.RegisterContract(r, afterImpl{}, daffi.As(Service))
}

func (afterImpl) Same(ctx context.Context, text string) (string, error) {
	return show("after got", text), nil
}

func (afterImpl) FieldAdded(ctx context.Context, p after.Person) (after.Person, error) {
	return after.Person{Name: fmt.Sprintf("after got %+v", p), Age: 40}, nil
}

func (afterImpl) FieldRemoved(ctx context.Context, a after.Address) (after.Address, error) {
	return after.Address{Street: fmt.Sprintf("after got %+v", a)}, nil
}

func (afterImpl) ArgumentAdded(ctx context.Context, text string, n int) (string, error) {
	return show("after got", text, n), nil
}

func (afterImpl) ArgumentRemoved(ctx context.Context, text string) (string, error) {
	return show("after got", text), nil
}

func (afterImpl) ResultAdded(ctx context.Context) (string, int, error) { return "after", 7, nil }
func (afterImpl) ResultRemoved(ctx context.Context) (string, error)    { return "after", nil }
func (afterImpl) FirstResultAdded(ctx context.Context) (string, error) { return "after", nil }
func (afterImpl) OnlyResultRemoved(ctx context.Context) error          { return nil }

func (afterImpl) ArgumentWidened(ctx context.Context, n int64) (string, error) {
	return show("after got", n), nil
}

func (afterImpl) ResultWidened(ctx context.Context) (int64, error) { return 2, nil }

func (afterImpl) ArgumentNarrowed(ctx context.Context, n int32) (string, error) {
	return show("after got", n), nil
}

func (afterImpl) ResultNarrowed(ctx context.Context) (int32, error) { return 2, nil }

func (afterImpl) FieldWidened(ctx context.Context, o after.Order) (string, error) {
	return fmt.Sprintf("after got %+v", o), nil
}

func (afterImpl) ArgumentChanged(ctx context.Context, v int) (string, error) {
	return show("after got", v), nil
}

func (afterImpl) ResultChanged(ctx context.Context) (int, error) { return 2, nil }

func (afterImpl) FieldChanged(ctx context.Context, s after.Stock) (string, error) {
	return fmt.Sprintf("after got %+v", s), nil
}

func (afterImpl) Added(ctx context.Context) (string, error) { return "after", nil }

func (afterImpl) NewName(ctx context.Context, text string) (string, error) {
	return show("after got", text), nil
}

func (afterImpl) ItemFieldAdded(ctx context.Context, n int) iter.Seq2[after.Person, error] {
	return items(slices.Repeat([]after.Person{{Name: "after", Age: n}}, n)...)
}

func (afterImpl) ItemWidened(ctx context.Context, n int) iter.Seq2[int64, error] {
	return items(slices.Repeat([]int64{2}, n)...)
}

func (afterImpl) ItemChanged(ctx context.Context, n int) iter.Seq2[string, error] {
	return items(slices.Repeat([]string{"after"}, n)...)
}

func (afterImpl) InputFieldAdded(ctx context.Context, in iter.Seq2[after.Person, error]) (string, error) {
	list, err := collect(in)
	return fmt.Sprintf("after got %+v", list), err
}

func (afterImpl) InputWidened(ctx context.Context, in iter.Seq2[int64, error]) (string, error) {
	list, err := collect(in)
	return show("after got", list), err
}

func (afterImpl) InputChanged(ctx context.Context, in iter.Seq2[int, error]) (string, error) {
	list, err := collect(in)
	return show("after got", list), err
}

func (afterImpl) Chat(ctx context.Context, in iter.Seq2[after.Person, error]) iter.Seq2[after.Person, error] {
	return func(yield func(after.Person, error) bool) {
		for p, err := range in {
			if !yield(after.Person{Name: fmt.Sprintf("after got %+v", p), Age: 40}, err) {
				return
			}
		}
	}
}

func (afterImpl) ChatChanged(ctx context.Context, in iter.Seq2[int, error]) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for n, err := range in {
			if !yield(show("after got", n), err) {
				return
			}
		}
	}
}

func (afterImpl) BecameStream(ctx context.Context) iter.Seq2[string, error] { return items("after") }

func (afterImpl) Put(ctx context.Context, p after.Person) error {
	if p.Name == "last" { // what tells the caller who has served it
		return fmt.Errorf("after got %+v", p)
	}
	return nil
}

func (afterImpl) PutChanged(ctx context.Context, text string) error {
	return errors.New(show("after got", text))
}

func callsAfter(c daffi.Caller, opts ...daffi.CallOption) calls {
	p, each := after.NewClient(c, opts...), after.NewEach(c, opts...)
	ann, last := after.Person{Name: "Ann", Age: 30}, after.Person{Name: "last", Age: 30}
	return calls{
		"Same":       func(ctx context.Context) (string, error) { return p.Same(ctx, "x") },
		"FieldAdded": func(ctx context.Context) (string, error) { return result(p.FieldAdded(ctx, ann)) },
		"FieldRemoved": func(ctx context.Context) (string, error) {
			return result(p.FieldRemoved(ctx, after.Address{Street: "Main"}))
		},
		"ArgumentAdded":   func(ctx context.Context) (string, error) { return p.ArgumentAdded(ctx, "x", 5) },
		"ArgumentRemoved": func(ctx context.Context) (string, error) { return p.ArgumentRemoved(ctx, "x") },
		"ResultAdded": func(ctx context.Context) (string, error) {
			s, n, err := p.ResultAdded(ctx)
			return show(s, n), err
		},
		"ResultRemoved":     func(ctx context.Context) (string, error) { return p.ResultRemoved(ctx) },
		"FirstResultAdded":  func(ctx context.Context) (string, error) { return p.FirstResultAdded(ctx) },
		"OnlyResultRemoved": func(ctx context.Context) (string, error) { return done(p.OnlyResultRemoved(ctx)) },
		"ArgumentWidened":   func(ctx context.Context) (string, error) { return p.ArgumentWidened(ctx, -1<<63) },
		"ResultWidened":     func(ctx context.Context) (string, error) { return result(p.ResultWidened(ctx)) },
		"ArgumentNarrowed":  func(ctx context.Context) (string, error) { return p.ArgumentNarrowed(ctx, 1<<31-1) },
		"ResultNarrowed":    func(ctx context.Context) (string, error) { return result(p.ResultNarrowed(ctx)) },
		"FieldWidened": func(ctx context.Context) (string, error) {
			return p.FieldWidened(ctx, after.Order{Lines: []after.Line{{Quantity: 3}}})
		},
		"ArgumentChanged": func(ctx context.Context) (string, error) { return p.ArgumentChanged(ctx, 5) },
		"ResultChanged":   func(ctx context.Context) (string, error) { return result(p.ResultChanged(ctx)) },
		"FieldChanged":    func(ctx context.Context) (string, error) { return p.FieldChanged(ctx, after.Stock{Count: 3}) },
		"Added":           func(ctx context.Context) (string, error) { return p.Added(ctx) },
		"Renamed":         func(ctx context.Context) (string, error) { return p.NewName(ctx, "x") },
		"ItemFieldAdded":  func(ctx context.Context) (string, error) { return result(collect(p.ItemFieldAdded(ctx, 2))) },
		"ItemWidened":     func(ctx context.Context) (string, error) { return result(collect(p.ItemWidened(ctx, 2))) },
		"ItemChanged":     func(ctx context.Context) (string, error) { return result(collect(p.ItemChanged(ctx, 2))) },
		"InputFieldAdded": func(ctx context.Context) (string, error) { return p.InputFieldAdded(ctx, items(ann, last)) },
		"InputWidened":    func(ctx context.Context) (string, error) { return p.InputWidened(ctx, items[int64](1, -1)) },
		"InputChanged":    func(ctx context.Context) (string, error) { return p.InputChanged(ctx, items(5)) },
		"Chat":            func(ctx context.Context) (string, error) { return result(collect(p.Chat(ctx, items(ann)))) },
		"ChatChanged":     func(ctx context.Context) (string, error) { return result(collect(p.ChatChanged(ctx, items(1, 2)))) },
		"BecameStream":    func(ctx context.Context) (string, error) { return result(collect(p.BecameStream(ctx))) },
		"Put":             func(ctx context.Context) (string, error) { return done(p.Put(ctx, last)) },
		"PutAll": func(ctx context.Context) (string, error) {
			return done(each.PutAll(ctx, slices.Values([]after.Person{ann, last})))
		},
		"PutAllChanged": func(ctx context.Context) (string, error) {
			return done(each.PutAllChanged(ctx, slices.Values([]string{"a", "b"})))
		},
	}
}
