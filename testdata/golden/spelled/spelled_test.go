package spelled

import (
	"context"
	"iter"
	stdlog "log"
	"slices"
	"testing"

	"github.com/daffi-rpc/daffi/runtime/daffitest"
	"github.com/daffi-rpc/daffi/testdata/golden/spelled/base"
	"github.com/daffi-rpc/daffi/testdata/golden/spelled/base/rooms"
	"github.com/daffi-rpc/daffi/testdata/goldentest"
)

type pair = struct {
	base.Thing
	Count int
}

func golden() []goldentest.Type {
	return []goldentest.Type{
		goldentest.Of(writeBaseItem, readBaseItem, base.Item{Name: "a"}),
		goldentest.Of(writeStruct, readStruct, pair{base.Item{Name: "a"}, 3}),
		goldentest.Of(writeStringIntMap, readStringIntMap, map[Name]int{"a": 1}),
	}
}

func TestGolden(t *testing.T) { goldentest.Run(t, golden()...) }

func FuzzGolden(f *testing.F) { goldentest.Fuzz(f, golden()...) }

func BenchmarkGolden(b *testing.B) { goldentest.Bench(b, golden()...) }

type service struct{ lit chan bool }

func (service) Lookup(_ context.Context, key string, in map[string]int) (map[string]base.Item, error) {
	out := map[string]base.Item{key: {Name: log}}
	for name := range in {
		out[name] = base.Item{Name: name}
	}
	return out, nil
}

func (service) All(_ context.Context, in iter.Seq2[string, error]) iter.Seq2[string, error] {
	return in
}

func (service) Pairs(_ context.Context, in []pair) (sum int, err error) {
	for _, p := range in {
		sum += p.Count + len(p.Thing.Name)
	}
	return sum, nil
}

func (s service) Kitchen() rooms.Room { return room(s) }

func (service) Sum(_ context.Context, list []map[string]int) (sum int, err error) {
	for _, m := range list {
		for _, n := range m {
			sum += n
		}
	}
	return sum, nil
}

func (service) Raise(_ context.Context, l Level) (Level, error) { return Level{l.n + 1}, nil }

func (service) Log() *stdlog.Logger { return stdlog.Default() }

type room service

func (r room) Light(_ context.Context, on bool) error {
	r.lit <- on
	return nil
}

func TestSpelled(t *testing.T) {
	net, ctx := daffitest.New(t), t.Context()
	impl := service{make(chan bool, 1)}
	if _, err := RegisterService(net.Node("server"), impl); err != nil {
		t.Fatal(err)
	}
	client := NewClient(net.Node("client"))
	items, err := client.Lookup(ctx, "k", map[string]int{"a": 1})
	if err != nil || len(items) != 2 || items["k"].Name != log || items["a"].Name != "a" {
		t.Error(items, err)
	}
	var all []string
	for s, err := range client.All(ctx, func(yield func(string, error) bool) { _ = yield("x", nil) && yield("y", nil) }) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, s)
	}
	if !slices.Equal(all, []string{"x", "y"}) {
		t.Error(all)
	}
	if sum, err := client.Pairs(ctx, []pair{{base.Item{Name: "abc"}, 4}}); sum != 7 || err != nil {
		t.Error(sum, err)
	}
	if sum, err := client.Sum(ctx, []map[Name]int{{"a": 1}, {"b": 2}}); sum != 3 || err != nil {
		t.Error(sum, err)
	}
	if l, err := client.Raise(ctx, Level{41}); l.n != 42 || err != nil {
		t.Error(l, err)
	}
	if err := client.Kitchen().Light(ctx, true); err != nil || !<-impl.lit {
		t.Error(err)
	}
}

// A method that is local is on no wire, whatever its name and its types.
func TestD30LocalMethodsAreNotOnTheWire(t *testing.T) {
	net, ctx := daffitest.New(t), t.Context()
	server := net.Node("server")
	if _, err := RegisterService(server, service{}); err != nil {
		t.Fatal(err)
	}
	versions, err := server.Describe(ctx, ServiceName)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, m := range versions.Methods {
		names = append(names, m.Name)
	}
	if !slices.Contains(names, "Sum") || slices.Contains(names, "Log") {
		t.Error(names)
	}
}
