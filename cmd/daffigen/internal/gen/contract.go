package gen

import (
	"context"
	"fmt"
	"slices"

	"github.com/daffi-rpc/daffi/cmd/daffigen/internal/contract"
)

// Contract is what the services of the packages among patterns promise on the wire. Generated code plays no part in it. With
// diagnostics there is no contract.
func Contract(ctx context.Context, cfg Config, patterns ...string) (*contract.Contract, []Diagnostic, error) {
	l := newLoader(cfg)
	targets, err := l.load(ctx, patterns...)
	if err != nil {
		return nil, nil, err
	}
	pkgs, err := l.model(ctx, targets)
	if err != nil {
		return nil, nil, err
	}
	if found := l.report.sorted(); len(found) > 0 {
		return nil, found, nil
	}
	c := new(contract.Contract)
	for _, p := range pkgs {
		for _, i := range p.Interfaces {
			if i.Callback != nil {
				c.Services = append(c.Services, i.contract(i.Callback.Wire)...)
			}
		}
	}
	c.Sort()
	for k, s := range c.Services[min(1, len(c.Services)):] {
		if other := c.Services[k]; other.Name == s.Name { // one of them is below another service, or they would have been reported
			return nil, nil, fmt.Errorf("service %s is both %s and %s; give one of them another name", s.Name, other.Source, s.Source)
		}
	}
	return c, nil, nil
}

// contract is that of the service which i is under a name, and of those below it.
func (i *Interface) contract(name string) []*contract.Service {
	s := &contract.Service{Name: name, Source: i.Pkg.Path() + "." + i.Name}
	for _, m := range i.remote() {
		s.Methods = append(s.Methods, &contract.Method{Name: m.Name, Aliases: slices.Clone(m.Aliases), Oneway: m.Oneway, Signature: m.wire()})
	}
	list := []*contract.Service{s}
	for _, m := range i.below() {
		list = append(list, m.Sub.Iface.contract(name+"."+m.Name)...)
	}
	return list
}
