//go:build race

package e2e

import "os"

func init() {
	buildFlags = append(buildFlags, "-race")
	os.Setenv("GORACE", "atexit_sleep_ms=0") // the programs would otherwise take a second to end
}
