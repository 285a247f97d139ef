package transport

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"fmt"
	"time"
)

// Version is the protocol that this package speaks.
const Version = 1

// Features that a Hello offers and a Challenge takes up. Bits that are not known are not looked at.
const (
	FeatureZstd   = 1
	FeatureResume = 2 // the link resumes after a cut
)

// Ways to authenticate that a Challenge names.
const (
	AuthNone     = 0 // the system knows the peer, or its certificate says who it is
	AuthToken    = 1 // both sides prove that they know the token
	AuthTokenTLS = 2 // the node shows its token, over TLS only: the controller knows a hash of it
)

// Bounds of what the handshake's frames carry.
const (
	MaxName          = 64
	MaxRefuseReason  = 64
	MaxRefuseMessage = 1 << 10
	ProofSize        = sha256.Size

	challengeSize = 3 + 32 + ProofSize
	resumeSize    = 1 + 4 + 16 + 8 + 8 + ProofSize
	welcomeFixed  = 4 + 16 + 3*4
)

// ErrVersion is wrapped, together with [ErrProtocol], by the error for a Hello or a Challenge of another version.
var ErrVersion = errors.New("protocol version is not spoken here")

var helloMagic = [4]byte{'D', 'A', 'F', 'F'}

// HelloPayload is what a node begins with.
type HelloPayload struct {
	Features    uint8
	Session     [16]byte // random, kept as long as the node lives
	Incarnation uint64   // counted up with every link
	Nonce       [32]byte // random, new for every link
	Name        string   // see ValidName
}

// ChallengePayload answers a Hello. Its proof is [ControllerProof] where Auth is [AuthToken], else zero bytes.
type ChallengePayload struct {
	Features uint8 // those of the Hello that both sides have
	Auth     uint8
	Nonce    [32]byte // random, new for every link
	Proof    [ProofSize]byte
}

// WelcomePayload ends a handshake that succeeded.
type WelcomePayload struct {
	Session      uint32        // the node's number at this controller, not 0
	Incarnation  [16]byte      // of the controller: random, kept as long as it lives
	Ping         time.Duration // ping after so much silence; whole milliseconds, at least one
	Dead         time.Duration // the peer is dead after so much silence; more than Ping
	MessageLimit uint32        // of one message, in bytes, when unpacked
	Name         string        // of the controller; see ValidName
}

// ResumePayload asks, from a node, for a link to go on over the connection that it comes on, and says so, from the controller.
type ResumePayload struct {
	Session    uint32          // of the Welcome
	Controller [16]byte        // incarnation, of the Welcome
	Attempt    uint64          // counted up by the node, repeated by the controller
	Received   uint64          // offset up to which the sender has everything
	Proof      [ProofSize]byte // see Prove
}

// RefusePayload ends a handshake that failed; the controller closes the connection after it. Reason and Message are bytes of the
// other side: quote them where they are shown.
type RefusePayload struct {
	Code    uint8  // of the error that the node's user sees
	Reason  string // a word for programs, at most MaxRefuseReason bytes
	Message string // a sentence for people, at most MaxRefuseMessage bytes
}

// AppendHello appends the payload of a Hello. The name must be a valid one.
func AppendHello(b []byte, h *HelloPayload) []byte {
	b = append(b, helloMagic[:]...)
	b = append(b, Version, h.Features)
	b = append(b, h.Session[:]...)
	b = binary.LittleEndian.AppendUint64(b, h.Incarnation)
	b = append(b, h.Nonce[:]...)
	return appendString(b, h.Name, MaxName)
}

// ParseHello reads the payload of a Hello. Of another version it reads nothing but the number; the error is then [ErrVersion].
func ParseHello(b []byte) (HelloPayload, error) {
	var h HelloPayload
	r := payloadReader{kind: Hello, rest: b}
	var magic [4]byte
	r.bytes(magic[:])
	if r.err == nil && magic != helloMagic {
		r.fail("begins with %q: the peer is not a daffi node", magic)
	}
	r.version()
	h.Features = r.byte()
	r.bytes(h.Session[:])
	h.Incarnation = r.uint64()
	r.bytes(h.Nonce[:])
	h.Name = r.name()
	if err := r.err; err != nil {
		return HelloPayload{}, err
	}
	return h, nil
}

// AppendChallenge appends the payload of a Challenge.
func AppendChallenge(b []byte, c *ChallengePayload) []byte {
	b = AppendChallengeWithoutProof(b, c)
	return append(b, c.Proof[:]...)
}

// AppendChallengeWithoutProof appends what of a Challenge the controller's proof covers.
func AppendChallengeWithoutProof(b []byte, c *ChallengePayload) []byte {
	b = append(b, Version, c.Features, c.Auth)
	return append(b, c.Nonce[:]...)
}

// ParseChallenge reads the payload of a Challenge. It does not look at the proof. Of another version it reads nothing but the number; the
// error is then [ErrVersion].
func ParseChallenge(b []byte) (ChallengePayload, error) {
	var c ChallengePayload
	r := payloadReader{kind: Challenge, rest: b}
	r.version()
	c.Features = r.byte()
	c.Auth = r.byte()
	if r.err == nil && c.Auth > AuthTokenTLS {
		r.fail("asks for authentication %d, which is not known", c.Auth)
	}
	r.bytes(c.Nonce[:])
	r.bytes(c.Proof[:])
	if err := r.err; err != nil {
		return ChallengePayload{}, err
	}
	return c, nil
}

// AppendProof appends the payload of a Proof: what [NodeProof] gives, or the token under [AuthTokenTLS], or zero bytes where the Challenge asks for none.
func AppendProof(b []byte, proof [ProofSize]byte) []byte { return append(b, proof[:]...) }

// ParseProof reads the payload of a Proof. It does not look at the proof.
func ParseProof(b []byte) ([ProofSize]byte, error) {
	var proof [ProofSize]byte
	r := payloadReader{kind: Proof, rest: b}
	r.bytes(proof[:])
	return proof, r.err
}

// AppendWelcome appends the payload of a Welcome. The name must be a valid one, and the durations less than 49 days.
func AppendWelcome(b []byte, w *WelcomePayload) []byte {
	b = binary.LittleEndian.AppendUint32(b, w.Session)
	b = append(b, w.Incarnation[:]...)
	b = binary.LittleEndian.AppendUint32(b, uint32(w.Ping/time.Millisecond))
	b = binary.LittleEndian.AppendUint32(b, uint32(w.Dead/time.Millisecond))
	b = binary.LittleEndian.AppendUint32(b, w.MessageLimit)
	return appendString(b, w.Name, MaxName)
}

// ParseWelcome reads the payload of a Welcome.
func ParseWelcome(b []byte) (WelcomePayload, error) {
	var w WelcomePayload
	r := payloadReader{kind: Welcome, rest: b}
	w.Session = r.uint32()
	r.bytes(w.Incarnation[:])
	w.Ping = time.Duration(r.uint32()) * time.Millisecond
	w.Dead = time.Duration(r.uint32()) * time.Millisecond
	w.MessageLimit = r.uint32()
	w.Name = r.name()
	switch {
	case r.err != nil:
	case w.Session == 0:
		r.fail("gives the session number 0")
	case w.Ping == 0 || w.Dead <= w.Ping:
		r.fail("asks for a ping every %v and death after %v", w.Ping, w.Dead)
	case w.MessageLimit == 0:
		r.fail("allows no message")
	}
	if err := r.err; err != nil {
		return WelcomePayload{}, err
	}
	return w, nil
}

// AppendResume appends the payload of a Resume.
func AppendResume(b []byte, p *ResumePayload) []byte {
	b = appendResumeWithoutProof(b, p)
	return append(b, p.Proof[:]...)
}

func appendResumeWithoutProof(b []byte, p *ResumePayload) []byte {
	b = append(b, Version)
	b = binary.LittleEndian.AppendUint32(b, p.Session)
	b = append(b, p.Controller[:]...)
	b = binary.LittleEndian.AppendUint64(b, p.Attempt)
	return binary.LittleEndian.AppendUint64(b, p.Received)
}

// ParseResume reads the payload of a Resume. It does not look at the proof.
func ParseResume(b []byte) (ResumePayload, error) {
	var p ResumePayload
	r := payloadReader{kind: Resume, rest: b}
	r.version()
	p.Session = r.uint32()
	r.bytes(p.Controller[:])
	p.Attempt = r.uint64()
	p.Received = r.uint64()
	r.bytes(p.Proof[:])
	if err := r.err; err != nil {
		return ResumePayload{}, err
	}
	return p, nil
}

// Prove sets the proof of a Resume: that of the node's asks, that of the controller's answers.
func (p *ResumePayload) Prove(secret [ProofSize]byte, answers bool) {
	label := "daffi resumes"
	if answers {
		label = "daffi resumed"
	}
	p.Proof = proofOf(label, secret[:], appendResumeWithoutProof(make([]byte, 0, resumeSize), p), nil, nil)
}

// proves reports whether the proof is the one that Prove sets.
func (p *ResumePayload) proves(secret [ProofSize]byte, answers bool) bool {
	want := *p
	want.Prove(secret, answers)
	return EqualProof(want.Proof[:], p.Proof[:])
}

// AppendRefuse appends the payload of a Refuse. What is too long in it is cut.
func AppendRefuse(b []byte, f *RefusePayload) []byte {
	b = append(b, f.Code)
	b = appendString(b, f.Reason, MaxRefuseReason)
	message := f.Message[:min(len(f.Message), MaxRefuseMessage)]
	b = binary.LittleEndian.AppendUint16(b, uint16(len(message)))
	return append(b, message...)
}

// ParseRefuse reads the payload of a Refuse.
func ParseRefuse(b []byte) (RefusePayload, error) {
	var f RefusePayload
	r := payloadReader{kind: Refuse, rest: b}
	f.Code = r.byte()
	f.Reason = r.string(int(r.byte()), MaxRefuseReason)
	f.Message = r.string(int(r.uint16()), MaxRefuseMessage)
	if err := r.err; err != nil {
		return RefusePayload{}, err
	}
	return f, nil
}

// ControllerProof is what a Challenge carries under [AuthToken]. The first payload is the Hello's as it was received, the second the
// Challenge's, whole or up to its proof, which is left out.
func ControllerProof(token, hello, challenge []byte) [ProofSize]byte {
	const proof = challengeSize - ProofSize // where it begins
	if len(challenge) < challengeSize {
		return proofOf("daffi controller", token, hello, challenge[:min(len(challenge), proof)], nil)
	}
	return proofOf("daffi controller", token, hello, challenge[:proof], challenge[challengeSize:])
}

// NodeProof is what a Proof carries under [AuthToken]. The payloads are those of the Hello and the Challenge, whole, as they were sent.
func NodeProof(token, hello, challenge []byte) [ProofSize]byte {
	return proofOf("daffi node", token, hello, challenge, nil)
}

// proofOf gives the Hello's length, since bytes of a later version may follow what is known of it. Neither label begins the other.
func proofOf(label string, token, hello, challenge, rest []byte) (proof [ProofSize]byte) {
	h := hmac.New(sha256.New, token)
	h.Write([]byte(label))
	h.Write(binary.LittleEndian.AppendUint16(nil, uint16(len(hello))))
	h.Write(hello)
	h.Write(challenge)
	h.Write(rest)
	h.Sum(proof[:0])
	return proof
}

// ResumeSecret is what both ends of a link know that have made the handshake with these payloads, and nobody who has not the token. The payloads are those of
// the Hello and the Challenge, whole, as they were sent.
func ResumeSecret(token, hello, challenge []byte) [ProofSize]byte {
	return proofOf("daffi resume", token, hello, challenge, nil)
}

// EqualProof compares in a time that says nothing of where a and b differ, nor whether they are equally long: it compares their hashes. Nothing else may compare proofs or tokens.
func EqualProof(a, b []byte) bool {
	x, y := sha256.Sum256(a), sha256.Sum256(b)
	return subtle.ConstantTimeCompare(x[:], y[:]) == 1
}

// ValidName says what is wrong with the name of a node or a controller: it has 1 to 64 of a-z, 0-9, _ and -, and neither begins nor ends
// with _ or - (LIM-10).
func ValidName(name string) error {
	if len(name) == 0 || len(name) > MaxName {
		return fmt.Errorf("name of %d bytes: a name has 1 to %d", len(name), MaxName)
	}
	for i := range len(name) {
		switch c := name[i]; {
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9':
		case (c == '_' || c == '-') && i > 0 && i < len(name)-1:
		default:
			return fmt.Errorf("name %q: a name is made of a-z, 0-9, _ and -, and begins and ends with a letter or digit", name)
		}
	}
	return nil
}

func appendString(b []byte, s string, limit int) []byte {
	s = s[:min(len(s), limit)]
	b = append(b, byte(len(s)))
	return append(b, s...)
}

// A payloadReader takes a payload from its front. After the first error it reads zeros. What is left at the end is of a later version.
type payloadReader struct {
	kind Kind
	rest []byte
	err  error
}

func (p *payloadReader) fail(format string, args ...any) {
	if p.err == nil {
		p.err = fmt.Errorf("%w: %v %s", ErrProtocol, p.kind, fmt.Sprintf(format, args...))
	}
}

// take returns the next n bytes, or nil if there are not so many.
func (p *payloadReader) take(n int) []byte {
	if p.err == nil && n > len(p.rest) {
		p.fail("ends too early")
	}
	if p.err != nil {
		return nil
	}
	b := p.rest[:n]
	p.rest = p.rest[n:]
	return b
}

func (p *payloadReader) bytes(b []byte) { copy(b, p.take(len(b))) }

func (p *payloadReader) byte() uint8 {
	var x [1]byte
	p.bytes(x[:])
	return x[0]
}

func (p *payloadReader) uint16() uint16 {
	var x [2]byte
	p.bytes(x[:])
	return binary.LittleEndian.Uint16(x[:])
}

func (p *payloadReader) uint32() uint32 {
	var x [4]byte
	p.bytes(x[:])
	return binary.LittleEndian.Uint32(x[:])
}

func (p *payloadReader) uint64() uint64 {
	var x [8]byte
	p.bytes(x[:])
	return binary.LittleEndian.Uint64(x[:])
}

func (p *payloadReader) string(n, limit int) string {
	if p.err == nil && n > limit {
		p.fail("has a text of %d bytes, at most %d are allowed", n, limit)
	}
	return string(p.take(n))
}

func (p *payloadReader) name() string {
	name := p.string(int(p.byte()), MaxName)
	if p.err == nil {
		if err := ValidName(name); err != nil {
			p.fail("has a bad %v", err)
		}
	}
	return name
}

func (p *payloadReader) version() {
	if v := p.byte(); p.err == nil && v != Version {
		p.err = fmt.Errorf("%w: %v of version %d, this is version %d: %w", ErrProtocol, p.kind, v, Version, ErrVersion)
	}
}
