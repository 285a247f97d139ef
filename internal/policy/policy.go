package policy

import (
	"slices"
	"strings"

	"github.com/daffi-rpc/daffi/runtime/transport"
)

// Action is what a node does with a method.
type Action uint8

// The actions.
const (
	Call Action = iota
	Serve
	Schedule
	Watch

	actions = iota
)

var actionNames = [actions]string{"call", "serve", "schedule", "watch"}

func (a Action) String() string {
	if int(a) < len(actionNames) {
		return actionNames[a]
	}
	return "unknown"
}

// ParseAction returns the action of that name.
func ParseAction(name string) (a Action, ok bool) {
	i := slices.Index(actionNames[:], name)
	return Action(max(i, 0)), i >= 0
}

// Actions lists the names of all actions.
func Actions() []string { return slices.Clone(actionNames[:]) }

// Policy is a file of rules. It never changes, so it may be used from any goroutine.
type Policy struct {
	rules    []rule // by line
	verdicts map[pair]verdict
	lengths  []int            // of the beginnings of nodes' names that there are rules for
	whats    [actions][]entry // by what, then line
}

// pair is a pattern of nodes and one of methods, in the one form that each has: whole names; beginnings of nodes' names, with open; beginnings of methods' names up to
// a dot, or nothing for all.
type pair struct {
	action Action
	open   bool
	who    string
	what   string
}

// verdict is the first line that denies, and the first that allows; 0 for none.
type verdict struct{ deny, allow int32 }

// entry is a pair, with its line.
type entry struct {
	pair
	deny bool
	line int32
}

// rule is a line of the file.
type rule struct {
	line    int32
	deny    bool
	actions []Action
	who     []pattern
	what    []string
	text    string
}

// pattern stands for nodes: one of that name, or those whose names begin with it.
type pattern struct {
	name string
	open bool
}

func (p pattern) matches(who string) bool {
	return p.name == who || p.open && strings.HasPrefix(who, p.name)
}

// Decision is the answer to whether a node may do something.
type Decision struct {
	Allowed bool
	Line    int // that has decided; 0 if none applies, so that the answer is no
}

func (v verdict) decision() Decision {
	if v.deny != 0 {
		return Decision{Line: int(v.deny)}
	}
	return Decision{Allowed: v.allow != 0, Line: int(v.allow)}
}

// merge takes the earlier lines of both.
func (v *verdict) merge(w verdict) {
	first(&v.deny, w.deny)
	first(&v.allow, w.allow)
}

func first(line *int32, other int32) {
	if other != 0 && (*line == 0 || other < *line) {
		*line = other
	}
}

// Rules is how many there are, without groups.
func (p *Policy) Rules() int { return len(p.rules) }

// Text is the rule on a line, empty if there is none.
func (p *Policy) Text(line int) string {
	i, ok := slices.BinarySearchFunc(p.rules, line, func(r rule, n int) int { return int(r.line) - n })
	if !ok {
		return ""
	}
	return p.rules[i].text
}

// full is about as long as names get.
const full = 2*transport.MaxWord + 1

// Decide says whether the node may do a with a method. Names that are not valid are nobody's and nothing's, and their spelling is not made better. It does not allocate.
func (p *Policy) Decide(who string, a Action, service, method string) Decision {
	var buf [full]byte
	b := append(buf[:0], service...)
	b = append(b, '.')
	b = append(b, method...)
	return p.covering(who, a, b).decision()
}

// Overall says what the rules about * say of the node and a.
func (p *Policy) Overall(who string, a Action) Decision { return p.covering(who, a, nil).decision() }

// Everything says whether the node may do a with all that is below a name, or with all there is if that is empty: something allows that, and nothing denies any of it.
func (p *Policy) Everything(who string, a Action, below string) Decision {
	var buf [full]byte
	b := appendBelow(buf[:0], below)
	v := p.covering(who, a, b)
	for _, e := range p.within(a, b) {
		if e.deny && (pattern{e.who, e.open}).matches(who) {
			first(&v.deny, e.line)
		}
	}
	return v.decision()
}

// Something reports whether there is a name below the given one, or any if that is empty, with which the node may do a.
func (p *Policy) Something(who string, a Action, below string) bool {
	var buf [full]byte
	b := appendBelow(buf[:0], below)
	if v := p.covering(who, a, b); v.deny != 0 || v.allow != 0 { // no list of what is denied below has every name in it
		return v.deny == 0
	}
	for _, e := range p.within(a, b) {
		if !e.deny && (pattern{e.who, e.open}).matches(who) && p.covering(who, a, []byte(e.what)).deny == 0 {
			return true
		}
	}
	return false
}

func appendBelow(b []byte, name string) []byte {
	if b = append(b, name...); name != "" {
		b = append(b, '.')
	}
	return b
}

// covering is what the rules say that apply to all of what, a pattern.
func (p *Policy) covering(who string, a Action, what []byte) (v verdict) {
	p.add(&v, who, a, what)
	for i := len(what) - 2; i > 0; i-- {
		if what[i] == '.' {
			p.add(&v, who, a, what[:i+1])
		}
	}
	if len(what) > 0 {
		p.add(&v, who, a, nil)
	}
	return v
}

// add adds what the rules with exactly this pattern of methods say.
func (p *Policy) add(v *verdict, who string, a Action, what []byte) {
	v.merge(p.verdicts[pair{action: a, who: who, what: string(what)}])
	for _, n := range p.lengths {
		if n > len(who) {
			break
		}
		v.merge(p.verdicts[pair{action: a, open: true, who: who[:n], what: string(what)}])
	}
}

// within are the entries whose patterns are below what, or what itself.
func (p *Policy) within(a Action, what []byte) []entry {
	list := p.whats[a]
	i, _ := slices.BinarySearchFunc(list, string(what), func(e entry, s string) int { return strings.Compare(e.what, s) })
	n := i
	for n < len(list) && strings.HasPrefix(list[n].what, string(what)) {
		n++
	}
	return list[i:n]
}

// index makes what decisions need of the rules.
func (p *Policy) index() {
	p.verdicts = map[pair]verdict{}
	lengths := map[int]struct{}{}
	for _, r := range p.rules {
		for _, a := range r.actions {
			for _, who := range r.who {
				for _, what := range r.what {
					k := pair{a, who.open, who.name, what}
					v := p.verdicts[k]
					if r.deny {
						first(&v.deny, r.line)
					} else {
						first(&v.allow, r.line)
					}
					p.verdicts[k] = v
					p.whats[a] = append(p.whats[a], entry{k, r.deny, r.line})
				}
				if who.open {
					lengths[len(who.name)] = struct{}{}
				}
			}
		}
	}
	for n := range lengths {
		p.lengths = append(p.lengths, n)
	}
	slices.Sort(p.lengths)
	for _, list := range p.whats {
		slices.SortStableFunc(list, func(a, b entry) int { return strings.Compare(a.what, b.what) })
	}
}
