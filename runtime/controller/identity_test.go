package controller

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/daffi-rpc/daffi/runtime/internal/rawpeer"
	"github.com/daffi-rpc/daffi/runtime/transport"
)

// someone is who a peer is to the controller.
type someone struct {
	info  transport.Info
	token []byte
}

var someones = map[string]someone{
	"process":                         {transport.Info{Network: "memory", UID: -1}, nil},
	"user 7":                          {transport.Info{Network: "unix", UID: 7}, nil},
	"user 0":                          {transport.Info{Network: "unix", UID: 0}, nil},
	"token d9d19f4d":                  {transport.Info{Network: "tcp", Remote: "192.0.2.1:1", UID: -1}, bytes.Repeat([]byte{1}, 32)},
	"token 2b90cfb5":                  {transport.Info{Network: "tcp", Remote: "192.0.2.1:2", UID: -1}, bytes.Repeat([]byte{2}, 32)},
	"certificate daffi://shop/name":   {transport.Info{Network: "tcp", Remote: "192.0.2.1:3", UID: -1, TLS: true, Certificate: "daffi://shop/name"}, nil},
	"certificate daffi://store/name":  {transport.Info{Network: "tcp", Remote: "192.0.2.1:4", UID: -1, TLS: true, Certificate: "daffi://store/name"}, nil},
	"anybody":                         {transport.Info{Network: "tcp", Remote: "192.0.2.1:5", UID: -1}, nil},
	"certificate daffi://tokens/name": {transport.Info{Network: "tcp", UID: -1, Certificate: "daffi://tokens/name"}, []byte("token")},
}

// come returns a started peer who is that to the controller.
func (w *world) come(who someone) *rawpeer.Peer {
	x, y := net.Pipe()
	w.Serve(transport.NewConn(y, who.info), who.token)
	p := rawpeer.New(transport.NewConn(x, who.info)).Start()
	w.peers = append(w.peers, p)
	return p
}

func TestIdentityOf(t *testing.T) {
	for want, who := range someones {
		if who.token != nil && who.info.Certificate == "" { // the digits are those of the hash's hash
			once := sha256.Sum256(who.token)
			want = fmt.Sprintf("token %.4x", sha256.Sum256(once[:]))
		}
		require.Equal(t, want, identityOf(who.info, who.token))
	}
}

// TestSEM15Identity refuses a live name to whoever has another identity, at once, and to the same one after a while; when the session is dead anybody may have it. What a Hello claims does not matter: it
// is the holder's, with a higher incarnation.
func TestSEM15Identity(t *testing.T) {
	for holder, a := range someones {
		for other, b := range someones {
			if holder > other || a.info.Certificate != "" && b.info.Certificate != "" && holder != other {
				continue
			}
			t.Run(holder+" and "+other, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					var log lockedBuffer
					w := start(t, Options{Logger: slog.New(slog.NewJSONHandler(&log, nil))})
					first := w.come(a)
					require.Equal(t, transport.Welcome, first.Hello(t, hello("name", 1, 1), a.token).Kind)
					begin := time.Now()
					h := hello("name", 2, 9)
					if holder != other {
						h = hello("name", 1, 9)
					}
					r := refusal(t, w.come(b).Hello(t, h, b.token))
					want, after := [2]any{alreadyExists, reasonNameTaken}, nameWait
					if holder != other {
						want, after = [2]any{permissionDenied, reasonNameTaken}, 0
						require.NotContains(t, r.Message, identityOf(a.info, a.token)) // it is nobody's business
					}
					require.Equal(t, want, [2]any{r.Code, r.Reason})
					require.Equal(t, after, time.Since(begin))
					require.Contains(t, log.String(), "node refused")
					first.Route(t, "Svc", "M", "sig") // it is there as before
					first.Close()
					time.Sleep(10 * time.Second) // where it may resume, the name is held for a while
					require.Equal(t, transport.Welcome, w.come(b).Hello(t, hello("name", 3, 1), b.token).Kind)
					require.Contains(t, log.String(), fmt.Sprintf(`"identity":%q`, identityOf(b.info, b.token)))
					w.end()
				})
			})
		}
	}
}

// TestSEM15NextLink gives the name to the next link of its node, and not to others of the same identity, which have waited for longer.
func TestSEM15NextLink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, Options{})
		old := w.peer()
		old.Hello(t, hello("name", 1, 1), nil)
		var thieves []*rawpeer.Peer
		for i := range byte(maxWaiters) {
			p := w.peer()
			claimName(p, hello("name", 2+i, 100))
			thieves = append(thieves, p)
		}
		synctest.Wait()
		require.Equal(t, maxWaiters, w.Stats().Waiting)
		next := w.peer()
		require.Equal(t, transport.Welcome, next.Hello(t, hello("name", 1, 2), nil).Kind)
		require.Error(t, old.Closed(t))
		for i, p := range thieves {
			p.Expect(t, transport.Challenge)
			want := reasonNameTaken
			if i == 0 {
				want = reasonLimit // it had to make room
			}
			require.Equal(t, want, refusal(t, p.Next(t)).Reason)
		}
		next.Register(t, "Svc", "M")
		time.Sleep(time.Second)
		require.Equal(t, 1, w.Stats().Nodes)
		w.end()
	})
}

// TestLIM55Waiters lets so many wait for a name, or for names at all.
func TestLIM55Waiters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, Options{MaxNodes: maxWaiters + 2})
		w.join("name")
		w.join("other")
		wait := func(name string, session byte) *rawpeer.Peer {
			p := w.peer()
			claimName(p, hello(name, session, 1))
			p.Expect(t, transport.Challenge)
			synctest.Wait()
			return p
		}
		for i := range byte(maxWaiters) {
			wait("name", i)
		}
		require.Equal(t, maxWaiters, w.Stats().Waiting)
		require.Equal(t, resourceExhausted, refusal(t, wait("name", 100).Next(t)).Code)
		wait("other", 1)
		wait("other", 2)
		require.Equal(t, maxWaiters+2, w.Stats().Waiting) // as many as there may be nodes
		require.Equal(t, resourceExhausted, refusal(t, wait("other", 3).Next(t)).Code)
		w.end()
		require.Zero(t, w.waiters)
		require.Zero(t, w.refusing)
	})
}
