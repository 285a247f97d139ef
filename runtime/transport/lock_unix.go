//go:build unix && !solaris && !aix

package transport

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// lockFile makes the file if need be and takes an exclusive lock on it, without waiting: the error is errLocked if somebody has it. The lock
// ends with the process, or with unlock, which removes the file.
func lockFile(path string) (unlock func() error, err error) {
	for range 100 { // each time round another holder must have removed the file
		f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR|syscall.O_NOFOLLOW, 0o600)
		if err != nil {
			return nil, fmt.Errorf("opening the lock: %w", err)
		}
		unlock, err := lock(f)
		if unlock != nil || err != nil {
			return unlock, err
		}
	}
	return nil, errLocked
}

// lock returns neither unlock nor an error if the file was removed meanwhile. It closes f unless it returns unlock.
func lock(f *os.File) (unlock func() error, err error) {
	defer func() {
		if unlock == nil {
			f.Close()
		}
	}()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || ownerOf(info) != os.Geteuid() {
		return nil, fmt.Errorf("lock %s is not a file of this user: remove it, or choose another address", f.Name())
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return nil, errLocked
	}
	if err != nil {
		return nil, fmt.Errorf("locking %s: %w", f.Name(), err)
	}
	now, err := os.Lstat(f.Name())
	if errors.Is(err, os.ErrNotExist) || err == nil && !os.SameFile(info, now) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return func() error {
		var err error
		if now, statErr := os.Lstat(f.Name()); statErr == nil && os.SameFile(info, now) { // else somebody removed it
			err = os.Remove(f.Name()) // while nobody else can have it
		}
		return errors.Join(err, f.Close())
	}, nil
}
