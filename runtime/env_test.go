package daffi_test

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	daffi "github.com/daffi-rpc/daffi/runtime"
	"github.com/daffi-rpc/daffi/runtime/controller"
)

// setenv has no other variables of daffi than these.
func setenv(t *testing.T, vars map[string]string) {
	for _, entry := range os.Environ() {
		if name, value, _ := strings.Cut(entry, "="); strings.HasPrefix(name, "DAFFI_") {
			t.Setenv(name, value) // which puts it back in the end
			os.Unsetenv(name)
		}
	}
	for name, value := range vars {
		t.Setenv(name, value)
	}
}

func TestD73ConfigFromEnv(t *testing.T) {
	setenv(t, nil)
	o, err := daffi.ConfigFromEnv()
	require.NoError(t, err)
	require.Equal(t, daffi.Options{}, o)

	setenv(t, map[string]string{"DAFFI_ADDR": "tcp://127.0.0.1:7070", "DAFFI_NAME": "shop-1", "DAFFI_TOKEN_FILE": "/tmp/token", "DAFFI_LOG": "warn"})
	o, err = daffi.ConfigFromEnv()
	require.NoError(t, err)
	require.False(t, o.Logger.Enabled(t.Context(), slog.LevelInfo))
	require.True(t, o.Logger.Enabled(t.Context(), slog.LevelWarn))
	o.Logger = nil
	require.Equal(t, daffi.Options{Addr: "tcp://127.0.0.1:7070", Name: "shop-1", TokenFile: "/tmp/token"}, o)

	setenv(t, map[string]string{"DAFFI_TLS_CERT": "cert.pem", "DAFFI_TLS_KEY": "key.pem", "DAFFI_TLS_CA": "ca.pem"})
	o, err = daffi.ConfigFromEnv()
	require.NoError(t, err)
	require.Equal(t, daffi.Options{TLS: &daffi.TLS{CertFile: "cert.pem", KeyFile: "key.pem", CAFile: "ca.pem"}}, o)

	setenv(t, map[string]string{"DAFFI_TLS_CA": "system", "DAFFI_INSECURE": "a wire of our own"})
	o, err = daffi.ConfigFromEnv()
	require.NoError(t, err)
	require.Equal(t, daffi.Options{TLS: &daffi.TLS{}, Insecure: "a wire of our own"}, o)

	setenv(t, map[string]string{"DAFFI_ADDR": "", "DAFFI_LOG": "off", "DAFFI_TLS_CA": ""})
	o, err = daffi.ConfigFromEnv()
	require.NoError(t, err, "an empty variable is none")
	require.Equal(t, daffi.Options{}, o)
}

func TestD73WrongEnvironments(t *testing.T) {
	for _, test := range []struct{ name, value, text string }{
		{"DAFFI_ADDR", "127.0.0.1", `address "127.0.0.1" names no network`},
		{"DAFFI_NAME", "Shop 1", "DAFFI_NAME=Shop 1: "},
		{"DAFFI_LOG", "loud", "DAFFI_LOG=loud: want debug, info, warn, error or off"},
		{"DAFFI_LOG", "INFO", "want debug"},
		{"DAFFI_ADRR", "x", "DAFFI_ADRR is no variable of daffi; did you mean DAFFI_ADDR?"},
		{"DAFFI_TOKENFILE", "x", "did you mean DAFFI_TOKEN_FILE?"},
		{"DAFFI_TLS_CRT", "x", "did you mean DAFFI_TLS_CERT?"},
		{"DAFFI_LOGS", "x", "did you mean DAFFI_LOG?"},
	} {
		setenv(t, map[string]string{test.name: test.value})
		_, err := daffi.ConfigFromEnv()
		requireError(t, err, daffi.InvalidArgument, "", daffi.NotRun)
		require.ErrorContains(t, err, test.text)
		os.Unsetenv(test.name)
	}
	setenv(t, map[string]string{"DAFFI_LOG": "loud", "DAFFI_NAME": "!"})
	_, err := daffi.ConfigFromEnv()
	require.ErrorContains(t, err, "DAFFI_LOG=loud")
	require.ErrorContains(t, err, "DAFFI_NAME=!")
}

// Two programs that agree on a name meet.
func TestI1DefaultAddr(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("XDG_RUNTIME_DIR", dir)
	addr, err := daffi.DefaultAddr("my-app")
	require.NoError(t, err)
	require.Equal(t, "unix://"+filepath.Join(dir, "daffi", "my-app.sock"), addr)
	other, err := daffi.DefaultAddr("other")
	require.NoError(t, err)
	require.NotEqual(t, addr, other)
	for _, app := range []string{"", "My App", "../up", strings.Repeat("a", 65)} {
		_, err = daffi.DefaultAddr(app)
		requireError(t, err, daffi.InvalidArgument, "", daffi.NotRun)
	}
	ctl, err := controller.Listen(t.Context(), controller.Options{Addr: addr})
	require.NoError(t, err)
	defer ctl.Close()
	setenv(t, map[string]string{"DAFFI_ADDR": addr, "DAFFI_NAME": "n"})
	o, err := daffi.ConfigFromEnv()
	require.NoError(t, err)
	n := connect(t, o)
	require.NoError(t, n.WaitNode(t.Context(), "n"))
	require.NoError(t, n.Close())

	t.Setenv("XDG_RUNTIME_DIR", filepath.Join(dir, strings.Repeat("deep", 30)))
	_, err = daffi.DefaultAddr("my-app")
	require.Error(t, err)
}
