// Package daffi lets Go processes call each other's functions through a controller, typed and as if they were local.
//
// A process has one or more nodes, each of which joins a controller with [Connect], or with [New] and [Node.Run] if it serves something.
// The code that serves and calls annotated interfaces is written by the program daffigen; what it needs of this package is in
// generated.go and of no use to others. Errors of calls are [*Error] values.
//
// Package controller is the router that nodes join, package daffitest has one for tests. What is promised is written down in
// docs/semantics.md of the module; comments cite it as SEM-n and LIM-n.
package daffi
