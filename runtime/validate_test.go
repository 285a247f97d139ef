package daffi_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	daffi "github.com/daffi-rpc/daffi/runtime"
	"github.com/daffi-rpc/daffi/runtime/daffitest"
)

func TestE33InvalidArgumentError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var fails error
		early := false
		net := daffitest.New(t)
		serve := func(_ context.Context, _ any, in *daffi.Incoming) error {
			if err := in.Args().Close(); err != nil {
				return err
			}
			if early {
				return in.Invalid("order", fails)
			}
			return fails
		}
		service := daffi.Service[any]{Name: "Shop", Handlers: []daffi.Handler[any]{{Name: "Place", Sig: "()()", Serve: serve}}}
		_, err := daffi.Register[any](net.Node("server"), &service, 1)
		require.NoError(t, err)
		b := daffi.Bind(net.Node("client"), &daffi.Client{Service: "Shop", Methods: []daffi.Method{{Name: "Place", Sig: "()()"}}})
		call := func() (*daffi.InvalidArgumentError, error) {
			err := daffi.NewAction(b, 0, nil).Do(t.Context())
			var wrong *daffi.InvalidArgumentError
			require.ErrorAs(t, err, &wrong)
			return wrong, err
		}
		fails = fmt.Errorf("wrapped: %w", &daffi.InvalidArgumentError{Field: "Lines[2].Count", Got: 0, Want: "at least 1"})
		wrong, err := call()
		requireError(t, err, daffi.InvalidArgument, "", daffi.Ran)
		require.ErrorContains(t, err, "wrapped: Lines[2].Count is 0, want at least 1")
		require.Equal(t, &daffi.InvalidArgumentError{Field: "Lines[2].Count", Got: "0", Want: "at least 1"}, wrong)

		early, fails = true, &daffi.InvalidArgumentError{Field: "Name", Want: "a name"}
		wrong, err = call()
		requireError(t, err, daffi.InvalidArgument, daffi.ReasonInvalid, daffi.NotRun)
		require.ErrorContains(t, err, "argument order: Name, want a name")
		require.Equal(t, fails, wrong)

		// One that is too long to travel is text only (LIM-26).
		fails = &daffi.InvalidArgumentError{Field: "Name", Got: strings.Repeat("x", 17<<10), Want: "a name"}
		err = daffi.NewAction(b, 0, nil).Do(t.Context())
		requireError(t, err, daffi.InvalidArgument, daffi.ReasonInvalid, daffi.NotRun)
		var none *daffi.InvalidArgumentError
		require.NotErrorAs(t, err, &none)
	})
}
