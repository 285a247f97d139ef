package main

import (
	"context"
	"fmt"
	"iter"
	"runtime"

	"golang.org/x/sync/errgroup"

	"github.com/daffi-rpc/daffi/bench/echo"
	daffi "github.com/daffi-rpc/daffi/runtime"
	"github.com/daffi-rpc/daffi/runtime/codec"
)

const (
	joining        = 32 // nodes that join at a time
	serviceMethods = 10
)

// makeIdlers has nodes join at addr, serve, and open streams, which stay until ctx ends.
func makeIdlers(ctx context.Context, addr string, want idlers) ([]*daffi.Node, error) {
	nodes := make([]*daffi.Node, want.Nodes)
	g, joinCtx := errgroup.WithContext(ctx)
	g.SetLimit(joining)
	for i := range nodes {
		g.Go(func() (err error) {
			nodes[i], err = makeIdler(joinCtx, addr, i, want)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	g, openCtx := errgroup.WithContext(ctx)
	for i := range want.Streams {
		g.Go(func() error { return hold(ctx, openCtx, nodes[i%len(nodes)]) })
	}
	return nodes, g.Wait()
}

// makeIdler has one join with its share of the methods.
func makeIdler(ctx context.Context, addr string, i int, want idlers) (*daffi.Node, error) {
	node := daffi.New(daffi.Options{Name: fmt.Sprintf("idler-%d", i), Addr: addr})
	services := want.Methods / serviceMethods
	for k := range max(1, services/want.Nodes) {
		if _, err := daffi.Register(node, idleService((i+k*want.Nodes)%services), struct{}{}); err != nil {
			return nil, err
		}
	}
	return node, node.Join(ctx)
}

// idleService describes one as generated code would, but for its number.
func idleService(number int) *daffi.Service[struct{}] {
	s := &daffi.Service[struct{}]{Name: fmt.Sprintf("Idle%d", number)}
	for i := range serviceMethods {
		s.Handlers = append(s.Handlers, daffi.Handler[struct{}]{
			Name: fmt.Sprintf("Method%d", i), Sig: "(int)(int)", Params: []string{"n"},
			Serve: func(context.Context, struct{}, *daffi.Incoming) error { return &daffi.Error{Code: daffi.Unimplemented} },
		})
	}
	return s
}

// hold opens a stream that then stays, and returns when its first item has come, or opening ends.
func hold(ctx, opening context.Context, node *daffi.Node) error {
	opened := make(chan error, 1)
	go func() {
		for _, err := range echo.NewIdle(node).Hold(ctx) {
			opened <- err // has room: after an error, or after the first item, there is nothing
		}
	}()
	select {
	case err := <-opened:
		return err
	case <-opening.Done():
		return opening.Err()
	}
}

// holder serves streams that have one item and no end.
type holder struct{}

func (holder) Hold(ctx context.Context) iter.Seq2[int, error] {
	return func(yield func(int, error) bool) {
		if yield(1, nil) {
			<-ctx.Done()
		}
	}
}

// decodingAllocs counts what decoding a value of size bytes allocates by itself: what the user is given, which no system can do without.
func decodingAllocs(size int) float64 {
	const times = 1000
	var e codec.Encoder
	e.Reset(nil)
	echo.Write(&e, newItem(size))
	var d codec.Decoder
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range times {
		d.Reset(e.Bytes())
		item := echo.Read(&d)
		runtime.KeepAlive(&item)
	}
	runtime.ReadMemStats(&after)
	return float64(after.Mallocs-before.Mallocs) / times
}
