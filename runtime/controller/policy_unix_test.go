//go:build unix

package controller

import (
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// TestPolicyOfOthers is no policy: a file that everybody can write decides nothing, neither at the start nor later.
func TestPolicyOfOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		file := policyFile(t, "allow * all *\n")
		w := start(t, Options{Policy: file, PingInterval: 12 * time.Hour, DeadInterval: 24 * time.Hour})
		w.join("b").Register(t, "Svc", "M")
		require.NoError(t, os.Chmod(file, 0o666))
		rewrite(t, file, "allow * call *\n")
		require.Equal(t, 1, w.Stats().Services)
		require.NoError(t, os.Chmod(file, 0o644))
		rewrite(t, file, "allow * call *\n")
		require.Zero(t, w.Stats().Services)

		require.NoError(t, os.Chmod(file, 0o646))
		_, err := Listen(t.Context(), Options{Addr: "tcp://127.0.0.1:0", Policy: file})
		require.ErrorIs(t, err, errBadOption)
		require.ErrorContains(t, err, "policy "+file+" has mode 0646, so that others can change it: chmod go-w it")
	})
}
