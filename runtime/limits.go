package daffi

import (
	"time"

	"github.com/daffi-rpc/daffi/runtime/internal/limits"
	"github.com/daffi-rpc/daffi/runtime/transport"
)

// Limits are the bounds of a node that few have a reason to change; those that more have are fields of [Options]. 0 is the default, which is finite. A negative value means that there
// is no limit, where it says so; elsewhere it is refused when the node joins, as is whatever is out of range. Sizes are bytes. The ids are those of docs/semantics.md.
type Limits struct {
	// NestedRunning is how many handlers of calls that handlers make run at a time, besides Options.MaxRunning. 0: as many as that; negative: no limit (LIM-11).
	NestedRunning int
	// HeldBytes is what the calls over 64 KiB that wait may hold together, or one that is larger. 0: 64 MiB; negative: no limit (LIM-11).
	HeldBytes int

	// ArgumentBytes is what the arguments of calls that run occupy, and the items that they read, of which more than 64 KiB are there of one call: as they came, where that was compressed or
	// over 64 KiB, and decoded. One more call is refused, busy, and an item waits for 10 s, which then ends its stream, busy; a caller may have no more of it than it leaves free, and what is larger comes in alone.
	// 0: 512 MiB, or four times Options.MaxMessage if that is more, but at most a quarter of what the system's control group or GOMEMLIMIT allows; negative: no limit (LIM-74).
	ArgumentBytes int

	// Callers is how many nodes may call this one since they have joined; calls of others are refused, busy. 0: 16 384; negative: no limit (LIM-70).
	Callers int
	// TableBytes is what the node remembers of others once it was asked for them (WaitNode, WaitMethod, Peers, WatchPeers), in about that many bytes; of others it does not hear. 0: 64 MiB;
	// negative: no limit (LIM-72).
	TableBytes int

	// Depth is how deep values are nested that the node reads and writes, 1 to 1 000. 0: 64 (LIM-8).
	Depth int
	// DecodeMemory is what the values of one message may occupy, at least 64 KiB; twice the message if that is more. 0: 16 MiB; negative: no limit but 64 KiB and 64 bytes for each byte
	// of the message, which holds in any case (LIM-8).
	DecodeMemory int

	// Metadata and MetadataKeys bound what a call brings along, or its reply, up to the limits of the wire format. 0: 8 KiB, and 64 (LIM-9).
	Metadata, MetadataKeys int

	// Streams is how many streams the node receives at a time, up to 10 240, which is also the default (LIM-12).
	Streams int
	// StreamMemory is what all of them may be granted, from 1 KiB for each of Streams to 16 MiB, which is also the default (LIM-13).
	StreamMemory int
	// StreamWindow is what one of them may be granted, from 1 KiB to 1 MiB. 0: 1 MiB (LIM-13).
	StreamWindow int

	// QueueBytes and QueueFrames bound what waits to be sent, but for what credit covers: one more call waits for room until its deadline, and is refused, busy, where
	// nobody waits for it: a copy of a broadcast, or of a call with AckNone. At least 128 KiB and 16. 0: 8 MiB, and 8 192; negative: no limit (LIM-14).
	QueueBytes, QueueFrames int
	// StallTimeout is for how long the controller may take nothing until the link is closed, from 10 ms to an hour; for acknowledgements, where a link may resume, at least 1 s. 0: 10 s (LIM-14).
	StallTimeout time.Duration
	// KeptBytes is what one link keeps that may resume, at least 64 KiB; with less than 256 KiB it is
	// acknowledged only every 100 ms. 0: 16 MiB; negative: no limit but Options.ResumeMemory (LIM-27).
	KeptBytes int

	// ReconnectMin and ReconnectMax are the first and the longest pause before the node joins again, from 1 ms to an hour; each is random, up to that. 0: 50 ms, and 1 s, or 5 s over TCP (LIM-18).
	ReconnectMin, ReconnectMax time.Duration

	// CallDepth is how deep calls within calls are nested that the node makes and serves, 1 to 32. 0: 32 (LIM-20).
	CallDepth int

	// Retries is how many repetitions of idempotent calls that may have run are saved up, of which a tenth is there from the beginning, and RetryPercent how many are earned by a hundred
	// calls, 1 to 100. 0: 100, and 10; negative Retries: no limit (LIM-24).
	Retries, RetryPercent int

	// EventCopies is how many copies of an event are under way at a time, 1 to 65 536. 0: 64 (LIM-25).
	EventCopies int

	// Hooks is how many functions of the user's wait to run; one more is dropped and counted. 0: 1 024; negative: no limit (LIM-32).
	Hooks int
	// Background is how many calls go on in the background; one more is refused, busy. 1 to 65 536. 0: 65 536 (LIM-33).
	Background int
	// LostMethods is how many methods [Node.Lost] tells apart. 0: 1 024; negative: no limit (LIM-34).
	LostMethods int
	// ConnEvents is how many events of the connection wait for the hooks until some are left out. 0: 64; negative: no limit (LIM-37).
	ConnEvents int
	// Choices is how many choices among providers a proxy remembers. 0: 64; negative: no limit (LIM-41).
	Choices int
}

// settle sets defaults; its error says what is out of range. running is Options.MaxRunning, message Options.MaxMessage, and tcp says that the controller may be on another host.
func (l *Limits) settle(running, message int, tcp bool) error {
	var s limits.Setter
	limits.Open(&s, "NestedRunning", &l.NestedRunning, running, 1)
	limits.Open(&s, "HeldBytes", &l.HeldBytes, maxHeld, 1)
	limits.Open(&s, "ArgumentBytes", &l.ArgumentBytes, argumentBytes(message), 1)
	limits.Open(&s, "Callers", &l.Callers, 16<<10, 1)
	limits.Open(&s, "TableBytes", &l.TableBytes, 64<<20, 1<<10)
	limits.Within(&s, "Depth", &l.Depth, 64, 1, 1000)
	limits.Open(&s, "DecodeMemory", &l.DecodeMemory, 16<<20, 64<<10)
	limits.Within(&s, "Metadata", &l.Metadata, maxMetadata, 1, maxMetadata)
	limits.Within(&s, "MetadataKeys", &l.MetadataKeys, maxMetadataKeys, 1, maxMetadataKeys)
	limits.Within(&s, "Streams", &l.Streams, transport.MaxStreams, 1, transport.MaxStreams)
	limits.Within(&s, "StreamMemory", &l.StreamMemory, creditBudget, l.Streams*transport.MinCredit, creditBudget)
	limits.Within(&s, "StreamWindow", &l.StreamWindow, transport.MaxCredit, transport.MinCredit, transport.MaxCredit)
	limits.Open(&s, "QueueBytes", &l.QueueBytes, transport.QueueBytes, 128<<10)
	limits.Open(&s, "QueueFrames", &l.QueueFrames, transport.QueueFrames, 16)
	limits.Within(&s, "StallTimeout", &l.StallTimeout, transport.StallTimeout, 10*time.Millisecond, time.Hour)
	limits.Open(&s, "KeptBytes", &l.KeptBytes, transport.KeepLink, 64<<10)
	longest := backoffMaxLocal
	if tcp {
		longest = backoffMax
	}
	limits.Within(&s, "ReconnectMin", &l.ReconnectMin, atMost(backoffMin, l.ReconnectMax), time.Millisecond, time.Hour)
	limits.Within(&s, "ReconnectMax", &l.ReconnectMax, max(longest, l.ReconnectMin), time.Millisecond, time.Hour)
	limits.Before(&s, "ReconnectMin", l.ReconnectMin, "ReconnectMax", l.ReconnectMax)
	limits.Within(&s, "CallDepth", &l.CallDepth, transport.MaxDepth, 1, transport.MaxDepth)
	limits.Open(&s, "Retries", &l.Retries, retryMost, 1)
	limits.Within(&s, "RetryPercent", &l.RetryPercent, retryShare, 1, 100)
	limits.Within(&s, "EventCopies", &l.EventCopies, maxFanOut, 1, transport.MaxCalls)
	limits.Open(&s, "Hooks", &l.Hooks, maxHooks, 1)
	limits.Within(&s, "Background", &l.Background, maxBackground, 1, maxBackground)
	limits.Open(&s, "LostMethods", &l.LostMethods, maxLost, 1)
	limits.Open(&s, "ConnEvents", &l.ConnEvents, maxLife, 1)
	limits.Open(&s, "Choices", &l.Choices, maxViews, 1)
	return s.Err
}

// link is what holds for the queue towards the controller.
func (l *Limits) link() transport.Limits {
	return transport.Limits{QueueBytes: l.QueueBytes, QueueFrames: l.QueueFrames, StallTimeout: l.StallTimeout, KeptBytes: l.KeptBytes}
}

// atMost is d, or most if that is set and less.
func atMost(d, most time.Duration) time.Duration {
	if most > 0 {
		return min(d, most)
	}
	return d
}
