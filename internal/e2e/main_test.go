package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"

	"go.uber.org/goleak"
)

var (
	buildFlags []string
	bin        string // the directory of the programs
)

const module = "github.com/daffi-rpc/daffi/"

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) int {
	if runtime.GOOS == "windows" {
		fmt.Println("skipped: these tests end programs by signals, which windows does not have")
		return 0
	}
	dir, err := os.MkdirTemp("", "e2e") // short, since the path of a socket has little room
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	bin = filepath.Join(dir, "bin") + string(filepath.Separator)
	args := append([]string{"build"}, buildFlags...)
	args = append(args, "-o", bin, module+"cmd/daffi", module+"examples/fanout/camera", module+"examples/fanout/viewer", module+"examples/schedule/planner", module+"examples/schedule/worker", module+"examples/shopping/service", module+"examples/shopping/shopper", module+"internal/e2e/provider", module+"internal/e2e/evolver", module+"internal/e2e/flood", module+"internal/e2e/grind", module+"internal/e2e/vault")
	if out, err := exec.Command("go", args...).CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "go %v: %v\n%s", args, err, out)
		return 1
	}
	// Where the programs and the tests' own nodes find tokens.
	if err := os.Setenv("XDG_RUNTIME_DIR", dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if code := m.Run(); code != 0 {
		return code
	}
	if err := goleak.Find(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}
