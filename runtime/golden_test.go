package daffi

import (
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/daffi-rpc/daffi/runtime/codec"
	"github.com/daffi-rpc/daffi/runtime/internal/control"
	"github.com/daffi-rpc/daffi/runtime/internal/golden"
	"github.com/daffi-rpc/daffi/runtime/transport"
)

var updateGolden = flag.Bool("update", false, "write golden files that are missing; those that are there never change")

// goldenFrame is a frame that every later version must write and read as it is.
type goldenFrame struct {
	about   string
	header  transport.Header
	payload []golden.Line // as it is written today
	check   func(t *testing.T, payload []byte)
	unpack  bool // it is only read: what compresses may compress otherwise in another version
}

// TestGoldenFrames compares frames of every kind with what was written when they came to be, both ways (ACC-80). A new kind, control message, flag or mode
// needs a file of its own: add it here and run the test with -update. A file that fails is not to be written anew: nodes and controllers that
// understand those bytes are in use.
func TestGoldenFrames(t *testing.T) {
	dir := filepath.Join("..", "testdata", "frames", fmt.Sprintf("v%d", transport.Version))
	seen := newGoldenCoverage()
	frames := goldenFrames()
	for name, g := range frames {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(dir, name+".hex")
			payload := golden.Join(g.payload)
			written := transport.AppendFrame(nil, &g.header, payload)
			text, err := os.ReadFile(path)
			if os.IsNotExist(err) && *updateGolden {
				text = golden.Format(g.about, append(headerLines(&g.header, len(payload)), g.payload...))
				require.NoError(t, os.MkdirAll(dir, 0o755))
				err = os.WriteFile(path, text, 0o644)
			}
			require.NoError(t, err)
			b, err := golden.Bytes(text)
			require.NoError(t, err)
			if !g.unpack {
				require.Equal(t, fmt.Sprintf("%x", b), fmt.Sprintf("%x", written), "today's frame is another one")
			}
			f, rest, ok, err := transport.ParseFrame(b, transport.MaxPayload)
			require.NoError(t, err)
			require.True(t, ok)
			require.Empty(t, rest)
			require.Equal(t, g.header, f.Header)
			g.check(t, f.Payload)
			seen.add(&f)
		})
	}
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	require.NoError(t, err)
	for _, file := range files {
		name, isFrame := strings.CutSuffix(filepath.Base(file), ".hex")
		_, known := frames[name]
		require.True(t, isFrame && known, "nothing reads %s", file)
	}
	seen.check(t)
}

// goldenCoverage is what the golden frames have of everything that there is.
type goldenCoverage struct {
	kinds map[transport.Kind]bool
	ops   map[control.Op]bool
	flags transport.Flags
	modes transport.Mode
}

func newGoldenCoverage() *goldenCoverage {
	return &goldenCoverage{kinds: map[transport.Kind]bool{}, ops: map[control.Op]bool{}}
}

func (c *goldenCoverage) add(f *transport.Frame) {
	c.kinds[f.Kind] = true
	c.flags |= f.Flags
	c.modes |= f.Mode
	if f.Kind == transport.Control {
		var d codec.Decoder
		d.Reset(f.Payload)
		c.ops[control.ReadOp(&d)] = true
	}
}

func (c *goldenCoverage) check(t *testing.T) {
	for n := range math.MaxUint8 + 1 {
		if k := transport.Kind(n); k.Known() && !c.kinds[k] {
			t.Errorf("no golden frame is a %v", k)
		}
		if op := control.Op(n); op.Known() && !c.ops[op] {
			t.Errorf("no golden frame has the control message %d", op)
		}
		if m := transport.Mode(n); m.Unknown() == 0 && c.modes&m != m {
			t.Errorf("no golden frame has the mode %d", m)
			break
		}
	}
	if all := ^transport.Flags(0); c.flags != all {
		t.Errorf("no golden frame has the flag %d", all&^c.flags)
	}
}

// headerLines is a header, field by field.
func headerLines(h *transport.Header, length int) []golden.Line {
	b := transport.AppendHeader(nil, h, length)
	return []golden.Line{
		{Name: "length", Bytes: b[0:4], Comment: fmt.Sprint(length)},
		{Name: "kind", Bytes: b[4:5], Comment: h.Kind.String()},
		{Name: "flags", Bytes: b[5:6], Comment: bitNames(uint8(h.Flags), "Large", "Zstd", "Bulk", "More", "End", "Meta", "Broken", "Optional")},
		{Name: "depth", Bytes: b[6:7]},
		{Name: "mode", Bytes: b[7:8], Comment: bitNames(uint8(h.Mode), "Oneway", "Input", "Output", "Each", "Keyed", "Tagged", "Wide", "128")},
		{Name: "call", Bytes: b[8:16], Comment: callName(h.Call)},
		{Name: "route", Bytes: b[16:20]},
		{Name: "peer", Bytes: b[20:24]},
		{Name: "arg", Bytes: b[24:32]},
	}
}

func bitNames(bits uint8, names ...string) string {
	var set []string
	for i, name := range names {
		if bits>>i&1 != 0 {
			set = append(set, name)
		}
	}
	return strings.Join(set, ", ")
}

func callName(id uint64) string {
	if id <= math.MaxUint16 {
		return ""
	}
	return fmt.Sprintf("slot %d, generation %d, served: %v", transport.SlotOf(id), transport.GenerationOf(id), id&transport.Served != 0)
}

// fields cuts a payload of fixed layout: names and lengths in turn, the last one to the end.
func fields(b []byte, layout ...any) (lines []golden.Line) {
	for i := 0; i < len(layout); i += 2 {
		n := layout[i+1].(int)
		if i+2 == len(layout) {
			n = len(b)
		}
		l := golden.Line{Name: layout[i].(string), Bytes: b[:n]}
		if l.Name == "name" || l.Name == "reason" || l.Name == "message" || l.Name == "magic" {
			l.Comment = fmt.Sprintf("%q", l.Bytes)
		}
		lines, b = append(lines, l), b[n:]
	}
	return lines
}

// parsed checks that a payload is read as want.
func parsed[T any](want T, parse func([]byte) (T, error)) func(*testing.T, []byte) {
	return func(t *testing.T, b []byte) {
		got, err := parse(b)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
}

// bare checks that a payload is want.
func bare(want string) func(*testing.T, []byte) {
	return func(t *testing.T, b []byte) { require.Equal(t, want, string(b)) }
}

// control messages.
type controlMessage interface {
	Append(*codec.Encoder)
	Read(*codec.Decoder) error
}

// said is a control message: the same type reads it.
func said(about string, call uint64, flags transport.Flags, op control.Op, m controlMessage) goldenFrame {
	return goldenFrame{about: about, header: transport.Header{Kind: transport.Control, Flags: flags, Call: call}, payload: golden.MessagePack(written(m.Append)),
		check: func(t *testing.T, b []byte) {
			var d codec.Decoder
			d.Reset(b)
			require.Equal(t, op, control.ReadOp(&d))
			got := reflect.New(reflect.TypeOf(m).Elem()).Interface().(controlMessage)
			require.NoError(t, got.Read(&d))
			require.Equal(t, m, got)
		}}
}

// plainly is a control message without fields.
func plainly(about string, call uint64, op control.Op) goldenFrame {
	b := written(func(e *codec.Encoder) { control.AppendPlain(e, op) })
	return goldenFrame{about: about, header: transport.Header{Kind: transport.Control, Call: call}, payload: golden.MessagePack(b), check: func(t *testing.T, b []byte) {
		var d codec.Decoder
		d.Reset(b)
		require.Equal(t, op, control.ReadOp(&d))
		require.NoError(t, d.Close())
	}}
}

func written(fill func(*codec.Encoder)) []byte {
	var e codec.Encoder
	fill(&e)
	return e.Bytes()
}
