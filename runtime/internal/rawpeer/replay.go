package rawpeer

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/daffi-rpc/daffi/runtime/internal/golden"
	"github.com/daffi-rpc/daffi/runtime/transport"
)

// Replay plays one side of a recorded session, byte for byte and without knowing what the bytes mean, against the other side as it is today. A
// session is a text, see package golden, whose lines are
//
//	do name          begins what the nodes do at this moment, done name waits for its end
//	wait 6s          nothing happens for that long
//	node > bytes     a frame from the node to the controller
//	node < bytes     a frame from the controller to the node
//	node >? bytes    the same of a frame that another version may leave out
//
// A frame of the other side must have the bytes of the session, but for those with a name: they may be others, and then stand for that name
// in what follows, wherever it is. Zeros at the end do not count there, as a number may be of another width.
type Replay struct {
	Controller bool                       // play the controller, else the nodes
	Dial       func(node string) net.Conn // the connection of a node, called at its first frame
	Do         func(name string) error    // nil: what the nodes do is in the session
	Token      []byte                     // for the proofs, if there are any

	conns  map[string]*replayConn
	chosen map[string][]byte     // what stands for the names
	begun  map[string]chan error // of do
}

// replayConn is one connection, and what was said on it that proofs cover.
type replayConn struct {
	net.Conn
	hello, challenge []byte
	ahead            []byte // a frame that was read, and was not the one that may be left out
}

// Run plays a session. It returns when its last line is done, and leaves the connections open.
func (r *Replay) Run(tb testing.TB, path string) {
	tb.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		tb.Fatal(err)
	}
	r.conns, r.chosen, r.begun = map[string]*replayConn{}, map[string][]byte{}, map[string]chan error{}
	n := 0
	for line := range strings.Lines(string(text)) {
		n++
		line, _, _ = strings.Cut(line, "#")
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		if err := r.line(line); err != nil {
			tb.Fatalf("%s:%d: %v", path, n, err)
		}
	}
}

func (r *Replay) line(line string) error {
	first, rest, _ := strings.Cut(line, " ")
	switch first {
	case "do":
		if r.Do == nil {
			return nil
		}
		end := make(chan error, 1)
		r.begun[rest] = end
		go func() { end <- r.Do(rest) }()
		return nil
	case "done":
		if r.Do == nil {
			return nil
		}
		select {
		case err := <-r.begun[rest]:
			return err
		case <-time.After(patience):
			return fmt.Errorf("%s does not end", rest)
		}
	case "wait":
		d, err := time.ParseDuration(rest)
		time.Sleep(d)
		return err
	}
	way, digits, _ := strings.Cut(rest, " ")
	tokens, err := golden.Tokens(digits)
	if err != nil {
		return err
	}
	c := r.conns[first]
	if c == nil {
		c = &replayConn{Conn: r.Dial(first)}
		r.conns[first] = c
	}
	c.SetDeadline(time.Now().Add(patience))
	way, mayMiss := strings.CutSuffix(way, "?")
	switch {
	case way != ">" && way != "<":
		return fmt.Errorf("%q is no line of a session", line)
	case (way == "<") == r.Controller:
		return r.send(c, tokens)
	}
	b, err := c.next()
	if err == nil {
		if err = r.compare(c, tokens, b); err != nil && transport.Kind(b[4]) == transport.Cancel {
			err = r.compare(c, tokens, bare(b)) // recorded before a Cancel said why, which it need not
		}
	}
	if err != nil && mayMiss {
		c.ahead = b
		return nil
	}
	return err
}

func (r *Replay) send(c *replayConn, tokens []golden.Token) error {
	var b []byte
	for _, t := range tokens {
		b = append(b, r.value(c, t, b)...)
	}
	c.remember(b)
	_, err := c.Write(b)
	return err
}

// next is the next frame.
func (c *replayConn) next() ([]byte, error) {
	if b := c.ahead; b != nil {
		c.ahead = nil
		return b, nil
	}
	b := make([]byte, transport.HeaderSize)
	if _, err := io.ReadFull(c, b); err != nil {
		return nil, fmt.Errorf("no frame comes: %w", err)
	}
	b = append(b, make([]byte, binary.LittleEndian.Uint32(b))...)
	if _, err := io.ReadFull(c, b[transport.HeaderSize:]); err != nil {
		return nil, fmt.Errorf("a frame is cut: %w", err)
	}
	return b, nil
}

// compare compares a frame with the tokens of a session.
func (r *Replay) compare(c *replayConn, tokens []golden.Token, b []byte) error {
	at := 0
	for _, t := range tokens {
		if t.Name == "..." {
			at = len(b)
			break
		}
		if len(b) < at+len(t.Bytes) {
			return fmt.Errorf("the frame %x is shorter than it was", b)
		}
		got := b[at : at+len(t.Bytes)]
		if _, known := r.chosen[t.Name]; t.Name != "" && !known && !proof(t.Name) {
			r.chosen[t.Name] = bytes.Clone(got)
		}
		if want := r.value(c, t, b[:at]); !bytes.Equal(got, want) {
			return fmt.Errorf("byte %d and what follows is %x, and was %x, in the frame %x", at, got, want, b)
		}
		at += len(got)
	}
	if at < len(b) {
		return fmt.Errorf("the frame %x is longer than it was", b)
	}
	c.remember(b)
	return nil
}

// value is the bytes of a token that follows others in a frame.
func (r *Replay) value(c *replayConn, t golden.Token, before []byte) []byte {
	switch {
	case t.Name == "controller-proof":
		return r.proof("daffi controller", c.hello, before[transport.HeaderSize:])
	case t.Name == "node-proof":
		return r.proof("daffi node", c.hello, c.challenge)
	case t.Name == "" || t.Name == "...":
		return t.Bytes
	case r.chosen[t.Name] == nil:
		r.chosen[t.Name] = t.Bytes
	}
	b := make([]byte, len(t.Bytes))
	copy(b, r.chosen[t.Name])
	return b
}

// bare is a frame without its payload.
func bare(frame []byte) []byte {
	b := bytes.Clone(frame[:transport.HeaderSize])
	binary.LittleEndian.PutUint32(b, 0)
	return b
}

func proof(name string) bool { return name == "controller-proof" || name == "node-proof" }

// proof is written here anew, as another implementation would.
func (r *Replay) proof(label string, hello, challenge []byte) []byte {
	h := hmac.New(sha256.New, r.Token)
	io.WriteString(h, label)
	h.Write([]byte{byte(len(hello)), byte(len(hello) >> 8)})
	h.Write(hello)
	h.Write(challenge)
	return h.Sum(nil)
}

// remember keeps what proofs cover.
func (c *replayConn) remember(frame []byte) {
	switch payload := bytes.Clone(frame[transport.HeaderSize:]); transport.Kind(frame[4]) {
	case transport.Hello:
		c.hello = payload
	case transport.Challenge:
		c.challenge = payload
	}
}
