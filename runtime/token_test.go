package daffi_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	daffi "github.com/daffi-rpc/daffi/runtime"
	"github.com/daffi-rpc/daffi/runtime/controller"
)

func TestTokens(t *testing.T) {
	t.Setenv("XDG_RUNTIME_DIR", t.TempDir())
	dir := t.TempDir()
	right, wrong := filepath.Join(dir, "right"), filepath.Join(dir, "wrong")
	require.NoError(t, os.WriteFile(right, []byte(strings.Repeat("0123456789abcdef", 4)+"\n"), 0o600))
	require.NoError(t, os.WriteFile(wrong, []byte(strings.Repeat("fedcba9876543210", 4)+"\n"), 0o600))
	c, err := controller.Listen(t.Context(), controller.Options{Addr: "tcp://localhost:0", TokenFile: right})
	require.NoError(t, err)
	t.Cleanup(func() { c.Close() })

	connect(t, daffi.Options{Name: "right", Addr: c.Addr(), TokenFile: right})
	_, err = daffi.Connect(t.Context(), daffi.Options{Name: "wrong", Addr: c.Addr(), TokenFile: wrong})
	requireError(t, err, daffi.Unauthenticated, "", daffi.NotRun)
	require.ErrorContains(t, err, "does not know the token")

	// A node that finds no token waits: the controller may only be about to write it.
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	_, err = daffi.Connect(ctx, daffi.Options{Name: "none", Addr: c.Addr()})
	requireError(t, err, daffi.Unavailable, daffi.ReasonLinkLost, daffi.NotRun)
	require.ErrorContains(t, err, "TokenFile")
}
