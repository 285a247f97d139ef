package daffi

// A Caller leads to a node: *Node. Only daffi implements it.
type Caller interface{ caller() *Node }

// A Registrar can serve: *Node. Only daffi implements it.
type Registrar interface{ registrar() *Node }

// Node may serve, call, or both.
type Node struct{}

func (n *Node) caller() *Node    { return n }
func (n *Node) registrar() *Node { return n }

// Registration is one service on one node, until Close.
type Registration struct{}

// Binding is a [Client] bound to a node and its options. It is immutable.
type Binding struct{ ext *extra }
