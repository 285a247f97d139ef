package main

import (
	"fmt"
	"time"
)

type kind string

const (
	unary kind = "call"
	up    kind = "up"
	down  kind = "down"
	idle  kind = "idle" // nothing but nodes that have joined
)

// A scenario is what is measured with every system.
type scenario struct {
	Kind    kind `json:"kind"`
	Size    int  `json:"size"`              // of an item, in bytes
	Callers int  `json:"callers,omitempty"` // goroutines that call, on one connection
	Pinned  bool `json:"pinned,omitempty"`  // all processes run on one processor

	Series string `json:"series,omitempty"` // what grows from one scenario to the next
	Idle   idlers `json:"idle,omitzero"`    // is there beside what is measured
}

// idlers are nodes that do nothing but be there, in a process of their own, whose use of the machine does not count.
type idlers struct {
	Nodes   int `json:"nodes"`
	Methods int `json:"methods"`           // that they serve together, in services of ten; a service goes to several nodes where there are fewer services
	Streams int `json:"streams,omitempty"` // that they have open at the server, each after its first item
}

func (s scenario) String() string {
	if s.Kind == idle {
		return fmt.Sprintf("%s-%d", s.Kind, s.Idle.Nodes)
	}
	text := fmt.Sprintf("%s-%d", s.Kind, s.Size)
	if s.Kind == unary {
		text += fmt.Sprintf("-x%d", s.Callers)
	}
	if s.Pinned {
		text += "-pinned"
	}
	if s.Series != "" {
		text += fmt.Sprintf("-%s-%d", s.Series, s.grown())
	}
	return text
}

// grown is how many there are of what grows.
func (s scenario) grown() int {
	switch s.Series {
	case "nodes":
		return s.Idle.Nodes
	case "methods":
		return s.Idle.Methods
	}
	return s.Idle.Streams
}

// fits reports whether the system is measured in it.
func (s scenario) fits(sys system) bool {
	switch {
	case s.Kind == idle:
		return sys.name == separate || sys.name == separateUnix
	case s.Series != "" || sys.name == crowded:
		return s.Series != "" && sys.name == crowded
	case s.Kind != unary:
		return sys.stream
	}
	return true
}

// apart says which scenarios share processes, and are measured by turns: what grows has them to itself, in all sizes at a time.
func (s scenario) apart() string {
	switch {
	case s.Kind == idle:
		return s.String()
	case s.Pinned:
		return "pinned"
	}
	return s.Series
}

const (
	small  = 64
	medium = 1 << 10
	large  = 64 << 10
	many   = 64 // callers
)

var (
	crowd     = scenario{Kind: unary, Size: small, Callers: many}
	lone      = scenario{Kind: unary, Size: small, Callers: 1}
	pinned    = scenario{Kind: unary, Size: small, Callers: 1, Pinned: true}
	upSmall   = scenario{Kind: up, Size: small}
	downSmall = scenario{Kind: down, Size: small}
	upLarge   = scenario{Kind: up, Size: large}
	downLarge = scenario{Kind: down, Size: large}
)

// sized returns the scenario with items of another size.
func (s scenario) sized(size int) scenario {
	s.Size = size
	return s
}

// growing are calls beside more and more of something. What a call costs must not depend on it.
var growing = [][]scenario{
	series("nodes", idlers{Nodes: 1, Methods: 10}, idlers{Nodes: 100, Methods: 10}, idlers{Nodes: 1000, Methods: 10}),
	series("methods", idlers{Nodes: 10, Methods: 10}, idlers{Nodes: 10, Methods: 1000}, idlers{Nodes: 10, Methods: 10_000}),
	series("streams", idlers{Nodes: 20, Methods: 10, Streams: 1}, idlers{Nodes: 20, Methods: 10, Streams: 1000}, idlers{Nodes: 20, Methods: 10, Streams: 10_000}),
}

func series(name string, all ...idlers) []scenario {
	var list []scenario
	for _, i := range all {
		s := crowd
		s.Series, s.Idle = name, i
		list = append(list, s)
	}
	return list
}

// idleNodes is how many nodes idle where that is measured, if nothing else is said: as many as keep the run short. The figures are for each of them.
const idleNodes = 1000

func idling(nodes int) scenario {
	return scenario{Kind: idle, Idle: idlers{Nodes: nodes, Methods: 10}}
}

func scenarios(quick bool, idleNodes int) []scenario {
	list := []scenario{crowd, lone, crowd.sized(large), upSmall, downSmall, upLarge, downLarge}
	if !quick {
		list = append(list, crowd.sized(medium), lone.sized(medium), lone.sized(large))
	}
	list = append(list, pinned) // and what follows: they take processes of their own
	for _, s := range growing {
		if quick {
			s = []scenario{s[0], s[len(s)-1]}
		}
		list = append(list, s...)
	}
	return append(list, idling(idleNodes))
}

// A figure is one measurement.
type figure struct {
	System   string   `json:"system"`
	Scenario scenario `json:"scenario"`
	Round    int      `json:"round"`

	N       int           `json:"n"` // calls, or items of a stream
	Elapsed time.Duration `json:"elapsed_ns"`
	P50     time.Duration `json:"p50_ns,omitempty"`
	P99     time.Duration `json:"p99_ns,omitempty"`

	Used map[string]usage `json:"used"` // by role

	Begin  map[string]uint64  `json:"begin,omitempty"`  // allocations of a measurement in which each caller calls once, by role
	Value  map[string]float64 `json:"value,omitempty"`  // of decoding the value by itself
	Memory int64              `json:"memory,omitempty"` // resident bytes of the broker because of the idle nodes, without what joining took
	Joined int64              `json:"joined,omitempty"` // the same, with that: as soon as they have joined
}

// add adds what another measurement of the same found, but for latencies.
func (f *figure) add(more figure) {
	f.N, f.Elapsed, f.Memory, f.Joined = f.N+more.N, f.Elapsed+more.Elapsed, more.Memory, more.Joined
	for role, u := range more.Used {
		f.Used[role] = f.Used[role].plus(u)
	}
}

// usage is what a process has used so far, or between two moments.
type usage struct {
	CPU      time.Duration `json:"cpu_ns"` // user and system
	Allocs   uint64        `json:"allocs"`
	IO       uint64        `json:"io"`       // system calls that read or wrote; 0 where the system does not say
	Switches uint64        `json:"switches"` // context switches
}

func (u usage) plus(v usage) usage {
	return usage{CPU: u.CPU + v.CPU, Allocs: u.Allocs + v.Allocs, IO: u.IO + v.IO, Switches: u.Switches + v.Switches}
}

func (u usage) minus(v usage) usage {
	return usage{CPU: u.CPU - v.CPU, Allocs: u.Allocs - v.Allocs, IO: u.IO - v.IO, Switches: u.Switches - v.Switches}
}

func (f figure) total() usage {
	var t usage
	for _, u := range f.Used {
		t = t.plus(u)
	}
	return t
}
