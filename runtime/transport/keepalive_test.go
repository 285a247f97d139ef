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
	return NewKeepalive(a, 5*time.Second, 15*time.Second, 10*time.Second), near, far
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
