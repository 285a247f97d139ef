package control

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/daffi-rpc/daffi/runtime/codec"
)

// About says what the sending node is, before it serves anything, once.
type About struct {
	Labels    []Label
	Stoppable bool // the controller may ask it to shut down by a [Stop]
}

// Label is a word about a node. Those of a node are sorted, and each name is there once.
type Label struct{ Name, Value string }

// Compare orders labels by name, then by value.
func (a Label) Compare(b Label) int {
	if c := strings.Compare(a.Name, b.Name); c != 0 {
		return c
	}
	return strings.Compare(a.Value, b.Value)
}

func (a Label) String() string { return a.Name + "=" + a.Value }

// The bounds of labels, of a node or of a choice (LIM-40).
const (
	MaxLabels     = 16
	MaxLabelName  = 64
	MaxLabelValue = 128
	MaxLabelBytes = 1 << 10 // of all together, names and values
)

// CheckLabels says which bound is not kept.
func CheckLabels(labels []Label) error {
	if len(labels) > MaxLabels {
		return fmt.Errorf("there are %d labels, more than %d", len(labels), MaxLabels)
	}
	size := 0
	for _, l := range labels {
		if !validLabelName(l.Name) {
			return fmt.Errorf("the label name %q does not consist of 1 to %d lower-case letters, digits, '.', '_' and '-'", l.Name[:min(len(l.Name), 2*MaxLabelName)], MaxLabelName)
		}
		if len(l.Value) > MaxLabelValue {
			return fmt.Errorf("the value of the label %s has %d bytes, more than %d", l.Name, len(l.Value), MaxLabelValue)
		}
		if !utf8.ValidString(l.Value) || strings.ContainsFunc(l.Value, func(r rune) bool { return r < ' ' || r == 0x7f }) {
			return fmt.Errorf("the value %q of the label %s is not UTF-8 without control characters", l.Value, l.Name)
		}
		size += len(l.Name) + len(l.Value)
	}
	if size > MaxLabelBytes {
		return fmt.Errorf("the labels have %d bytes together, more than %d", size, MaxLabelBytes)
	}
	return nil
}

func validLabelName(s string) bool {
	for i := range len(s) {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9', c == '.', c == '_', c == '-':
		default:
			return false
		}
	}
	return s != "" && len(s) <= MaxLabelName
}

func (m *About) Append(e *codec.Encoder) {
	if !m.Stoppable {
		head(e, 1, OpAbout)
		appendLabels(e, m.Labels)
		return
	}
	head(e, 2, OpAbout)
	appendLabels(e, m.Labels)
	e.Bool(true)
}

func (m *About) Read(d *codec.Decoder) error {
	m.Labels = next(d, readLabels)
	m.Stoppable = next(d, codec.ReadBool)
	return d.Close()
}

func appendLabels(e *codec.Encoder, labels []Label) {
	codec.WriteSlice(e, labels, func(e *codec.Encoder, l Label) {
		e.Array(2)
		e.String(l.Name)
		e.String(l.Value)
	})
}

func readLabels(d *codec.Decoder) []Label {
	return codec.ReadSlice(d, 3, func(d *codec.Decoder) (l Label) {
		row(d, func(i int) {
			switch i {
			case 0:
				l.Name = d.String()
			case 1:
				l.Value = d.String()
			}
		}, 2)
		return l
	})
}
