package daffi

import (
	"context"

	"github.com/daffi-rpc/daffi/runtime/internal/control"
)

// stopRequested takes the controller's request to shut down from the reader.
func (n *Node) stopRequested(s *session) {
	refuse := func(why string) { s.tell((&control.Stop{Refused: why}).Append) }
	switch ask := n.opts.OnStopRequest; {
	case !n.opts.AllowRemoteStop:
		refuse("the node does not allow it")
	case ask == nil:
		n.stopItself()
	default:
		if !n.notify(func() {
			if ask() {
				n.stopItself()
			} else {
				refuse("by OnStopRequest")
			}
		}) {
			refuse("too many hooks wait")
		}
	}
}

// stopItself shuts down on a goroutine that ends with the node: see [Node.Done].
func (n *Node) stopItself() {
	n.log.Info("asked by the controller to shut down")
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), n.opts.DrainTimeout)
		defer cancel()
		if err := n.Shutdown(ctx); err != nil {
			n.log.Warn("shut down with calls still running, as the controller has asked", "error", err)
		}
	}()
}
