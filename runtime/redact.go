package daffi

import (
	"fmt"

	"github.com/daffi-rpc/daffi/runtime/internal/safetext"
)

// What holds payloads, metadata, tokens or numbers of sessions shows a name in their place, whatever the verb, so that a value in a log or an error gives none of it away.

// Format shows the node's name.
func (n *Node) Format(f fmt.State, verb rune) {
	if n == nil {
		safetext.Format(f, verb, "<nil>")
		return
	}
	safetext.Format(f, verb, "node "+safetext.Line(n.opts.Name, safetext.MaxLog))
}

// Format shows no result.
func (f *Future[R]) Format(s fmt.State, verb rune) {
	text := "<nil>"
	if f != nil {
		text = "future, not settled"
		select {
		case <-f.done:
			text = "future, settled"
		default:
		}
	}
	safetext.Format(s, verb, text)
}

// Format shows no values.
func (r *ReplyMetadata) Format(f fmt.State, verb rune) {
	n := 0
	if r != nil {
		n = len(r.Values())
	}
	formatKeys(f, verb, n)
}

func (m *metadata) Format(f fmt.State, verb rune) {
	n := 0
	if m != nil {
		n = len(m.values)
	}
	formatKeys(f, verb, n)
}

func formatKeys(f fmt.State, verb rune, n int) {
	safetext.Format(f, verb, fmt.Sprintf("metadata of %d keys", n))
}

func (c *callCtx) String() string { return "call of " + c.method }

func (c *callCtx) Format(f fmt.State, verb rune) { safetext.Format(f, verb, c.String()) }

// Format shows the method.
func (c *RawCall) Format(f fmt.State, verb rune) {
	text := "<nil>"
	if c != nil && c.in.method != nil {
		text = "call of " + c.in.method.full
	}
	safetext.Format(f, verb, text)
}

// Format shows nothing of the call.
func (in *Incoming) Format(f fmt.State, verb rune) { safetext.Format(f, verb, "call") }

// Format shows where w leads.
func (w *Writer) Format(f fmt.State, verb rune) {
	text := "<nil>"
	if w != nil {
		text = "writer to " + w.b.methods[0].full
	}
	safetext.Format(f, verb, text)
}

// Format shows the service.
func (r *Registration) Format(f fmt.State, verb rune) {
	text := "<nil>"
	if r != nil {
		text = "registration of " + r.service
	}
	safetext.Format(f, verb, text)
}

// Format shows the schedule's id and method.
func (t *Task) Format(f fmt.State, verb rune) {
	text := "<nil>"
	if t != nil {
		text = "schedule " + safetext.Line(t.key.ID, safetext.MaxLog) + " of " + safetext.Line(t.method, safetext.MaxLog)
	}
	safetext.Format(f, verb, text)
}

// Format shows nothing of the node.
func (b *Binding) Format(f fmt.State, verb rune) { safetext.Format(f, verb, "binding") }
