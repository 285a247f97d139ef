package main

import (
	"context"
	"net"
	"net/rpc"

	"github.com/daffi-rpc/daffi/bench/echo"
)

// net/rpc with its codec, gob, which is the fastest that it comes with.
var netRPCSystems = []system{
	{name: "net/rpc, tcp", network: "tcp", server: netRPCServer("tcp"), client: netRPCClient("tcp")},
	{name: "net/rpc, unix", network: "unix", server: netRPCServer("unix"), client: netRPCClient("unix")},
}

// NetRPC is exported for net/rpc, as its method must be.
type NetRPC struct{}

// Echo returns the item.
func (NetRPC) Echo(in echo.Item, out *echo.Item) error {
	*out = in
	return nil
}

func netRPCServer(network string) func(context.Context, string) (string, error) {
	return func(ctx context.Context, addr string) (string, error) {
		s := rpc.NewServer()
		if err := s.Register(NetRPC{}); err != nil {
			return "", err
		}
		return listen(network, addr, func(c net.Conn) { s.ServeConn(c) })
	}
}

type netRPC struct {
	noStreams
	c *rpc.Client
}

func netRPCClient(network string) func(context.Context, string) (client, error) {
	return func(ctx context.Context, addr string) (client, error) {
		c, err := rpc.Dial(network, addr)
		return netRPC{c: c}, err
	}
}

func (n netRPC) caller(size int) func(context.Context) error {
	in := newItem(size)
	return func(context.Context) error {
		in.ID++
		var out echo.Item
		if err := n.c.Call("NetRPC.Echo", in, &out); err != nil {
			return err
		}
		return sameItem(&in, &out)
	}
}
