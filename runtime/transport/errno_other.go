//go:build !windows

package transport

import "syscall"

const (
	addrInUse   = syscall.EADDRINUSE
	connRefused = syscall.ECONNREFUSED
)
