package controller

import (
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/daffi-rpc/daffi/internal/policy"
	"github.com/daffi-rpc/daffi/internal/watchfile"
	"github.com/daffi-rpc/daffi/runtime/internal/control"
)

// Who may do what (SEM-26). Everything that a node asks for with the name or the number of a method comes to [session.authorize], or, for a Request, to [session.permits], which
// remembers what authorize has said. Both go by the names that the router goes by, which [validWord] has let through and nobody has changed since.

// knowing is what lets a node know of a method: that it gets a number for it, waits for it, and sees who serves it and what it looks like.
var knowing = []policy.Action{policy.Call, policy.Schedule, policy.Watch}

// describing is the same for who serves it as well, since signatures are asked for in both cases.
var describing = []policy.Action{policy.Call, policy.Schedule, policy.Watch, policy.Serve}

// access is what the nodes of a controller may do.
type access struct {
	log     *slog.Logger
	dry     bool                          // nothing is refused
	current atomic.Pointer[policy.Policy] // nil if there is none; changed with the controller's lock held
	files   *watchfile.Watcher            // nil if there is none
	denied  atomic.Uint64

	mu     sync.Mutex
	said   map[denial]time.Time // when the log was told of one
	swept  time.Time            // when old ones were looked for
	unsaid uint64               // of which the log was not told, since it was told of others
}

// denial is what was denied, or would have been.
type denial struct {
	who    string
	action policy.Action
	what   string // "Service.Method", or a pattern
}

// Bounds of what is remembered of denials (LIM-56).
const (
	maxDenials  = 1024
	denialPause = time.Minute // between two lines of the log on the same
)

// enforced is the policy that holds, nil if there is none or it is only tried.
func (a *access) enforced() *policy.Policy {
	if a.dry {
		return nil
	}
	return a.current.Load()
}

// allows reports whether a node may do one of some things with a method. A nil policy allows everything.
func allows(p *policy.Policy, who, service, method string, as ...policy.Action) bool {
	if p == nil {
		return true
	}
	for _, a := range as {
		if p.Decide(who, a, service, method).Allowed {
			return true
		}
	}
	return false
}

// authorize says why the node may do none of some things with a method, nil if it may do one. The first stands for all in what is said. That there is such a method, or not, changes
// nothing. Call without a lock.
func (s *session) authorize(service, method string, as ...policy.Action) *control.Failure {
	if p := s.c.access.current.Load(); !allows(p, s.name, service, method, as...) {
		return s.deny(p.Decide(s.name, as[0], service, method), as[0], service+"."+method)
	}
	return nil
}

// authorizeBelow is authorize for everything below a name, or everything there is.
func (s *session) authorizeBelow(below string, a policy.Action) *control.Failure {
	p := s.c.access.current.Load()
	if p == nil {
		return nil
	}
	if d := p.Everything(s.name, a, below); !d.Allowed {
		return s.deny(d, a, everything(below))
	}
	return nil
}

// authorizeSome is authorize for whatever is below a name and may be known.
func (s *session) authorizeSome(below string) *control.Failure {
	p := s.c.access.current.Load()
	if p == nil {
		return nil
	}
	for _, a := range knowing {
		if p.Something(s.name, a, below) {
			return nil
		}
	}
	return s.deny(policy.Decision{}, policy.Watch, everything(below))
}

// everything is the pattern of what is below a name.
func everything(below string) string {
	if below == "" {
		return "*"
	}
	return below + ".*"
}

// deny notes a denial, and returns it as the node is told, or nil if the policy is only tried.
func (s *session) deny(d policy.Decision, a policy.Action, what string) *control.Failure {
	s.c.access.note(denial{s.name, a, what}, d.Line)
	if s.c.access.dry {
		return nil
	}
	return s.forbidden(a, what)
}

// forbidden is what a node is told.
func (s *session) forbidden(a policy.Action, what string) *control.Failure {
	return &control.Failure{Code: permissionDenied, Reason: reasonPolicy, Outcome: notRun,
		Message: fmt.Sprintf("the controller's policy does not let node %q %v %s", s.name, a, what)}
}

// thisMethod stands for a method whose number a node has used, and whose name it may not know.
const thisMethod = "this method"

// note counts a denial and logs it, unless the log was told of the same in the last minute, or, where the policy is only tried, at all.
func (a *access) note(d denial, line int) {
	a.denied.Add(1)
	now := time.Now()
	a.mu.Lock()
	last, again := a.said[d]
	if !again && len(a.said) >= maxDenials && now.Sub(a.swept) >= time.Second && !a.dry {
		a.swept = now
		for d, last := range a.said {
			if now.Sub(last) >= denialPause {
				delete(a.said, d)
			}
		}
	}
	say := !again && len(a.said) < maxDenials || again && !a.dry && now.Sub(last) >= denialPause
	unsaid := a.unsaid
	if say {
		if a.said == nil {
			a.said = map[denial]time.Time{}
		}
		a.said[d], a.unsaid = now, 0
	} else {
		a.unsaid++
	}
	a.mu.Unlock()
	if !say {
		return
	}
	attrs := []any{"node", d.who, "action", d.action.String(), "method", d.what, "line", line}
	if unsaid > 0 {
		attrs = append(attrs, "not_logged", unsaid)
	}
	if a.dry {
		a.log.Warn("the policy would deny this", attrs...)
	} else {
		a.log.Warn("the policy denies this", attrs...)
	}
}

// forgive forgets what was said of another policy.
func (a *access) forgive() {
	a.mu.Lock()
	clear(a.said)
	a.mu.Unlock()
}

// decisions are what a policy has said of calls by their routes, those of the node that were asked for last. Each is one more than twice the serial of the route if the node may: its number
// may be that of another route by now, if the node has guessed it.
type decisions struct {
	by   *policy.Policy
	seen [1024]uint64
}

// permits says why the node may not call r, whose number it may have guessed. So it is not told the name.
func (s *session) permits(r *route) *control.Failure {
	p := s.c.access.current.Load()
	if p == nil || s.fires { // of a schedule the scheduler has asked
		return nil
	}
	if s.decisions == nil || s.decisions.by != p {
		s.decisions = &decisions{by: p}
	}
	slot := &s.decisions.seen[r.number%uint32(len(s.decisions.seen))]
	if *slot>>1 != r.serial {
		*slot = r.serial << 1
		if allows(p, s.name, r.service, r.method, policy.Call) {
			*slot++
		}
	}
	if *slot&1 == 1 {
		return nil
	}
	return s.denyRoute(p, r, policy.Call)
}

// mayUse says why the node may do none of some things with r, as permits does.
func (s *session) mayUse(r *route, as ...policy.Action) *control.Failure {
	p := s.c.access.current.Load()
	if allows(p, s.name, r.service, r.method, as...) {
		return nil
	}
	return s.denyRoute(p, r, as[0])
}

func (s *session) denyRoute(p *policy.Policy, r *route, a policy.Action) *control.Failure {
	if s.deny(p.Decide(s.name, a, r.service, r.method), a, r.String()) == nil {
		return nil
	}
	return s.forbidden(a, thisMethod)
}

// noRoute says why there is no route of a number.
func (s *session) noRoute(number uint32) *control.Failure {
	if number == control.NoRoute && s.c.access.enforced() != nil {
		s.c.access.note(denial{s.name, policy.Call, thisMethod}, 0)
		return s.forbidden(policy.Call, thisMethod)
	}
	return unknownRoute(number)
}

// sees reports whether a node may know that another is there: it knows of something that the other serves, or it may watch everything. Call with the controller's lock held.
func (s *session) sees(other *session) bool {
	p := s.c.access.enforced()
	if p == nil || s == other || s.name == other.name || p.Overall(s.name, policy.Watch).Allowed {
		return true
	}
	for service, reg := range other.services {
		for method := range reg.methods {
			if allows(p, s.name, service, method, knowing...) {
				return true
			}
		}
	}
	for prefix, may := range other.caught {
		for _, a := range knowing {
			if may && p.Something(s.name, a, prefix) {
				return true
			}
		}
	}
	return false
}

// mayKnow leaves of some methods those that the node may know of, and says where they were; at is nil if they are all there.
func (s *session) mayKnow(service string, methods []control.Method) (left []control.Method, at []uint32) {
	if s.c.access.current.Load() == nil {
		return methods, nil
	}
	at = make([]uint32, 0, len(methods))
	for i := range methods {
		if s.authorize(service, methods[i].Name, knowing...) == nil {
			left, at = append(left, methods[i]), append(at, uint32(i))
		}
	}
	return left, at
}

// visible is the session of that number, unless there is none or the node may not know of it. Call with the controller's lock held.
func (s *session) visible(number uint32) *session {
	if other := s.c.session(number); other != nil && s.sees(other) {
		return other
	}
	return nil
}

// anyKnown reports whether somebody serves a method of a service of which the node may know. Call with the controller's lock held.
func (s *session) anyKnown(service string, providers map[*session]*registration) bool {
	p := s.c.access.enforced()
	if p == nil {
		return len(providers) > 0
	}
	if len(providers) > 1 { // each method once, however many serve it
		return slices.ContainsFunc(s.c.served[service], func(r *route) bool { return allows(p, s.name, service, r.method, knowing...) })
	}
	for _, reg := range providers {
		for method := range reg.methods {
			if allows(p, s.name, service, method, knowing...) {
				return true
			}
		}
	}
	return false
}

// knownRoutes are those of which the node may know. Call with the controller's lock held.
func (s *session) knownRoutes(list []*route) []*route {
	p := s.c.access.enforced()
	if p == nil {
		return list
	}
	return slices.DeleteFunc(slices.Clone(list), func(r *route) bool { return !allows(p, s.name, r.service, r.method, knowing...) })
}

// mayDescribe says why the node may not say what a method looks like that it serves, or wants to call.
func (s *session) mayDescribe(service, method string, served bool) *control.Failure {
	if served {
		return s.authorize(service, method, policy.Serve)
	}
	return s.authorize(service, method, describing...)
}
