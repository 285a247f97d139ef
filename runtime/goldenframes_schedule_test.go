package daffi

import (
	"time"

	"github.com/daffi-rpc/daffi/runtime/internal/control"
	"github.com/daffi-rpc/daffi/runtime/transport"
)

func goldenSchedules() map[string]goldenFrame {
	every := control.Plan{Timing: control.Every, Interval: time.Minute, Immediately: true, Jitter: time.Second, Limit: 3, Until: 1_900_000_000_000_000_000,
		Overlap: control.QueueOverlap, Misfire: control.SkipMissed, StopOnError: 5, Timeout: 30 * time.Second, WhileConnected: true}
	at := control.Plan{Timing: control.At, Instants: []int64{1_800_000_000_000_000_000, 1_800_000_000_000_000_001}}
	cron := control.Plan{Timing: control.Cron, Expression: "30 3 * * *", Zone: "Europe/Berlin"}
	key := control.TaskKey{Owner: "shop-1", ID: "nightly"}
	failure := control.Failure{Code: uint8(Unavailable), Reason: string(ReasonNodeLost), Message: "the node is gone", Node: "shop-2", Method: "Shop.Add"}
	run := control.Run{Tick: 7, Due: 1_800_000_000_000_000_000, Start: 1_800_000_000_000_000_500, Duration: time.Millisecond, Node: "shop-2", Missed: 2, Forced: true}
	failed := run
	failed.Failed = []control.Failure{failure}
	task := control.Task{Owner: "shop-1", ID: "nightly", Method: "Shop.Add", To: "shop-2", Plan: "every 1m0s", Next: 1_800_000_000_000_000_000, Runs: 7, Missed: 2, Skipped: 1,
		Running: 1, Paused: true, Durable: true, Over: true, Last: []control.Run{failed}}
	return map[string]goldenFrame{
		"peer-fires": {about: "The controller is about to call, for a schedule of that node.", header: transport.Header{Kind: transport.Peer, Peer: 8, Arg: 1},
			payload: fields([]byte("shop-1"), "name", 6), check: bare("shop-1")},
		"control-schedule": said("Make this call by yourself, each minute.", 7, 0, control.OpSchedule, &control.Schedule{ID: "nightly", Route: 5, To: "shop-2", Keyed: true, Key: 9,
			Plan: every, Metadata: []byte{0x81, 0xa1, 'a', 0xa1, 'b'}, Args: []byte{0x91, 7}}),
		"control-schedule-at":   said("And this one at two instants.", 8, 0, control.OpSchedule, &control.Schedule{ID: "a", Route: 5, Plan: at, Args: []byte{0x90}}),
		"control-schedule-cron": said("And this one at night.", 9, 0, control.OpSchedule, &control.Schedule{ID: "c", Route: 5, Plan: cron, Args: []byte{0x90}}),
		"control-scheduled":     said("It has been done already.", 7, 0, control.OpScheduled, &control.Scheduled{Over: true}),
		"control-tasks":         said("Which schedules are there after that one?", 10, 0, control.OpTasks, &control.Tasks{Owner: "shop-1", Method: "Shop.Add", Over: true, After: key}),
		"control-task-list":     said("This one, and others.", 10, 0, control.OpTaskList, &control.TaskList{Tasks: []control.Task{task}, More: true}),
		"control-task-control":  said("End it.", 11, 0, control.OpTaskControl, &control.TaskControl{TaskKey: key, Action: control.TaskCancelAll}),
		"control-task-state":    said("It has ended now.", 11, 0, control.OpTaskState, &control.TaskState{Done: true, Task: task}),
		"control-await-runs":    said("How do its runs end, from the eighth on?", 12, 0, control.OpAwaitRuns, &control.AwaitRuns{TaskKey: key, After: 7, Now: true}),
		"control-runs":          said("Like this, and it is over.", 12, 0, control.OpRuns, &control.Runs{Runs: []control.Run{run, failed}, Last: 9, Lost: 3, Over: true}),
	}
}
