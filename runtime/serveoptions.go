package daffi

import "fmt"

// ServeOption changes one registration.
type ServeOption struct{ apply func(*serveOptions) }

type serveOptions struct {
	as       string
	override bool
	codec    string // of messages; empty for none
	workers  *int   // how many calls run at a time; nil for as many as may at the node
	queue    *int   // how many wait; nil for as many as may at the node
	balance  Balance

	interceptors []Interceptor
}

// As serves under another name than the service's own.
func As(service string) ServeOption { return ServeOption{func(o *serveOptions) { o.as = service }} }

// Serial lets the calls of the registration run one at a time, in order of arrival, as //daffi:serial on the interface does: all methods share one turn, also
// those that have one of their own; each service below it has another. See SEM-18 for what that means for streams and for calls that handlers make. It is
// Workers(1).
func Serial() ServeOption { return Workers(1) }

// Workers lets at most n calls of the registration run at a time, and the others wait in order of arrival, without a goroutine and without a place among the
// running handlers of the node, whose limits (LIM-11) hold besides. Each service below it has n of its own. n is at least 1; more than 1 is refused for an interface
// with //daffi:serial. See SEM-18 for streams, and for calls that handlers make.
func Workers(n int) ServeOption { return ServeOption{func(o *serveOptions) { o.workers = &n }} }

// Queue lets at most n calls of the registration wait for [Workers] or for [Serial], or for each of its methods with //daffi:serial; one more is refused with
// ResourceExhausted/busy, NotRun, which a caller that has other providers takes to one of them. 0: none waits. Without it as many wait as [Options.MaxQueue] allows,
// which holds besides.
func Queue(n int) ServeOption { return ServeOption{func(o *serveOptions) { o.queue = &n }} }

// check says what is wrong with the options of a registration, which may be one of a service below another. serial says that the interface, or a method of it, is.
func (o *serveOptions) check(serial, below bool) error {
	switch {
	case o.workers != nil && *o.workers < 1:
		return fmt.Errorf("Workers(%d): at least one is needed", *o.workers)
	case o.queue != nil && *o.queue < 0:
		return fmt.Errorf("Queue(%d): 0 lets none wait, and without Queue as many may as at the node", *o.queue)
	case below:
		return nil
	case o.workers != nil && *o.workers > 1 && serial:
		return fmt.Errorf("Workers(%d): the interface has //daffi:serial, so its calls must not run at the same time", *o.workers)
	case o.workers == nil && o.queue != nil && !serial:
		return fmt.Errorf("Queue(%d): it is how many wait for Workers or Serial, and there is neither", *o.queue)
	}
	return nil
}

// turn is that of a registration, or of one method of it, by that name; nil if it has none. serial says that it has one without an option.
func (o *serveOptions) turn(name string, serial bool) *turn {
	places, room := 1, -1
	switch {
	case o.workers != nil && !serial:
		places = *o.workers
	case o.workers == nil && !serial:
		return nil
	}
	if o.queue != nil {
		room = *o.queue
	}
	return newTurn(name, places, room)
}
