package e2e

import (
	"bytes"
	"context"
	"io/fs"
	"iter"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/daffi-rpc/daffi/internal/e2e/probe"
	daffi "github.com/daffi-rpc/daffi/runtime"
)

// sources yields every .go file below GOROOT/src/net.
func sources(t *testing.T) iter.Seq2[probe.File, error] {
	t.Helper()
	out, err := exec.Command("go", "env", "GOROOT").Output()
	require.NoError(t, err)
	root := filepath.Join(strings.TrimSpace(string(out)), "src", "net")
	return func(yield func(probe.File, error) bool) {
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || filepath.Ext(path) != ".go" {
				return err
			}
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			if !yield(probe.File{Name: path, Text: text}, nil) {
				return fs.SkipAll
			}
			return nil
		})
		if err != nil {
			yield(probe.File{}, err)
		}
	}
}

// The sources of package net go to another process as a client stream, their word counts come back as a server stream.
func TestWordCount(t *testing.T) {
	counts, files, size := probe.Counts{}, 0, 0
	for f, err := range sources(t) {
		require.NoError(t, err)
		counts.Add(f)
		files++
		size += len(f.Text)
	}
	require.Greater(t, files, 100)
	want := counts.Sorted()
	t.Logf("%d files, %d bytes, %d words", files, size, len(want))

	for _, c := range []struct {
		network string
		zstd    daffi.Compression
	}{{"unix", daffi.CompressAuto}, {"unix", daffi.CompressOn}, {"tcp", daffi.CompressAuto}, {"tcp", daffi.CompressOn}} {
		t.Run(c.network+"/"+c.zstd.String(), func(t *testing.T) {
			addr := address(t, c.network)
			controllerAt(t, addr)
			provider := start(t, "provider", "-addr", addr, "-zstd", c.zstd.String())
			provider.wait("ready")
			p := probe.NewProbe(connect(t, daffi.Options{Addr: addr, Compression: c.zstd}))

			begin := time.Now()
			n, err := p.Read(soon(t), "net", sources(t))
			require.NoError(t, err)
			require.Equal(t, files, n)
			sent := time.Since(begin)
			var got []*probe.Word
			for w, err := range p.Words(soon(t), "net") {
				require.NoError(t, err)
				got = append(got, &w)
			}
			t.Logf("sent in %v, all in %v", sent, time.Since(begin))
			require.Equal(t, want, got)
			provider.stop()
		})
	}
}

// A large value takes its turns with small calls on the same connection; nobody waits for anybody.
func TestLargeAmongSmall(t *testing.T) {
	for _, c := range []struct {
		network string
		zstd    daffi.Compression
	}{{"unix", daffi.CompressAuto}, {"tcp", daffi.CompressAuto}, {"tcp", daffi.CompressOn}} {
		t.Run(c.network+"/"+c.zstd.String(), func(t *testing.T) {
			addr := address(t, c.network)
			controllerAt(t, addr)
			provider := start(t, "provider", "-addr", addr, "-zstd", c.zstd.String())
			provider.wait("ready")
			p := probe.NewProbe(connect(t, daffi.Options{Addr: addr, Compression: c.zstd}))

			large := make([]byte, 3<<20)
			rand.NewChaCha8([32]byte{}).Read(large[:len(large)/2]) // half of it does not compress
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			group, ctx := errgroup.WithContext(ctx)
			done := make(chan struct{})
			var slowest [64]time.Duration
			var calls [64]int
			for i := range 64 {
				group.Go(func() error {
					small := bytes.Repeat([]byte{byte(i)}, 64)
					for more := true; more; {
						select {
						case <-done:
							more = false // and once more
						default:
						}
						begin := time.Now()
						b, err := p.Echo(ctx, small)
						if err != nil {
							return err
						}
						if !bytes.Equal(b, small) {
							t.Errorf("caller %d got %v", i, b)
						}
						slowest[i] = max(slowest[i], time.Since(begin))
						calls[i]++
					}
					return nil
				})
			}
			group.Go(func() error {
				defer close(done)
				for range 3 {
					b, err := p.Echo(ctx, large)
					if err != nil {
						return err
					}
					if !bytes.Equal(b, large) {
						t.Errorf("the large value came back changed, with %d bytes", len(b))
					}
				}
				return nil
			})
			require.NoError(t, group.Wait())
			total, worst := 0, time.Duration(0)
			for i := range calls {
				require.Greater(t, calls[i], 1)
				total += calls[i]
				worst = max(worst, slowest[i])
			}
			t.Logf("%d small calls beside three of 3 MiB, the slowest took %v", total, worst)
			provider.stop()
		})
	}
}

// A message over the limit is refused before it is sent, and the connection survives it.
func TestTooLarge(t *testing.T) {
	t.Parallel()
	addr := address(t, "unix")
	controllerAt(t, addr)
	provider := start(t, "provider", "-addr", addr)
	provider.wait("ready")
	p := probe.NewProbe(connect(t, daffi.Options{Addr: addr}))
	_, err := p.Echo(soon(t), make([]byte, 4<<20))
	require.ErrorIs(t, err, &daffi.Error{Code: daffi.ResourceExhausted, Reason: daffi.ReasonTooLarge})
	require.Equal(t, daffi.NotRun, daffi.OutcomeOf(err))
	echo(t, p)
	provider.stop()
}
