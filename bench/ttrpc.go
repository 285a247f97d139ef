package main

import (
	"context"
	"errors"
	"io"
	"net"

	"github.com/containerd/ttrpc"

	"github.com/daffi-rpc/daffi/bench/echopb"
)

// ttrpc, which containerd made as a lighter grpc for one host. It has no settings that matter here.
var ttrpcSystems = []system{
	{name: "ttrpc, tcp", network: "tcp", stream: true, server: ttrpcServer("tcp"), client: ttrpcClient("tcp")},
	{name: "ttrpc, unix", network: "unix", stream: true, server: ttrpcServer("unix"), client: ttrpcClient("unix")},
}

func ttrpcServer(network string) func(context.Context, string) (string, error) {
	return func(ctx context.Context, addr string) (string, error) {
		l, err := net.Listen(network, addr)
		if err != nil {
			return "", err
		}
		s, err := ttrpc.NewServer()
		if err != nil {
			return "", err
		}
		echopb.RegisterTTRPCEchoService(s, ttrpcEcho{})
		go s.Serve(ctx, l)
		return l.Addr().String(), nil
	}
}

type ttrpcEcho struct{}

func (ttrpcEcho) Echo(_ context.Context, item *echopb.Item) (*echopb.Item, error) { return item, nil }

func (ttrpcEcho) Up(_ context.Context, s echopb.TTRPCEcho_UpServer) (*echopb.Count, error) {
	for n := uint64(0); ; n++ {
		if _, err := s.Recv(); errors.Is(err, io.EOF) {
			return &echopb.Count{N: n}, nil
		} else if err != nil {
			return nil, err
		}
	}
}

func (ttrpcEcho) Down(_ context.Context, w *echopb.Want, s echopb.TTRPCEcho_DownServer) error {
	item := newPB(int(w.Size))
	for range w.N {
		item.Id++
		if err := s.Send(item); err != nil {
			return err
		}
	}
	return nil
}

type ttrpcCaller struct{ c echopb.TTRPCEchoClient }

func ttrpcClient(network string) func(context.Context, string) (client, error) {
	return func(ctx context.Context, addr string) (client, error) {
		c, err := net.Dial(network, addr)
		if err != nil {
			return nil, err
		}
		return ttrpcCaller{c: echopb.NewTTRPCEchoClient(ttrpc.NewClient(c))}, nil
	}
}

func (t ttrpcCaller) caller(size int) func(context.Context) error {
	in := newPB(size)
	return func(ctx context.Context) error {
		in.Id++
		out, err := t.c.Echo(ctx, in)
		if err != nil {
			return err
		}
		return samePB(in, out)
	}
}

func (t ttrpcCaller) up(ctx context.Context, n, size int) error {
	s, err := t.c.Up(ctx)
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

func (t ttrpcCaller) down(ctx context.Context, n, size int) error {
	s, err := t.c.Down(ctx, &echopb.Want{N: uint64(n), Size: uint64(size)})
	if err != nil {
		return err
	}
	for got := 0; ; got++ {
		if _, err := s.Recv(); errors.Is(err, io.EOF) && got == n {
			return nil
		} else if errors.Is(err, io.EOF) {
			return errWrong
		} else if err != nil {
			return err
		}
	}
}
