// Package contract is what the services of a module promise on the wire: which methods they have, under which names, with which
// signatures. It writes and reads that as a lock file, and tells what changed from one to another.
package contract

import (
	"cmp"
	"slices"

	"github.com/daffi-rpc/daffi/internal/signature"
)

// Contract is all services.
type Contract struct {
	Services []*Service
}

// Service is one service.
type Service struct {
	Name    string // on the wire
	Source  string // import path and name of the interface, for people
	Methods []*Method
}

// Method is one method.
type Method struct {
	Name      string
	Aliases   []string // older names that it answers to
	Oneway    bool
	Signature *signature.Method
}

// Sort brings everything into the order of names, in which lock files have it.
func (c *Contract) Sort() {
	slices.SortFunc(c.Services, func(a, b *Service) int { return cmp.Compare(a.Name, b.Name) })
	for _, s := range c.Services {
		slices.SortFunc(s.Methods, func(a, b *Method) int { return cmp.Compare(a.Name, b.Name) })
		for _, m := range s.Methods {
			slices.Sort(m.Aliases)
		}
	}
}

// service is the one of that name, nil if there is none.
func (c *Contract) service(name string) *Service {
	for _, s := range c.Services {
		if s.Name == name {
			return s
		}
	}
	return nil
}

// answering is the method that answers to name, nil if there is none.
func (s *Service) answering(name string) *Method {
	for _, m := range s.Methods {
		if m.Name == name || slices.Contains(m.Aliases, name) {
			return m
		}
	}
	return nil
}

// names are what m answers to, its own first.
func (m *Method) names() []string { return append([]string{m.Name}, m.Aliases...) }
