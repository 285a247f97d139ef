//go:build unix

package transport

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

func ownerOf(info os.FileInfo) int {
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		return int(s.Uid)
	}
	return -1
}

// checkParent refuses the name of a file or directory whose parent lets strangers replace it.
func checkParent(path string) error {
	parent := filepath.Dir(path)
	info, err := os.Stat(parent)
	if err != nil {
		return err
	}
	if info.Mode().Perm()&0o002 != 0 && info.Mode()&os.ModeSticky == 0 {
		return fmt.Errorf("%s can be written by every user, who could replace what is in it", parent)
	}
	return nil
}

// checkPrivate refuses a file or directory that is not this user's alone.
func checkPrivate(path string, info os.FileInfo) error {
	if uid := ownerOf(info); uid != os.Geteuid() {
		return fmt.Errorf("%s belongs to user %d and not to %d: remove it", path, uid, os.Geteuid())
	}
	if info.Mode().Perm()&0o077 != 0 {
		return fmt.Errorf("%s has mode %#o, so that others may use it: chmod go= it", path, info.Mode().Perm())
	}
	return nil
}

// checkSecretMode refuses a file with a secret that others than the file's user and group can read, or others than its user write.
func checkSecretMode(what, file string, info os.FileInfo) error {
	if info.Mode().Perm()&0o027 != 0 {
		return fmt.Errorf("%s %s has mode %#o, so that others can read or change it: chmod 600 it, or 640 for a group", what, file, info.Mode().Perm())
	}
	return nil
}
