package anyvalues

import (
	"context"
	"iter"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/daffi-rpc/daffi/runtime/daffitest"
)

type store struct{ values map[string]any }

func (s store) Put(_ context.Context, key string, value any) error {
	s.values[key] = value
	return nil
}

func (s store) Get(_ context.Context, key string) (any, error) { return s.values[key], nil }

func (store) Records(_ context.Context, labels Labels, args ...any) ([]Record, error) {
	return []Record{{Labels: labels, List: args}}, nil
}

func (store) Pipe(_ context.Context, in iter.Seq2[any, error]) iter.Seq2[Anything, error] {
	return func(yield func(Anything, error) bool) {
		for v, err := range in {
			if !yield(v, err) {
				return
			}
		}
	}
}

// TestRemote calls the methods through a controller.
func TestRemote(t *testing.T) {
	net := daffitest.New(t)
	if _, err := RegisterStore(net.Node("server"), store{make(map[string]any)}); err != nil {
		t.Fatal(err)
	}
	remote, ctx := NewStore(net.Node("client")), t.Context()
	for _, v := range []any{nil, 1, "a", time.Minute, []any{1.5, nil}, map[string]any{"k": []byte{1}}} {
		if err := remote.Put(ctx, "key", v); err != nil {
			t.Error(err)
		}
		if got, err := remote.Get(ctx, "key"); err != nil || !reflect.DeepEqual(got, v) {
			t.Errorf("%v became %v, error %v", v, got, err)
		}
	}
	records, err := remote.Records(ctx, Labels{"l": true}, 1, "two")
	if want := []Record{{Labels: Labels{"l": true}, List: []any{1, "two"}}}; err != nil || !reflect.DeepEqual(records, want) {
		t.Error(records, err)
	}
	for v, err := range remote.Pipe(ctx, func(yield func(any, error) bool) { yield(time.Second, nil) }) {
		if v != Anything(time.Second) || err != nil {
			t.Error(v, err)
		}
	}
	if err := remote.Put(ctx, "key", struct{}{}); err == nil || !strings.Contains(err.Error(), "any holds a struct {}, which cannot travel in it") {
		t.Error(err)
	}
}
