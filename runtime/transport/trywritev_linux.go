package transport

import (
	"net"
	"syscall"
	"unsafe"
)

const canTryWritev = true

// vector is what tryWritev hands to the system, kept so that a write does not allocate.
type vector []syscall.Iovec

// tryWritev is tryWrite for several slices.
func tryWritev(fd uintptr, bufs net.Buffers, v *vector) (int, error) {
	iov := (*v)[:0]
	for _, b := range bufs {
		if len(b) > 0 {
			one := syscall.Iovec{Base: &b[0]}
			one.SetLen(len(b))
			iov = append(iov, one)
		}
	}
	*v = iov
	defer clear(iov)
	for {
		n, _, err := syscall.Syscall(syscall.SYS_WRITEV, fd, uintptr(unsafe.Pointer(unsafe.SliceData(iov))), uintptr(len(iov)))
		switch err {
		case 0:
			return int(n), nil
		case syscall.EINTR:
			continue
		case syscall.EAGAIN:
			return 0, errWouldBlock
		}
		return 0, err
	}
}
