package conformance

import "context"

// Town has 499 methods: four of its own, and five in each room of its houses. All return which of them was called, and their arguments.
//
//daffi:callback
//daffi:fetcher
type Town interface {
	Mayor(ctx context.Context, name string) (string, string, error)
	Census(ctx context.Context, people map[string]int) (string, map[string]int, error)
	Taxes(ctx context.Context, sums []int64) (string, []int64, error)
	Clock(ctx context.Context, h, m int) (string, int, int, error)

	House1() House
	House2() House
	House3() House
	House4() House
	House5() House
	House6() House
	House7() House
	House8() House
	House9() House
}

// House has rooms.
//
//daffi:callback
//daffi:fetcher
type House interface {
	Room1() Room
	Room2() Room
	Room3() Room
	Room4() Room
	Room5() Room
	Room6() Room
	Room7() Room
	Room8() Room
	Room9() Room
	Room10() Room
	Room11() Room
}

// Room takes arguments of several kinds.
//
//daffi:callback
//daffi:fetcher
type Room interface {
	Numbers(ctx context.Context, a int, b float64) (string, int, float64, error)
	Text(ctx context.Context, text string) (string, string, error)
	List(ctx context.Context, list []string, n uint16) (string, []string, uint16, error)
	Table(ctx context.Context, table map[string]int) (string, map[string]int, error)
	Mixed(ctx context.Context, on bool, parcel Parcel) (string, bool, Parcel, error)
}
