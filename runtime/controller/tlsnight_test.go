//go:build unix

package controller

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/daffi-rpc/daffi/internal/authority"
	"github.com/daffi-rpc/daffi/runtime/internal/rawpeer"
	"github.com/daffi-rpc/daffi/runtime/transport"
)

// tlsIn says, in the environment, that this process is no test but a controller whose certificate is in that directory, until its standard input ends.
const tlsIn = "DAFFI_TEST_TLS"

func init() {
	dir := os.Getenv(tlsIn)
	if dir == "" {
		return
	}
	c, err := Listen(context.Background(), Options{Addr: "tcp://127.0.0.1:0", TLS: filesIn(dir, "controller"), MaxPending: 1000, MaxPendingPerAddress: 1000})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(c.Addr())
	io.Copy(io.Discard, os.Stdin)
	os.Exit(0)
}

func filesIn(dir, name string) *TLS {
	certificate, key := authority.Files(dir, name)
	return &TLS{CertFile: certificate, KeyFile: key, CAFile: filepath.Join(dir, "authority.pem")}
}

// TestACC21IdleNodesOverTLS is TestIdleNodes for nodes with certificates.
func TestACC21IdleNodesOverTLS(t *testing.T) {
	onlyNight(t)
	const nodes, methods = 5000, 10
	manyFiles(t, nodes+100)
	dir := t.TempDir()
	a, err := authority.New("shop", 0)
	require.NoError(t, err)
	require.NoError(t, a.WriteCertificate(filepath.Join(dir, "authority.pem")))
	issue := func(r authority.Request) *TLS {
		files := filesIn(dir, r.Name)
		pair, err := a.Issue(r)
		require.NoError(t, err)
		require.NoError(t, pair.Write(files.CertFile, files.KeyFile, true))
		return files
	}
	issue(authority.Request{Name: "controller", Controller: true, Hosts: []string{"127.0.0.1"}})
	p := &process{t: t, cmd: exec.Command(os.Args[0])}
	p.cmd.Env = append(os.Environ(), tlsIn+"="+dir)
	p.cmd.Stderr = os.Stderr
	stdin, err := p.cmd.StdinPipe()
	require.NoError(t, err)
	stdout, err := p.cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, p.cmd.Start())
	t.Cleanup(func() {
		stdin.Close()
		p.cmd.Wait()
	})
	line, err := bufio.NewReader(stdout).ReadString('\n')
	require.NoError(t, err)
	addr, err := transport.ParseAddr(strings.TrimSpace(line))
	require.NoError(t, err)

	names := make([]string, methods)
	for i := range names {
		names[i] = fmt.Sprint("Method", i)
	}
	join := func(name string) *rawpeer.Peer {
		creds, err := transport.OpenTLS(issue(authority.Request{Name: name}), nil)
		require.NoError(t, err)
		defer creds.Close()
		conn, info, _, err := transport.Dial(t.Context(), addr, transport.DialOptions{TLS: creds})
		require.NoError(t, err)
		peer := rawpeer.New(transport.NewConn(conn, info))
		t.Cleanup(peer.Close)
		peer.OnFrame = func(f *transport.Frame) bool {
			if f.Kind == transport.Ping {
				peer.Link.Enqueue(transport.Frame{Header: header{Kind: transport.Pong, Arg: f.Arg}})
			}
			return f.Kind == transport.Ping || f.Kind == transport.Pong
		}
		peer.Start().Join(t, name)
		k := transport.NewKeepalive(peer.Link, transport.KeepaliveOptions{Ping: 5 * time.Second, Dead: 15 * time.Second, Stop: 10 * time.Second})
		t.Cleanup(k.Stop)
		return peer
	}
	join("first")
	before := p.memory("VmRSS")
	for i := range nodes {
		require.Nil(t, join(fmt.Sprintf("node-%d", i)).Serve(t, fmt.Sprint("Service", i%50), "(string,int)(string)", names...))
	}
	time.Sleep(5 * time.Second) // for the collector to be done with the handshakes
	begun, ran := time.Now(), p.cpu()
	time.Sleep(30 * time.Second)
	each, share := (p.memory("VmRSS")-before)/nodes, float64(p.cpu()-ran)/float64(time.Since(begun))
	t.Logf("%d nodes of %d methods that are idle, over TLS: %d bytes for each at the controller, %.1f %% of one processor", nodes, methods, each, 100*share)
	assert.LessOrEqual(t, each, 40<<10)
	assert.LessOrEqual(t, share, 0.05)
}
