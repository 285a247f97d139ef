package daffi

import (
	"context"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/daffi-rpc/daffi/runtime/internal/control"
)

// Peer is a node at the same controller.
type Peer struct {
	Name     string
	Services []string          // sorted; none of a node that drains
	Methods  []string          // of all of them, as "Service.Method", sorted
	Labels   map[string]string // Options.Labels of that node; nil if it has none
	Since    time.Time         // when it has joined, by this machine's clock, to about a second
}

// PeerEvent is a change among the nodes at the controller. Peer is as it was told last of one that has left, else as it is now.
type PeerEvent struct {
	Kind PeerChange
	Peer Peer
}

// PeerChange is what has happened to a node.
type PeerChange uint8

const (
	PeerJoined  PeerChange = iota // it is there
	PeerChanged                   // it serves something else than before; nothing, if it drains
	PeerLeft
)

func (k PeerChange) String() string {
	switch k {
	case PeerJoined:
		return "joined"
	case PeerChanged:
		return "changed"
	case PeerLeft:
		return "left"
	}
	return "unknown"
}

// peer is what users see of the row.
func (r *tableRow) peer() Peer {
	p := Peer{Name: r.Name, Labels: labelMap(r.Labels), Since: r.since}
	for _, s := range r.Services {
		p.Services = append(p.Services, s.Name)
		for _, m := range s.Methods {
			p.Methods = append(p.Methods, s.Name+"."+m)
		}
	}
	slices.Sort(p.Services)
	slices.Sort(p.Methods)
	return p
}

// Peers lists the nodes at the controller, sorted by name, this one among them.
func (n *Node) Peers(ctx context.Context) ([]Peer, error) {
	var peers []Peer
	err := n.wait(ctx, func(t *table) bool {
		peers = make([]Peer, 0, len(t.rows))
		for _, r := range t.rows {
			peers = append(peers, r.peer())
		}
		slices.SortFunc(peers, func(a, b Peer) int { return strings.Compare(a.Name, b.Name) })
		return true
	})
	return peers, err
}

// WatchPeers tells of the nodes at the controller: first that each that is there has joined, this one among them, then every change. What happens while the
// consumer is busy is told afterwards as what has become of it: a node that has come and gone meanwhile is left out, one that has left and joined again is told of as both. While this
// node has no link to its controller nothing is told; once it has one again, what is different then. The sequence ends, with an error as its last pair, when ctx
// ends or the node is closed. It may be ranged over again, and then begins anew.
func (n *Node) WatchPeers(ctx context.Context) iter.Seq2[PeerEvent, error] {
	return func(yield func(PeerEvent, error) bool) {
		told := map[peerID]toldPeer{}
		for {
			var events []PeerEvent
			err := n.wait(ctx, func(t *table) bool {
				events = t.changes(told)
				return len(events) > 0
			})
			if err != nil {
				yield(PeerEvent{}, waitError(err, "changes of nodes"))
				return
			}
			for _, e := range events {
				if !yield(e, nil) {
					return
				}
			}
		}
	}
}

// peerID tells a node from one that joins later under the same name.
type peerID struct {
	controller [16]byte // its incarnation
	session    uint32
}

// toldPeer is what was told of a node, and the row that it was told from.
type toldPeer struct {
	row *tableRow
	Peer
}

// changes are the differences of the table from what was told, which it brings up to date: who has left, then who has joined or changed, each sorted by name.
// Call with the lock held.
func (t *table) changes(told map[peerID]toldPeer) (events []PeerEvent) {
	controller := t.of.welcome.Incarnation
	for id, p := range told {
		if _, ok := t.rows[id.session]; !ok || id.controller != controller {
			events = append(events, PeerEvent{PeerLeft, p.Peer})
			delete(told, id)
		}
	}
	left := len(events)
	for session, r := range t.rows {
		id := peerID{controller, session}
		before, ok := told[id]
		if before.row == r {
			continue
		}
		now := r.peer()
		switch {
		case !ok:
			events = append(events, PeerEvent{PeerJoined, now})
		case !slices.Equal(before.Methods, now.Methods) || !slices.Equal(before.Services, now.Services) || !maps.Equal(before.Labels, now.Labels):
			now.Since = before.Since
			events = append(events, PeerEvent{PeerChanged, now})
		}
		told[id] = toldPeer{r, now}
	}
	byName := func(a, b PeerEvent) int { return strings.Compare(a.Peer.Name, b.Peer.Name) }
	slices.SortFunc(events[:left], byName)
	slices.SortFunc(events[left:], byName)
	return events
}

// Methods lists what a node serves, by names of the form "Service.Method", sorted: what [Node.Describe] says of each of its services, as far as that node serves it. If
// no node of that name is there the error is NotFound/no_provider; [Node.WaitNode] waits for one.
func (n *Node) Methods(ctx context.Context, remote string) ([]MethodInfo, error) {
	var services []control.Service
	found := false
	err := n.wait(ctx, func(t *table) bool {
		for _, r := range t.rows {
			if r.Name == remote {
				services, found = r.Services, true
			}
		}
		return true
	})
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, &Error{Code: NotFound, Reason: ReasonNoProvider, Outcome: NotRun, Message: fmt.Sprintf("no node is named %q", remote)}
	}
	var methods []MethodInfo
	for _, s := range services {
		info, err := n.Describe(ctx, s.Name)
		if CodeOf(err) == NotFound { // it has gone meanwhile
			continue
		}
		if err != nil {
			return nil, err
		}
		for _, m := range info.Methods {
			if slices.Contains(m.Nodes, remote) {
				m.Name = s.Name + "." + m.Name
				methods = append(methods, m)
			}
		}
	}
	slices.SortStableFunc(methods, func(a, b MethodInfo) int { return strings.Compare(a.Name, b.Name) })
	return methods, nil
}
