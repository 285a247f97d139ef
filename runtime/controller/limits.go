package controller

import (
	"fmt"
	"math"
	"time"

	"github.com/daffi-rpc/daffi/runtime/internal/control"
	"github.com/daffi-rpc/daffi/runtime/internal/limits"
	"github.com/daffi-rpc/daffi/runtime/transport"
)

// Limits are the bounds of a controller that few have a reason to change; those that more have are fields of [Options]. 0 is the default, which is finite. A negative value means that
// there is no limit, where it says so; elsewhere it is refused when the controller starts, as is whatever is out of range. Sizes are bytes. The ids are those of docs/semantics.md.
type Limits struct {
	// Memory is what the controller holds for its nodes, in queues and for links that resume, at least 1 MiB. Where 80 % of it are taken calls are refused, overloaded, but for those that handlers make, and
	// at 90 % all calls and further nodes, until it is 10 % less; at 100 % the link of the node for which most is held is closed (LIM-75). 0: 1 GiB, or half of ProcessMemory if that is less; negative: no limit (LIM-16).
	Memory int64
	// ProcessMemory is what the process may occupy, at least 16 MiB, with everything else that it does: the same is refused at the same shares of it. 0: what the system's control group or GOMEMLIMIT
	// allows, and no limit where there is neither; negative: no limit (LIM-16).
	ProcessMemory int64

	// QueueBytes and QueueFrames bound what waits for one node, but for what credit covers: one more call is refused, busy. At least 128 KiB and 16. 0: 8 MiB, and 8 192; negative: no limit (LIM-14).
	QueueBytes, QueueFrames int
	// StallTimeout is for how long a node may take nothing until its link is closed, and while what is held runs short, for how long it may need for what waits for it (then at least 1 s), from 10 ms to an hour; for
	// acknowledgements, where a link may resume, at least 1 s. 0: 10 s (LIM-14, LIM-75).
	StallTimeout time.Duration
	// KeptBytes is what is kept for one node whose link may resume, at least 64 KiB; with less than 256 KiB it is
	// acknowledged only every 100 ms. 0: 16 MiB; negative: no limit but Options.ResumeMemory (LIM-27).
	KeptBytes int

	// PingsPerSecond is how many pings of a node are answered in a second; one more ends its link. 0: 10 and as many as PingInterval asks for; negative: no limit (LIM-17).
	PingsPerSecond int

	// Methods is how many methods one node serves. 0: 1 024; negative: no limit (LIM-19).
	Methods int

	// Schedules is how many schedules all nodes have together. 0: 65 536; negative: no limit (LIM-19).
	Schedules int
	// ScheduleBytes is what their arguments, metadata and instants take together, and ScheduleSize what arguments and metadata of one do, up to 48 KiB. 0: 64 MiB, and 48 KiB; negative ScheduleBytes: no limit (LIM-28).
	ScheduleBytes, ScheduleSize int
	// ScheduleInterval is the shortest interval of a schedule, from 10 ms, which is also the default, to a day (LIM-19).
	ScheduleInterval time.Duration
	// ScheduleOverlap is how many runs of one schedule may go on at a time, 1 to 16. 0: 16 (LIM-29).
	ScheduleOverlap int
	// ScheduleAnswers is how many answers about schedules one node waits for. 0: 256; negative: no limit (LIM-29).
	ScheduleAnswers int

	// CallDepth is how deep calls within calls are nested, 1 to 32. 0: 32 (LIM-20).
	CallDepth int

	// Targets is how many nodes a broadcast or an event goes to, 1 to 65 536, and TargetQuestions how many questions for them one node has open. 0: 65 536, and 256; negative TargetQuestions: no
	// limit (LIM-25, LIM-15).
	Targets, TargetQuestions int

	// Awaited is how many methods one node waits for with WaitReady at a time. 0: 65 536; negative: no limit (LIM-36).
	Awaited int

	// Choices is how many choices among providers a method is ever called with. 0: 1 024; negative: no limit (LIM-41).
	Choices int

	// EjectFirst and EjectMost are for how long a node that fails is left out of the choice at first, and at most, from 1 ms to a day. 0: 1 s, and 30 s (LIM-42).
	EjectFirst, EjectMost time.Duration

	// Routes is how many routes are remembered, of methods and choices among their providers that the nodes that are there have named, and RouteBytes what their names, signatures and comments
	// take; RoutesPerNode and RouteBytesPerNode are what one node may add. 0: 1 048 576, 256 MiB, 16 384 and 8 MiB; negative: no limit (LIM-60).
	Routes, RouteBytes, RoutesPerNode, RouteBytesPerNode int
	// Named is how many routes one node names, to call or to serve, whoever has added them. 0: 65 536; negative: no limit (LIM-65).
	Named int
	// Comparisons is how many pairs of signatures are compared for one node. 0: 16 384; negative: no limit (LIM-61).
	Comparisons int
}

// settle sets defaults; its error says what is out of range.
func (l *Limits) settle(o *Options) error {
	var s limits.Setter
	limits.Open(&s, "Memory", &l.Memory, heldMemory(l.ProcessMemory), 1<<20)
	if l.ProcessMemory > 0 {
		limits.Within(&s, "ProcessMemory", &l.ProcessMemory, 0, 16<<20, math.MaxInt64)
	}
	limits.Open(&s, "QueueBytes", &l.QueueBytes, transport.QueueBytes, 128<<10)
	limits.Open(&s, "QueueFrames", &l.QueueFrames, transport.QueueFrames, 16)
	limits.Within(&s, "StallTimeout", &l.StallTimeout, transport.StallTimeout, 10*time.Millisecond, time.Hour)
	limits.Open(&s, "KeptBytes", &l.KeptBytes, transport.KeepLink, 64<<10)
	limits.Open(&s, "PingsPerSecond", &l.PingsPerSecond, 10+int(time.Second/max(o.PingInterval, time.Millisecond)), 1)
	limits.Open(&s, "Methods", &l.Methods, maxMethods, 1)
	limits.Open(&s, "Schedules", &l.Schedules, maxTasks, 1)
	limits.Open(&s, "ScheduleBytes", &l.ScheduleBytes, maxTaskBytes, 1)
	limits.Within(&s, "ScheduleSize", &l.ScheduleSize, control.MaxScheduleBytes, 1, control.MaxScheduleBytes)
	limits.Within(&s, "ScheduleInterval", &l.ScheduleInterval, control.MinInterval, control.MinInterval, 24*time.Hour)
	limits.Within(&s, "ScheduleOverlap", &l.ScheduleOverlap, control.MaxOverlap, 1, control.MaxOverlap)
	limits.Open(&s, "ScheduleAnswers", &l.ScheduleAnswers, maxTaskWaits, 1)
	limits.Within(&s, "CallDepth", &l.CallDepth, transport.MaxDepth, 1, transport.MaxDepth)
	limits.Within(&s, "Targets", &l.Targets, maxTargets, 1, maxTargets)
	limits.Open(&s, "TargetQuestions", &l.TargetQuestions, maxTelling, 1)
	limits.Open(&s, "Awaited", &l.Awaited, maxAwaited, 1)
	limits.Open(&s, "Choices", &l.Choices, maxViews, 1)
	limits.Within(&s, "EjectFirst", &l.EjectFirst, atMost(ejectFirst, l.EjectMost), time.Millisecond, 24*time.Hour)
	limits.Within(&s, "EjectMost", &l.EjectMost, max(ejectMost, l.EjectFirst), time.Millisecond, 24*time.Hour)
	limits.Before(&s, "EjectFirst", l.EjectFirst, "EjectMost", l.EjectMost)
	limits.Open(&s, "Routes", &l.Routes, maxRoutes, 1)
	limits.Open(&s, "RouteBytes", &l.RouteBytes, maxRouteBytes, 1)
	limits.Open(&s, "RoutesPerNode", &l.RoutesPerNode, maxInterned, 1)
	limits.Open(&s, "RouteBytesPerNode", &l.RouteBytesPerNode, maxInternedBy, 1)
	limits.Open(&s, "Named", &l.Named, maxNamed, 1)
	limits.Open(&s, "Comparisons", &l.Comparisons, maxCompared, 1)
	if s.Err != nil {
		return fmt.Errorf("%w: %w", errBadOption, s.Err)
	}
	return nil
}

// link is what holds for the queue towards a node.
func (c *Controller) link() transport.Limits {
	l := &c.opts.Limits
	return transport.Limits{QueueBytes: l.QueueBytes, QueueFrames: l.QueueFrames, StallTimeout: l.StallTimeout, KeptBytes: l.KeptBytes, Meter: c.memory.meter}
}

// atMost is d, or most if that is set and less.
func atMost(d, most time.Duration) time.Duration {
	if most > 0 {
		return min(d, most)
	}
	return d
}
