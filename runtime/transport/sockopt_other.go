//go:build !linux

package transport

import "net"

// tune bounds what the system takes ahead of what is more urgent. That a peer is gone is left to the pings to find out.
func tune(c net.Conn) {
	if t, ok := c.(*net.TCPConn); ok {
		t.SetWriteBuffer(sendBuffer)
	}
}
