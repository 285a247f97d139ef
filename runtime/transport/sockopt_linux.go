package transport

import (
	"net"
	"syscall"
	"time"
)

// Options of linux's tcp(7), the same on every processor, that package syscall lacks.
const (
	tcpUserTimeout  = 18
	tcpNotSentLowat = 25
)

// tune sets what a connection should have where the system offers it: a bound on how long sent bytes stay unacknowledged, and on how many are handed
// over ahead of what is more urgent (a unix socket's own default is small enough).
func tune(c net.Conn) {
	t, ok := c.(*net.TCPConn)
	if !ok {
		return
	}
	t.SetWriteBuffer(sendBuffer)
	raw, err := t.SyscallConn()
	if err != nil {
		return
	}
	raw.Control(func(fd uintptr) {
		syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, tcpUserTimeout, int(userTimeout/time.Millisecond))
		syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, tcpNotSentLowat, sendBuffer)
	})
}
