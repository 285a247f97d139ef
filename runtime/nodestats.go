package daffi

// NodeStats says how much a node has under way, and what it has counted since it was made; [Node.Lost] has what was lost of one-way calls.
type NodeStats struct {
	Calls   int // that the node has made and that have not ended, streams and one-way calls that are not accepted yet among them
	Serving int // that it was given and that have not ended; no one-way calls
	Running int // handlers, without those of the next line
	Nested  int // handlers of calls that other handlers have made
	Waiting int // calls that wait for room, or for a turn or a worker (LIM-11)

	Late uint64 // frames that came for calls that had ended
}

// Stats counts. What it tells of calls per method, of their errors and of how long they take, an [Interceptor] counts, for example that of the package callstats, so that only those pay for it who want it.
func (n *Node) Stats() NodeStats {
	st := NodeStats{Late: n.lates.Load()}
	if s := n.current.Load(); s != nil {
		s.calls.mu.Lock()
		st.Calls = s.calls.used
		s.calls.mu.Unlock()
		s.served.mu.Lock()
		st.Serving = s.served.live
		s.served.mu.Unlock()
	}
	a := &n.admission
	a.mu.Lock()
	defer a.mu.Unlock()
	st.Running, st.Nested, st.Waiting = a.running, a.nested, a.waiting
	return st
}
