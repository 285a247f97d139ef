package transport

import (
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestLIM1ReadBuffer takes the longest frame of a peer that has not shown who it is, and keeps no more room for it than that needs, however much comes at once.
func TestLIM1ReadBuffer(t *testing.T) {
	a, b := net.Pipe()
	defer a.Close()
	l := newConn(b, Info{Network: "test"}, nil)
	r := newRecorder()
	l.Start(r)
	frame := AppendFrame(nil, &Header{Kind: Hello}, make([]byte, MaxUnproven))
	var many []byte
	for range 8 {
		many = append(many, frame...)
	}
	a.SetWriteDeadline(time.Now().Add(testTimeout))
	_, err := a.Write(append(many, frame[:HeaderSize+MaxUnproven-1]...))
	require.NoError(t, err)
	require.Len(t, r.wait(8), 8)
	l.Close(nil)
	l.Wait()
	require.Equal(t, HeaderSize+MaxUnproven, len(l.r.b))

	// One byte more is refused by the header alone.
	_, _, err = ParseHeader(AppendFrame(nil, &Header{Kind: Hello}, make([]byte, MaxUnproven+1))[:HeaderSize], MaxUnproven)
	require.ErrorIs(t, err, ErrProtocol)
}
