package controller

import (
	"errors"
	"fmt"
	"log/slog"
	"strconv"

	"github.com/daffi-rpc/daffi/runtime/transport"
)

// credentials are what the peer of a link has to show beside what the system and TLS say of it; nil and nil if nothing.
type credentials struct {
	token  []byte            // it proves that it knows this one
	tokens *transport.Tokens // or shows one of these
}

// askProof says in a Challenge how the node is to show who it is.
func (s *session) askProof(challenge *transport.ChallengePayload, hello []byte) {
	switch {
	case s.known.tokens != nil:
		challenge.Auth = transport.AuthTokenTLS
	case s.known.token != nil:
		challenge.Auth = transport.AuthToken
		challenge.Proof = transport.ControllerProof(s.known.token, hello, transport.AppendChallengeWithoutProof(nil, challenge))
	}
}

// authenticate finds out who the node is and whether it may have its name, or says why not. What it has proved is its identity.
func (s *session) authenticate(proof [transport.ProofSize]byte) *transport.RefusePayload {
	info := s.link.Info()
	name := s.hello.Name
	switch {
	case s.known.tokens != nil:
		switch err := s.known.tokens.Check(proof, name); {
		case errors.Is(err, transport.ErrWrongName):
			s.identity = identityOf(info, proof[:]) // for the log: it has shown one, of another node
			return &transport.RefusePayload{Code: permissionDenied, Message: fmt.Sprintf("the token is not for a node named %q: the controller's file of tokens says for which", name)}
		case err != nil:
			return &transport.RefusePayload{Code: unauthenticated, Message: err.Error() + ": set TokenFile to a file with one that its file of tokens has the hash of"}
		}
		s.secret = append([]byte(nil), proof[:]...)
	case s.known.token != nil:
		want := transport.NodeProof(s.known.token, s.rawHello, s.challenge)
		if !transport.EqualProof(proof[:], want[:]) {
			return &transport.RefusePayload{Code: unauthenticated, Message: "the token is not that of this controller"}
		}
		s.secret = s.known.token
	}
	s.identity = identityOf(info, s.secret)
	if info.Certificate != "" {
		if bound := transport.CertificateName(info.Certificate); bound != name {
			return &transport.RefusePayload{Code: permissionDenied, Message: fmt.Sprintf("the certificate is of %q and not of a node named %q: names are bound to certificates", bound, name)}
		}
	}
	return nil
}

// warnInsecure says at each start that nothing keeps strangers out, also where no logger was set.
func (c *Controller) warnInsecure(authenticates string) {
	if c.opts.Insecure == "" {
		return
	}
	log := c.log
	if c.opts.Logger == nil {
		log = slog.Default()
	}
	log.Warn("the controller listens without TLS", "addr", c.addr, "reason", c.opts.Insecure, "authenticates", authenticates)
}

// identityOf says who a peer has proved to be, for the log, and to tell whether two sessions are the same one's (SEM-15): the certificate, the token, the user of the system, or the own process. What
// a Hello claims has no part in it.
func identityOf(info transport.Info, token []byte) string {
	switch {
	case info.Network == "memory":
		return "process"
	case info.Certificate != "":
		return "certificate " + info.Certificate
	case token != nil:
		return "token " + transport.TokenID(token)
	case info.UID >= 0:
		return "user " + strconv.Itoa(info.UID)
	}
	return "anybody" // a system that does not tell users apart, or a link that the program vouches for
}

// samePeer reports whether two connections come from the same peer, as far as one can tell before it has said anything.
func samePeer(a, b transport.Info) bool {
	return a.Network == b.Network && a.TLS == b.TLS && a.Certificate == b.Certificate && a.UID == b.UID
}
