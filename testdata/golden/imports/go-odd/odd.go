// Package strange lies in a directory of another name.
package strange

// Thing is one.
type Thing struct{ Name string }
