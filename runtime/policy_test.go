package daffi_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	daffi "github.com/daffi-rpc/daffi/runtime"
	"github.com/daffi-rpc/daffi/runtime/controller"
	"github.com/daffi-rpc/daffi/runtime/internal/testkit"
	"github.com/daffi-rpc/daffi/runtime/transport"
)

// cuttable is a controller whose last link can be cut.
type cuttable struct {
	*controller.Controller
	last transport.Link
}

func (c *cuttable) Attach() (transport.Link, error) {
	l, err := c.Controller.Attach()
	c.last = l
	return l, err
}

// TestPolicyForNodes has nodes live with a policy: what they may do works, the rest is refused in words that say what it is, and both change with the file.
func TestPolicyForNodes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "policy")
		rewrite := func(text string) {
			require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
			time.Sleep(3 * time.Second)
			synctest.Wait()
		}
		rewrite("allow server serve *\nallow client call Kit.Add Kit.Total\n")
		ctl := controller.New(controller.Options{Policy: file})
		defer ctl.Close()
		link := &cuttable{Controller: ctl}
		server := connect(t, daffi.Options{Name: "server", Controller: link})
		_, err := testkit.RegisterKit(server, new(testkit.Impl))
		require.NoError(t, err)
		cut := func() { // the server's link
			link.last.Close(errors.New("cut"))
			time.Sleep(time.Second)
			synctest.Wait()
			require.NoError(t, server.Join(t.Context()))
		}
		client := connect(t, daffi.Options{Name: "client", Controller: ctl})
		p := testkit.NewKit(client)
		denied := func(err error, what string) {
			t.Helper()
			var e *daffi.Error
			require.ErrorAs(t, err, &e)
			require.Equal(t, daffi.PermissionDenied, e.Code)
			require.Equal(t, daffi.ReasonPolicy, e.Reason)
			require.Equal(t, daffi.NotRun, e.Outcome)
			require.Contains(t, e.Error(), what)
		}
		echo := func() error {
			_, err := p.Echo(t.Context(), []byte("x"))
			return err
		}
		require.NoError(t, p.WaitReady(t.Context()))
		require.NoError(t, p.Add(t.Context(), 1))
		denied(echo(), `the controller's policy does not let node "client" call Kit.Echo`)
		_, err = testkit.RegisterKit(client, new(testkit.Impl))
		denied(err, `the controller's policy does not let node "client" serve Kit.`)

		rewrite("allow server serve *\nallow client call Kit.Echo\n")
		require.NoError(t, echo())
		denied(p.Add(t.Context(), 1), "Kit.Add")
		rewrite("allow server serve *\nallow client call Other.*\n")
		denied(echo(), "Kit.Echo")
		denied(testkit.NewKit(client).WaitReady(t.Context()), "Kit.")

		// A node that may not serve any more what it has served stays, also when it joins again.
		rewrite("allow client,server call *\n")
		require.ErrorIs(t, echo(), &daffi.Error{Code: daffi.Unavailable, Reason: daffi.ReasonNoProvider})
		cut()
		require.ErrorIs(t, echo(), &daffi.Error{Code: daffi.Unavailable, Reason: daffi.ReasonNoProvider})
		rewrite("allow client,server call *\nallow server serve *\n")
		cut()
		require.NoError(t, echo())

		// One that never might does not join.
		early := daffi.New(daffi.Options{Name: "early", Controller: ctl})
		_, err = testkit.RegisterKit(early, new(testkit.Impl))
		require.NoError(t, err)
		denied(early.Join(t.Context()), `node "early" serve Kit.`)
		require.NoError(t, early.Close())
	})
}
