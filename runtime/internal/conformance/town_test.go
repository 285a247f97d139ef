package conformance

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	daffi "github.com/daffi-rpc/daffi/runtime"
)

// town, house9 and room say where they are.
type town struct{}

func (town) Mayor(_ context.Context, name string) (string, string, error) { return "Mayor", name, nil }
func (town) Census(_ context.Context, people map[string]int) (string, map[string]int, error) {
	return "Census", people, nil
}
func (town) Taxes(_ context.Context, sums []int64) (string, []int64, error) {
	return "Taxes", sums, nil
}
func (town) Clock(_ context.Context, h, m int) (string, int, int, error) { return "Clock", h, m, nil }

func (town) House1() House { return house9{"House1"} }
func (town) House2() House { return house9{"House2"} }
func (town) House3() House { return house9{"House3"} }
func (town) House4() House { return house9{"House4"} }
func (town) House5() House { return house9{"House5"} }
func (town) House6() House { return house9{"House6"} }
func (town) House7() House { return house9{"House7"} }
func (town) House8() House { return house9{"House8"} }
func (town) House9() House { return house9{"House9"} }

type house9 struct{ name string }

func (h house9) Room1() Room  { return room{h.name + ".Room1"} }
func (h house9) Room2() Room  { return room{h.name + ".Room2"} }
func (h house9) Room3() Room  { return room{h.name + ".Room3"} }
func (h house9) Room4() Room  { return room{h.name + ".Room4"} }
func (h house9) Room5() Room  { return room{h.name + ".Room5"} }
func (h house9) Room6() Room  { return room{h.name + ".Room6"} }
func (h house9) Room7() Room  { return room{h.name + ".Room7"} }
func (h house9) Room8() Room  { return room{h.name + ".Room8"} }
func (h house9) Room9() Room  { return room{h.name + ".Room9"} }
func (h house9) Room10() Room { return room{h.name + ".Room10"} }
func (h house9) Room11() Room { return room{h.name + ".Room11"} }

type room struct{ name string }

func (r room) Numbers(_ context.Context, a int, b float64) (string, int, float64, error) {
	return r.name + ".Numbers", a, b, nil
}
func (r room) Text(_ context.Context, text string) (string, string, error) {
	return r.name + ".Text", text, nil
}
func (r room) List(_ context.Context, list []string, n uint16) (string, []string, uint16, error) {
	return r.name + ".List", list, n, nil
}
func (r room) Table(_ context.Context, table map[string]int) (string, map[string]int, error) {
	return r.name + ".Table", table, nil
}
func (r room) Mixed(_ context.Context, on bool, parcel Parcel) (string, bool, Parcel, error) {
	return r.name + ".Mixed", on, parcel, nil
}

// method makes one call with random arguments. It returns an error unless they come back, from where they should.
type method struct {
	name string
	call func(ctx context.Context) error
}

func (m method) check(ctx context.Context) error {
	if err := m.call(ctx); err != nil {
		return fmt.Errorf("%s: %w", m.name, err)
	}
	return nil
}

// same says what is not as it should be.
func same(err error, want, got string, equal ...bool) error {
	switch {
	case err != nil:
		return err
	case want != got:
		return fmt.Errorf("%s has answered", got)
	case slices.Contains(equal, false):
		return fmt.Errorf("the arguments came back changed")
	}
	return nil
}

// methods are the 499 of a town.
func methods(t Town) []method {
	all := []method{
		{"Mayor", func(ctx context.Context) error {
			in := randomText()
			where, out, err := t.Mayor(ctx, in)
			return same(err, "Mayor", where, in == out)
		}},
		{"Census", func(ctx context.Context) error {
			in := map[string]int{randomText(): rand.Int(), "b": 0}
			where, out, err := t.Census(ctx, in)
			return same(err, "Census", where, maps.Equal(in, out))
		}},
		{"Taxes", func(ctx context.Context) error {
			in := []int64{rand.Int64() - rand.Int64(), 0, -1}
			where, out, err := t.Taxes(ctx, in)
			return same(err, "Taxes", where, slices.Equal(in, out))
		}},
		{"Clock", func(ctx context.Context) error {
			h, m := rand.IntN(24), rand.IntN(60)
			where, outH, outM, err := t.Clock(ctx, h, m)
			return same(err, "Clock", where, h == outH, m == outM)
		}},
	}
	for i, house := range []House{t.House1(), t.House2(), t.House3(), t.House4(), t.House5(), t.House6(), t.House7(), t.House8(), t.House9()} {
		for j, room := range []Room{
			house.Room1(), house.Room2(), house.Room3(), house.Room4(), house.Room5(), house.Room6(),
			house.Room7(), house.Room8(), house.Room9(), house.Room10(), house.Room11(),
		} {
			all = append(all, roomMethods(fmt.Sprintf("House%d.Room%d.", i+1, j+1), room)...)
		}
	}
	return all
}

func roomMethods(name string, r Room) []method {
	return []method{
		{name + "Numbers", func(ctx context.Context) error {
			a, b := rand.Int()-rand.Int(), rand.NormFloat64()
			where, outA, outB, err := r.Numbers(ctx, a, b)
			return same(err, name+"Numbers", where, a == outA, b == outB)
		}},
		{name + "Text", func(ctx context.Context) error {
			in := randomText()
			where, out, err := r.Text(ctx, in)
			return same(err, name+"Text", where, in == out)
		}},
		{name + "List", func(ctx context.Context) error {
			in, n := []string{randomText(), "", randomText()}, uint16(rand.Int())
			where, out, outN, err := r.List(ctx, in, n)
			return same(err, name+"List", where, slices.Equal(in, out), n == outN)
		}},
		{name + "Table", func(ctx context.Context) error {
			in := map[string]int{randomText(): rand.Int(), "": -1}
			where, out, err := r.Table(ctx, in)
			return same(err, name+"Table", where, maps.Equal(in, out))
		}},
		{name + "Mixed", func(ctx context.Context) error {
			on, in := rand.IntN(2) == 0, randomParcel(1)
			where, outOn, out, err := r.Mixed(ctx, on, in)
			return same(err, name+"Mixed", where, on == outOn, in.Label == out.Label, in.Inner.Size == out.Inner.Size, maps.Equal(in.Stock, out.Stock), in.Sent.Equal(out.Sent))
		}},
	}
}

// manyMethods has 500 goroutines that make three calls each, of 499 methods.
func manyMethods(t *testing.T, w *world) {
	w.nodeWith(daffi.Options{Name: "town"}, func(n *daffi.Node) error {
		_, err := RegisterTown(n, town{})
		return err
	})
	all := methods(NewTown(w.node("client")))
	require.Len(t, all, 499)
	var wg sync.WaitGroup
	for i := range 500 {
		wg.Go(func() {
			for _, m := range []method{all[i%len(all)], all[rand.IntN(len(all))], all[rand.IntN(len(all))]} {
				if err := m.check(t.Context()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
}
