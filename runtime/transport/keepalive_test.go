package transport

import (
	"testing"
	"testing/synctest"
	"time"
)

// mute is a handler that counts pings and answers them if it is told to.
type mute struct {
	link    Link
	answers bool
	pings   []time.Duration // since begin
	begin   time.Time
	closed  chan error
}

func (m *mute) HandleFrame(f *Frame) error {
	if f.Kind == Ping {
		m.pings = append(m.pings, time.Since(m.begin))
		if m.answers {
			m.link.Enqueue(Frame{Header: Header{Kind: Pong, Arg: f.Arg}})
		}
	}
	return nil
}
func (m *mute) HandleBatch()           { m.link.Flush() }
func (m *mute) HandleClosed(err error) { m.closed <- err }

// keepalivePair returns the ends of a link of which the first is kept alive.
func keepalivePair(answers bool) (k *Keepalive, near, far *mute) {
	a, b := Pipe()
	near = &mute{link: a, begin: time.Now(), closed: make(chan error, 1)}
	far = &mute{link: b, begin: time.Now(), closed: make(chan error, 1), answers: answers}
	a.Start(near)
	b.Start(far)
	return NewKeepalive(a, KeepaliveOptions{Ping: 5 * time.Second, Dead: 15 * time.Second, Stop: 10 * time.Second}), near, far
}

func TestD60KeepaliveDead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k, near, far := keepalivePair(false)
		begin := time.Now()
		if err := <-near.closed; err != ErrSilent {
			t.Fatalf("closed with %v", err)
		}
		if d := time.Since(begin); d != 15*time.Second {
			t.Fatalf("closed after %v", d)
		}
		<-far.closed
		if len(far.pings) != 1 || far.pings[0] != 5*time.Second {
			t.Fatalf("pings at %v: one may be unanswered", far.pings)
		}
		k.Stop()
	})
}

func TestKeepaliveAlive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k, near, far := keepalivePair(true)
		time.Sleep(61 * time.Second)
		synctest.Wait()
		if len(far.pings) != 12 {
			t.Fatalf("%d pings in a minute: %v", len(far.pings), far.pings)
		}
		for range 30 { // whoever speaks is not asked
			time.Sleep(time.Second)
			far.link.Enqueue(Frame{Header: Header{Kind: Pong}})
			far.link.Flush()
		}
		synctest.Wait()
		if len(far.pings) > 13 {
			t.Fatalf("pings at %v although the peer spoke every second", far.pings)
		}
		k.Stop()
		n := len(far.pings)
		time.Sleep(time.Hour)
		synctest.Wait()
		if len(far.pings) != n {
			t.Fatal("pings after Stop")
		}
		near.link.Close(nil)
		<-near.closed
		<-far.closed
	})
}

// TestSilenceIsOfItsConnection: a keepalive that has found a link silent does not cut the connection that the peer, who found the same at the same moment, has come back over meanwhile.
func TestSilenceIsOfItsConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const dead = 15 * time.Second
		a, b, cable := resumablePair(t, newRecorder(), newRecorder(), NewKeepBudget(KeepBytes), NewKeepBudget(KeepBytes))
		first := cable()
		time.Sleep(dead)
		a.silent(dead)
		synctest.Wait()
		second := cable()
		if second == first {
			t.Fatal("a link that was silent for so long goes on over the same connection")
		}
		b.silent(dead)
		synctest.Wait()
		if cable() != second {
			t.Fatal("a new connection is cut since the one before was silent")
		}
	})
}

// TestKeepaliveGrid: links with the same grid are asked at the same instants, whenever they began, none earlier than it should be and none later than the grid allows; the dead are not given more time.
func TestKeepaliveGrid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const grid = 300 * time.Millisecond
		o := KeepaliveOptions{Ping: 5 * time.Second, Dead: 15 * time.Second, Stop: 10 * time.Second, Grid: grid}
		begin := time.Now()
		var all []*mute
		for i := range 30 { // 2.87 s from the first to the last
			a, b := Pipe()
			near := &mute{link: a, begin: begin, closed: make(chan error, 1)}
			far := &mute{link: b, begin: begin, closed: make(chan error, 1), answers: i > 0}
			a.Start(near)
			b.Start(far)
			defer NewKeepalive(a, o).Stop()
			all = append(all, near, far)
			time.Sleep(99 * time.Millisecond)
		}
		if err := <-all[0].closed; err != ErrSilent || time.Since(begin) != o.Dead {
			t.Errorf("closed after %v: %v", time.Since(begin), err)
		}
		<-all[1].closed
		time.Sleep(time.Minute)
		synctest.Wait()
		for i := 2; i < len(all); i += 2 {
			near, far := all[i], all[i+1]
			if len(far.pings) < 13 {
				t.Errorf("link %d was asked %d times in more than 72 s", i/2, len(far.pings))
			}
			last := time.Duration(i/2) * 99 * time.Millisecond
			for _, at := range far.pings {
				if at < last+o.Ping || at > last+o.Ping+grid || begin.Add(at).UnixNano()%int64(grid) != 0 {
					t.Errorf("link %d was asked after %v, and before after %v", i/2, at, last)
				}
				last = at
			}
			near.link.Close(nil)
			<-near.closed
			<-far.closed
		}
	})
}
