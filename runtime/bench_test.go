package daffi_test

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/daffi-rpc/daffi/examples/shopping"
	daffi "github.com/daffi-rpc/daffi/runtime"
	"github.com/daffi-rpc/daffi/runtime/controller"
	"github.com/daffi-rpc/daffi/runtime/internal/testkit"
)

// BenchmarkCall makes calls through a controller, over every kind of link. All three run in this process, so that allocations are those of
// caller, controller and callee together.
func BenchmarkCall(b *testing.B) {
	item := strings.Repeat("x", 64)
	for _, link := range []string{"pipe", "unix", "tcp"} {
		b.Run(link, func(b *testing.B) {
			o := daffi.Options{}
			switch link {
			case "pipe":
				c := controller.New(controller.Options{})
				b.Cleanup(func() { c.Close() })
				o.Controller = c
			case "unix":
				o.Addr = benchListen(b, "unix://"+filepath.Join(b.TempDir(), "daffi.sock"))
			case "tcp":
				b.Setenv("XDG_RUNTIME_DIR", b.TempDir())
				o.Addr = benchListen(b, "tcp://localhost:0")
			}
			server, client := benchNode(b, o, "server"), benchNode(b, o, "client")
			if _, err := shopping.RegisterShoppingService(server, quiet{}); err != nil {
				b.Fatal(err)
			}
			if _, err := testkit.RegisterKit(server, new(testkit.Impl)); err != nil {
				b.Fatal(err)
			}
			p, kit, ctx := shopping.NewShopper(client), testkit.NewKit(client), context.Background()
			b.Run("one caller", func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if err := p.AddItem(ctx, item); err != nil {
						b.Fatal(err)
					}
				}
			})
			b.Run("64 callers", func(b *testing.B) {
				b.ReportAllocs()
				b.SetParallelism(32)
				b.RunParallel(func(pb *testing.PB) {
					for pb.Next() {
						if err := p.AddItem(ctx, item); err != nil {
							b.Error(err)
							return
						}
					}
				})
			})
			for _, size := range []int{1 << 10, 64 << 10, 1 << 20} {
				blob := bytes.Repeat([]byte{1}, size)
				b.Run(fmt.Sprintf("echo %d KiB", size>>10), func(b *testing.B) {
					b.SetBytes(2 * int64(size))
					b.ReportAllocs()
					for b.Loop() {
						if _, err := kit.Echo(ctx, blob); err != nil {
							b.Fatal(err)
						}
					}
				})
			}
			b.Run("item up", func(b *testing.B) {
				b.ReportAllocs()
				if err := p.AddManyItems(ctx, func(yield func(string) bool) {
					for b.Loop() && yield(item) {
					}
				}); err != nil {
					b.Fatal(err)
				}
			})
			b.Run("item down", func(b *testing.B) {
				b.ReportAllocs()
				for _, err := range kit.Count(ctx, math.MaxInt, "") {
					if err != nil {
						b.Fatal(err)
					}
					if !b.Loop() {
						break
					}
				}
			})
			b.Run("64 KiB item up", func(b *testing.B) {
				blob := bytes.Repeat([]byte{1}, 64<<10)
				b.SetBytes(int64(len(blob)))
				b.ReportAllocs()
				if _, err := kit.Size(ctx, func(yield func([]byte, error) bool) {
					for b.Loop() && yield(blob, nil) {
					}
				}); err != nil {
					b.Fatal(err)
				}
			})
		})
	}
}

func benchListen(b *testing.B, addr string) string {
	c, err := controller.Listen(b.Context(), controller.Options{Addr: addr})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { c.Close() })
	return c.Addr()
}

func benchNode(b *testing.B, o daffi.Options, name string) *daffi.Node {
	o.Name = name
	n, err := daffi.Connect(b.Context(), o)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { n.Close() })
	return n
}

// BenchmarkResumable makes calls over two pairs of links in turn, of which one keeps what it sends until it is acknowledged: cost-% is by how much its calls take longer, in
// the median of the rounds.
func BenchmarkResumable(b *testing.B) {
	b.Setenv("XDG_RUNTIME_DIR", b.TempDir())
	var kits [2]*testkit.KitProxy
	for i := range kits {
		grace := []time.Duration{-1, time.Second}[i]
		c, err := controller.Listen(b.Context(), controller.Options{Addr: "tcp://localhost:0", ResumeGrace: grace})
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { c.Close() })
		o := daffi.Options{Addr: c.Addr(), ResumeGrace: grace}
		server, client := benchNode(b, o, "server"), benchNode(b, o, "client")
		if _, err := testkit.RegisterKit(server, new(testkit.Impl)); err != nil {
			b.Fatal(err)
		}
		kits[i] = testkit.NewKit(client)
	}
	for _, callers := range []int{1, 64} {
		b.Run(fmt.Sprintf("%d callers", callers), func(b *testing.B) {
			var ratios []float64
			for n := 0; b.Loop(); n++ {
				var took [2]time.Duration
				for i := range kits { // the one that begins is another one in each round
					which := (n + i) % 2
					took[which] = round(b, kits[which], callers)
				}
				ratios = append(ratios, took[1].Seconds()/took[0].Seconds())
			}
			slices.Sort(ratios)
			b.ReportMetric(100*(ratios[len(ratios)/2]-1), "cost-%")
		})
	}
}

// round is how long some hundred calls take: so few that what else the machine does falls on either system alike.
func round(b *testing.B, kit *testkit.KitProxy, callers int) time.Duration {
	payload := make([]byte, 64)
	begin := time.Now()
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			for range max(10, 200/callers) {
				if _, err := kit.Echo(b.Context(), payload); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	return time.Since(begin)
}
