//go:build kitex

package main

import (
	"context"
	"io"
	"reflect"

	kitexclient "github.com/cloudwego/kitex/client"
	"github.com/cloudwego/kitex/pkg/klog"
	kitexserver "github.com/cloudwego/kitex/server"
	"github.com/cloudwego/netpoll"

	"github.com/daffi-rpc/daffi/bench/echothrift"
	kitexecho "github.com/daffi-rpc/daffi/bench/echothrift/echo"
)

// kitex with thrift and its generated codec, one multiplexed connection as the other systems have, and netpoll, which is its own.
// Its streams are another protocol on another transport and are left out.
var kitexSystems = []system{
	{name: kitexTCP, network: "tcp", tag: "kitex", server: kitexServer("tcp"), client: kitexClient},
	{name: kitexUnix, network: "unix", tag: "kitex", server: kitexServer("unix"), client: kitexClient},
}

type kitexEcho struct{}

func (*kitexEcho) Echo(_ context.Context, item *echothrift.Item) (*echothrift.Item, error) {
	return item, nil
}

func kitexServer(network string) func(context.Context, string) (string, error) {
	return func(_ context.Context, addr string) (string, error) {
		klog.SetOutput(io.Discard)
		l, err := netpoll.CreateListener(network, addr)
		if err != nil {
			return "", err
		}
		s := kitexecho.NewServer(new(kitexEcho), kitexserver.WithListener(l), kitexserver.WithMuxTransport())
		go s.Run()
		return l.Addr().String(), nil
	}
}

type kitexCaller struct {
	noStreams
	c kitexecho.Client
}

func kitexClient(_ context.Context, addr string) (client, error) {
	klog.SetOutput(io.Discard)
	c, err := kitexecho.NewClient("echo", kitexclient.WithHostPorts(addr), kitexclient.WithMuxConnection(1))
	return kitexCaller{c: c}, err
}

func (k kitexCaller) caller(size int) func(context.Context) error {
	item := newItem(size)
	in := &echothrift.Item{Id: int64(item.ID), Name: item.Name, Tags: item.Tags, Data: item.Data}
	return func(ctx context.Context) error {
		in.Id++
		out, err := k.c.Echo(ctx, in)
		if err != nil {
			return err
		}
		if in.Id != out.Id || len(in.Data) != len(out.Data) || in.Id == firstID && !reflect.DeepEqual(in, out) {
			return errWrong
		}
		return nil
	}
}
