package daffi_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	daffi "github.com/daffi-rpc/daffi/runtime"
	"github.com/daffi-rpc/daffi/runtime/codec"
	"github.com/daffi-rpc/daffi/runtime/daffitest"
	"github.com/daffi-rpc/daffi/runtime/internal/control"
	"github.com/daffi-rpc/daffi/runtime/internal/rawpeer"
	"github.com/daffi-rpc/daffi/runtime/internal/testkit"
	"github.com/daffi-rpc/daffi/runtime/transport"
)

var (
	errSoldOut = errors.New("sold out")
	errCoded   = &daffi.Error{Code: daffi.NotFound, Message: "coded"}
)

// limitError is an error as a value, quotaError as a pointer.
type limitError struct{ Max int }

func (e limitError) Error() string { return fmt.Sprint("limit ", e.Max) }

type quotaError struct{ User string }

func (e *quotaError) Error() string { return e.User }

func knownErrors() []daffi.KnownError {
	return []daffi.KnownError{
		daffi.Sentinel("ErrSoldOut", errSoldOut),
		daffi.Sentinel("ErrCoded", errCoded),
		daffi.Sentinel("ErrNil", nil),
		daffi.Sentinel("ErrSlice", slice{}),
		daffi.ErrorValue("Limit", func(e *codec.Encoder, v limitError) { e.Int(v.Max) }, func(d *codec.Decoder) limitError { return limitError{d.Int()} }),
		daffi.ErrorPointer("Quota", func(e *codec.Encoder, v quotaError) { e.String(v.User) }, func(d *codec.Decoder) quotaError { return quotaError{d.String()} }),
	}
}

// asLimit and isSoldOut say what they are by methods.
type (
	asLimit   struct{ error }
	asPointer struct{ error }
	asQuota   struct{ error }
	isSoldOut struct{ error }
	slice     []int // cannot be compared
)

func (asLimit) As(target any) bool {
	p, ok := target.(*limitError)
	if ok {
		p.Max = 1
	}
	return ok
}

func (asPointer) As(target any) bool {
	p, ok := target.(**limitError)
	if ok {
		*p = &limitError{2}
	}
	return ok
}

func (asQuota) As(target any) bool {
	p, ok := target.(**quotaError)
	if ok {
		*p = &quotaError{"as"}
	}
	return ok
}

func (isSoldOut) Is(target error) bool { return target == errSoldOut }

func (slice) Error() string { return "slice" }

// TestD58E9Identity sends errors that are found by their methods, or are not to be found.
func TestD58E9Identity(t *testing.T) {
	trip := func(err error) *daffi.Error { return daffi.Recalled(daffi.Failed(err, knownErrors), knownErrors) }
	limit := func(err error) int {
		v, ok := errors.AsType[limitError](err)
		p, also := errors.AsType[*limitError](err)
		assert.Equal(t, ok, also)
		if !ok {
			return -1
		}
		assert.Equal(t, v, *p)
		return v.Max
	}
	quota := func(err error) string {
		q, ok := errors.AsType[*quotaError](err)
		if !ok {
			return "none"
		}
		return q.User
	}
	assert.Equal(t, 3, limit(trip(limitError{3})))
	assert.Equal(t, 3, limit(trip(&limitError{3})))
	assert.Equal(t, -1, limit(trip(errSoldOut)))
	assert.Equal(t, 1, limit(trip(asLimit{io.EOF})))
	assert.Equal(t, 2, limit(trip(asPointer{io.EOF})))
	assert.Equal(t, "bob", quota(trip(fmt.Errorf("x: %w", &quotaError{"bob"}))))
	assert.Equal(t, "as", quota(trip(asQuota{io.EOF})))
	assert.Equal(t, "none", quota(trip(io.EOF)))
	assert.ErrorIs(t, trip(isSoldOut{io.EOF}), errSoldOut)
	assert.NotErrorIs(t, trip(slice{1}), errSoldOut)
	assert.Equal(t, errSoldOut, errors.Unwrap(trip(errSoldOut)))

	// the order is that of errors.As
	assert.Equal(t, 1, limit(trip(errors.Join(fmt.Errorf("%w", limitError{1}), limitError{2}))))
	assert.ErrorIs(t, trip(errors.Join(limitError{1}, limitError{2})), limitError{2})

	// nil pointers are errors that Error cannot be asked of: nothing to send
	assert.Equal(t, "none", quota(trip(errors.Join(io.EOF, nilQuota{}))))

	// a sentinel of the handler's choice of code
	e := trip(errCoded)
	assert.ErrorIs(t, e, errCoded)
	assert.Equal(t, daffi.NotFound, e.Code)
	assert.Equal(t, "coded", e.Message)

	// a table that the caller does not have, and one that the callee does not have
	assert.NotErrorIs(t, daffi.Recalled(daffi.Failed(errSoldOut, knownErrors), nil), errSoldOut)
	assert.NotErrorIs(t, daffi.Recalled(daffi.Failed(errSoldOut, nil), knownErrors), errSoldOut)
	assert.NotErrorIs(t, daffi.Recalled(daffi.Failed(errSoldOut, daffi.NoErrors), knownErrors), errSoldOut)
}

// nilQuota wraps a nil pointer.
type nilQuota struct{}

func (nilQuota) Error() string { return "nil" }
func (nilQuota) Unwrap() error { return (*quotaError)(nil) }

// TestReasonIsCut keeps what a handler has written into its error from breaking the frame.
func TestReasonIsCut(t *testing.T) {
	payload := daffi.Failed(&daffi.Error{Reason: daffi.Reason(strings.Repeat("r", 1<<20)), Message: strings.Repeat("m", 1<<20)}, nil)
	require.Less(t, len(payload), 4<<10)
}

// TestE25RogueCallee answers calls with identities that no honest node sends: the error stays, and what cannot be read is left out.
func TestE25RogueCallee(t *testing.T) {
	net := daffitest.New(t)
	link, err := net.Controller.Attach()
	require.NoError(t, err)
	rogue := rawpeer.New(link).Start().Join(t, "rogue").Register(t, "Kit", "Fail")
	t.Cleanup(rogue.Close)
	b := daffi.Bind(net.Node("client"), &daffi.Client{Service: testkit.KitName, Methods: []daffi.Method{{Name: "Fail", Sig: "sig"}}, Errors: knownErrors})
	call := func(list ...control.Identity) error {
		done := make(chan error, 1)
		go func() { done <- daffi.NewAction(b, 0, nil).Do(t.Context()) }()
		f := control.Failure{Code: uint8(daffi.DataLoss), Outcome: uint8(daffi.Ran), Message: "rogue", Node: "rogue", Identities: list}
		rogue.Send(transport.Frame{Header: transport.Header{Kind: transport.Error, Call: rogue.Served(t).Call}, Payload: rawpeer.ErrorPayload(f)})
		err := <-done
		e := requireError(t, err, daffi.DataLoss, "", daffi.Ran)
		assert.Equal(t, "rogue", e.Message)
		return err
	}
	soldOut := control.Identity{Name: "ErrSoldOut", Value: []byte{0xc1}}
	limit := func(value ...byte) control.Identity { return control.Identity{Name: "Limit", Value: value} }
	found := func(err error) bool { _, ok := errors.AsType[limitError](err); return ok }

	assert.ErrorIs(t, call(soldOut), errSoldOut, "the value of a variable is not looked at")
	for name, bad := range map[string]control.Identity{
		"unknown name":  {Name: "os/exec.ErrNotFound"},
		"no name":       {},
		"nil variable":  {Name: "ErrNil"},
		"no value":      limit(),
		"another type":  limit(0xa1, 'x'),
		"cut":           limit(0xcd, 1),
		"more":          limit(1, 2),
		"invalid":       limit(0xc1),
		"a bomb":        {Name: "Quota", Value: []byte{0xdb, 0xff, 0xff, 0xff, 0xff}},
		"over LIM-26":   {Name: "Quota", Value: make([]byte, control.MaxIdentityBytes)},
		"name too long": {Name: strings.Repeat("x", control.MaxIdentityBytes+1)},
	} {
		err := call(bad, soldOut)
		assert.ErrorIs(t, err, errSoldOut, name)
		assert.False(t, found(err), name)
		_, ok := errors.AsType[*quotaError](err)
		assert.False(t, ok, name)
	}
	var many []control.Identity
	for i := range control.MaxIdentities {
		many = append(many, limit(byte(i)))
	}
	assert.ErrorIs(t, call(many...), limitError{control.MaxIdentities - 1})
	assert.NotErrorIs(t, call(append(many, soldOut)...), errSoldOut, "one too many")
}

// FuzzFailure takes bytes for an Error frame of a callee. What comes of them is an error, with nothing in its tree but what the table has.
func FuzzFailure(f *testing.F) {
	f.Add(daffi.Failed(io.EOF, nil))
	f.Add(daffi.Failed(errors.Join(errSoldOut, limitError{math.MinInt32}, &quotaError{"bob"}, context.Canceled), knownErrors))
	f.Add(rawpeer.ErrorPayload(control.Failure{Identities: []control.Identity{{Name: "Limit", Value: []byte{0xc1}}, {Name: "ErrNil"}}}))
	f.Add([]byte{0x97, 0, 0xa0, 0, 0xa0, 0xa0, 0xa0, 0xdd, 0xff, 0xff, 0xff, 0xff})
	f.Add([]byte{0x98, 0, 0xa0, 0, 0xa0, 0xa0, 0xa0, 0x91, 0x93, 0xa1, 'x', 0xc0, 1, 2})
	f.Fuzz(func(t *testing.T, payload []byte) {
		e := daffi.Recalled(payload, knownErrors)
		_ = e.Error()
		var walk func(err error)
		walk = func(err error) {
			switch err.(type) {
			case limitError, *quotaError:
				return
			}
			if err == errSoldOut || err == errCoded || err == context.Canceled || err == context.DeadlineExceeded || errors.Is(err, codec.ErrDecode) {
				return
			}
			switch x := err.(type) {
			case interface{ Unwrap() error }:
				if err := x.Unwrap(); err != nil {
					walk(err)
				}
			case interface{ Unwrap() []error }:
				for _, err := range x.Unwrap() {
					walk(err)
				}
			default:
				t.Errorf("%#v came of % x", err, payload)
			}
		}
		walk(e)
		again := daffi.Recalled(daffi.Failed(e, knownErrors), knownErrors)
		if errors.Is(e, errSoldOut) != errors.Is(again, errSoldOut) {
			t.Errorf("%v became %v", e, again)
		}
	})
}
