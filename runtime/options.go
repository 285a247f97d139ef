package daffi

// CallOption changes one prepared call, or all calls of a proxy.
type CallOption struct{ apply func(*callOptions) }

type callOptions struct {
	to string
}

// To names the node that is to answer. Without it the controller picks a provider.
func To(node string) CallOption { return CallOption{func(o *callOptions) { o.to = node }} }

// ServeOption changes one registration.
type ServeOption struct{ apply func(*serveOptions) }

type serveOptions struct {
	as string
}

// As serves under another name than the service's own.
func As(service string) ServeOption { return ServeOption{func(o *serveOptions) { o.as = service }} }

// extra is what a plain call does not have; nil there.
type extra struct {
	callOptions
	input Input
}

func (x *extra) with(opts []CallOption) *extra {
	n := new(extra)
	if x != nil {
		*n = *x
	}
	for _, o := range opts {
		o.apply(&n.callOptions)
	}
	return n
}

func (x *extra) feed(in Input) *extra {
	n := x.with(nil)
	n.input = in
	return n
}
