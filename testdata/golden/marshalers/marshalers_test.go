package marshalers

import (
	"math/big"
	"net"
	"net/netip"
	"net/url"
	"testing"
	"time"

	"github.com/daffi-rpc/daffi/runtime/codec"
	"github.com/daffi-rpc/daffi/testdata/goldentest"
)

func golden() []goldentest.Type {
	addr := netip.MustParseAddr("::1")
	network := &net.IPNet{IP: net.ParseIP("fe80::"), Mask: net.CIDRMask(64, 128)}
	return []goldentest.Type{
		goldentest.Of(writeAll, readAll, All{
			Point: Point{1, -2}, Points: []*Point{nil, {3, 4}}, Color: 1, Names: map[Color]string{0: "r", 1: "g"},
			Tokens: map[Token][]Token{{1, 2}: {{3, 4}}}, Link: &url.URL{Scheme: "https", Host: "example.com", Path: "/"}, Addr: addr,
			Addrs: [2]netip.AddrPort{1: netip.AddrPortFrom(addr, 80)}, IP: net.ParseIP("1.2.3.4"), Net: *network, Number: big.NewInt(-5),
			Level: 4, Stamp: Stamp{time.Unix(1, 2).UTC()}, Half: Half{1}, Box: Box[int]{7}, Time: time.Unix(3, 4).UTC(),
		}),
		goldentest.Of(writeResolve, goldentest.Results(readServiceResolveResult), ServiceResolveResult{net.ParseIP("1.2.3.4"), nil}),
	}
}

func writeResolve(e *codec.Encoder, v ServiceResolveResult) {
	e.Array(2)
	codec.WriteText(e, v.R0)
	codec.WritePtr(e, v.R1, codec.WriteBinary[url.URL])
}

func TestGolden(t *testing.T) { goldentest.Run(t, golden()...) }

func FuzzGolden(f *testing.F) { goldentest.Fuzz(f, golden()...) }

func BenchmarkGolden(b *testing.B) { goldentest.Bench(b, golden()...) }
