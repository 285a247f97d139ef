package controller

import (
	"sync/atomic"
	"time"

	"github.com/daffi-rpc/daffi/runtime/internal/control"
	"github.com/daffi-rpc/daffi/runtime/transport"
)

// choices is whom a route's calls that name no provider may go to at one moment, and how one is picked.
type choices struct {
	list    []provider // by session number, without those that are left out because they fail
	balance control.Balance
}

// choicesOf works out what calls of r find when they come. Of what the providers ask for, that of the node that joined first counts, the call's own choice before that.
func (r *route) choicesOf(list []provider) *choices {
	c := &choices{list: withoutEjected(list), balance: r.choice.Balance}
	for i := 0; i < len(list) && c.balance == control.BalanceDefault; i++ {
		c.balance = list[i].balance
	}
	return c
}

// compareBalance logs that a node asks for another balance of a method than the one that counts. Call with the lock held, before the node's methods are offered.
func (c *Controller) compareBalance(s *session, routes []*route, balance control.Balance) {
	if balance == control.BalanceDefault {
		return
	}
	for _, r := range routes {
		for _, other := range r.own {
			if b := other.balance; b != control.BalanceDefault && b != balance {
				c.remarks.add(func() {
					c.log.Warn("nodes ask for different ways to balance the calls of a service: that of the node that joined first counts",
						"service", r.service, "node", s.name, "balance", balance, "other", other.s.name, "its", b)
				})
				return
			}
		}
	}
}

// pick chooses two providers, the second for when the first takes nothing, and returns how many it found. bits are random. It looks at two providers, however many there are, but for
// the caller itself, which is chosen only if there is no other, or if the choice says that it counts.
func (r *route) pick(caller *session, bits uint64, to *[2]provider) int {
	c := r.choices.Load()
	list := c.list
	n := len(list)
	self := n // where the caller is
	if n > 1 && !r.choice.Self {
		if i, ok := position(list, caller.number); ok {
			self = i
			n--
		}
	}
	at := func(i int) provider {
		if i >= self {
			i++
		}
		return list[i]
	}
	switch n {
	case 0:
		return 0
	case 1:
		to[0] = at(0)
		return 1
	}
	swap := false
	switch c.balance {
	case control.BalanceRoundRobin:
		i := int(r.turn.Add(1) % uint64(n))
		to[0], to[1] = at(i), at((i+1)%n)
	case control.BalanceByCaller:
		rank(list, self, uint32(caller.nameHash>>32), to)
	default:
		i := int((bits >> 32) * uint64(n) >> 32)
		j := int((bits & (1<<32 - 1)) * uint64(n-1) >> 32)
		if j >= i {
			j++
		}
		to[0], to[1] = at(i), at(j)
		switch c.balance {
		case control.BalanceRandom:
		case control.BalanceLeastLatency:
			swap = sooner(&to[1], &to[0])
		default:
			swap = to[1].s.running.Load() < to[0].s.running.Load()
		}
	}
	if swap {
		to[0], to[1] = to[1], to[0]
	}
	if h := &to[0].s.health; h.trial.Load() != fit && !h.takes(to[0].s.c.clock(), to[0].s.c.opts.Limits.EjectFirst) {
		to[0], to[1] = to[1], to[0]
	}
	return 2
}

// rank puts the two providers with the highest scores for a key into to, but for the one at without, and returns how many there are.
func rank(list []provider, without int, key uint32, to *[2]provider) int {
	var first, second uint64
	n := 0
	for i := range list {
		if i == without {
			continue
		}
		n++
		switch score := transport.Score(list[i].s.nameHash, key); {
		case n == 1 || score > first:
			to[0], to[1] = list[i], to[0]
			first, second = score, first
		case n == 2 || score > second:
			to[1], second = list[i], score
		}
	}
	return min(n, 2)
}

// rank is rank among all providers. The caller counts like any other, so that equal keys meet whoever calls.
func (r *route) rank(key uint32, to *[2]provider) int { return rank(*r.providers.Load(), -1, key, to) }

// speed is how long a provider takes until it answers calls of one method, measured here, from when the request is handed to its link: the way there and back is in it, and
// what waits in queues. It is of calls that are balanced by it; written with the lock of the provider's session held.
type speed struct {
	mean atomic.Int64 // exponentially weighted, in ns; 0 while there is none
	at   atomic.Int64 // when it was measured last, by the controller's clock
}

const (
	speedWeight = 8               // a new answer has an eighth of the weight
	speedHalf   = 5 * time.Second // the time in which a mean that nothing is added to halves, so that a provider that was slow is tried again
)

// clock is the time in ns. It is monotonic, and only differences mean something.
func (c *Controller) clock() int64 { return int64(time.Since(c.began)) }

// timed is the speed that a call to p is measured for, nil if it is not.
func (r *route) timed(p provider) *speed {
	if r.choices.Load().balance != control.BalanceLeastLatency {
		return nil
	}
	return p.speed
}

// answered adds what it took until now, to the first answer of a call that was sent at since. After a pause nothing of the mean is left.
func (v *speed) answered(since, now int64) {
	d, mean := max(now-since, 1), v.mean.Load()
	if mean != 0 && now-v.at.Load() < int64(speedHalf) {
		d = max(mean+(d-mean)/speedWeight, 1)
	}
	v.mean.Store(d)
	v.at.Store(now)
}

// unanswered does so for a call that its caller gave up: it would have taken longer.
func (v *speed) unanswered(since, now int64) {
	if now-since > v.mean.Load() {
		v.answered(since, now)
	}
}

// expected is the mean as far as it is still true, 0 if that is not known.
func (v *speed) expected(now int64) int64 {
	return v.mean.Load() >> min(max(now-v.at.Load(), 0)/int64(speedHalf), 63)
}

// sooner reports whether a is likely to answer sooner than b: by how long each takes for a call, times the calls that it has. Where that is not known of both they are told
// apart by their calls alone, so that a new provider begins with as many as others have.
func sooner(a, b *provider) bool {
	now := a.s.c.clock()
	x, y := a.speed.expected(now), b.speed.expected(now)
	if x == 0 || y == 0 {
		x, y = 1, 1
	}
	return float64(x)*float64(a.s.running.Load()+1) < float64(y)*float64(b.s.running.Load()+1)
}
