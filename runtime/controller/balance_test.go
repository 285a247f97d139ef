package controller

import (
	"fmt"
	mathbits "math/bits"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/daffi-rpc/daffi/runtime/internal/control"
	"github.com/daffi-rpc/daffi/runtime/transport"
)

// routeOf has n providers, numbered from 0, whose calls are balanced like that.
func routeOf(balance control.Balance, n int) *route {
	c := &Controller{began: time.Now()}
	list := make([]provider, n)
	for i := range list {
		list[i] = provider{balance: balance, speed: new(speed), s: &session{c: c, number: uint32(i), nameHash: transport.NameHash(fmt.Sprint("n", i))}}
	}
	r := &route{}
	r.provide(list)
	return r
}

// spread counts whom n calls go to that end at once.
func spread(r *route, caller *session, n int, seed uint64) map[uint32]int {
	rng := rand.New(rand.NewPCG(seed, 1))
	got := map[uint32]int{}
	var to [2]provider
	for range n {
		if r.pick(caller, rng.Uint64(), &to) > 0 {
			got[to[0].s.number]++
		}
	}
	return got
}

// Equal providers get equal shares: 10 000 calls for 5 nodes are 2 000 each, with a standard deviation of 40.
func TestD49Balance(t *testing.T) {
	for _, balance := range []control.Balance{control.BalanceDefault, control.BalanceLeastRunning, control.BalanceRandom, control.BalanceRoundRobin, control.BalanceLeastLatency} {
		t.Run(balance.String(), func(t *testing.T) {
			for seed := range uint64(20) {
				got := spread(routeOf(balance, 5), &session{number: 99}, 10_000, seed)
				require.Len(t, got, 5)
				for _, n := range got {
					if balance == control.BalanceRoundRobin {
						require.Equal(t, 2000, n)
					}
					require.InDelta(t, 2000, n, 5*40)
				}
				got = spread(routeOf(balance, 5), &session{number: 2}, 10_000, seed)
				require.Len(t, got, 4, "the caller is left out")
				for _, n := range got {
					require.InDelta(t, 2500, n, 5*43)
				}
				require.Equal(t, map[uint32]int{0: 10}, spread(routeOf(balance, 1), &session{}, 10, seed), "alone it serves itself")
			}
		})
	}
}

// The first is never the same as the second, and every pair is equally likely.
func TestPickTwo(t *testing.T) {
	r, rng := routeOf(control.BalanceRandom, 4), rand.New(rand.NewPCG(7, 7))
	pairs := map[[2]uint32]int{}
	var to [2]provider
	for range 12_000 {
		require.Equal(t, 2, r.pick(&session{number: 99}, rng.Uint64(), &to))
		pairs[[2]uint32{to[0].s.number, to[1].s.number}]++
	}
	require.Len(t, pairs, 12)
	for pair, n := range pairs {
		require.NotEqual(t, pair[0], pair[1])
		require.InDelta(t, 1000, n, 5*31)
	}
}

// With k calls each to one of two random ones, the busier of which is spared, nobody is far from the mean; random alone is.
func TestLeastRunningSpreadsBetterThanRandom(t *testing.T) {
	most := func(balance control.Balance) int64 {
		r, rng := routeOf(balance, 100), rand.New(rand.NewPCG(3, 3))
		var to [2]provider
		for range 10_000 {
			r.pick(&session{number: 999}, rng.Uint64(), &to)
			to[0].s.running.Add(1)
		}
		most := int64(0)
		for _, p := range *r.providers.Load() {
			most = max(most, p.s.running.Load())
		}
		return most
	}
	require.LessOrEqual(t, most(control.BalanceLeastRunning), int64(104))
	require.Greater(t, most(control.BalanceRandom), int64(115))
}

// A new provider gets more than others only as long as it has fewer calls.
func TestNoHerdOntoANewProvider(t *testing.T) {
	for _, balance := range []control.Balance{control.BalanceLeastRunning, control.BalanceLeastLatency} {
		r, rng := routeOf(balance, 10), rand.New(rand.NewPCG(5, 5))
		list := *r.providers.Load()
		for _, p := range list[:9] {
			p.s.running.Store(100)
			p.speed.mean.Store(int64(time.Millisecond))
			p.speed.at.Store(p.s.c.clock())
		}
		var to [2]provider
		one := 0
		for range 100 {
			r.pick(&session{number: 99}, rng.Uint64(), &to)
			to[0].s.running.Add(1)
			if to[0].s == list[9].s {
				one++
			}
		}
		require.InDelta(t, 20, one, 5*4, "it is one of two in a fifth of the calls")
	}
}

func TestD49LeastLatency(t *testing.T) {
	synctest.Test(t, testLeastLatency)
}

func testLeastLatency(t *testing.T) {
	r := routeOf(control.BalanceLeastLatency, 5)
	c, list := (*r.providers.Load())[0].s.c, *r.providers.Load()
	c.began = time.Now().Add(-time.Hour)
	now := c.clock()
	for i, p := range list {
		d := int64(time.Millisecond)
		if i == 3 {
			d *= 10
		}
		p.speed.answered(now-d, now)
	}
	got := spread(r, &session{number: 99}, 10_000, 1)
	require.Zero(t, got[3], "there is always another that is faster")
	require.InDelta(t, 2500, got[0], 5*43)

	list[0].s.running.Store(20)
	list[1].s.running.Store(20)
	list[2].s.running.Store(20)
	list[4].s.running.Store(20)
	require.NotZero(t, spread(r, &session{number: 99}, 1000, 1)[3], "as long as that has no more than ten times as many calls")

	c.began = c.began.Add(-4 * speedHalf) // later
	for _, p := range list {
		p.s.running.Store(0)
		if p.s.number != 3 {
			p.speed.answered(c.clock()-int64(time.Millisecond), c.clock())
		}
	}
	require.Equal(t, int64(10*time.Millisecond)>>4, list[3].speed.expected(c.clock()))
	require.NotZero(t, spread(r, &session{number: 99}, 1000, 1)[3], "it may be faster by now")
	list[3].speed.answered(c.clock()-int64(20*time.Millisecond), c.clock())
	require.Equal(t, int64(20*time.Millisecond), list[3].speed.mean.Load(), "what it was long ago does not count")
	list[3].speed.answered(c.clock()-int64(12*time.Millisecond), c.clock())
	require.InDelta(t, 19*time.Millisecond, time.Duration(list[3].speed.mean.Load()), float64(10*time.Microsecond))
	list[3].speed.unanswered(c.clock()-int64(time.Millisecond), c.clock())
	require.InDelta(t, 19*time.Millisecond, time.Duration(list[3].speed.mean.Load()), float64(10*time.Microsecond), "a call that was given up soon says nothing")
	list[3].speed.unanswered(c.clock()-int64(time.Second), c.clock())
	require.Greater(t, list[3].speed.mean.Load(), int64(100*time.Millisecond))
}

// A caller keeps to one provider, and another one to another; when that leaves, only its callers move.
func TestBalanceByCaller(t *testing.T) {
	owner := func(r *route, caller int) uint32 {
		s := &session{number: 1000, nameHash: transport.NameHash(fmt.Sprint("caller-", caller))}
		got := spread(r, s, 5, uint64(caller))
		require.Len(t, got, 1)
		for n := range got {
			return n
		}
		return 0
	}
	r, count, before := routeOf(control.BalanceByCaller, 5), map[uint32]int{}, map[int]uint32{}
	for i := range 1000 {
		before[i] = owner(r, i)
		count[before[i]]++
	}
	for _, n := range count {
		require.InDelta(t, 200, n, 5*13)
	}
	r.remove(2)
	for i, was := range before {
		if was != 2 {
			require.Equal(t, was, owner(r, i))
		}
	}
}

// Of what providers ask for that of the first counts, and of the rest what the call says.
func TestWhoseBalanceCounts(t *testing.T) {
	r := routeOf(control.BalanceDefault, 4)
	require.Equal(t, control.BalanceDefault, r.choices.Load().balance)
	list := *r.providers.Load()
	list[1].balance, list[2].balance = control.BalanceRandom, control.BalanceRoundRobin
	r.provide(list)
	require.Equal(t, control.BalanceRandom, r.choices.Load().balance)
	r.remove(1)
	require.Equal(t, control.BalanceRoundRobin, r.choices.Load().balance)
	v := &route{choice: control.Choice{Balance: control.BalanceLeastLatency}}
	v.provide(list)
	require.Equal(t, control.BalanceLeastLatency, v.choices.Load().balance)
}

// However many providers there are, a call looks at the two that are drawn and, to leave out the caller, at those of a binary search; where it looks at any other this crashes.
func TestPickLooksAtFew(t *testing.T) {
	for _, balance := range []control.Balance{control.BalanceLeastRunning, control.BalanceRandom, control.BalanceRoundRobin, control.BalanceLeastLatency} {
		for _, n := range []int{1, 2, 3, 10, 100, 1000, 65_000} {
			r, rng := routeOf(balance, n), rand.New(rand.NewPCG(uint64(n), 2))
			c := r.choices.Load()
			full := c.list
			for range 20 {
				var to [2]provider
				caller, draw, turn := &session{number: uint32(rng.IntN(n + 1))}, rng.Uint64(), r.turn.Load()
				c.list = full
				k := r.pick(caller, draw, &to)
				sparse := make([]provider, n)
				looked := 0
				keep := func(i uint32) {
					if sparse[i].s == nil {
						sparse[i] = full[i]
						looked++
					}
				}
				for _, p := range to[:k] {
					keep(p.s.number)
				}
				for lo, hi := 0, n; lo < hi; { // as position does
					mid := int(uint(lo+hi) >> 1)
					keep(uint32(mid))
					if full[mid].s.number < caller.number {
						lo = mid + 1
					} else {
						hi = mid
					}
					if lo == hi && lo < n {
						keep(uint32(lo))
					}
				}
				c.list = sparse
				r.turn.Store(turn)
				var again [2]provider
				require.Equal(t, k, r.pick(caller, draw, &again))
				require.Equal(t, to, again)
				require.LessOrEqual(t, looked, 3+mathbits.Len(uint(n)))
			}
		}
	}
}

func TestPickAllocatesNothing(t *testing.T) {
	var to [2]provider
	for b := control.BalanceDefault; b.Known(); b++ {
		r := routeOf(b, 10)
		require.Zero(t, testing.AllocsPerRun(100, func() { r.pick(&session{}, rand.Uint64(), &to) }))
	}
}
