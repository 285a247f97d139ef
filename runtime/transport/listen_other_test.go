//go:build !linux

package transport

import "testing"

func checkSocketTable(*testing.T, string, string) {}
