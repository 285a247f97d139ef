package controller

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/daffi-rpc/daffi/runtime/codec"
	"github.com/daffi-rpc/daffi/runtime/internal/control"
	"github.com/daffi-rpc/daffi/runtime/transport"
)

// TestSEM7CauseIsPassedOn: what a Cancel says reaches the callee as it is, up to a bound; of a caller that is gone the controller says so.
func TestSEM7CauseIsPassedOn(t *testing.T) {
	over(t, func(t *testing.T, w *world) {
		caller, callee, route := w.pair()
		for i, cause := range []string{"", "because", strings.Repeat("x", maxCause), strings.Repeat("x", maxCause+1)} {
			id := caller.Call(route, 0, uint64(i+1), "")
			served := callee.Served(t)
			caller.Send(frame{Header: header{Kind: transport.Cancel, Call: id}, Payload: []byte(cause)})
			f := callee.Expect(t, transport.Cancel)
			require.Equal(t, served.Call, f.Call)
			if len(cause) > maxCause {
				cause = ""
			}
			require.Equal(t, cause, string(f.Payload))
		}
		caller.Call(route, 1, 1, "")
		callee.Served(t)
		caller.Close()
		var d codec.Decoder
		var why control.Failure
		d.Reset(callee.Expect(t, transport.Cancel).Payload)
		require.NoError(t, why.ReadFrom(&d))
		require.Equal(t, control.Failure{Code: codeCanceled, Reason: reasonNodeLost, Node: "caller", Message: "the node that made the call is gone"}, why)
	})
}
