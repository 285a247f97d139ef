//go:build unix

package watchfile

import (
	"fmt"
	"os"
	"syscall"
)

// CheckWriters refuses a file that others than its user can change, for files that decide who may do what. A group may write if its number is that of the user: systems that
// give each user such a group have umask 002. what names the file in the error.
func CheckWriters(what, path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	others := os.FileMode(0o022)
	if s, ok := info.Sys().(*syscall.Stat_t); ok && s.Gid == s.Uid {
		others = 0o002
	}
	if info.Mode().Perm()&others != 0 {
		return fmt.Errorf("%s %s has mode %#o, so that others can change it: chmod go-w it", what, path, info.Mode().Perm())
	}
	return nil
}
