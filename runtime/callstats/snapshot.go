package callstats

import (
	"cmp"
	"math"
	"slices"

	daffi "github.com/daffi-rpc/daffi/runtime"
)

// Method is what was counted of one method, at one side, called in one way: a call that is posted does not take as long as one whose results are waited for.
type Method struct {
	Method   string // "Service.Method", or [Other]
	Side     daffi.Side
	Shape    daffi.Shape
	InFlight int // calls that have begun and not ended
	// OK and Errors are calls that have ended. The error is the one that the interceptor sees. What has panicked is there too: at the callee as Internal, as its caller gets it, and at
	// the caller, where the loop over a stream has, as Canceled. A code that is none of the package daffi is Unknown.
	OK     uint64
	Errors map[daffi.Code]uint64
	// In goes to the handler and Out comes from it, of calls that have ended and not panicked, see [daffi.Interception].
	In, Out Traffic
	Latency Latency
}

// Calls is how many calls have ended.
func (m Method) Calls() uint64 {
	n := m.OK
	for _, errors := range m.Errors {
		n += errors
	}
	return n
}

// Traffic counts messages, and their bytes as [daffi.Traffic] does.
type Traffic struct{ Messages, Bytes uint64 }

// Latency says how long calls took, from where the interceptor was entered to where it was left: docs/interceptors.md tells what lies between for each shape.
type Latency struct {
	Seconds float64  // of all calls together
	Buckets []uint64 // calls for each of [Bounds], which took at most that long and longer than the one before; the last is for those above all bounds
}

// Count is how many calls there are in all buckets.
func (l Latency) Count() (n uint64) {
	for _, b := range l.Buckets {
		n += b
	}
	return n
}

// Snapshot is what was counted so far, sorted by method, side and shape; what was never called in some way is left out. Calls go on meanwhile, so that one of
// them may be counted in one number and not yet in another.
func (s *Stats) Snapshot() []Method {
	list := []Method{}
	for name, m := range *s.methods.Load() {
		for side := range sides {
			for shape := range shapes {
				if c := m[side][shape].Load(); c != nil {
					list = append(list, c.snapshot(Method{Method: name, Side: side, Shape: shape}))
				}
			}
		}
	}
	slices.SortFunc(list, func(a, b Method) int {
		return cmp.Or(cmp.Compare(a.Method, b.Method), cmp.Compare(a.Side, b.Side), cmp.Compare(a.Shape, b.Shape))
	})
	return list
}

// snapshot fills in out.
func (m *series) snapshot(out Method) Method {
	out.InFlight, out.OK = int(m.inFlight.Load()), m.ok.Load()
	out.Errors = map[daffi.Code]uint64{}
	for code := range codes {
		if n := m.failed[code].Load(); n > 0 {
			out.Errors[code] = n
		}
	}
	out.In, out.Out = m.in.load(), m.out.load()
	out.Latency.Seconds = math.Float64frombits(m.seconds.Load())
	for i := range m.took {
		out.Latency.Buckets = append(out.Latency.Buckets, m.took[i].Load())
	}
	return out
}
