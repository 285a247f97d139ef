package errorvalues

import (
	"context"
	"errors"
	"iter"
	"slices"
	"testing"

	"github.com/daffi-rpc/daffi/runtime/daffitest"
)

type jobs struct{}

func (jobs) Report(_ context.Context, err error, more ...error) (error, error) {
	return errors.Join(append(more, err)...), nil
}

func (jobs) Outcomes(_ context.Context, failure Failure) ([]Outcome, error) {
	return []Outcome{{Failure: failure, Causes: []error{failure, nil}}}, nil
}

func (jobs) Errors(_ context.Context, in iter.Seq2[error, error]) iter.Seq2[error, error] { return in }

func (jobs) Several(context.Context) (error, error, error) {
	return errors.New("first"), nil, nil
}

// TestRemote calls the methods through a controller. An error that is a value is none of the call's.
func TestRemote(t *testing.T) {
	net := daffitest.New(t)
	if _, err := RegisterJobs(net.Node("server"), jobs{}); err != nil {
		t.Fatal(err)
	}
	remote, ctx := NewJobs(net.Node("client")), t.Context()
	last, err := remote.Report(ctx, errors.New("c"), errors.New("a"), nil)
	if err != nil || last.Error() != "a\nc" {
		t.Error(last, err)
	}
	outcomes, err := remote.Outcomes(ctx, errors.New("f"))
	if err != nil || outcomes[0].Failure.Error() != "f" || outcomes[0].Causes[0].Error() != "f" || outcomes[0].Causes[1] != nil {
		t.Error(outcomes, err)
	}
	first, second, err := remote.Several(ctx)
	if first.Error() != "first" || second != nil || err != nil {
		t.Error(first, second, err)
	}
	var texts []string
	for value, err := range remote.Errors(ctx, func(yield func(error, error) bool) { _ = yield(nil, nil) && yield(errors.New("x"), nil) }) {
		if err != nil {
			t.Fatal(err)
		}
		if value == nil {
			texts = append(texts, "nil")
		} else {
			texts = append(texts, value.Error())
		}
	}
	if !slices.Equal(texts, []string{"nil", "x"}) {
		t.Error(texts)
	}
}
