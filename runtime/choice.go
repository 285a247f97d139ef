package daffi

import (
	"errors"
	"sync"

	"github.com/daffi-rpc/daffi/runtime/codec"
	"github.com/daffi-rpc/daffi/runtime/internal/control"
)

// AllowSelf lets the caller's own node count like any other. Without it a call goes to the caller's own node only if no other serves the method, and an event
// leaves it out.
func AllowSelf() CallOption { return CallOption{func(o *callOptions) { o.choice.Self = true }} }

// maxViews is how many choices a binding, by default (LIM-41), keeps the routes of; with further ones each prepared call asks the controller for its own.
const maxViews = 64

// views are bindings to the same client by the choices that calls are made with. They share what is remembered of its methods.
type views struct {
	mu    sync.Mutex
	byKey map[string]*Binding
}

// choosing returns the binding for calls with the options of x: b, or a view of it if they choose among providers in another way.
func (b *Binding) choosing(x *extra) *Binding {
	key := ""
	if x != nil && !x.choice.Empty() {
		key = x.choice.Key()
	}
	root := b
	if b.base != nil {
		root = b.base
	}
	switch key {
	case b.choiceKey:
		return b
	case root.choiceKey:
		return root
	}
	root.views.mu.Lock()
	defer root.views.mu.Unlock()
	v := root.views.byKey[key]
	if v == nil {
		v = newView(root, key)
		if x != nil {
			v.choice = x.choice
		}
		if len(root.views.byKey) < root.node.opts.Limits.Choices {
			if root.views.byKey == nil {
				root.views.byKey = map[string]*Binding{}
			}
			root.views.byKey[key] = v
		}
	}
	return v
}

func newView(base *Binding, key string) *Binding {
	v := &Binding{node: base.node, client: base.client, service: base.service, methods: base.methods, turn: make(chan struct{}, 1), base: base, choiceKey: key}
	v.self = v
	return v
}

// question is what asks the controller for the routes of methods.
func (b *Binding) question(methods []control.Method) func(*codec.Encoder) {
	if b.choiceKey == "" {
		return (&control.Resolve{Service: b.service, Methods: methods}).Append
	}
	return (&control.Select{Service: b.service, Methods: methods, Choice: b.choice}).Append
}

// tooOld is err, of a question for routes, in words for who has made a choice that the controller knows nothing of.
func (b *Binding) tooOld(err error) error {
	e, ok := errors.AsType[*Error](err)
	if b.choiceKey == "" || !ok || e.Code != Unimplemented {
		return err
	}
	x := *e
	x.Message = "the controller is of an earlier version, at which a call cannot choose among providers as this one does: " + e.Message
	return &x
}
