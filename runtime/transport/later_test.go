package transport

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/daffi-rpc/daffi/runtime/internal/memconn"
)

// TestUnknownKinds sends frames of a later version over connections and in memory, before and after authentication (ACC-81).
func TestUnknownKinds(t *testing.T) {
	links := map[string]func() (Link, Link){
		"memory": Pipe,
		"connection": func() (Link, Link) {
			a, b := memconn.Pair()
			return NewConn(a, Info{}), NewConn(b, Info{})
		},
		"connection, byte by byte": func() (Link, Link) {
			a, b := memconn.Pair()
			b.OneByte()
			return NewConn(a, Info{}), NewConn(b, Info{})
		},
	}
	for name, pair := range links {
		for _, limit := range []int{MaxUnproven, MaxPayload} {
			run := func(f Frame) (*recorder, func()) {
				a, b := pair()
				a.SetMaxPayload(limit)
				b.SetMaxPayload(limit)
				from, to := newRecorder(), newRecorder()
				a.Start(from)
				b.Start(to)
				require.NoError(t, a.Enqueue(f))
				require.NoError(t, a.Enqueue(Frame{Header: Header{Kind: Ping, Arg: 7}}))
				a.Flush()
				return to, func() {
					a.Close(nil)
					b.Close(nil)
					a.Wait()
					b.Wait()
				}
			}
			for _, size := range []int{0, 1, 4, 3000, limit} {
				t.Run(fmt.Sprintf("%s, limit %d, payload %d", name, limit, size), func(t *testing.T) {
					all := Header{Kind: 200, Flags: 0xff, Depth: 255, Mode: 0xff, Call: 1<<64 - 1, Route: 1<<32 - 1, Peer: 1<<32 - 1, Arg: 1<<64 - 1}
					for _, h := range []Header{all, {Kind: 0, Flags: Optional}, {Kind: 6, Flags: Optional | Large}, {Kind: 255, Flags: Optional}} {
						to, end := run(Frame{Header: h, Payload: make([]byte, size)})
						got := to.wait(1)
						require.Len(t, got, 1, "%+v", h)
						require.Equal(t, Header{Kind: Ping, Arg: 7}, got[0].Header)
						end()
					}
					for _, kind := range []Kind{0, 6, 7, 18, 42, 255} {
						to, end := run(Frame{Header: Header{Kind: kind, Flags: ^Optional}, Payload: make([]byte, size)})
						err := <-to.closed
						require.ErrorIs(t, err, ErrProtocol)
						require.ErrorContains(t, err, fmt.Sprintf("frame of the unknown kind %d, which is not optional: the peer is of a later version", kind))
						end()
					}
				})
			}
			if limit == MaxPayload {
				continue // no link takes more to send
			}
			t.Run(fmt.Sprintf("%s, more than %d", name, limit), func(t *testing.T) {
				to, end := run(Frame{Header: Header{Kind: 200, Flags: Optional}, Payload: make([]byte, limit+1)})
				require.ErrorIs(t, <-to.closed, ErrProtocol, "the limits hold for what is skipped too")
				end()
			})
		}
	}
}
