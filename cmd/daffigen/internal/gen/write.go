package gen

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Stale reports whether the disk holds other bytes than f, and what it holds: nothing, if there is no such file.
func (f File) Stale() (old []byte, stale bool, err error) {
	old, err = os.ReadFile(f.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, true, nil
	}
	return old, !bytes.Equal(old, f.Content), err
}

// Write puts f on the disk if that changes it. A reader sees the old file or the new one, never a part.
func (f File) Write() error {
	_, stale, err := f.Stale()
	if err != nil || !stale {
		return err
	}
	temp, err := os.CreateTemp(filepath.Dir(f.Path), filepath.Base(f.Path)+".*.tmp")
	if err != nil {
		return fmt.Errorf("write %s: %w", f.Path, err)
	}
	defer os.Remove(temp.Name()) // is gone when all went well
	_, err = temp.Write(f.Content)
	err = errors.Join(err, temp.Chmod(0o644), temp.Close())
	if err == nil {
		err = os.Rename(temp.Name(), f.Path)
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", f.Path, err)
	}
	return nil
}
