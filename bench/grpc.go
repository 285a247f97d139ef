package main

import (
	"context"
	"io"
	"net"
	"runtime"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/daffi-rpc/daffi/bench/echopb"
)

// grpc-go as it comes, and with what its documentation offers for speed: larger buffers and windows, workers for handlers. Neither has TLS.
var grpcSystems = []system{
	{name: grpcTCP, network: "tcp", stream: true, server: grpcServer("tcp"), client: grpcClient("")},
	{name: "grpc-go tuned, tcp", network: "tcp", stream: true, server: grpcServer("tcp", grpcServerTuning()...), client: grpcClient("", grpcClientTuning...)},
	{name: "grpc-go, unix", network: "unix", stream: true, server: grpcServer("unix"), client: grpcClient("unix://")},
}

const (
	grpcBuffer = 128 << 10
	grpcWindow = 4 << 20
)

func grpcServerTuning() []grpc.ServerOption {
	return []grpc.ServerOption{
		grpc.NumStreamWorkers(uint32(runtime.GOMAXPROCS(0))),
		grpc.ReadBufferSize(grpcBuffer), grpc.WriteBufferSize(grpcBuffer),
		grpc.InitialWindowSize(grpcWindow), grpc.InitialConnWindowSize(grpcWindow),
	}
}

var grpcClientTuning = []grpc.DialOption{
	grpc.WithReadBufferSize(grpcBuffer), grpc.WithWriteBufferSize(grpcBuffer),
	grpc.WithInitialWindowSize(grpcWindow), grpc.WithInitialConnWindowSize(grpcWindow),
	grpc.WithDefaultCallOptions(grpc.StaticMethod()),
}

func grpcServer(network string, opts ...grpc.ServerOption) func(context.Context, string) (string, error) {
	return func(ctx context.Context, addr string) (string, error) {
		l, err := net.Listen(network, addr)
		if err != nil {
			return "", err
		}
		s := grpc.NewServer(opts...)
		echopb.RegisterEchoServer(s, grpcEcho{})
		go s.Serve(l)
		return l.Addr().String(), nil
	}
}

type grpcEcho struct{ echopb.UnimplementedEchoServer }

func (grpcEcho) Echo(_ context.Context, item *echopb.Item) (*echopb.Item, error) { return item, nil }

func (grpcEcho) Up(s grpc.ClientStreamingServer[echopb.Item, echopb.Count]) error {
	for n := uint64(0); ; n++ {
		if _, err := s.Recv(); err == io.EOF {
			return s.SendAndClose(&echopb.Count{N: n})
		} else if err != nil {
			return err
		}
	}
}

func (grpcEcho) Down(w *echopb.Want, s grpc.ServerStreamingServer[echopb.Item]) error {
	item := newPB(int(w.Size))
	for range w.N {
		item.Id++
		if err := s.Send(item); err != nil {
			return err
		}
	}
	return nil
}

type grpcCaller struct{ c echopb.EchoClient }

func grpcClient(scheme string, opts ...grpc.DialOption) func(context.Context, string) (client, error) {
	return func(ctx context.Context, addr string) (client, error) {
		c, err := grpc.NewClient(scheme+addr, append(opts, grpc.WithTransportCredentials(insecure.NewCredentials()))...)
		if err != nil {
			return nil, err
		}
		return grpcCaller{c: echopb.NewEchoClient(c)}, nil
	}
}

func (g grpcCaller) caller(size int) func(context.Context) error {
	in := newPB(size)
	return func(ctx context.Context) error {
		in.Id++
		out, err := g.c.Echo(ctx, in)
		if err != nil {
			return err
		}
		return samePB(in, out)
	}
}

func (g grpcCaller) up(ctx context.Context, n, size int) error {
	s, err := g.c.Up(ctx)
	if err != nil {
		return err
	}
	item := newPB(size)
	for range n {
		item.Id++
		if err := s.Send(item); err != nil {
			return err
		}
	}
	got, err := s.CloseAndRecv()
	if err == nil && got.N != uint64(n) {
		err = errWrong
	}
	return err
}

func (g grpcCaller) down(ctx context.Context, n, size int) error {
	s, err := g.c.Down(ctx, &echopb.Want{N: uint64(n), Size: uint64(size)})
	if err != nil {
		return err
	}
	for got := 0; ; got++ {
		if _, err := s.Recv(); err == io.EOF && got == n {
			return nil
		} else if err == io.EOF {
			return errWrong
		} else if err != nil {
			return err
		}
	}
}
