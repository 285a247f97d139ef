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
)

// A scenario is what is measured with every system.
type scenario struct {
	Kind    kind `json:"kind"`
	Size    int  `json:"size"`              // of an item, in bytes
	Callers int  `json:"callers,omitempty"` // goroutines that call, on one connection
	Pinned  bool `json:"pinned,omitempty"`  // all processes run on one processor
}

func (s scenario) String() string {
	text := fmt.Sprintf("%s-%d", s.Kind, s.Size)
	if s.Kind == unary {
		text += fmt.Sprintf("-x%d", s.Callers)
	}
	if s.Pinned {
		text += "-pinned"
	}
	return text
}

// fits reports whether the system can do it.
func (s scenario) fits(sys system) bool {
	if s.Kind != unary {
		return sys.stream
	}
	return true
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

func scenarios(quick bool) []scenario {
	list := []scenario{crowd, lone, crowd.sized(large), upSmall, downSmall, upLarge, downLarge}
	if !quick {
		list = append(list, crowd.sized(medium), lone.sized(medium), lone.sized(large))
	}
	return append(list, pinned) // last, as it takes processes of its own
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
}

// usage is what a process has used so far, or between two moments.
type usage struct {
	CPU      time.Duration `json:"cpu_ns"` // user and system
	Allocs   uint64        `json:"allocs"`
	IO       uint64        `json:"io"`       // system calls that read or wrote; 0 where the system does not say
	Switches uint64        `json:"switches"` // context switches
}

func (u usage) minus(v usage) usage {
	return usage{CPU: u.CPU - v.CPU, Allocs: u.Allocs - v.Allocs, IO: u.IO - v.IO, Switches: u.Switches - v.Switches}
}

func (f figure) total() usage {
	var t usage
	for _, u := range f.Used {
		t.CPU += u.CPU
		t.Allocs += u.Allocs
		t.IO += u.IO
		t.Switches += u.Switches
	}
	return t
}
