//go:build !kitex

package main

// Programs that link kitex start with 20 MiB on the heap, so the garbage collector runs a tenth as often as it would for any of the others. So kitex is in
// a program of its own.
var kitexSystems = []system{
	{name: kitexTCP, network: "tcp", tag: "kitex"},
	{name: kitexUnix, network: "unix", tag: "kitex"},
}
