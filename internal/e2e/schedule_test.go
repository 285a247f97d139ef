package e2e

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The example of schedules, with a controller that is killed: what was planned goes on with the next one, and no run has the number of another (D-44, D-48, D-76).
func TestD44D48D76Schedule(t *testing.T) {
	for _, network := range []string{"unix", "tcp"} {
		t.Run(network, func(t *testing.T) {
			t.Parallel()
			addr, store := address(t, network), filepath.Join(t.TempDir(), "schedules.db")
			begin := func() *process {
				c := start(t, "daffi", "controller", "--addr", addr, "--store", store)
				c.wait("listening on ")
				return c
			}
			planner := func(args ...string) *process {
				p := start(t, "planner", append([]string{"-addr", addr}, args...)...)
				require.Zero(t, p.code())
				return p
			}
			c := begin()
			worker := start(t, "worker", "-addr", addr)
			require.Contains(t, planner("every", "50ms", "photos").out.String(), "photos: every 50ms")
			planner("every", "50ms", "photos") // once more is the same
			worker.wait("saving photos: photos of planner, run 3")

			second := start(t, "daffi", "controller", "--addr", address(t, network), "--store", store)
			require.NotZero(t, second.code())
			require.Contains(t, second.log.String(), "in use by another controller")

			c.kill()
			c = begin()
			worker.wait("run 10")
			require.Contains(t, planner("list").out.String(), "photos: every 50ms, ")
			require.Contains(t, planner("cancel", "photos").out.String(), "ended now: true")
			require.Contains(t, planner("cancel", "photos").out.String(), "ended now: false")
			c.stop()
			c = begin()
			require.Empty(t, planner("list").out.String())
			worker.stop()
			seen := map[string]bool{}
			for line := range strings.Lines(worker.out.String()) {
				require.False(t, seen[line], line)
				seen[line] = true
			}
			c.stop()
		})
	}
}
