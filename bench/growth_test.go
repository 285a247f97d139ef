package main

import (
	"os"
	"testing"
	"time"

	"github.com/daffi-rpc/daffi/bench/echo"
	daffi "github.com/daffi-rpc/daffi/runtime"
	"github.com/daffi-rpc/daffi/runtime/controller"
)

// TestIdlers looks at a controller whether what idles is there.
func TestIdlers(t *testing.T) {
	for _, c := range []struct {
		want      idlers
		providers int // of methods: a node is one for each that it serves
	}{
		{idlers{Nodes: 3, Methods: 10}, 30},
		{idlers{Nodes: 2, Methods: 80, Streams: 7}, 80},
	} {
		ctl, server := serveIdle(t)
		_, err := makeIdlers(t.Context(), ctl.Addr(), c.want)
		if err != nil {
			t.Fatal(err)
		}
		if st := ctl.Stats(); st.Nodes != c.want.Nodes+1 || st.Providers != c.providers+1 || st.Serving != c.want.Streams {
			t.Errorf("%+v: %d nodes, %d providers, %d streams, with the server", c.want, st.Nodes, st.Providers, st.Serving)
		}
		server.Close()
		ctl.Close()
	}
}

// serveIdle is a controller, and a node that holds streams.
func serveIdle(t *testing.T) (*controller.Controller, *daffi.Node) {
	t.Helper()
	ctl, err := controller.Listen(t.Context(), controller.Options{Addr: "unix://" + t.TempDir() + "/s"})
	if err != nil {
		t.Fatal(err)
	}
	node := daffi.New(daffi.Options{Name: "server", Addr: ctl.Addr()})
	if _, err := echo.RegisterIdle(node, holder{}); err != nil {
		t.Fatal(err)
	}
	if err := node.Join(t.Context()); err != nil {
		t.Fatal(err)
	}
	return ctl, node
}

// TestIdle holds a controller to what it may take for nodes that do nothing: of as many as ACC-21 has where there is a night for it.
func TestIdle(t *testing.T) {
	nodes, each := 100, 4*time.Millisecond
	night := os.Getenv("DAFFI_NIGHT") != ""
	defer func(d time.Duration) { idleLeast = d }(idleLeast)
	if night {
		nodes, each = 5000, 400*time.Millisecond
	} else {
		idleLeast = 100 * time.Millisecond
	}
	p := plan{systems: daffiSystems, scenarios: []scenario{idling(nodes)}, rounds: 1, each: each}
	r, err := p.run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range idleGoals(idling(nodes)) {
		o, ok := r.outcome(g)
		if !ok {
			t.Errorf("%s: not measured", g.text)
			continue
		}
		t.Logf("%s: %v, at most %v", g.text, o.spread, g.limit)
		if night && !o.met && !raceEnabled {
			t.Errorf("%s: %v, and not at most %v", g.text, o.spread, g.limit)
		}
		if g.metric.name == idleMemory.name && (o.spread.Median < 1 || o.spread.Median > 64 && !raceEnabled) {
			t.Errorf("%s: %v; can that be?", g.text, o.spread)
		}
	}
}

// TestGrowth does a little of it, with fewer of everything.
func TestGrowth(t *testing.T) {
	old := growing
	defer func() { growing = old }()
	growing = [][]scenario{series("streams", idlers{Nodes: 2, Methods: 10, Streams: 1}, idlers{Nodes: 2, Methods: 10, Streams: 600})}
	p := plan{systems: crowdedSystems, scenarios: growing[0], rounds: 2, each: 4 * time.Millisecond}
	r, err := p.run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Figures) != 4 {
		t.Errorf("%d figures, not one for each size in each of two rounds", len(r.Figures))
	}
	for _, g := range growthGoals() {
		o, ok := r.outcome(g)
		if !ok || o.spread.Least <= 0 {
			t.Errorf("%s: %+v, %v", g.text, o, ok)
		}
	}
}

// TestDecodingAllocs counts by hand: a name, the list of tags, two tags, the data.
func TestDecodingAllocs(t *testing.T) {
	for _, size := range []int{small, medium, large} {
		if n := decodingAllocs(size); n < 5 || n > 5.1 && !raceEnabled {
			t.Errorf("decoding %d bytes takes %.2f allocations, not 5", size, n)
		}
	}
}
