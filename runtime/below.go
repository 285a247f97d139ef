package daffi

import "errors"

// Sub is a service below another: a method of the annotated interface T returns what serves it.
type Sub[T any] struct {
	Name     string // of the method
	Register func(r Registrar, impl T, opts ...ServeOption) (*Registration, error)
}

// below is the place of a service below another. As a Caller and as a Registrar it stands for the other's node.
type below struct {
	node    *Node
	parent  *Binding // of a caller
	service string   // its name on the wire
}

func (p *below) caller() *Node    { return p.node }
func (p *below) registrar() *Node { return p.node }

// Below is where the fetcher that b's method of that name returns finds its service. What is bound there has the options of b.
func Below(b *Binding, name string) Caller {
	return &below{node: b.node, parent: b, service: b.service + "." + name}
}

// subKey tells the bindings below one apart.
type subKey struct {
	service string
	client  *Client
}

// bind makes the binding of a service below another once, so that p.Nested().Call() asks for its routes once.
func (p *below) bind(client *Client, opts []CallOption) *Binding {
	key := subKey{p.service, client}
	if known, ok := p.parent.below.Load(key); ok && len(opts) == 0 {
		return known.(*Binding)
	}
	b := newBinding(p.node, client, p.service)
	if len(opts) > 0 {
		b.extend(p.parent.ext.with(opts))
		return b
	}
	b.extend(p.parent.ext)
	known, _ := p.parent.below.LoadOrStore(key, b)
	return known.(*Binding)
}

// registerSubs registers the services below one. After an error none of them is registered.
func registerSubs[T any](n *Node, s *Service[T], service string, impl T, opts []ServeOption) (subs []*Registration, err error) {
	for i := range s.Subs {
		sub := &s.Subs[i]
		reg, err := sub.Register(&below{node: n, service: service + "." + sub.Name}, impl, opts...)
		if err != nil {
			return nil, errors.Join(err, closeAll(subs))
		}
		subs = append(subs, reg)
	}
	return subs, nil
}

func closeAll(regs []*Registration) error {
	var errs []error
	for _, reg := range regs {
		errs = append(errs, reg.Close())
	}
	return errors.Join(errs...)
}
