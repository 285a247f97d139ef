package daffi_test

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"path/filepath"
	"strings"
	"testing"

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
