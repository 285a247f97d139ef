package controller

import (
	"fmt"

	"github.com/daffi-rpc/daffi/runtime/internal/safetext"
)

// Format shows the controller's name, whatever the verb: tokens and what nodes have sent are within.
func (c *Controller) Format(f fmt.State, verb rune) {
	text := "<nil>"
	if c != nil {
		text = "controller " + safetext.Line(c.opts.Name, safetext.MaxLog)
	}
	safetext.Format(f, verb, text)
}

func (s *session) Format(f fmt.State, verb rune) {
	safetext.Format(f, verb, fmt.Sprintf("session %d", s.number))
}
