// Package recursive has types that contain themselves.
package recursive

import (
	"context"
	"iter"
)

// Node contains itself by pointer, slice and map.
type Node struct {
	Name     string
	Parent   *Node
	Children []Node
	ByName   map[string]*Node
	Other    *Leaf
}

// Leaf and Node contain each other.
type Leaf struct {
	Up Forest
}

// Forest contains itself through Node.
type Forest []*Node

// Tree is a generic type that contains itself.
type Tree[T any] struct {
	Value T
	Left  *Tree[T]
	Right *Tree[T]
}

// Recursive takes and returns them.
//
//daffi:callback
//daffi:fetcher
type Recursive interface {
	Swap(ctx context.Context, n Node, l *Leaf) (Leaf, Node, error)
	Grow(ctx context.Context, t Tree[string]) (*Tree[Node], error)
	Walk(ctx context.Context, f Forest) iter.Seq2[*Node, error]
}
