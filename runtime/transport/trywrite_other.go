//go:build !unix

package transport

// Without a write that does not wait, every write is left to a goroutine of its own.
const canTryWrite = false

func tryWrite(uintptr, []byte) (int, error) { return 0, errWouldBlock }
