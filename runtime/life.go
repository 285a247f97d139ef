package daffi

import (
	"context"
	"sync"
)

// State is how a node stands to its controller.
type State uint8

const (
	StateNew        State = iota // it has not begun to join
	StateConnecting              // it has no controller and tries to join one
	StateReady                   // it has joined
	StateResuming                // its connection was cut and is to go on over another; calls wait, and nobody is told (Options.ResumeGrace)
	StateDraining                // it shuts down: it takes no calls, and waits for those that run
	StateClosed                  // for ever
)

var stateNames = [...]string{"new", "connecting", "ready", "resuming", "draining", "closed"}

func (s State) String() string {
	if int(s) < len(stateNames) {
		return stateNames[s]
	}
	return "unknown"
}

// ConnInfo is what [Options.OnConnect] is told of a connection.
type ConnInfo struct {
	Controller string // its name
	Addr       string // that the node was to join; "memory" for a controller in this process
	Joins      int    // how often the node has joined so far: 1 for the first time
	Attempt    int    // how many attempts it took; 0 of a connection that was resumed
	Resumed    bool   // it continues the one before: the session is the same, nothing was lost, and there was no OnDisconnect
}

// maxLife is the default bound of the events that wait for the user's hooks (LIM-37).
const maxLife = 64

// life is what the node's hooks are told of, in order and each once. Where the hooks are so slow that maxLife events wait, the latest time without a connection that
// is over and of which nothing was told is forgotten for the next one, so that what is told is never wrong, and ends with how things are.
type life struct {
	mu     sync.Mutex
	state  State
	of     *session // whose connection was told of; nil for none
	over   *session // that has ended before it was told of
	ctx    context.Context
	cancel context.CancelFunc
	joins  int
	queue  []lifeEvent
	queued bool // one of the node's hooks is to take the next one
}

// lifeEvent is one call of a hook.
type lifeEvent struct {
	tell func(o *Options) // the hook itself may be nil
	gap  bool             // with it a time without a connection begins
}

type nodeKey struct{}

// State is how the node stands to its controller at the moment.
func (n *Node) State() State {
	n.life.mu.Lock()
	defer n.life.mu.Unlock()
	return n.life.state
}

// push queues an event. Call with the lock held.
func (n *Node) push(gap bool, tell func(o *Options)) {
	l := &n.life
	if o := &n.opts; o.OnState == nil && o.OnConnect == nil && o.OnDisconnect == nil {
		return
	}
	if gap && len(l.queue) >= n.opts.Limits.ConnEvents {
		for i := len(l.queue) - 1; i >= 0; i-- {
			if l.queue[i].gap {
				clear(l.queue[i:])
				l.queue = l.queue[:i]
				break
			}
		}
	}
	l.queue = append(l.queue, lifeEvent{tell, gap})
	if !l.queued {
		l.queued = true
		n.urge(n.tellLife)
	}
}

// tellLife runs the hook of the oldest event. It asks for its next turn before that, since a hook may end the goroutine.
func (n *Node) tellLife() {
	l := &n.life
	l.mu.Lock()
	e := l.queue[0]
	l.queue[0] = lifeEvent{}
	if l.queue = l.queue[1:]; len(l.queue) == 0 {
		l.queue, l.queued = nil, false
	} else {
		n.urge(n.tellLife)
	}
	l.mu.Unlock()
	e.tell(&n.opts)
}

// become changes the state. Call with the lock held.
func (n *Node) become(s State, why error) {
	l := &n.life
	if l.state == s || l.state == StateClosed || l.state == StateDraining && s != StateClosed {
		return
	}
	gap := l.state == StateReady && s < StateDraining
	l.state = s
	n.push(gap, func(o *Options) {
		if o.OnState != nil {
			o.OnState(s, why)
		}
	})
}

// starts, drains and closes are changes of the state that the user brings about.
func (n *Node) starts() { n.becomes(StateConnecting, nil) }
func (n *Node) drains() { n.becomes(StateDraining, nil) }
func (n *Node) closes() { n.becomes(StateClosed, errClosed) }

func (n *Node) becomes(s State, why error) {
	n.life.mu.Lock()
	defer n.life.mu.Unlock()
	n.become(s, why)
}

// connected tells of a session that has joined, unless it has ended again.
func (n *Node) connected(s *session, attempt int) {
	l := &n.life
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.over == s || l.state == StateClosed {
		return
	}
	l.of = s
	l.joins++
	l.ctx, l.cancel = context.WithCancel(context.WithValue(context.Background(), nodeKey{}, n))
	n.become(StateReady, nil)
	n.onConnect(ConnInfo{Controller: s.welcome.Name, Addr: n.where(), Joins: l.joins, Attempt: attempt})
}

// onConnect is called with the lock held.
func (n *Node) onConnect(info ConnInfo) {
	ctx := n.life.ctx
	n.push(false, func(o *Options) {
		if o.OnConnect != nil {
			o.OnConnect(ctx, info)
		}
	})
}

// cut tells that the connection of a session was cut and is to be resumed, back that it was.
func (n *Node) cut(s *session, err error) {
	n.life.mu.Lock()
	defer n.life.mu.Unlock()
	if n.life.of == s {
		n.become(StateResuming, err)
	}
}

func (n *Node) back(s *session) {
	l := &n.life
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.of == s {
		n.become(StateReady, nil)
		n.onConnect(ConnInfo{Controller: s.welcome.Name, Addr: n.where(), Joins: l.joins, Resumed: true})
	}
}

// disconnected tells that a session has ended, if it was told of.
func (n *Node) disconnected(s *session, err error) {
	l := &n.life
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.of != s {
		l.over = s
		return
	}
	l.of = nil
	l.cancel()
	if err != errClosed { // else it is closed next
		n.become(StateConnecting, err)
	}
	n.push(false, func(o *Options) {
		if o.OnDisconnect != nil {
			o.OnDisconnect(err)
		}
	})
}

// tellPeers tells the hook of the nodes at the controller until ctx ends.
func (n *Node) tellPeers(ctx context.Context) {
	told := make(chan struct{}, 1)
	for e, err := range n.WatchPeers(ctx) {
		if err != nil {
			return
		}
		n.urge(func() {
			defer func() { told <- struct{}{} }()
			n.opts.OnPeer(e)
		})
		select {
		case <-told:
		case <-ctx.Done():
			return
		}
	}
}
