package daffitest_test

import (
	"context"
	"testing"

	"github.com/daffi-rpc/daffi/examples/shopping"
	daffi "github.com/daffi-rpc/daffi/runtime"
	"github.com/daffi-rpc/daffi/runtime/controller"
)

type quiet struct{}

func (quiet) GetItems(ctx context.Context) ([]string, error) { return nil, nil }
func (quiet) AddItem(ctx context.Context, item string) error { return nil }
func (quiet) ClearItems(ctx context.Context) error           { return nil }

func BenchmarkX(b *testing.B) {
	for _, addr := range []string{"mem", "unix:///tmp/x.sock", "tcp://127.0.0.1:0"} {
		ctx := b.Context()
		var ctl *controller.Controller
		var err error
		o := daffi.Options{Name: "srv"}
		o2 := daffi.Options{Name: "cli"}
		if addr == "mem" {
			ctl = controller.New(controller.Options{})
			o.Controller, o2.Controller = ctl, ctl
		} else {
			ctl, err = controller.Listen(ctx, controller.Options{Addr: addr})
			if err != nil {
				b.Fatal(err)
			}
			o.Addr, o2.Addr = ctl.Addr(), ctl.Addr()
		}
		srv, err := daffi.Connect(ctx, o)
		if err != nil {
			b.Fatal(err)
		}
		cli, err := daffi.Connect(ctx, o2)
		if err != nil {
			b.Fatal(err)
		}
		shopping.RegisterShoppingService(srv, quiet{})
		p := shopping.NewShopper(cli)
		b.Run(addr[:3]+"/one", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := p.AddItem(ctx, "0123456789012345678901234567890123456789012345678901234567890123"); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(addr[:3]+"/64", func(b *testing.B) {
			b.ReportAllocs()
			b.SetParallelism(32)
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if err := p.AddItem(ctx, "0123456789012345678901234567890123456789012345678901234567890123"); err != nil {
						b.Fatal(err)
					}
				}
			})
		})
		b.Run(addr[:3]+"/items", func(b *testing.B) {
			b.ReportAllocs()
			err := p.AddManyItems(ctx, func(yield func(string) bool) {
				for b.Loop() {
					if !yield("0123456789012345678901234567890123456789012345678901234567890123") {
						return
					}
				}
			})
			if err != nil {
				b.Fatal(err)
			}
		})
		cli.Close()
		srv.Close()
		ctl.Close()
	}
}
