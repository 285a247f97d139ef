package recursive

import (
	"bytes"
	"testing"

	"github.com/daffi-rpc/daffi/runtime/codec"
	"github.com/daffi-rpc/daffi/testdata/goldentest"
)

func golden() []goldentest.Type {
	leaf := Leaf{Up: Forest{nil, {Name: "up"}}}
	node := Node{Name: "n", Parent: &Node{Name: "p"}, Children: []Node{{}, {Name: "c"}}, ByName: map[string]*Node{"x": nil}, Other: &leaf}
	tree := Tree[string]{"root", &Tree[string]{Value: "left"}, nil}
	return []goldentest.Type{
		goldentest.Of(writeNode, readNode, node),
		goldentest.Of(writeLeaf, readLeaf, leaf),
		goldentest.Of(writeTreeString, readTreeString, tree),
		goldentest.Of(writeTreeNode, readTreeNode, Tree[Node]{Value: node}),
		goldentest.Of(func(e *codec.Encoder, v RecursiveSwapResult) {
			e.Array(2)
			writeLeaf(e, v.R0)
			writeNode(e, v.R1)
		}, goldentest.Results(readRecursiveSwapResult), RecursiveSwapResult{leaf, node}),
	}
}

func TestGolden(t *testing.T) { goldentest.Run(t, golden()...) }

func FuzzGolden(f *testing.F) { goldentest.Fuzz(f, golden()...) }

func BenchmarkGolden(b *testing.B) { goldentest.Bench(b, golden()...) }

// TestDepth ends in an error where a value or a message nests without end.
func TestDepth(t *testing.T) {
	round := &Node{Name: "round"}
	round.Parent = round
	var e codec.Encoder
	if writeNode(&e, *round); e.Err() == nil {
		t.Error("a node that is its own parent was written")
	}
	deep := bytes.Repeat([]byte{0x81, 0xa6, 'P', 'a', 'r', 'e', 'n', 't'}, 100_000)
	var d codec.Decoder
	d.Reset(deep)
	if readNode(&d); d.Err() == nil {
		t.Error("100 000 levels were read")
	}
}
