package errors

import "errors"

// ErrLinux is left out: it is not everywhere where the interfaces are.
var ErrLinux = errors.New("linux")
