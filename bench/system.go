package main

import (
	"context"
	"errors"
)

// A system is one way to have an item echoed by another process. Its functions return once what they started is ready; it ends with the process.
type system struct {
	name    string
	network string // "tcp", on the loopback interface, or "unix"
	tag     string // of the build that has it, or ""

	broker func(ctx context.Context, addr string) (bound string, err error) // in a third process; nil if client and server meet without
	server func(ctx context.Context, addr string) (bound string, err error) // with a broker addr is where that is, and bound is not looked at
	client func(ctx context.Context, addr string) (client, error)
	stream bool // has streams
	ours   bool // is daffi
}

// A client makes the calls that are measured.
type client interface {
	// caller returns a function that has one item of size bytes echoed, on behalf of one goroutine, and checks the answer.
	caller(size int) func(context.Context) error
	// up sends n items of size bytes in one stream and has the server confirm their number.
	up(ctx context.Context, n, size int) error
	// down has the server send n items of size bytes in one stream and counts them.
	down(ctx context.Context, n, size int) error
}

var errWrong = errors.New("the answer is not what was sent")

// noStreams is for systems that have none.
type noStreams struct{}

func (noStreams) up(context.Context, int, int) error   { return errors.ErrUnsupported }
func (noStreams) down(context.Context, int, int) error { return errors.ErrUnsupported }

const (
	kitexTCP  = "kitex, tcp"
	kitexUnix = "kitex, unix"
)

// systems are in the order in which tables list them.
var systems = concat(rawSystems, handSystems, netRPCSystems, kitexSystems, grpcSystems, ttrpcSystems, connectSystems, natsSystems, daffiSystems, crowdedSystems)

func concat[T any](lists ...[]T) []T {
	var all []T
	for _, l := range lists {
		all = append(all, l...)
	}
	return all
}
