package controller

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/daffi-rpc/daffi/runtime/codec"
	"github.com/daffi-rpc/daffi/runtime/internal/control"
	"github.com/daffi-rpc/daffi/runtime/internal/rawpeer"
)

// choose asks for the route of Svc.M with a choice.
func choose(t *testing.T, p *rawpeer.Peer, c control.Choice) (uint32, *control.Failure) {
	t.Helper()
	var routes control.Routes
	f := p.Ask(t, (&control.Select{Service: "Svc", Methods: rawpeer.Methods("sig", "M"), Choice: c}).Append, control.OpRoutes, &routes)
	if f != nil {
		return 0, f
	}
	require.Len(t, routes.Routes, 1)
	return routes.Routes[0].Number, nil
}

func TestViews(t *testing.T) {
	over(t, func(t *testing.T, w *world) {
		a, b := w.join("a").Register(t, "Svc", "M"), w.join("b")
		plain := a.Route(t, "Svc", "M", "sig")
		view, f := choose(t, a, control.Choice{Self: true})
		require.Nil(t, f)
		require.NotEqual(t, plain, view)
		again, _ := choose(t, b, control.Choice{Self: true})
		require.Equal(t, view, again, "equal choices are one view")
		none, _ := choose(t, a, control.Choice{})
		require.NotEqual(t, view, none)
		require.Equal(t, "Svc.M", w.route(view).String())

		count := func(route uint32) int { return len(*w.route(route).providers.Load()) }
		require.Equal(t, 1, count(view))
		b.Register(t, "Svc", "M")
		require.Equal(t, 2, count(view))
		var m control.Sessions
		require.Nil(t, a.Ask(t, (&control.Targets{Route: view}).Append, control.OpSessions, &m))
		require.Equal(t, []uint32{a.Session, b.Session}, m.Numbers)
		require.Nil(t, a.Ask(t, (&control.Unregister{Service: "Svc"}).Append, control.OpOK, nil))
		require.Equal(t, 1, count(view))
		require.Equal(t, 1, count(plain))
	})
}

// What is not known of a choice is refused, since a call must not go where it may not.
func TestLaterChoices(t *testing.T) {
	over(t, func(t *testing.T, w *world) {
		p := w.join("p")
		_, f := choose(t, p, control.Choice{Balance: 200})
		require.Equal(t, unimplemented, f.Code)
		require.Equal(t, notRun, f.Outcome)
		f = p.Ask(t, func(e *codec.Encoder) {
			e.Array(4)
			e.Uint8(uint8(control.OpSelect))
			e.String("Svc")
			e.Array(0)
			e.Array(6)
			e.Array(0)
			e.Bool(true)
			e.Uint8(0)
			e.Bool(false)
			e.Bool(false)
			e.String("later")
		}, control.OpRoutes, new(control.Routes))
		require.Equal(t, unimplemented, f.Code)
		require.Contains(t, f.Message, "later version")
	})
}

func TestViewLimits(t *testing.T) {
	w := start(t, Options{})
	var p *rawpeer.Peer
	for i := range maxViews {
		if i%(maxViews/maxViewsPart) == 0 {
			if p != nil {
				_, f := choose(t, p, control.Choice{Where: []control.Label{{Name: "shard", Value: "more"}}})
				require.NotNil(t, f, "others have theirs")
				require.Contains(t, f.Message, "256 different choices")
			}
			p = w.join(fmt.Sprint("p", i))
		}
		_, f := choose(t, p, control.Choice{Where: []control.Label{{Name: "shard", Value: fmt.Sprint(i)}}})
		require.Nil(t, f)
	}
	_, f := choose(t, p, control.Choice{Where: []control.Label{{Name: "shard", Value: "more"}}})
	require.Equal(t, resourceExhausted, f.Code)
	require.Equal(t, reasonLimit, f.Reason)
	require.Contains(t, f.Message, "1024 different choices")
	_, f = choose(t, p, control.Choice{Where: []control.Label{{Name: "shard", Value: "0"}}})
	require.Nil(t, f, "one that there is")

	many := make([]control.Label, control.MaxLabels+1)
	for i := range many {
		many[i] = control.Label{Name: "n", Value: fmt.Sprint(i)}
	}
	_, f = choose(t, p, control.Choice{Where: many})
	require.Equal(t, invalidArgument, f.Code)
	require.Contains(t, f.Message, "17 labels")
}

// A node says what it is once, and before it serves: afterwards calls have been sent by it.
func TestAbout(t *testing.T) {
	over(t, func(t *testing.T, w *world) {
		about := func(p *rawpeer.Peer, labels ...control.Label) *control.Failure {
			return p.Ask(t, (&control.About{Labels: labels}).Append, control.OpOK, nil)
		}
		zone := control.Label{Name: "zone", Value: "eu"}
		p := w.join("p")
		require.Equal(t, invalidArgument, about(p, control.Label{Name: "Zone"}).Code)
		require.Contains(t, about(p, zone, control.Label{Name: "zone", Value: "us"}).Message, "twice")
		require.Nil(t, about(p, zone))
		require.Equal(t, failedPrecondition, about(p, zone).Code)
		q := w.join("q").Register(t, "Svc", "M")
		require.Equal(t, failedPrecondition, about(q, zone).Code)
	})
}
