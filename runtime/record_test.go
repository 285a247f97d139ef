package daffi_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"
	"flag"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	daffi "github.com/daffi-rpc/daffi/runtime"
	"github.com/daffi-rpc/daffi/runtime/controller"
	"github.com/daffi-rpc/daffi/runtime/internal/control"
	"github.com/daffi-rpc/daffi/runtime/internal/golden"
	"github.com/daffi-rpc/daffi/runtime/internal/memconn"
	"github.com/daffi-rpc/daffi/runtime/transport"
)

var record = flag.String("record", "", "record today's session under this name, if there is none of that name")

// recorder writes what goes over connections as a session that package rawpeer plays.
type recorder struct {
	mu     sync.Mutex
	text   bytes.Buffer
	paused bool
	names  map[string]string // of what each side chooses, by its bytes
}

// tap is a connection of a node that is recorded.
type tap struct {
	net.Conn
	r          *recorder
	node       string
	said, told []byte
}

func (c *tap) Write(b []byte) (int, error) {
	c.said = c.r.frames(c.node, ">", append(c.said, b...))
	return c.Conn.Write(b)
}

func (c *tap) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.told = c.r.frames(c.node, "<", append(c.told, b[:n]...))
	return n, err
}

// frames writes the frames in b and returns what is left.
func (r *recorder) frames(node, way string, b []byte) []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	for {
		f, rest, ok, err := transport.ParseFrame(b, transport.MaxPayload)
		if !ok || err != nil {
			return b
		}
		if !r.paused {
			r.frame(node, way, &f)
		}
		b = rest
	}
}

func (r *recorder) line(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	fmt.Fprintf(&r.text, format+"\n", args...)
}

// frame writes one line.
func (r *recorder) frame(node, way string, f *transport.Frame) {
	h := transport.AppendHeader(nil, &f.Header, len(f.Payload))
	words := []string{hexed(h[:8])}
	call, route, peer, arg := hexed(h[8:16]), hexed(h[16:20]), hexed(h[20:24]), hexed(h[24:32])
	if f.Call != 0 {
		call = fmt.Sprintf("$%s-%s=%s", node, map[bool]string{true: "question", false: "call"}[f.Kind == transport.Control]+fmt.Sprint(r.number(node, f.Call)), call)
	}
	if f.Kind == transport.Request {
		route = fmt.Sprintf("$%s=%s", map[string]string{">": "route", "<": node + "-method"}[way]+fmt.Sprint(f.Route), route)
	}
	if f.Header.Peer != 0 && f.Mode&transport.Keyed == 0 {
		peer = fmt.Sprintf("$session%d=%s", f.Header.Peer, peer)
	}
	switch f.Kind {
	case transport.Request:
		arg = fmt.Sprintf("$left%d=%s", r.number("left", uint64(r.text.Len())), arg)
	case transport.Credit:
		arg = fmt.Sprintf("$credit%d=%s", r.number("credit", uint64(r.text.Len())), arg)
	case transport.Ping, transport.Pong:
		arg = fmt.Sprintf("$%s-ping%s=%s", node, map[bool]string{true: ">", false: "<"}[(f.Kind == transport.Ping) == (way == ">")], arg)
	}
	words = append(words, call, route, peer, arg)
	words = append(words, r.payload(node, way, f)...)
	what := f.Kind.String()
	if f.Kind == transport.Control {
		what += fmt.Sprint(" ", f.Payload[1])
	}
	fmt.Fprintf(&r.text, "%s %s %s # %s\n", node, way, strings.Join(words, " "), what)
}

func hexed(b []byte) string { return hex.EncodeToString(b) }

// number numbers values from 1, as they come.
func (r *recorder) number(of string, value uint64) int {
	key := fmt.Sprint(of, " ", value)
	if r.names[key] == "" {
		r.names[of] += "x"
		r.names[key] = fmt.Sprint(len(r.names[of]))
	}
	n := 0
	fmt.Sscan(r.names[key], &n)
	return n
}

// payload finds what whoever speaks has chosen.
func (r *recorder) payload(node, way string, f *transport.Frame) []string {
	b := f.Payload
	cut := func(layout ...any) (words []string) { // names and lengths; a name that begins with $ is one
		for i := 0; i < len(layout); i += 2 {
			n := layout[i+1].(int)
			word := hexed(b[:n])
			if name := layout[i].(string); name != "" {
				word = "$" + name + "=" + word
			}
			words, b = append(words, word), b[n:]
		}
		return append(words, digitsOf(b)...)
	}
	switch f.Kind {
	case transport.Hello:
		return cut("", 6, node+"-token", 16, node+"-incarnation", 8, node+"-nonce", 32)
	case transport.Challenge:
		if f.Payload[2] == transport.AuthToken {
			return cut("", 3, node+"-challenge", 32, "controller-proof", 32)
		}
		return cut("", 3, node+"-challenge", 32)
	case transport.Proof:
		if !bytes.Equal(b, make([]byte, 32)) {
			return cut("node-proof", 32)
		}
	case transport.Welcome:
		return cut(fmt.Sprintf("session%d", binary.LittleEndian.Uint32(b)), 4, "controller", 16)
	case transport.Request:
		if f.Mode&transport.Tagged != 0 && b[0]&16 != 0 {
			return cut("", 1, "key", 16)
		}
	case transport.Control:
		return r.control(node, way, b)
	}
	return digitsOf(b)
}

// control names the numbers that a control message gives away: of methods, of routes, of sessions, and of changes.
func (r *recorder) control(node, way string, b []byte) (words []string) {
	lines := golden.MessagePack(b)
	depth := func(l golden.Line) int { return len(l.Comment) - len(strings.TrimLeft(l.Comment, " ")) }
	op := control.Op(b[1])
	position := 0 // in the innermost array
	for i, l := range lines {
		word := hexed(l.Bytes)
		if i > 0 && depth(l) > depth(lines[i-1]) {
			position = 0
		}
		number := strings.TrimSpace(l.Comment)
		switch {
		case op == control.OpRoutes && depth(l) == 6 && position == 0:
			word = "$route" + number + "=" + word
		case op == control.OpRegister && depth(l) == 6 && position == 2:
			word = "$" + node + "-method" + number + "=" + word
		case op == control.OpFound && i == 2, op == control.OpSessions && depth(l) == 4, op == control.OpTable && depth(l) == 6 && position == 0,
			op == control.OpInspect && i == 5, op == control.OpInspected && i == len(lines)-1:
			word = "$session" + number + "=" + word
		case op == control.OpTargets && i == 2, op == control.OpInspect && i == 4, op == control.OpInspected && (i == len(lines)-2 || depth(l) == 6 && position == 7):
			word = "$route" + number + "=" + word
		case op == control.OpTable && i == 2:
			word = "$revision" + number + "=" + word
		}
		words = append(words, word)
		position++
	}
	return words
}

// digitsOf writes runs of one byte short.
func digitsOf(b []byte) []string {
	text := golden.Format("", []golden.Line{{Name: "x", Bytes: b}})
	return strings.Fields(strings.TrimPrefix(string(text), "x:"))
}

// TestRecord records a session, if it is told to. What another version may leave out, or send at another moment, such as several changes of the table in
// one, is to be marked in it by hand.
func TestRecord(t *testing.T) {
	if *record == "" {
		t.Skip("-record is not set")
	}
	path := filepath.Join(sessions, *record+".session")
	_, err := os.Stat(path)
	require.True(t, os.IsNotExist(err), "%s is there already, and stays as it is", path)
	synctest.Test(t, func(t *testing.T) {
		r := &recorder{names: map[string]string{}}
		fmt.Fprintf(&r.text, "# Two nodes and a controller, as they were in %s: see package rawpeer.\n", *record)
		c := controller.New(controller.Options{})
		defer c.Close()
		cast := play(func(node string) daffi.Controller {
			near, far := memconn.Pair()
			c.Serve(transport.NewConn(far, transport.Info{Network: "mem", Remote: node, Local: true, UID: -1}), nil)
			return attached{&tap{Conn: near, r: r, node: node}}
		})
		ends := map[string]chan error{}
		for _, name := range cast.steps {
			if name == "wait 6s" {
				r.wait()
				continue
			}
			r.line("\ndo %s", name)
			end := make(chan error, 1)
			ends[name] = end
			go func() { end <- cast.do[name](context.Background()) }()
			time.Sleep(50 * time.Millisecond)
			synctest.Wait()
			for _, name := range cast.steps {
				select {
				case err := <-ends[name]:
					require.NoError(t, err, name)
					delete(ends, name)
					r.line("done %s", name)
				default:
				}
			}
		}
		require.Empty(t, ends)
		require.NoError(t, os.MkdirAll(sessions, 0o755))
		require.NoError(t, os.WriteFile(path, r.text.Bytes(), 0o644))
	})
}

// wait lets both sides of both connections ping. They do at the same moment, and may meet in any order, so what is written is one.
func (r *recorder) wait() {
	r.line("\nwait 6s")
	r.paused = true
	time.Sleep(6 * time.Second)
	synctest.Wait()
	r.paused = false
	for _, node := range []string{"server", "client"} {
		for _, kind := range []transport.Kind{transport.Ping, transport.Pong} {
			for _, way := range []string{">", "<"} {
				r.frame(node, way, &transport.Frame{Header: transport.Header{Kind: kind}})
			}
		}
	}
}
