//go:build !linux

package transport

import "net"

// Without a write of several slices that does not wait, frames of the bulk lane are left to a goroutine of their own.
const canTryWritev = false

type vector struct{}

func tryWritev(uintptr, net.Buffers, *vector) (int, error) { return 0, errWouldBlock }
