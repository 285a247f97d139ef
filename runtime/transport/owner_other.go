//go:build !unix

package transport

import "os"

// Without users and modes like those of unix nothing is checked: the directory must be one that the system keeps for this user, as the
// temporary directory of windows is.

func checkParent(string) error                          { return nil }
func checkPrivate(string, os.FileInfo) error            { return nil }
func checkSecretMode(string, string, os.FileInfo) error { return nil }
