package e2e

import (
	"context"
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/daffi-rpc/daffi/examples/shopping"
	daffi "github.com/daffi-rpc/daffi/runtime"
)

const shopped = "[]\n[orange]\n[orange bread cheese]\n[]"

func TestShopping(t *testing.T) {
	for _, network := range []string{"unix", "tcp"} {
		for _, where := range []string{"embedded", "separate"} {
			for _, zstd := range []string{"auto", "on"} {
				t.Run(network+"/"+where+"/"+zstd, func(t *testing.T) {
					t.Parallel()
					addr := address(t, network)
					if where == "separate" {
						defer controllerAt(t, addr).stop()
					}
					service := start(t, "service", "-addr", addr, "-controller", where, "-zstd", zstd)
					service.wait("ready: ")
					shopper := start(t, "shopper", "-addr", addr, "-zstd", zstd, "-v")
					require.Zero(t, shopper.code())
					require.Equal(t, shopped, shopper.out.String())
					require.Contains(t, shopper.log.String(), "zstd="+zstd)
					service.stop()
				})
			}
		}
	}
	t.Run("default address", func(t *testing.T) {
		t.Parallel()
		dir := shortDir(t)
		service := startIn(t, dir, "service")
		require.Contains(t, service.wait("controller at "), "unix://"+dir)
		shopper := startIn(t, dir, "shopper")
		require.Zero(t, shopper.code())
		require.Equal(t, shopped, shopper.out.String())
		service.stop()
	})
}

// TestDemoTLS runs what make demo-tls does.
func TestDemoTLS(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, "sh", "examples/shopping/demo-tls.sh")
	cmd.Dir, cmd.Env = filepath.Join("..", ".."), append(environ(), "TMPDIR="+shortDir(t))
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) } // so that it ends the service
	cmd.WaitDelay = time.Second
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	require.NoErrorf(t, err, "%s\n%v", out, &stderr)
	require.Contains(t, string(out), shopped)
	require.Contains(t, string(out), "over TLS: the controller was daffi://demo/controller, the shopper daffi://demo/shopper\n")
	require.Contains(t, string(out), "another authority's shopper: shopper: unauthenticated")
}

// The shopper waits for the controller, and for the service at it.
func TestShopperFirst(t *testing.T) {
	for _, network := range []string{"unix", "tcp"} {
		t.Run(network, func(t *testing.T) {
			t.Parallel()
			addr := address(t, network)
			shopper := start(t, "shopper", "-addr", addr, "-v")
			shopper.waitLog("not connected")
			controller := controllerAt(t, addr)
			shopper.waitLog("joined")
			service := start(t, "service", "-addr", addr, "-controller", "separate")
			require.Zero(t, shopper.code())
			require.Equal(t, shopped, shopper.out.String())
			service.stop()
			controller.stop()
		})
	}
}

// Everything that can be wrong from the start is one line that says what to do, and exit code 1.
func TestWrongStart(t *testing.T) {
	for _, c := range []struct{ name, args, want string }{
		{"service", "-addr localhost:8888", `address "localhost:8888" names no network: want "tcp://`},
		{"service", "-addr udp://localhost:8888", `network "udp"`},
		{"service", "-addr tcp://localhost:http", `port "http"`},
		{"service", "-addr unix:///no/such/directory/s", "/no/such/directory"},
		{"service", "-controller none", `embedded or separate, not "none"`},
		{"service", "now", `unexpected argument "now"`},
		{"shopper", "-addr localhost:8888", `address "localhost:8888" names no network: want "tcp://`},
		{"shopper", "-addr unix://", "no file name"},
		{"shopper", "now", `unexpected argument "now"`},
	} {
		t.Run(c.name+" "+c.args, func(t *testing.T) {
			t.Parallel()
			require.Contains(t, start(t, c.name, strings.Fields(c.args)...).fails(), c.want)
		})
	}
}

func TestAddressInUse(t *testing.T) {
	for _, network := range []string{"unix", "tcp"} {
		t.Run(network, func(t *testing.T) {
			t.Parallel()
			addr := address(t, network)
			first := start(t, "service", "-addr", addr)
			first.wait("ready: ")
			line := start(t, "service", "-addr", addr).fails()
			require.Contains(t, line, addr)
			require.Contains(t, line, "address in use")
			require.Zero(t, start(t, "shopper", "-addr", addr).code(), "the first goes on")
			first.stop()
		})
	}
	t.Run("another program", func(t *testing.T) {
		t.Parallel()
		l, err := net.Listen("tcp4", "127.0.0.1:0")
		require.NoError(t, err)
		defer l.Close()
		require.Contains(t, start(t, "service", "-addr", "tcp://"+l.Addr().String()).fails(), "address in use")
	})
}

// A controller that was killed leaves its socket behind, which must not keep the next one from starting.
func TestD5StaleSocket(t *testing.T) {
	t.Parallel()
	addr := address(t, "unix")
	first := start(t, "service", "-addr", addr)
	first.wait("ready: ")
	first.kill()
	require.FileExists(t, strings.TrimPrefix(addr, "unix://"))
	second := start(t, "service", "-addr", addr)
	second.wait("ready: ")
	require.Zero(t, start(t, "shopper", "-addr", addr).code())
	second.stop()
	require.NoFileExists(t, strings.TrimPrefix(addr, "unix://"))
}

func TestControllerAbsent(t *testing.T) {
	for _, network := range []string{"unix", "tcp"} {
		t.Run(network, func(t *testing.T) {
			t.Parallel()
			addr := address(t, network)
			line := start(t, "shopper", "-addr", addr, "-timeout", "100ms").fails()
			require.Contains(t, line, "no controller at "+addr)

			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			defer cancel()
			_, err := daffi.Connect(ctx, daffi.Options{Addr: addr})
			require.ErrorContains(t, err, "no controller at "+addr)
			require.ErrorIs(t, err, context.DeadlineExceeded)
			require.Equal(t, daffi.Unavailable, daffi.CodeOf(err))
			require.Equal(t, daffi.NotRun, daffi.OutcomeOf(err))

			service := start(t, "service", "-addr", addr, "-controller", "separate", "-v")
			service.waitLog("not connected")
			service.stop() // while it waits: clean
		})
	}
}

func TestServiceAbsent(t *testing.T) {
	t.Parallel()
	addr := address(t, "unix")
	controllerAt(t, addr)
	shopper := start(t, "shopper", "-addr", addr, "-v")
	shopper.waitLog("joined")
	shopper.terminate()
	require.Equal(t, 1, shopper.code())
	require.Contains(t, shopper.log.String(), "waiting for ShoppingService")

	_, err := shopping.NewShopper(connect(t, daffi.Options{Addr: addr})).GetItems(soon(t))
	require.ErrorIs(t, err, &daffi.Error{Code: daffi.Unavailable, Reason: daffi.ReasonNoProvider})
	require.Equal(t, daffi.NotRun, daffi.OutcomeOf(err))
}

func TestD65DuplicateName(t *testing.T) {
	t.Parallel()
	addr := address(t, "unix")
	controllerAt(t, addr)
	first := start(t, "service", "-addr", addr, "-controller", "separate")
	first.wait("ready: ")
	line := start(t, "service", "-addr", addr, "-controller", "separate").fails()
	require.Contains(t, line, "already_exists")
	require.Contains(t, line, "shopping-service")
	require.Zero(t, start(t, "shopper", "-addr", addr).code(), "the first goes on")
	first.stop()
	third := start(t, "service", "-addr", addr, "-controller", "separate")
	third.wait("ready: ") // the name is free again
	third.stop()
}
