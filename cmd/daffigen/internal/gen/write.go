package gen

import (
	"bytes"
	"errors"
	"io/fs"
	"os"

	"github.com/daffi-rpc/daffi/internal/wholefile"
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
	return wholefile.Write(f.Path, f.Content, 0o644, true)
}
