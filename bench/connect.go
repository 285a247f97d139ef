package main

import (
	"context"
	"net"
	"net/http"

	"connectrpc.com/connect"

	"github.com/daffi-rpc/daffi/bench/echopb"
	"github.com/daffi-rpc/daffi/bench/echopb/echopbconnect"
)

// connect-go with its own protocol over HTTP/2 without TLS, and without the gzip that it would use for every answer.
var connectSystems = []system{
	{name: "connect-go, tcp", network: "tcp", stream: true, server: connectServer, client: connectClient},
}

var connectHTTP2 = http.HTTP2Config{MaxReceiveBufferPerConnection: 4 << 20, MaxReceiveBufferPerStream: 4 << 20, MaxConcurrentStreams: 1000}

func connectServer(_ context.Context, addr string) (string, error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return "", err
	}
	mux := http.NewServeMux()
	mux.Handle(echopbconnect.NewEchoHandler(connectEcho{}, connect.WithCompression("gzip", nil, nil)))
	s := &http.Server{Handler: mux, Protocols: new(http.Protocols), HTTP2: &connectHTTP2}
	s.Protocols.SetUnencryptedHTTP2(true)
	go s.Serve(l)
	return l.Addr().String(), nil
}

type connectEcho struct{}

func (connectEcho) Echo(_ context.Context, r *connect.Request[echopb.Item]) (*connect.Response[echopb.Item], error) {
	return connect.NewResponse(r.Msg), nil
}

func (connectEcho) Up(_ context.Context, s *connect.ClientStream[echopb.Item]) (*connect.Response[echopb.Count], error) {
	var n uint64
	for s.Receive() {
		n++
	}
	return connect.NewResponse(&echopb.Count{N: n}), s.Err()
}

func (connectEcho) Down(_ context.Context, r *connect.Request[echopb.Want], s *connect.ServerStream[echopb.Item]) error {
	item := newPB(int(r.Msg.Size))
	for range r.Msg.N {
		item.Id++
		if err := s.Send(item); err != nil {
			return err
		}
	}
	return nil
}

type connectCaller struct{ c echopbconnect.EchoClient }

func connectClient(_ context.Context, addr string) (client, error) {
	t := &http.Transport{Protocols: new(http.Protocols), HTTP2: &connectHTTP2, DisableCompression: true}
	t.Protocols.SetUnencryptedHTTP2(true)
	c := echopbconnect.NewEchoClient(&http.Client{Transport: t}, "http://"+addr, connect.WithAcceptCompression("gzip", nil, nil))
	return connectCaller{c: c}, nil
}

func (c connectCaller) caller(size int) func(context.Context) error {
	in := newPB(size)
	return func(ctx context.Context) error {
		in.Id++
		out, err := c.c.Echo(ctx, connect.NewRequest(in))
		if err != nil {
			return err
		}
		return samePB(in, out.Msg)
	}
}

func (c connectCaller) up(ctx context.Context, n, size int) error {
	s := c.c.Up(ctx)
	item := newPB(size)
	for range n {
		item.Id++
		if err := s.Send(item); err != nil {
			return err
		}
	}
	got, err := s.CloseAndReceive()
	if err == nil && got.Msg.N != uint64(n) {
		err = errWrong
	}
	return err
}

func (c connectCaller) down(ctx context.Context, n, size int) error {
	s, err := c.c.Down(ctx, connect.NewRequest(&echopb.Want{N: uint64(n), Size: uint64(size)}))
	if err != nil {
		return err
	}
	defer s.Close()
	for s.Receive() {
		n--
	}
	if err := s.Err(); err != nil || n == 0 {
		return err
	}
	return errWrong
}
