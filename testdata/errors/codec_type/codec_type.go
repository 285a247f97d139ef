// Package codectype breaks a rule.
package codectype

import (
	"context"
	"iter"
	"net/netip"
	"sync"
	"unsafe"
)

type locked struct{ mu sync.Mutex }

type Numbers struct{ C complex128 }

//daffi:callback
type Service interface {
	//daffi:codec raw
	Raw(ctx context.Context, part string) (n int, err error) // want "Service.Raw: part string: the codec raw takes only \[\]byte, or a type defined as that; take it, or use another codec \[DF060\]" "Service.Raw: n int: the codec raw takes only"
	//daffi:codec raw
	Many(ctx context.Context, parts ...[]byte) error // want "Service.Many: parts \[\]\[\]byte: the codec raw takes only"
	//daffi:codec text
	Text(ctx context.Context, n int, addr *netip.Addr) error // want "Service.Text: n int: the codec text takes only strings and types with MarshalText and UnmarshalText; take one, or use another codec \[DF060\]" "Service.Text: addr \*netip.Addr: the codec text takes only"
	//daffi:codec text
	Texts(ctx context.Context, in iter.Seq2[[]string, error]) iter.Seq2[error, error] // want "Service.Texts: in \[\]string: the codec text takes only" "Service.Texts: its results error: the codec text takes only"
	//daffi:codec json
	JSON(ctx context.Context, c map[string][]chan int, f func(), n complex64, ok Numbers) error // want "Service.JSON: c map\[string\]\[\]chan int: the codec json has no form for chan int; use another type \[DF060\]" "Service.JSON: f func\(\): the codec json has no form" "Service.JSON: n complex64: the codec json"
	//daffi:codec mine
	Mine(ctx context.Context, l locked, p unsafe.Pointer, m map[string]unsafe.Pointer) error // want "Service.Mine: l locked: a struct with a lock must not be copied; take a pointer to it \[DF060\]" "Service.Mine: p unsafe.Pointer: a part of it cannot be named here: it is unsafe, or unexported or internal in its package; use an exported type \[DF060\]" "Service.Mine: m map"
	//daffi:codec mine
	Unknown(ctx context.Context, x Missing) error // want "undefined: Missing.* \[DF002\]"
	//daffi:codec mine
	Pointer(ctx context.Context, l *locked, f func(chan<- Numbers) any) error
}
