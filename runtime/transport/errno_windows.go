package transport

import "syscall"

// What the net package's errors wrap here; the names of other systems stand for numbers that windows never returns.
const (
	addrInUse   = syscall.Errno(10048) // WSAEADDRINUSE
	connRefused = syscall.Errno(10061) // WSAECONNREFUSED
)
