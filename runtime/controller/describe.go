package controller

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/daffi-rpc/daffi/internal/signature"
	"github.com/daffi-rpc/daffi/runtime/internal/control"
)

// asking is how often a node was asked for the signature and the documentation of a method that it has named, and has not answered. It may name a method
// in several questions at a time, and then answers each of them.
type asking struct{ sig, doc int }

// ask notes that the node is asked for a description. It is false if the node was asked for too many that it has not given. Call with the
// lock held.
func (s *session) ask(r *route, what asking) bool {
	was, ok := s.asked[r]
	if !ok && len(s.asked) >= maxAsked {
		return false
	}
	if s.asked == nil {
		s.asked = map[*route]asking{}
	}
	s.asked[r] = asking{was.sig + what.sig, was.doc + what.doc}
	return true
}

func tooManyAsked() *control.Failure {
	return &control.Failure{Code: resourceExhausted, Reason: reasonLimit, Outcome: notRun,
		Message: fmt.Sprintf("%d methods were named whose descriptions the node was asked for and has not given", maxAsked)}
}

// missing lists the methods whose signatures are not known, and asks for them. Call with the lock held.
func (s *session) missing(routes []*route, what asking) ([]uint32, *control.Failure) {
	var list []uint32
	for i, r := range routes {
		if _, ok := r.signature(); ok {
			continue
		}
		if !s.ask(r, what) {
			return nil, tooManyAsked()
		}
		list = append(list, uint32(i))
	}
	return list, nil
}

// undocumented lists the methods of a registration that nobody has documented, and asks for that, as far as the node may be asked: calls
// do without. Call with the lock held.
func (s *session) undocumented(routes []*route) (list []uint32) {
	for i, r := range routes {
		if r.doc == nil && s.ask(r, asking{doc: 1}) {
			list = append(list, uint32(i))
		}
	}
	return list
}

// describe files what the node was asked for. Rows before one that is refused are filed. What another node has given meanwhile stays.
func (s *session) describe(m *control.Describe) *control.Failure {
	if why := validWord("service", m.Service); why != nil {
		return why
	}
	if why := within(m.Service, "doc comment", len(m.Doc), control.MaxDoc); why != nil {
		return why
	}
	keys := make([]routeKey, len(m.Methods))
	for i := range m.Methods {
		d := &m.Methods[i]
		if why := validDescription(m.Service, d); why != nil {
			return why
		}
		keys[i] = routeKey{methodKey{m.Service, d.Name}, signature.Fingerprint(d.Sig)}
	}
	for i := range m.Methods {
		if why := s.mayDescribe(m.Service, m.Methods[i].Name, m.Served); why != nil {
			return why
		}
	}
	c := s.c
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, key := range keys {
		if why := s.file(key, &m.Methods[i], m); why != nil {
			return why
		}
	}
	return nil
}

// validDescription holds a row to its bounds.
func validDescription(service string, d *control.Description) *control.Failure {
	if why := validWord("method", d.Name); why != nil {
		return why
	}
	if d.Alias != "" {
		if why := validWord("method", d.Alias); why != nil {
			return why
		}
	}
	full := service + "." + d.Name
	return cmp.Or(
		within(full, "signature", len(d.Sig), signature.MaxText),
		within(full, "doc comment", len(d.Doc), control.MaxDoc),
		within(full, "list of names", d.NamesSize(), control.MaxNames),
	)
}

func within(name, what string, size, most int) *control.Failure {
	if size <= most {
		return nil
	}
	return &control.Failure{Code: invalidArgument, Reason: reasonLimit, Outcome: notRun, Method: name,
		Message: fmt.Sprintf("the %s of %s has %d bytes, more than %d", what, name, size, most)}
}

// file takes one row. Call with the lock held.
func (s *session) file(key routeKey, d *control.Description, m *control.Describe) *control.Failure {
	c := s.c
	r := c.routeIndex[key]
	want := s.asked[r]
	bare := signature.Hashed(d.Sig) // the fingerprint instead of the signature
	known := false
	if r != nil {
		_, known = r.signature()
	}
	if want == (asking{}) || bare && !known {
		return &control.Failure{Code: invalidArgument, Outcome: notRun, Method: m.Service + "." + d.Name, Message: fmt.Sprintf(
			"the node was not asked for a description of %s.%s with the fingerprint %q", m.Service, d.Name, key.print)}
	}
	if want.sig > 0 && !bare {
		if !known {
			if !s.charge(len(d.Sig)) {
				return tooManyRoutes()
			}
			r.cost += len(d.Sig)
			r.text = d.Sig
		}
		want.sig--
	}
	if want.doc > 0 && m.Served {
		if r.doc == nil {
			doc := &control.Description{Params: d.Params, Results: d.Results, Doc: d.Doc, Alias: d.Alias, Oneway: d.Oneway}
			if !s.charge(weight(doc)) {
				return tooManyRoutes()
			}
			r.cost += weight(doc)
			r.doc = doc
		}
		if about := c.spoken[m.Service]; m.Doc != "" && about.doc == "" && s.charge(len(m.Doc)) {
			about.doc = m.Doc
		}
		want.doc--
	}
	if s.asked[r] = want; want == (asking{}) {
		delete(s.asked, r)
		if len(s.asked) == 0 { // nothing is asked of most nodes any more
			s.asked = nil
		}
	}
	return nil
}

// weight is about how many bytes d occupies in a message or in memory.
func weight(d *control.Description) int {
	n := 64 + len(d.Name) + len(d.Sig) + len(d.Doc) + len(d.Alias)
	for _, name := range d.Params {
		n += 16 + len(name)
	}
	for _, name := range d.Results {
		n += 16 + len(name)
	}
	return n
}

// list and unlist keep the routes of a service that have providers in the order of their names. Call with the lock held.
func (c *Controller) list(r *route) {
	list := c.served[r.service]
	i, _ := slices.BinarySearchFunc(list, r, (*route).compare)
	c.served[r.service] = slices.Insert(list, i, r)
}

func (c *Controller) unlist(r *route) {
	list := c.served[r.service]
	i, _ := slices.BinarySearchFunc(list, r, (*route).compare)
	if list = slices.Delete(list, i, i+1); len(list) == 0 {
		delete(c.served, r.service)
	} else {
		c.served[r.service] = list
	}
}

func (r *route) compare(to *route) int {
	return cmp.Or(cmp.Compare(r.method, to.method), cmp.Compare(r.number, to.number))
}

// inspect is a page of what is known of a service, and may be known to the node.
func (s *session) inspect(m *control.Inspect) (page control.Inspected, why *control.Failure) {
	if why := validWord("service", m.Service); why != nil {
		return page, why
	}
	if why := s.authorizeSome(m.Service); why != nil {
		return page, why
	}
	c := s.c
	c.mu.Lock()
	defer c.mu.Unlock()
	list := s.knownRoutes(c.served[m.Service])
	first := m.After == (control.Cursor{})
	if first {
		if len(list) == 0 {
			return page, &control.Failure{Code: notFound, Reason: reasonNoProvider, Outcome: notRun,
				Message: fmt.Sprintf("no node serves %s; WaitMethod waits for one", m.Service)}
		}
		page.Doc = c.spoken[m.Service].doc
	}
	at := &route{routeKey: routeKey{methodKey: methodKey{method: m.After.Method}}, number: m.After.Route}
	i, _ := slices.BinarySearchFunc(list, at, (*route).compare)
	size := len(page.Doc)
	for _, r := range list[i:] {
		d := control.Description{Name: r.method, Route: r.number}
		nodes := r.own
		if r.number == m.After.Route && m.After.Session != 0 { // the rest of a row
			n, _ := position(nodes, m.After.Session+1)
			nodes = nodes[n:]
		} else {
			if r.doc != nil {
				d = *r.doc
				d.Name, d.Route = r.method, r.number
			}
			d.Sig, _ = r.signature()
		}
		if size += weight(&d); size > pageBytes && len(page.Methods) > 0 {
			page.More, page.Next = true, control.Cursor{Method: r.method, Route: r.number}
			return page, nil
		}
		for k, p := range nodes {
			if size += 2 + len(p.s.name); size > pageBytes && k > 0 {
				page.Methods = append(page.Methods, d)
				page.More, page.Next = true, control.Cursor{Method: r.method, Route: r.number, Session: nodes[k-1].s.number}
				return page, nil
			}
			d.Nodes = append(d.Nodes, p.s.name)
		}
		page.Methods = append(page.Methods, d)
	}
	return page, nil
}
