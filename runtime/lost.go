package daffi

import (
	"errors"
	"maps"
	"sync"
)

// LostCall is a one-way call that has failed when nobody waited for it any more. More fields may come.
type LostCall struct {
	Method string // "Service.Method"
	Caller string // the name of the node that has made it
	Node   string // the name of the node that has failed it; empty where the calling node did
	Err    error  // [OutcomeOf] says whether a handler may have run
}

// losses counts them by method.
type losses struct {
	mu    sync.Mutex
	n     map[string]uint64
	limit int
}

// maxLost is how many methods are told apart by default (LIM-34); the others are one.
const maxLost = 1024

// Lost counts the one-way calls of which [Options.OnLost] is told, by "Service.Method"; past 1 024 methods (Limits.LostMethods) those of all others are under "". What is lost between the caller and a
// handler after the controller has accepted it is counted there.
func (n *Node) Lost() map[string]uint64 {
	n.lost.mu.Lock()
	defer n.lost.mu.Unlock()
	return maps.Clone(n.lost.n)
}

// lose tells of a lost call.
func (n *Node) lose(c LostCall) {
	n.log.Warn("one-way call failed", "method", c.Method, "caller", c.Caller, "node", c.Node, "error", withoutArguments(c.Err))
	n.lost.count(c.Method)
	if fn := n.opts.OnLost; fn != nil {
		n.notify(func() { fn(c) })
	}
}

// withoutArguments is err for the log: what is wrong with arguments may quote them.
func withoutArguments(err error) error {
	if e, ok := errors.AsType[*Error](err); ok && (e.Reason == ReasonDecode || e.Reason == ReasonInvalid || e.Reason == ReasonEncode) {
		return &Error{Code: e.Code, Reason: e.Reason, Outcome: e.Outcome, Node: e.Node, Method: e.Method}
	}
	if _, ok := errors.AsType[*InvalidArgumentError](err); ok {
		return &Error{Code: InvalidArgument, Outcome: OutcomeOf(err)}
	}
	return err
}

func (l *losses) count(method string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.n == nil {
		l.n = map[string]uint64{}
	}
	if _, ok := l.n[method]; !ok && len(l.n) >= l.limit {
		method = ""
	}
	l.n[method]++
}
