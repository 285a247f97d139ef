package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/daffi-rpc/daffi/internal/policy"
	"github.com/daffi-rpc/daffi/runtime/transport"
)

type aclCommand struct {
	Test  aclTestCommand  `cmd:"" help:"Say whether a policy lets a node do something, and by which line. The exit code is 0 if it does, 1 if not, 2 if the file or the question makes no sense."`
	Check aclCheckCommand `cmd:"" help:"Say what is wrong with a policy. The exit code is 0 if nothing is, else 2."`
}

type aclTestCommand struct {
	Policy string `required:"" placeholder:"FILE" type:"path" help:"File of the policy."`
	Node   string `arg:"" help:"Name of the node."`
	Action string `arg:"" help:"What it does: call, serve, schedule or watch."`
	Method string `arg:"" help:"Service.Method"`
}

// wrong is an error in what the command was given, for exit code 2.
type wrong struct{ error }

func (w wrong) Unwrap() error { return w.error }

// errDenied is for exit code 1, when everything was said.
var errDenied = errors.New("denied")

func (c *aclTestCommand) Run(out output) error {
	action, ok := policy.ParseAction(c.Action)
	dot := strings.LastIndexByte(c.Method, '.')
	switch {
	case !ok:
		return wrong{fmt.Errorf("the action %q is not known; it is one of %s", c.Action, strings.Join(policy.Actions(), ", "))}
	case transport.ValidName(c.Node) != nil:
		return wrong{transport.ValidName(c.Node)}
	case dot < 0 || transport.ValidWord(c.Method[:dot]) != nil || transport.ValidWord(c.Method[dot+1:]) != nil:
		return wrong{fmt.Errorf("%q is no method; it is a Service.Method of letters, digits, _ and -, in parts separated by dots", c.Method)}
	}
	p, err := policy.Read(c.Policy)
	if err != nil {
		return wrong{err}
	}
	d := p.Decide(c.Node, action, c.Method[:dot], c.Method[dot+1:])
	for _, other := range []policy.Action{policy.Call, policy.Schedule} { // who may do that sees the method as well
		if action == policy.Watch && !d.Allowed {
			if o := p.Decide(c.Node, other, c.Method[:dot], c.Method[dot+1:]); o.Allowed {
				d = o
			}
		}
	}
	answer := "denied"
	if d.Allowed {
		answer = "allowed"
	}
	if d.Line == 0 {
		fmt.Fprintf(out.stdout, "%s: no rule of %s allows it\n", answer, shown(c.Policy))
	} else {
		fmt.Fprintf(out.stdout, "%s by %s:%d: %s\n", answer, shown(c.Policy), d.Line, shown(p.Text(d.Line)))
	}
	if !d.Allowed {
		return errDenied
	}
	return nil
}

type aclCheckCommand struct {
	File string `arg:"" type:"path" help:"File of the policy."`
}

func (c *aclCheckCommand) Run(out output) error {
	p, err := policy.Read(c.File)
	if err != nil {
		return wrong{err}
	}
	fmt.Fprintf(out.stdout, "%s: %d rules\n", shown(c.File), p.Rules())
	return nil
}
