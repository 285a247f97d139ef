package errors

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	daffi "github.com/daffi-rpc/daffi/runtime"
	"github.com/daffi-rpc/daffi/runtime/daffitest"
)

// shop fails with err, and keeps how its inputs end.
type shop struct{ err, input error }

func (s *shop) Unary(context.Context, int) (int, error) { return 7, s.err }
func (s *shop) Act(context.Context) error               { return s.err }
func (s *shop) Chosen(context.Context) error            { return s.err }
func (s *shop) None(context.Context) error              { return s.err }
func (s *shop) Fail(context.Context) error              { return s.err }
func (s *shop) Some(context.Context) error              { return s.err }

func (s *shop) Take(_ context.Context, n int) error {
	if n < 2 {
		return nil
	}
	return s.err
}

func (s *shop) Down(_ context.Context, n int) iter.Seq2[int, error] {
	return func(yield func(int, error) bool) {
		for i := range n {
			if !yield(i, nil) {
				return
			}
		}
		yield(0, s.err)
	}
}

func (s *shop) Up(_ context.Context, in iter.Seq2[int, error]) (int, error) {
	for _, err := range in {
		s.input = err
	}
	return 0, s.err
}

func (s *shop) Both(_ context.Context, in iter.Seq2[int, error]) iter.Seq2[int, error] {
	return func(yield func(int, error) bool) {
		for n, err := range in {
			if s.input = err; err != nil || !yield(n, nil) {
				return
			}
		}
		yield(0, s.err)
	}
}

// last is the error with which a sequence ends.
func last[T any](seq iter.Seq2[T, error]) (end error) {
	for _, err := range seq {
		end = err
	}
	return end
}

func numbers(n int, end error) iter.Seq2[int, error] {
	return func(yield func(int, error) bool) {
		for i := range n {
			if !yield(i, nil) {
				return
			}
		}
		if end != nil {
			yield(0, end)
		}
	}
}

// kit is a shop and how to reach it.
type kit struct {
	shop *shop
	far  *ShopProxy
	each *EachProxy
	few  *FewProxy
	bare *BareProxy
}

func newKit(t testing.TB) *kit {
	net := daffitest.New(t)
	server, client := net.Node("server"), net.Node("client")
	s := new(shop)
	_, err := RegisterShop(server, s)
	_, err2 := RegisterFew(server, s)
	_, err3 := RegisterBare(server, s)
	if err := errors.Join(err, err2, err3); err != nil {
		t.Fatal(err)
	}
	return &kit{s, NewShop(client), NewEach(client), NewFew(client), NewBare(client)}
}

// sentinels are the variables of the table.
var sentinels = []error{ErrA, ErrAlias, ErrB, ErrForeign, ErrLiteral, ErrMade, ErrProblem, ErrSecond, ErrSoldOut, ErrStatus, ErrTyped}

// tree makes an error of leaves wrapped and joined at random.
func tree(r *rand.Rand, depth int) error {
	if depth == 0 || r.IntN(4) == 0 {
		return leaf(r)
	}
	switch r.IntN(5) {
	case 0:
		return fmt.Errorf("wrapped: %w", tree(r, depth-1))
	case 1:
		return fmt.Errorf("both: %w, %w", tree(r, depth-1), tree(r, depth-1))
	case 2:
		return errors.Join(tree(r, depth-1), nil, tree(r, depth-1))
	case 3:
		return &ErrQuota{User: text(r), Err: tree(r, depth-1)}
	}
	return &daffi.Error{Code: daffi.NotFound, Message: text(r)}
}

func leaf(r *rand.Rand) error {
	switch r.IntN(6) {
	case 0:
		return errors.New(text(r))
	case 1:
		return ErrLimit{r.IntN(10), text(r)}
	case 2:
		return &ErrLimit{r.IntN(10), text(r)}
	case 3:
		return ErrCode(r.IntN(10))
	case 4:
		return ErrSealed{text(r)}
	}
	return sentinels[r.IntN(len(sentinels))]
}

func text(r *rand.Rand) string { return strings.Repeat("x", 1+r.IntN(5)) }

// sameIdentity compares what errors.Is and errors.As find here and there.
func sameIdentity(t *testing.T, near, far error) {
	t.Helper()
	for _, s := range sentinels {
		if errors.Is(near, s) != errors.Is(far, s) {
			t.Errorf("errors.Is(%q) is %v there and %v here", s, errors.Is(near, s), errors.Is(far, s))
		}
	}
	sameAs[ErrLimit](t, near, far)
	sameAs[ErrCode](t, near, far)
	sameAs[ErrSealed](t, near, far)
	there, ok := errors.AsType[*ErrQuota](near)
	here, found := errors.AsType[*ErrQuota](far)
	if ok != found || ok && (there.User != here.User || there.Err.Error() != here.Err.Error()) {
		t.Errorf("ErrQuota is %v there and %v here", there, here)
	}
	if there, here := errors.Is(near, errHidden), errors.Is(far, errHidden); there || here {
		t.Error("an error that nobody chose was found")
	}
}

// sameAs compares values, which errors.As finds as T and as *T where they are one or the other there.
func sameAs[T interface {
	comparable
	error
}, P interface {
	*T
	error
}](t *testing.T, near, far error) {
	t.Helper()
	var values []T
	var walk func(error)
	walk = func(err error) {
		switch v := any(err).(type) {
		case T:
			values = append(values, v)
		case P:
			values = append(values, *v)
		}
		switch x := err.(type) {
		case interface{ Unwrap() error }:
			walk(x.Unwrap())
		case interface{ Unwrap() []error }:
			for _, err := range x.Unwrap() {
				walk(err)
			}
		}
	}
	walk(near)
	value, ok := errors.AsType[T](far)
	pointer, also := errors.AsType[P](far)
	switch {
	case ok != also || ok != (len(values) > 0):
		t.Errorf("%T: %d there, %v and %v here", value, len(values), ok, also)
	case ok && (value != values[0] || *pointer != values[0]):
		t.Errorf("%T: %v there, %v and %v here", value, values[0], value, *pointer)
	}
	for _, v := range values {
		if !errors.Is(far, v) {
			t.Errorf("%T: %v is not found", v, v)
		}
	}
}

// TestE9RandomErrors fails with random trees of errors in every shape.
func TestE9RandomErrors(t *testing.T) {
	k, ctx := newKit(t), t.Context()
	seed := uint64(time.Now().UnixNano())
	r := rand.New(rand.NewPCG(seed, 0))
	rounds := 300
	if testing.Short() {
		rounds = 30
	}
	for range rounds {
		err := tree(r, 3)
		k.shop.err = err
		message := err.Error()
		if own, ok := err.(*daffi.Error); ok {
			message = own.Message
		}
		if strings.Contains(message, "\n") { // what others say is one line
			message = strconv.Quote(message)
		}
		shapes := map[string]error{
			"action":        k.far.Act(ctx),
			"server stream": last(k.far.Down(ctx, 3)),
			"bidirectional": last(k.far.Both(ctx, numbers(3, nil))),
			"item stream":   k.each.TakeEach(ctx, func(yield func(int) bool) { _ = yield(1) && yield(2) && yield(3) }),
		}
		var n int
		if n, shapes["unary"] = k.far.Unary(ctx, 1); n != 0 {
			t.Errorf("a result of %d beside an error", n)
		}
		_, shapes["client stream"] = k.far.Up(ctx, numbers(3, nil))
		for shape, far := range shapes {
			e, ok := errors.AsType[*daffi.Error](far)
			if !ok || e.Outcome != daffi.Ran || e.Code != daffi.CodeOf(err) || far.Error() != e.Method+" at server: "+e.Code.String()+": "+message {
				t.Errorf("%s: %v", shape, far)
			}
			sameIdentity(t, err, far)
			if t.Failed() {
				t.Fatalf("%s, seed %d: %#v became %#v", shape, seed, err, far)
			}
		}
	}
}

// TestInputErrors ends inputs with errors: the callee finds in them what the caller has put there.
func TestInputErrors(t *testing.T) {
	k, ctx := newKit(t), t.Context()
	r := rand.New(rand.NewPCG(1, 2))
	for range 100 {
		err := tree(r, 3)
		_, far := k.far.Up(ctx, numbers(2, err))
		if sameIdentity(t, err, k.shop.input); !errors.Is(far, err) {
			t.Error(far)
		}
		far = last(k.far.Both(ctx, numbers(2, err)))
		if sameIdentity(t, err, k.shop.input); !errors.Is(far, err) {
			t.Error(far)
		}
		if t.Failed() {
			t.Fatalf("%#v", err)
		}
	}
}

// TestChoices fails with everything: what a directive leaves out is not found, and its text is.
func TestChoices(t *testing.T) {
	k, ctx := newKit(t), t.Context()
	quota := &ErrQuota{User: "bob"}
	k.shop.err = errors.Join(ErrA, ErrSoldOut, ErrCode(3), quota, &Problem{"p"}, Status("s"), errHidden, fmt.Errorf("reading: %w", io.EOF), &fs.PathError{Op: "open", Path: "x", Err: fs.ErrNotExist})
	has := map[string]func(error) bool{
		"ErrA":        func(err error) bool { return errors.Is(err, ErrA) },
		"ErrSoldOut":  func(err error) bool { return errors.Is(err, ErrSoldOut) },
		"ErrCode":     func(err error) bool { v, ok := errors.AsType[ErrCode](err); return ok && v == 3 },
		"ErrQuota":    func(err error) bool { v, ok := errors.AsType[*ErrQuota](err); return ok && v.User == "bob" },
		"Problem":     func(err error) bool { v, ok := errors.AsType[*Problem](err); return ok && v.What == "p" },
		"Status":      func(err error) bool { return errors.Is(err, Status("s")) },
		"hidden":      func(err error) bool { return errors.Is(err, errHidden) },
		"EOF":         func(err error) bool { return errors.Is(err, io.EOF) },
		"PathError":   func(err error) bool { v, ok := errors.AsType[*fs.PathError](err); return ok && v.Path == "x" },
		"ErrNotExist": func(err error) bool { return errors.Is(err, fs.ErrNotExist) },
	}
	chosen := []string{"ErrSoldOut", "ErrQuota", "Problem", "Status", "hidden", "EOF", "PathError", "ErrNotExist"}
	for _, test := range []struct {
		name string
		err  error
		want []string
	}{
		{"default", k.far.Act(ctx), []string{"ErrA", "ErrSoldOut", "ErrCode", "ErrQuota"}},
		{"method", k.far.Chosen(ctx), chosen},
		{"none", k.far.None(ctx), nil},
		{"the callback's", k.each.Chosen(ctx), chosen},
		{"the fetcher's", k.each.Act(ctx), []string{"ErrSoldOut"}},
		{"interface", k.few.Fail(ctx), []string{"ErrA", "ErrCode"}},
		{"none beside an interface's", k.few.None(ctx), nil},
		{"interface without", k.bare.Fail(ctx), nil},
		{"one beside none", k.bare.Some(ctx), []string{"ErrA"}},
		{"none of none", k.bare.None(ctx), nil},
	} {
		var got []string
		for name, found := range has {
			if found(test.err) {
				got = append(got, name)
			}
		}
		slices.Sort(got)
		slices.Sort(test.want)
		if !slices.Equal(got, test.want) || !strings.Contains(test.err.Error(), "bob is over quota") {
			t.Errorf("%s: got %v, want %v of %v", test.name, got, test.want, test.err)
		}
	}
}

// TestD59ErrorThatCannotBeWritten keeps text and other identities.
func TestD59ErrorThatCannotBeWritten(t *testing.T) {
	k := newKit(t)
	k.shop.err = errors.Join(ErrSealed{"secret"}, ErrA)
	err := k.far.Act(t.Context())
	if _, ok := errors.AsType[ErrSealed](err); ok || !errors.Is(err, ErrA) || !strings.Contains(err.Error(), "secret") {
		t.Error(err)
	}
}

// TestContextErrors are found by their codes, beside what came with them.
func TestContextErrors(t *testing.T) {
	k := newKit(t)
	for _, end := range []error{context.Canceled, context.DeadlineExceeded} {
		k.shop.err = fmt.Errorf("%w: %w", end, ErrA)
		if err := k.far.Act(t.Context()); !errors.Is(err, end) || !errors.Is(err, ErrA) || daffi.CodeOf(err) != daffi.CodeOf(end) {
			t.Error(err)
		}
	}
}

// TestLIM26ManyErrors is about LIM-26.
func TestLIM26ManyErrors(t *testing.T) {
	k, ctx := newKit(t), t.Context()
	found := func(err error) (n int) {
		for i := range 20 {
			if errors.Is(err, ErrCode(i)) {
				n++
			}
		}
		return n
	}
	var codes []error
	for i := range 17 {
		codes = append(codes, ErrCode(i))
		k.shop.err = errors.Join(codes...)
		if got, want := found(k.far.Act(ctx)), min(i+1, 16); got != want {
			t.Errorf("of %d errors %d are found, want %d", i+1, got, want)
		}
	}
	overhead := len("ErrSealed") + 3 // of a text of this length
	for size, fits := range map[int]bool{16<<10 - overhead: true, 16<<10 - overhead + 1: false} {
		sealed := ErrSealed{strings.Repeat("x", size)}
		k.shop.err = errors.Join(sealed, ErrCode(1))
		err := k.far.Act(ctx)
		if errors.Is(err, sealed) != fits || errors.Is(err, ErrCode(1)) == fits {
			t.Errorf("a value of %d bytes: %v, and what follows it: %v", size, errors.Is(err, sealed), errors.Is(err, ErrCode(1)))
		}
	}
}
