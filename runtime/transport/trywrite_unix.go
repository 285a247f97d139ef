//go:build unix

package transport

import (
	"errors"
	"syscall"
)

const canTryWrite = true

// tryWrite writes to a descriptor in non-blocking mode, as every one of package net's is.
func tryWrite(fd uintptr, b []byte) (int, error) {
	for {
		n, err := syscall.Write(int(fd), b)
		switch {
		case errors.Is(err, syscall.EINTR):
			continue
		case errors.Is(err, syscall.EAGAIN):
			return 0, errWouldBlock
		}
		return n, err
	}
}
