package main

import (
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestI11Workers(t *testing.T) {
	program := filepath.Join(t.TempDir(), "workers")
	out, err := exec.Command("go", "build", "-o", program, ".").CombinedOutput()
	require.NoErrorf(t, err, "%s", out)
	out, err = exec.Command(program).CombinedOutput()
	require.NoErrorf(t, err, "%s", out)
	for _, line := range []string{
		`worker-1 wrote "hello from worker-1"`, "worker-1: half done", "worker-1 has the result 45", "worker-1 has left: goodbye",
		`worker-2 wrote "hello from worker-2"`, "worker-2: half done", "worker-2 has the result 45", "worker-2 has left: goodbye",
		`worker-3 wrote "hello from worker-3"`, "worker-3: stuck", "worker-3 has left: ",
	} {
		require.Contains(t, string(out), line)
	}
	require.NotContains(t, string(out), "worker-3 has left: goodbye")
}
