package transport

import (
	"fmt"
	"strings"
)

// What holds tokens, secrets of links, proofs or payloads shows what it is in their place, whatever the verb, so that a value in a log or an error gives none of it away.

func redact(f fmt.State, text string) { fmt.Fprint(f, strings.ToValidUTF8(text, "?")) }

// Format shows the address.
func (l *Listener) Format(f fmt.State, _ rune) { redact(f, "listener at "+l.addr.String()) }

// Format shows the session's number.
func (o ResumeOptions) Format(f fmt.State, _ rune) {
	redact(f, fmt.Sprintf("resumption of session %d", o.Session))
}

// Format shows the name. The session's token is what a node's later links are known by.
func (h HelloPayload) Format(f fmt.State, _ rune) { redact(f, fmt.Sprintf("hello of %.64q", h.Name)) }

// Format shows the way to authenticate.
func (c ChallengePayload) Format(f fmt.State, _ rune) {
	redact(f, fmt.Sprintf("challenge with authentication %d", c.Auth))
}

// Format shows the session's number.
func (p ResumePayload) Format(f fmt.State, _ rune) {
	redact(f, fmt.Sprintf("resumption of session %d, attempt %d", p.Session, p.Attempt))
}

// Format shows the header.
func (f Frame) Format(s fmt.State, _ rune) {
	redact(s, fmt.Sprintf("%v of %d bytes for call %#x", f.Kind, len(f.Payload), f.Call))
}

func (l *conn) Format(f fmt.State, _ rune)    { redact(f, "link to "+l.info.Network+" "+l.info.Remote) }
func (e *pipeEnd) Format(f fmt.State, _ rune) { redact(f, "link in memory") }
