package marshalers

import (
	"context"
	"iter"
	"log/slog"
	"math/big"
	"net"
	"net/netip"
	"net/url"
	"testing"

	"github.com/daffi-rpc/daffi/runtime/daffitest"
)

type service struct{}

func (service) All(_ context.Context, all All) (All, error) { return all, nil }

func (service) Resolve(_ context.Context, addrs ...netip.Addr) (net.IP, *url.URL, error) {
	return addrs[0].AsSlice(), &url.URL{Host: addrs[1].String()}, nil
}

func (service) Colors(_ context.Context, in iter.Seq2[Color, error]) iter.Seq2[Point, error] {
	return func(yield func(Point, error) bool) {
		for c, err := range in {
			if !yield(Point{int(c), 2}, err) {
				return
			}
		}
	}
}

func (service) Level(_ context.Context, level slog.Level, box Box[string], token *Token) (big.Int, error) {
	return *big.NewInt(int64(level) + int64(len(box.v)) + int64(token[1])), nil
}

// TestRemote calls the methods through a controller. A value that cannot encode itself ends its call.
func TestRemote(t *testing.T) {
	network := daffitest.New(t)
	if _, err := RegisterService(network.Node("server"), service{}); err != nil {
		t.Fatal(err)
	}
	remote, ctx := NewService(network.Node("client")), t.Context()
	ip, link, err := remote.Resolve(ctx, netip.MustParseAddr("1.2.3.4"), netip.MustParseAddr("::1"))
	if err != nil || !ip.Equal(net.IPv4(1, 2, 3, 4)) || link.Host != "::1" {
		t.Error(ip, link, err)
	}
	for p, err := range remote.Colors(ctx, func(yield func(Color, error) bool) { yield(1, nil) }) {
		if p != (Point{1, 2}) || err != nil {
			t.Error(p, err)
		}
	}
	sum, err := remote.Level(ctx, slog.LevelWarn, Box[string]{"abc"}, &Token{0, 9})
	if err != nil || sum.Int64() != 4+3+9 {
		t.Error(sum.String(), err)
	}
	if _, err := remote.All(ctx, All{Color: 99}); err == nil {
		t.Error("color 99 was sent")
	}
	if all, err := remote.All(ctx, All{Color: 1}); err != nil || all.Color != 1 {
		t.Error(all, err)
	}
}
