package boltstore_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	daffi "github.com/daffi-rpc/daffi/runtime"
	"github.com/daffi-rpc/daffi/runtime/controller"
	"github.com/daffi-rpc/daffi/runtime/controller/boltstore"
	"github.com/daffi-rpc/daffi/runtime/internal/testkit"
)

const childDir = "DAFFI_TEST_STORE_DIR"

// TestMain lets the test binary be the process that is killed.
func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		if err := child(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	goleak.VerifyTestMain(m)
}

// witness notes each run in a file, before its handler returns. A write of one line to a file that is appended to survives the process.
type witness struct {
	testkit.Impl
	file *os.File
}

func (w *witness) Note(ctx context.Context, line string) error {
	info, _ := daffi.CallFrom(ctx)
	_, err := fmt.Fprintf(w.file, "%s %d %d %s\n", info.Task, info.Tick, info.Due.UnixNano(), info.ID)
	return err
}

// names of the schedules: three rhythms, one that is over soon, and one that is never run by its plan.
var plans = map[string]daffi.Plan{
	"fast":   daffi.Every(10 * time.Millisecond).WithID("fast"),
	"delay":  daffi.Every(15 * time.Millisecond).FixedDelay().WithID("delay"),
	"queue":  daffi.Every(12 * time.Millisecond).Overlap(daffi.QueueOverlap).WithID("queue"),
	"once":   daffi.Once(20 * time.Millisecond).WithID("once"),
	"paused": daffi.Every(10 * time.Millisecond).WithID("paused"),
}

// child is a controller with a store, a provider and an owner of schedules in one process, until it is killed.
func child(dir string) error {
	ctx := context.Background()
	store, err := boltstore.Open(filepath.Join(dir, "s.db"))
	if err != nil {
		return err
	}
	file, err := os.OpenFile(filepath.Join(dir, "runs"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	c := controller.New(controller.Options{Store: store})
	server, err := daffi.Connect(ctx, daffi.Options{Name: "server", Controller: c})
	if err != nil {
		return err
	}
	if _, err := testkit.RegisterKit(server, &witness{file: file}); err != nil {
		return err
	}
	owner, err := daffi.Connect(ctx, daffi.Options{Name: "owner", Controller: c})
	if err != nil {
		return err
	}
	calls := testkit.NewKit(owner).Prepare()
	for id, p := range plans { // each time: it is the same
		task, err := calls.Note(id).Schedule(ctx, p)
		if err != nil {
			return err
		}
		if id == "paused" {
			if err := task.Pause(ctx); err != nil {
				return err
			}
			if err := task.RunNow(ctx); err != nil && daffi.CodeOf(err) != daffi.ResourceExhausted {
				return err
			}
		}
	}
	fmt.Println("ready")
	select {}
}

// kill starts a child and kills it when it has worked for a while.
func kill(t *testing.T, dir string, after time.Duration) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childDir+"="+dir)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err, &stderr)
	require.Equal(t, "ready\n", line)
	time.Sleep(after) // it works, and is killed at any moment of that
	require.NoError(t, cmd.Process.Kill())
	cmd.Wait()
}

// TestSEM12KilledController kills the process of a controller and its store again and again: no tick runs twice, none is lost beyond those that were under way, and what is kept stays small (ACC-32).
func TestSEM12KilledController(t *testing.T) {
	kills := 100
	if testkit.Night() {
		kills = 2000
	}
	dir := t.TempDir()
	for range kills {
		kill(t, dir, time.Duration(rand.IntN(30))*time.Millisecond)
	}

	store, err := boltstore.Open(filepath.Join(dir, "s.db"))
	require.NoError(t, err)
	records := load(t, store)
	require.Less(t, len(records), len(plans)*(2+100)+5, "history is bounded")
	require.NoError(t, store.Close())

	file, err := os.ReadFile(filepath.Join(dir, "runs"))
	require.NoError(t, err)
	ticks, dues, keys, last := map[string]bool{}, map[string]bool{}, map[string]bool{}, map[string]int{}
	count := map[string]int{}
	for line := range strings.Lines(string(file)) {
		f := strings.Fields(line)
		require.Len(t, f, 4)
		require.False(t, ticks[f[0]+f[1]], "tick %s of %s ran twice", f[1], f[0])
		require.False(t, dues[f[0]+f[2]], "%s ran twice for the moment %s", f[0], f[2])
		require.False(t, keys[f[3]], "one key for two ticks")
		ticks[f[0]+f[1]], dues[f[0]+f[2]], keys[f[3]] = true, true, true
		n, err := strconv.Atoi(f[1])
		require.NoError(t, err)
		last[f[0]] = max(last[f[0]], n)
		count[f[0]]++
	}
	t.Logf("%d kills; runs: %v; ticks: %v; records: %d", kills, count, last, len(records))
	require.LessOrEqual(t, count["once"], 1)
	requireOver(t, dir, "once")
	for _, id := range []string{"fast", "delay", "queue", "paused"} {
		require.Greater(t, count[id], kills/4, id)
		require.LessOrEqual(t, last[id]-count[id], kills, "%s: a kill loses the run that is under way, and no other", id)
	}
}

// requireOver asks a controller with that store for a schedule.
func requireOver(t *testing.T, dir, id string) {
	t.Helper()
	store := open(t, filepath.Join(dir, "s.db"))
	defer store.Close()
	c := controller.New(controller.Options{Store: store})
	defer c.Close()
	n, err := daffi.Connect(t.Context(), daffi.Options{Name: "owner", Controller: c})
	require.NoError(t, err)
	defer n.Close()
	done, err := n.CancelTask(t.Context(), id)
	require.NoError(t, err, "it is remembered")
	require.False(t, done, "as over")
}
