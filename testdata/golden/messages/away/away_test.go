package away

import (
	"context"
	"reflect"
	"testing"

	"github.com/daffi-rpc/daffi/runtime/daffitest"
	"github.com/daffi-rpc/daffi/testdata/goldentest"
)

func TestGolden(t *testing.T) {
	goldentest.Run(t, goldentest.Of(writePlace, readPlace, Place{1, 2, []*Place{nil, {Lat: 3}}}))
}

func FuzzGolden(f *testing.F) {
	goldentest.Fuzz(f, goldentest.Of(writePlace, readPlace, Place{1, 2, []*Place{nil, {Lat: 3}}}))
}

type atlas struct{}

func (atlas) Find(_ context.Context, near Place) (*Place, error) {
	return &Place{Lat: near.Lat + 1, Near: []*Place{&near}}, nil
}

func (atlas) Any(_ context.Context, v any) (any, error) {
	return []any{v, &Place{Lon: 1}}, nil
}

// TestRemote sends messages as arguments and results, and in an any.
func TestRemote(t *testing.T) {
	network := daffitest.New(t)
	if _, err := RegisterAtlas(network.Node("server"), atlas{}); err != nil {
		t.Fatal(err)
	}
	remote := NewAtlas(network.Node("client"))
	place, err := remote.Find(t.Context(), Place{Lat: 1})
	if err != nil || !reflect.DeepEqual(place, &Place{Lat: 2, Near: []*Place{{Lat: 1}}}) {
		t.Error(place, err)
	}
	v, err := remote.Any(t.Context(), &Place{Lat: 5})
	want := []any{map[string]any{"Lat": 5.0, "Lon": 0.0, "Near": nil}, map[string]any{"Lat": 0.0, "Lon": 1.0, "Near": nil}}
	if err != nil || !reflect.DeepEqual(v, want) {
		t.Errorf("%#v, error %v", v, err)
	}
}
