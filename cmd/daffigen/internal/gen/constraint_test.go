package gen

import (
	"slices"
	"testing"
)

// TestNameTags reads file names as the go command does.
func TestNameTags(t *testing.T) {
	for name, want := range map[string][]string{
		"cart.go":              nil,
		"linux.go":             nil,
		"cart_linux.go":        {"linux"},
		"cart_amd64.go":        {"amd64"},
		"cart_linux_amd64.go":  {"linux", "amd64"},
		"linux_amd64.go":       {"amd64"},
		"cart_unix.go":         nil,
		"cart.v1_linux.go":     nil, // only what is before the first dot counts
		"cart_windows.wire.go": {"windows"},
		"cart_amd64_linux.go":  {"linux"},
	} {
		if got := nameTags(name); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
}
