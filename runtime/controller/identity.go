package controller

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"

	"github.com/daffi-rpc/daffi/runtime/transport"
)

// identityOf says who a peer has proved to be, for the log, and to tell whether two sessions are the same one's (SEM-15): the certificate, the token, the user of the system, or the own process. What
// a Hello claims has no part in it.
func identityOf(info transport.Info, token []byte) string {
	switch {
	case info.Network == "memory":
		return "process"
	case info.Certificate != "":
		return "certificate " + info.Certificate
	case token != nil:
		return tokenIdentity(token)
	case info.UID >= 0:
		return "user " + strconv.Itoa(info.UID)
	}
	return "anybody" // a system that does not tell users apart, or a link that the program vouches for
}

// samePeer reports whether two connections come from the same peer, as far as one can tell before it has said anything.
func samePeer(a, b transport.Info) bool { return a.Certificate == b.Certificate && a.UID == b.UID }

// tokenIdentity names a token without saying anything that would help to find it: 32 bits of the hash of its hash.
func tokenIdentity(token []byte) string {
	once := sha256.Sum256(token)
	twice := sha256.Sum256(once[:])
	return "token " + hex.EncodeToString(twice[:4])
}
