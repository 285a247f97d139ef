package main

import (
	"context"
	"iter"
	"time"

	"github.com/daffi-rpc/daffi/bench/echo"
	daffi "github.com/daffi-rpc/daffi/runtime"
	"github.com/daffi-rpc/daffi/runtime/controller"
)

// daffi with its controller in the process that serves, or alone. Between processes of one host it does not compress unless it is told to.
var daffiSystems = []system{
	daffiEmbedded("daffi embedded, tcp", "tcp", daffi.CompressAuto),
	daffiEmbedded("daffi embedded, unix", "unix", daffi.CompressAuto),
	daffiEmbedded("daffi embedded, tcp, zstd", "tcp", daffi.CompressOn),
	daffiSeparate("daffi separate, tcp", "tcp", daffi.CompressAuto),
	daffiResumable("daffi separate, tcp, resumable"),
	daffiSeparate("daffi separate, unix", "unix", daffi.CompressAuto),
	daffiSeparate("daffi separate, tcp, zstd", "tcp", daffi.CompressOn),
}

const (
	separateUnix = "daffi separate, unix"
	crowded      = "daffi crowded, tcp"
)

// The server of these takes streams of idle nodes beside the calls, more than there may be by default.
var crowdedSystems = []system{daffiController(crowded, "tcp", daffi.CompressAuto, func(ctx context.Context, addr string) (string, error) {
	node := daffi.New(daffi.Options{Name: "server", Addr: addr, MaxRunning: 1 << 15, MaxRunningPerCaller: 1 << 15})
	if _, err := echo.RegisterIdle(node, holder{}); err != nil {
		return "", err
	}
	return addr, daffiServe(ctx, node)
})}

func daffiEmbedded(name, network string, z daffi.Compression) system {
	return system{
		name: name, network: network, stream: true, ours: true,
		server: func(ctx context.Context, addr string) (string, error) {
			ctl, err := controller.Listen(ctx, controller.Options{Addr: network + "://" + addr})
			if err != nil {
				return "", err
			}
			return ctl.Addr(), daffiServe(ctx, daffi.New(daffi.Options{Name: "server", Controller: ctl, Compression: z}))
		},
		client: daffiClient(z),
	}
}

func daffiSeparate(name, network string, z daffi.Compression) system {
	return daffiController(name, network, z, func(ctx context.Context, addr string) (string, error) {
		return addr, daffiServe(ctx, daffi.New(daffi.Options{Name: "server", Addr: addr, Compression: z}))
	})
}

// daffiController has the controller in a process of its own.
func daffiController(name, network string, z daffi.Compression, server func(context.Context, string) (string, error)) system {
	return system{
		name: name, network: network, stream: true, ours: true,
		broker: func(ctx context.Context, addr string) (string, error) {
			ctl, err := controller.Listen(ctx, controller.Options{Addr: network + "://" + addr})
			if err != nil {
				return "", err
			}
			return ctl.Addr(), nil
		},
		server: server,
		client: daffiClient(z),
	}
}

// daffiResumable is daffiSeparate with links that keep what they send, as they do beyond one host.
func daffiResumable(name string) system {
	const grace = time.Second
	return system{
		name: name, network: "tcp", stream: true, ours: true,
		broker: func(ctx context.Context, addr string) (string, error) {
			ctl, err := controller.Listen(ctx, controller.Options{Addr: "tcp://" + addr, ResumeGrace: grace})
			if err != nil {
				return "", err
			}
			return ctl.Addr(), nil
		},
		server: func(ctx context.Context, addr string) (string, error) {
			return addr, daffiServe(ctx, daffi.New(daffi.Options{Name: "server", Addr: addr, ResumeGrace: grace}))
		},
		client: func(ctx context.Context, addr string) (client, error) {
			node, err := daffi.Connect(ctx, daffi.Options{Name: "client", Addr: addr, ResumeGrace: grace})
			if err != nil {
				return nil, err
			}
			return daffiCaller{p: echo.NewEcho(node)}, nil
		},
	}
}

func daffiServe(ctx context.Context, node *daffi.Node) error {
	if _, err := echo.RegisterEcho(node, daffiEcho{}); err != nil {
		return err
	}
	return node.Join(ctx)
}

type daffiEcho struct{}

func (daffiEcho) Echo(_ context.Context, item echo.Item) (echo.Item, error) { return item, nil }

func (daffiEcho) Up(_ context.Context, in iter.Seq2[echo.Item, error]) (n int, err error) {
	for _, err := range in {
		if err != nil {
			return 0, err
		}
		n++
	}
	return n, nil
}

func (daffiEcho) Down(_ context.Context, n, size int) iter.Seq2[echo.Item, error] {
	return daffiItems(n, size)
}

func daffiItems(n, size int) iter.Seq2[echo.Item, error] {
	item := newItem(size)
	return func(yield func(echo.Item, error) bool) {
		for range n {
			if item.ID++; !yield(item, nil) {
				return
			}
		}
	}
}

type daffiCaller struct{ p *echo.EchoProxy }

func daffiClient(z daffi.Compression) func(context.Context, string) (client, error) {
	return func(ctx context.Context, addr string) (client, error) {
		node, err := daffi.Connect(ctx, daffi.Options{Name: "client", Addr: addr, Compression: z})
		if err != nil {
			return nil, err
		}
		return daffiCaller{p: echo.NewEcho(node)}, nil
	}
}

func (d daffiCaller) caller(size int) func(context.Context) error {
	in := newItem(size)
	return func(ctx context.Context) error {
		in.ID++
		out, err := d.p.Echo(ctx, in)
		if err != nil {
			return err
		}
		return sameItem(&in, &out)
	}
}

func (d daffiCaller) up(ctx context.Context, n, size int) error {
	got, err := d.p.Up(ctx, daffiItems(n, size))
	if err == nil && got != n {
		err = errWrong
	}
	return err
}

func (d daffiCaller) down(ctx context.Context, n, size int) error {
	for _, err := range d.p.Down(ctx, n, size) {
		if err != nil {
			return err
		}
		n--
	}
	if n != 0 {
		return errWrong
	}
	return nil
}
