package daffi

// ServeOption changes one registration.
type ServeOption struct{ apply func(*serveOptions) }

type serveOptions struct {
	as       string
	serial   bool
	override bool

	interceptors []Interceptor
}

// As serves under another name than the service's own.
func As(service string) ServeOption { return ServeOption{func(o *serveOptions) { o.as = service }} }

// Serial lets the calls of the registration run one at a time, in order of arrival, as //daffi:serial on the interface does: all methods share one turn, also
// those that have one of their own; each service below it has another. See SEM-18 for what that means for streams and for calls that handlers make.
func Serial() ServeOption { return ServeOption{func(o *serveOptions) { o.serial = true }} }
