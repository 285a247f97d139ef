package conformance

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/daffi-rpc/daffi/internal/authority"
	daffi "github.com/daffi-rpc/daffi/runtime"
	"github.com/daffi-rpc/daffi/runtime/controller"
	"github.com/daffi-rpc/daffi/runtime/internal/memconn"
	"github.com/daffi-rpc/daffi/runtime/transport"
)

// patience is for what should take no time at all, on a machine that does many things at once.
const patience = 30 * time.Second

// A world is a controller, and how nodes get to it.
type world struct {
	t      *testing.T       // of the scenario
	inside daffi.Controller // joined in memory: by every node where there is no address, else by the first node of a scenario
	addr   string
	tls    func(name string) *daffi.TLS // makes the certificate of a node, where those at addr need one
	nodes  int                          // of the scenario, so far
}

// node joins.
func (w *world) node(name string) *daffi.Node {
	w.t.Helper()
	return w.nodeWith(daffi.Options{Name: name}, nil)
}

// nodeWith joins with what it serves from the start, so that no call misses it.
func (w *world) nodeWith(o daffi.Options, register func(n *daffi.Node) error) *daffi.Node {
	w.t.Helper()
	n := daffi.New(w.way(o))
	w.t.Cleanup(func() {
		if err := n.Close(); err != nil {
			w.t.Errorf("close %s: %v", o.Name, err)
		}
	})
	if register != nil {
		require.NoError(w.t, register(n))
	}
	ctx, cancel := context.WithTimeout(w.t.Context(), patience)
	defer cancel()
	require.NoError(w.t, n.Join(ctx))
	return n
}

// way fills in how the node joins.
func (w *world) way(o daffi.Options) daffi.Options {
	if w.inside != nil && (w.addr == "" || w.nodes == 0) {
		o.Controller = w.inside
	} else {
		o.Addr = w.addr
		if w.tls != nil {
			o.TLS = w.tls(o.Name)
		}
	}
	w.nodes++
	return o
}

// TestConformance runs every scenario in every world.
func TestConformance(t *testing.T) {
	for _, kind := range []struct {
		name string
		make func(t *testing.T) *world
	}{
		{"memory/embedded", func(t *testing.T) *world { return &world{inside: listen(t, "")} }},
		{"memory/separate", func(t *testing.T) *world { return &world{inside: wire{listen(t, "")}} }},
		{"unix/embedded", func(t *testing.T) *world { return embedded(t, unixAddr(t)) }},
		{"unix/separate", func(t *testing.T) *world { return separate(t, unixAddr(t)) }},
		{"tcp/embedded", func(t *testing.T) *world { return embedded(t, tcpAddr) }},
		{"tcp/separate", func(t *testing.T) *world { return separate(t, tcpAddr) }},
		{"tls/embedded", encrypted},
	} {
		others := goleak.IgnoreCurrent()
		t.Run(kind.name, func(t *testing.T) {
			w := kind.make(t)
			w.t = t
			observer := w.node("observer")
			for _, s := range scenarios {
				t.Run(s.name, func(t *testing.T) { s.run(t, &world{t: t, inside: w.inside, addr: w.addr, tls: w.tls}) })
				alone(t, observer)
				if c, ok := w.inside.(interface{ Stats() controller.Stats }); ok { // nobody is told of a node that comes and goes in a moment
					require.Eventually(t, func() bool { return c.Stats().Nodes == 1 }, patience, time.Millisecond)
				}
			}
		})
		require.NoError(t, goleak.Find(others), kind.name)
	}
}

// alone waits until the controller has seen that all other nodes are gone, so that none of them is called by the next scenario.
func alone(t *testing.T, observer *daffi.Node) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for {
		peers, err := observer.Peers(ctx)
		require.NoError(t, err)
		if len(peers) == 1 {
			return
		}
		time.Sleep(time.Millisecond)
	}
}

const tcpAddr = "tcp://127.0.0.1:0"

func unixAddr(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp(os.Getenv("XDG_RUNTIME_DIR"), "")
	require.NoError(t, err)
	return "unix://" + filepath.ToSlash(filepath.Join(dir, "ctl.sock"))
}

// listen starts a controller in this process, which listens nowhere without an address.
func listen(t *testing.T, addr string) *controller.Controller {
	t.Helper()
	ctl := controller.New(controller.Options{})
	if addr != "" {
		var err error
		ctl, err = controller.Listen(t.Context(), controller.Options{Addr: addr})
		require.NoError(t, err)
	}
	t.Cleanup(func() { require.NoError(t, ctl.Close()) })
	return ctl
}

// embedded has a controller in the process of a node that joins it in memory; the others use addr.
func embedded(t *testing.T, addr string) *world {
	t.Helper()
	ctl := listen(t, addr)
	return &world{inside: ctl, addr: ctl.Addr()}
}

// encrypted is embedded, with certificates.
func encrypted(t *testing.T) *world {
	t.Helper()
	dir := t.TempDir()
	a, err := authority.New("town", 0)
	require.NoError(t, err)
	trusted := filepath.Join(dir, "authority.pem")
	require.NoError(t, a.WriteCertificate(trusted))
	issue := func(r authority.Request) *daffi.TLS {
		pair, err := a.Issue(r)
		require.NoError(t, err)
		certificate, key := authority.Files(dir, r.Name)
		require.NoError(t, pair.Write(certificate, key, true))
		return &daffi.TLS{CertFile: certificate, KeyFile: key, CAFile: trusted}
	}
	ctl, err := controller.Listen(t.Context(), controller.Options{Addr: tcpAddr, TLS: issue(authority.Request{Name: "controller", Controller: true, Hosts: []string{"127.0.0.1"}})})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, ctl.Close()) })
	return &world{inside: ctl, addr: ctl.Addr(), tls: func(name string) *daffi.TLS { return issue(authority.Request{Name: name}) }}
}

// separate has a controller in a process of its own.
func separate(t *testing.T, addr string) *world {
	t.Helper()
	exe, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), childAddr+"="+addr, "GORACE=atexit_sleep_ms=0 "+os.Getenv("GORACE"))
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	require.NoError(t, err)
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		stdin.Close()
		require.NoError(t, cmd.Wait(), "the controller's process")
	})
	line, err := bufio.NewReader(stdout).ReadString('\n')
	require.NoError(t, err, "the controller says where it listens")
	return &world{addr: strings.TrimSpace(line)}
}

// wire joins nodes over connections in memory, as a controller elsewhere would be joined, and not by handing frames over.
type wire struct{ *controller.Controller }

func (w wire) Attach() (transport.Link, error) {
	near, far := memconn.Pair()
	w.Serve(transport.NewConn(far, transport.Info{Network: "mem", Remote: "node", UID: -1}), nil)
	return transport.NewConn(near, transport.Info{Network: "mem", Remote: "controller", UID: -1}), nil
}

// desk is a new node that serves Desk.
func (w *world) desk(name string, opts ...daffi.ServeOption) (*daffi.Node, *desk) {
	w.t.Helper()
	return w.deskWith(daffi.Options{Name: name}, opts...)
}

func (w *world) deskWith(o daffi.Options, opts ...daffi.ServeOption) (n *daffi.Node, d *desk) {
	w.t.Helper()
	d = newDesk(o.Name)
	n = w.nodeWith(o, func(n *daffi.Node) error {
		_, err := RegisterDesk(n, d, opts...)
		return err
	})
	w.t.Cleanup(func() { close(d.end) }) // before the node's own
	return n, d
}

// desks are n nodes that serve Desk, under the names that it returns.
func (w *world) desks(n int) (names []string, nodes []*daffi.Node, desks []*desk) {
	w.t.Helper()
	for i := range n {
		name := fmt.Sprintf("desk-%d", i)
		node, d := w.desk(name)
		names, nodes, desks = append(names, name), append(nodes, node), append(desks, d)
	}
	return names, nodes, desks
}

// requireError checks the parts of an error that programs look at.
func requireError(t *testing.T, err error, code daffi.Code, reason daffi.Reason, outcome daffi.Outcome) {
	t.Helper()
	var e *daffi.Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, code, e.Code, "%v", err)
	require.Equal(t, reason, e.Reason, "%v", err)
	require.Equal(t, outcome, e.Outcome, "%v", err)
}
