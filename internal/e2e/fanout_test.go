package e2e

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The example of a fan-out: every viewer has every frame, and one that is killed has an entry that says so while the others go on (D-43, D-51, D-69, D-76).
func TestD43D51D69D76Fanout(t *testing.T) {
	for _, network := range []string{"unix", "tcp"} {
		t.Run(network, func(t *testing.T) {
			t.Parallel()
			const frames, sum = 200, 200 * 199 / 2 // two seconds, in which a busy machine has killed a viewer, too
			addr := address(t, network)
			camera := start(t, "camera", "-addr", addr, "-frames", fmt.Sprint(frames), "-every", "10ms")
			camera.wait("controller at ")
			viewers := map[string]*process{}
			for i := range 3 {
				name := fmt.Sprint("viewer-", i+1)
				viewers[name] = start(t, "viewer", "-addr", addr, "-name", name)
			}
			viewers["viewer-2"].wait("frame 10,")
			viewers["viewer-2"].kill()
			require.Zero(t, camera.code())
			said := strings.Split(camera.out.String(), "\n")
			require.Len(t, said, 6)
			for i, want := range []string{
				"viewer-1: has taken all frames", "viewer-2: Viewer.Show at viewer-2: unavailable/node_lost", "viewer-3: has taken all frames",
				fmt.Sprintf("viewer-1: %d frames, sum %d", frames, sum), fmt.Sprintf("viewer-3: %d frames, sum %d", frames, sum),
			} {
				require.Contains(t, said[i+1], want)
			}
			viewers["viewer-1"].terminate()
			viewers["viewer-3"].terminate()
		})
	}
}
