package control_test

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/daffi-rpc/daffi/runtime/codec"
	"github.com/daffi-rpc/daffi/runtime/internal/control"
	"github.com/daffi-rpc/daffi/runtime/internal/golden"
	"github.com/daffi-rpc/daffi/runtime/transport"
)

// message is what there is of every control message but those without fields.
type message interface {
	Append(*codec.Encoder)
	Read(*codec.Decoder) error
}

// messages are all of them, of either side.
var messages = map[control.Op]func() message{
	control.OpOK:          func() message { return new(control.Registered) },
	control.OpFailed:      func() message { return new(control.Failure) },
	control.OpRegister:    func() message { return new(control.Register) },
	control.OpUnregister:  func() message { return new(control.Unregister) },
	control.OpResolve:     func() message { return new(control.Resolve) },
	control.OpRoutes:      func() message { return new(control.Routes) },
	control.OpFind:        func() message { return new(control.Find) },
	control.OpFound:       func() message { return new(control.Found) },
	control.OpTable:       func() message { return new(control.Table) },
	control.OpMissing:     func() message { return new(control.Missing) },
	control.OpDescribe:    func() message { return new(control.Describe) },
	control.OpInspect:     func() message { return new(control.Inspect) },
	control.OpInspected:   func() message { return new(control.Inspected) },
	control.OpTargets:     func() message { return new(control.Targets) },
	control.OpSessions:    func() message { return new(control.Sessions) },
	control.OpAbout:       func() message { return new(control.About) },
	control.OpSelect:      func() message { return new(control.Select) },
	control.OpSchedule:    func() message { return new(control.Schedule) },
	control.OpScheduled:   func() message { return new(control.Scheduled) },
	control.OpTasks:       func() message { return new(control.Tasks) },
	control.OpTaskList:    func() message { return new(control.TaskList) },
	control.OpTaskControl: func() message { return new(control.TaskControl) },
	control.OpTaskState:   func() message { return new(control.TaskState) },
	control.OpAwaitRuns:   func() message { return new(control.AwaitRuns) },
	control.OpRuns:        func() message { return new(control.Runs) },
	control.OpAwait:       func() message { return new(control.Await) },
	control.OpForget:      func() message { return new(control.Forget) },
	control.OpStop:        func() message { return new(control.Stop) },
	control.OpCatch:       func() message { return new(control.Catch) },
	control.OpUncatch:     func() message { return new(control.Uncatch) },
	control.OpIntroduce:   func() message { return new(control.Introduce) },
}

// read reads a message whole, nil if it has no fields.
func read(b []byte) (message, error) {
	var d codec.Decoder
	d.Reset(b)
	op := control.ReadOp(&d)
	if fresh := messages[op]; fresh != nil && d.Err() == nil {
		m := fresh()
		return m, m.Read(&d)
	}
	return nil, d.Err()
}

// FuzzControl reads bytes as the control message that they say they are. One that can be read is written, and read as the same; none takes more memory than a
// message of its length may.
func FuzzControl(f *testing.F) {
	files, err := filepath.Glob("../../../testdata/frames/v1/control-*.hex")
	require.NoError(f, err)
	require.NotEmpty(f, files)
	seen := map[control.Op]bool{}
	for _, name := range files {
		text, err := os.ReadFile(name)
		require.NoError(f, err)
		b, err := golden.Bytes(text)
		require.NoError(f, err)
		b = b[transport.HeaderSize:]
		_, err = read(b)
		require.NoError(f, err, name)
		seen[control.Op(b[1])] = true
		f.Add(b)
	}
	for op := range 256 {
		if op := control.Op(op); op.Known() && op != control.OpWatch {
			require.Contains(f, messages, op)
			require.True(f, seen[op], "no golden frame has the operation %d", op)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var before, after runtime.MemStats
		var m message
		var err error
		most := uint64(min(64<<10+64*len(b), 16<<20))*2 + 16<<10
		took := most + 1
		for try := 0; took > most && try < 3; try++ { // others allocate as well
			runtime.ReadMemStats(&before)
			m, err = read(b)
			runtime.ReadMemStats(&after)
			took = after.TotalAlloc - before.TotalAlloc
		}
		require.LessOrEqual(t, took, most, "bytes of memory for %d", len(b))
		if err != nil {
			require.ErrorIs(t, err, codec.ErrDecode)
			return
		}
		if m == nil {
			return
		}
		var e codec.Encoder
		m.Append(&e)
		require.NoError(t, e.Err())
		again, err := read(e.Bytes())
		require.NoError(t, err, "%x", e.Bytes())
		require.IsType(t, m, again)
		var e2 codec.Encoder
		again.Append(&e2)
		require.Equal(t, len(e.Bytes()), len(e2.Bytes()), "%x was read and written as %x, and that as %x", b, e.Bytes(), e2.Bytes())
	})
}
