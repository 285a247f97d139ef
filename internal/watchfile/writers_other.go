//go:build !unix

package watchfile

// CheckWriters checks nothing where files have no modes like those of unix.
func CheckWriters(what, path string) error { return nil }
