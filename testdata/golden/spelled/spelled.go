// Package spelled says types in other words than generated code can.
package spelled

import (
	"context"
	stdlog "log"
	"strconv"

	"github.com/daffi-rpc/daffi/testdata/golden/spelled/base"
	"github.com/daffi-rpc/daffi/testdata/golden/spelled/base/rooms"
)

// log keeps the generated file from importing a package under that name.
var log = "log"

// Name is not a name that package base could say.
type Name = string

// Level encodes itself, by methods of its alias.
type Level struct{ n int }

type level = Level

// MarshalText writes the number.
func (l level) MarshalText() ([]byte, error) { return []byte(strconv.Itoa(l.n)), nil }

// UnmarshalText reads it.
func (l *level) UnmarshalText(text []byte) (err error) {
	l.n, err = strconv.Atoi(string(text))
	return err
}

// Service has what base has.
//
//daffi:callback
type Service interface {
	base.Rows
	rooms.WithRoom
	Sum(ctx context.Context, list []map[Name]int) (int, error)
	Raise(ctx context.Context, l Level) (Level, error)
	//daffi:local
	Log() *stdlog.Logger
}

// Client calls it.
//
//daffi:fetcher Service
type Client interface {
	base.Rows
	rooms.WithRoom
	Sum(ctx context.Context, list []map[Name]int) (int, error)
	Raise(ctx context.Context, l Level) (Level, error)
}
