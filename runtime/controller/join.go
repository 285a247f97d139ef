package controller

import (
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"time"

	"github.com/daffi-rpc/daffi/runtime/transport"
)

// handshake takes a frame of a node that has not joined.
func (s *session) handshake(f *transport.Frame) error {
	switch st := state(s.state.Load()); {
	case st == awaitHello && f.Kind == transport.Hello:
		return s.greet(f.Payload)
	case st == awaitProof && f.Kind == transport.Proof:
		return s.prove(f.Payload)
	case st == awaitHello && f.Kind == transport.Resume:
		return s.resume(f.Payload)
	case st == refused: // what was sent before the refusal came
		return nil
	default:
		return protocolError("%v during the handshake", f.Kind)
	}
}

// greet answers a Hello with a Challenge.
func (s *session) greet(payload []byte) error {
	hello, err := transport.ParseHello(payload)
	switch {
	case errors.Is(err, transport.ErrVersion):
		s.refuse(failedPrecondition, reasonProtocol, err.Error())
		return nil
	case err != nil:
		s.refuse(internal, reasonProtocol, err.Error())
		return nil
	}
	challenge := transport.ChallengePayload{Features: hello.Features & transport.FeatureZstd}
	rand.Read(challenge.Nonce[:])
	if hello.Features&transport.FeatureResume != 0 && transport.TakesResume(s.link, s.c.opts.ResumeGrace) {
		challenge.Features |= transport.FeatureResume
		s.resumable = new(transport.ResumeOptions)
	}
	s.askProof(&challenge, payload)
	s.visitor.hello()
	s.hello = hello
	s.rawHello = append([]byte(nil), payload...)
	s.challenge = transport.AppendChallenge(nil, &challenge)
	s.challenged = time.Now()
	s.set(awaitProof)
	s.send(transport.Frame{Header: transport.Header{Kind: transport.Challenge}, Payload: s.challenge})
	return nil
}

// prove checks a Proof and lets the node join.
func (s *session) prove(payload []byte) error {
	proof, err := transport.ParseProof(payload)
	if err != nil {
		return err
	}
	if why := s.authenticate(proof); why != nil {
		s.visitor.fail()
		s.refuse(why.Code, why.Reason, why.Message)
		return nil
	}
	if s.resumable != nil {
		s.resumable.Secret, s.resumable.RTT = transport.ResumeSecret(s.secret, s.rawHello, s.challenge), time.Since(s.challenged)
	}
	s.rawHello, s.challenge, s.secret = nil, nil, nil
	s.name, s.nameHash = s.hello.Name, transport.NameHash(s.hello.Name)
	s.visitor.known()
	c := s.c
	c.mu.Lock()
	why := c.askName(s)
	c.tell(&s.touched)
	c.unlock()
	if why != nil {
		s.refuse(why.Code, why.Reason, why.Message)
	}
	s.touched.add(s.link)
	return nil
}

// refuse says why and closes the link. Call without the controller's lock.
func (s *session) refuse(code uint8, reason, message string) {
	c := s.c
	c.mu.Lock()
	if s.is(gone) || s.is(refused) {
		c.mu.Unlock()
		return
	}
	s.set(refused)
	c.wg.Add(1) // while the session's own count keeps the group from being done: it may end at any time after this
	c.refusing++
	patience := refuseTimeout
	if c.refusing > c.opts.MaxPending {
		patience = 0
	}
	c.mu.Unlock()
	c.counts.refused.Add(1)
	c.gate.note(c.log, slog.LevelWarn, "node refused", "remote", s.link.Info().Remote, "node", s.hello.Name, "identity", s.identity, "reason", cut(message))
	payload := transport.AppendRefuse(nil, &transport.RefusePayload{Code: code, Reason: reason, Message: message})
	s.enqueue(transport.Frame{Header: transport.Header{Kind: transport.Refuse}, Payload: payload})
	err := fmt.Errorf("node refused: %s", message)
	go func() {
		defer c.wg.Done()
		s.link.Finish(err, patience)
		c.mu.Lock()
		c.refusing--
		c.mu.Unlock()
	}()
}

// askName lets s join under its name, or wait for it, or says why not. Call with the lock held.
func (c *Controller) askName(s *session) *transport.RefusePayload {
	holder := c.names[s.name]
	switch {
	case c.closed:
		return &transport.RefusePayload{Code: unavailable, Reason: reasonClosed, Message: "the controller shuts down"}
	case holder == nil:
		return c.join(s)
	case holder.identity != s.identity && !holder.is(gone): // one whose link has ended is about to release it, whosever it was
		return &transport.RefusePayload{Code: permissionDenied, Reason: reasonNameTaken,
			Message: fmt.Sprintf("the name %q belongs to another node, with another identity, as long as that is there", s.name)}
	case !c.mayWait(s, holder):
		return &transport.RefusePayload{Code: resourceExhausted, Reason: reasonLimit, Message: fmt.Sprintf("too many nodes wait for the name %q, or for names at all", s.name)}
	}
	// The holder's end may be known in a moment: the process was killed, or made a new link before it noticed that the old one was cut.
	s.set(awaitName)
	c.waiting[s.name] = append(c.waiting[s.name], s)
	c.waiters++
	s.patience = time.AfterFunc(nameWait, s.giveUp)
	c.replace(s, holder)
	return nil
}

// mayWait reports whether there is room for another that waits for a name (LIM-55). A newer link of the holder takes the place of the one that came first, if need be. Call with
// the lock held.
func (c *Controller) mayWait(s, holder *session) bool {
	list := c.waiting[s.name]
	if len(list) < maxWaiters && c.waiters < c.opts.MaxNodes {
		return true
	}
	if len(list) == 0 || !s.follows(holder) {
		return false
	}
	first := list[0]
	first.patience.Stop()
	c.forgetWaiting(first)
	c.wg.Go(func() {
		first.refuse(resourceExhausted, reasonLimit, fmt.Sprintf("too many nodes wait for the name %q", first.name))
	})
	return true
}

// follows reports whether s is a newer link of other's node: it knows the random number that the node has told nobody but its controller.
func (s *session) follows(other *session) bool {
	return s.identity == other.identity && s.hello.Session == other.hello.Session && s.hello.Incarnation > other.hello.Incarnation
}

// replace ends holder's link if s is a newer link of the same node. Call with the lock held.
func (c *Controller) replace(s, holder *session) {
	if s.follows(holder) {
		holder.link.Close(errReplaced)
	}
}

// giveUp refuses a session whose name was not freed in time.
func (s *session) giveUp() {
	c := s.c
	c.mu.Lock()
	if !s.is(awaitName) {
		c.mu.Unlock()
		return
	}
	if holder := c.names[s.name]; holder != nil {
		if left := transport.Suspended(holder.link); left > 0 { // it holds the name until it is dead (SEM-15)
			s.patience.Reset(left + nameWait)
			c.mu.Unlock()
			return
		}
	}
	c.forgetWaiting(s)
	c.mu.Unlock()
	s.refuse(alreadyExists, reasonNameTaken, fmt.Sprintf("a node named %q has joined already: names are unique at a controller", s.name))
}

// forgetWaiting is called with the lock held.
func (c *Controller) forgetWaiting(s *session) {
	list := c.waiting[s.name]
	for i, w := range list {
		if w == s {
			list = slices.Delete(list, i, i+1)
			c.waiters--
			break
		}
	}
	if len(list) == 0 {
		delete(c.waiting, s.name)
	} else {
		c.waiting[s.name] = list
	}
}

// join makes s a member, or says why not. Call with the lock held, and flush the link afterwards.
func (c *Controller) join(s *session) *transport.RefusePayload {
	if len(c.sessions) >= c.opts.MaxNodes {
		return &transport.RefusePayload{Code: resourceExhausted, Reason: reasonLimit,
			Message: fmt.Sprintf("the controller has %d nodes, as many as it may", c.opts.MaxNodes)}
	}
	if !c.memory.takesNode() {
		return &transport.RefusePayload{Code: resourceExhausted, Reason: reasonOverloaded, Message: "the controller runs short of memory: join later"}
	}
	if c.lastNumber == math.MaxUint32 {
		return &transport.RefusePayload{Code: resourceExhausted, Reason: reasonLimit, Message: "the controller has no session numbers left"}
	}
	c.lastNumber++
	s.number, s.since = c.lastNumber, time.Now()
	s.visitor.leave()
	s.visitor = nil // it holds on to more than itself
	c.names[s.name] = s
	c.sessions = append(c.sessions, s)
	c.noteJoined(s.name)
	welcome := transport.WelcomePayload{
		Session: s.number, Incarnation: c.incarnation, Ping: c.opts.PingInterval, Dead: c.opts.DeadInterval,
		MessageLimit: uint32(c.opts.MaxMessage), Name: c.opts.Name,
	}
	s.link.SetMaxPayload(transport.MaxPayload)
	s.makeResumable()
	s.keepalive = transport.NewKeepalive(s.link, c.opts.keepalive())
	s.set(joined)
	s.enqueue(transport.Frame{Header: transport.Header{Kind: transport.Welcome}, Payload: transport.AppendWelcome(nil, &welcome)})
	c.changed(s.number)
	c.remarks.add(func() {
		c.log.Info("node joined", "node", s.name, "session", s.number, "identity", s.identity, "remote", s.link.Info().Remote, "network", s.link.Info().Network)
	})
	return nil
}

// makeResumable lets the link outlive its connection, if both sides want that.
func (s *session) makeResumable() {
	o := s.resumable
	if o == nil {
		return
	}
	c := s.c
	o.Session, o.Controller, o.Grace, o.Budget = s.number, c.incarnation, c.opts.ResumeGrace, c.kept
	o.Cut = func(err error) {
		c.log.Info("connection lost", "node", s.name, "session", s.number, "reason", cut(err.Error()))
	}
	o.Back = func(err error) {
		if err == nil {
			c.counts.resumed.Add(1)
			c.log.Info("connection resumed", "node", s.name, "session", s.number)
		}
	}
	transport.MakeResumable(s.link, *o)
	s.resumable = nil
}

// resume gives the connection to the session that has lost its own. Whoever cannot prove to be that session's node learns no more than that.
func (s *session) resume(payload []byte) error {
	ask, err := transport.ParseResume(payload)
	if err != nil {
		s.refuse(internal, reasonProtocol, err.Error())
		return nil
	}
	c := s.c
	c.mu.Lock()
	old := c.session(ask.Session)
	c.mu.Unlock()
	refused := errNoSession
	if old != nil && !samePeer(old.link.Info(), s.link.Info()) {
		refused = errOtherPeer
	} else if old != nil {
		var over error
		if over, refused = transport.HandOver(old.link, &ask); refused == nil {
			return over
		}
	}
	c.gate.note(c.log, slog.LevelWarn, "resumption refused", "remote", s.link.Info().Remote, "session", ask.Session, "reason", cut(refused.Error()))
	s.refuse(unavailable, reasonNotResumed, "no session of this number can be resumed with this proof and these offsets: join anew")
	return nil
}

// releaseName lets those in who waited for the name of a session that has ended: first whoever goes on for it, so that nobody else comes between two links of a node. Call with the lock held.
func (c *Controller) releaseName(s *session, b *batch) {
	delete(c.names, s.name)
	for len(c.waiting[s.name]) > 0 {
		next := c.waiting[s.name][0]
		for _, w := range c.waiting[s.name] {
			if w.follows(s) && (!next.follows(s) || w.follows(next)) {
				next = w
			}
		}
		if holder := c.names[s.name]; holder != nil {
			for _, w := range c.waiting[s.name] {
				c.replace(w, holder)
			}
			return
		}
		next.patience.Stop()
		c.forgetWaiting(next)
		b.add(next.link)
		if why := c.join(next); why != nil {
			c.wg.Go(func() { next.refuse(why.Code, why.Reason, why.Message) })
		}
	}
}
