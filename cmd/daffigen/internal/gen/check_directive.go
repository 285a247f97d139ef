package gen

import (
	"fmt"
	"go/token"
	"slices"
	"strings"
	"time"
)

// methodDirectives reads the directives of one method. Words that do not exist were reported already.
func (c *checker) methodDirectives(i *Interface, m *Method, list []directive) {
	said := make(map[string]bool)
	m.Local = slices.ContainsFunc(list, func(d directive) bool { return d.word == "local" })
	for _, d := range list {
		if words[d.word]&onMethod == 0 {
			continue
		}
		c.used[d.pos] = true
		if m.Local && d.word != "local" {
			c.report.add(CodeConflict, d.pos, fmt.Sprintf("%s.%s is local, so it has nothing that //daffi:%s is said of", i.Name, m.Name, d.word), "drop one of the two")
			continue
		}
		if m.Sub != nil && !m.Local && (d.word != "alias" || i.Callback != nil) {
			c.report.add(CodeConflict, d.pos, fmt.Sprintf("%[1]s.%[2]s returns a service below %[1]s, and //daffi:%[3]s is said of calls", i.Name, m.Name, d.word),
				"put it on the methods of "+typeName(m.Sub.obj.Type(), i.Pkg))
			continue
		}
		if said[d.word] && (d.word != "alias" || i.Callback == nil) {
			c.report.add(CodeTwice, d.pos, d.word)
			continue
		}
		said[d.word] = true
		c.methodDirective(i, m, d)
	}
}

func (c *checker) methodDirective(i *Interface, m *Method, d directive) {
	switch d.word {
	case "local", "idempotent", "serial", "event":
		c.noArguments(d)
	}
	switch d.word {
	case "oneway":
		m.Oneway = true
		c.level(i, m, d)
	case "local":
		if i.Fetcher != nil {
			c.report.add(CodeConflict, d.pos, "//daffi:local keeps a method off the wire, but "+i.Name+" is a fetcher too",
				"move the fetcher's methods to an interface of its own")
		}
	case "idempotent":
		m.Idempotent = c.needsFetcher(i, d)
	case "serial":
		if c.needsCallback(i, d) {
			m.Serial = &d
		}
	case "event":
		m.Event, m.Oneway = true, true
	case "key":
		if c.needsFetcher(i, d) {
			c.key(m, d)
		}
	case "timeout":
		if c.needsFetcher(i, d) {
			c.timeout(m, d)
		}
	case "alias":
		c.alias(i, m, d)
	case "codec":
		c.methodCodec(i, m, d)
	case "map":
		c.mapDirective(i, m, d)
	case "errors":
		if choice, ok := c.chosen[d.pos]; ok {
			m.errors = &choice
		}
	}
}

// needsFetcher reports a directive for callers where nobody calls.
func (c *checker) needsFetcher(i *Interface, d directive) bool {
	if i.Fetcher == nil {
		c.report.add(CodePlacement, d.pos, d.word, "it concerns callers; put it on the fetcher's method")
	}
	return i.Fetcher != nil
}

// needsCallback reports a directive for those who serve where nobody does.
func (c *checker) needsCallback(i *Interface, d directive) bool {
	if i.Callback == nil {
		c.report.add(CodePlacement, d.pos, d.word, "it concerns who serves; put it on the callback")
	}
	return i.Callback != nil
}

func (c *checker) noArguments(d directive) {
	if len(d.args) > 0 {
		c.report.add(CodeArgument, d.pos, d.word, fmt.Sprintf("%q is not understood; it takes no arguments", d.args[0]))
	}
}

// level reads how far a one-way call must have come before its caller goes on.
func (c *checker) level(i *Interface, m *Method, d directive) {
	args := d.fields()
	if len(args) == 0 {
		return
	}
	said := args[0]
	level := slices.Index(levelWords[:], said.text)
	switch {
	case level < 0:
		c.report.add(CodeArgument, said.pos, d.word, fmt.Sprintf("%q is not understood; %s", said.text, oneOf(said.text, "", levelWords[:])))
	case len(args) > 1:
		c.report.add(CodeArgument, args[1].pos, d.word, fmt.Sprintf("%q is one too many; name one level", args[1].text))
	case i.Fetcher == nil:
		c.report.add(CodeArgument, said.pos, d.word, said.text+" concerns a fetcher, since a caller decides how far it waits; leave it out here")
	default:
		m.Level = Level(level)
	}
}

func (c *checker) timeout(m *Method, d directive) {
	if len(d.args) != 1 {
		c.report.add(CodeTimeout, d.pos, "it takes one duration")
		return
	}
	t, err := time.ParseDuration(d.args[0])
	if err != nil || t <= 0 {
		c.report.add(CodeTimeout, d.pos, fmt.Sprintf("%q is not a duration that can pass", d.args[0]))
		return
	}
	m.Timeout = t
}

func (c *checker) alias(i *Interface, m *Method, d directive) {
	switch {
	case len(d.args) == 0 || !token.IsIdentifier(d.args[0]):
		c.report.add(CodeArgument, d.pos, d.word, "it needs the name of a method; write //daffi:alias Name")
		return
	case len(d.args) > 2 || len(d.args) == 2 && d.args[1] != "each" && d.args[1] != "whole":
		c.report.add(CodeArgument, d.pos, d.word, fmt.Sprintf("%q is not understood; after the name only each or whole may follow", d.args[1]))
		return
	case i.Callback != nil && len(d.args) == 2:
		c.report.add(CodeArgument, d.pos, d.word, fmt.Sprintf("%s concerns a fetcher; on a callback name only the older method", d.args[1]))
		return
	}
	if i.Callback != nil {
		m.Aliases = append(m.Aliases, d.args[0])
		return
	}
	m.Call = d.args[0]
	m.Alias = &Alias{Name: d.args[0], Mode: strings.Join(d.args[1:], ""), Pos: d.pos}
}

// conflicts reports directives that do not go with the method's shape or with each other.
func (c *checker) conflicts(i *Interface, m *Method) {
	name := i.Name + "." + m.Name
	if m.Oneway {
		word, a := "oneway", ""
		if m.Event {
			word, a = "event", "an "
		}
		switch {
		case len(m.Results) > 0 || m.Output != nil:
			c.report.add(CodeConflict, m.Pos, name+" is "+a+word+" and has results", "drop //daffi:"+word+", or return only error")
		case m.Input != nil:
			c.report.add(CodeConflict, m.Pos, name+" is "+a+word+" and takes a sequence, whose end must be acknowledged", "drop //daffi:"+word)
		}
	}
	if m.CodecPos.IsValid() && m.Map == nil && len(m.values()) == 0 {
		c.report.add(CodePlacement, m.CodecPos, "codec", "the method carries no values; leave it out")
	}
	if m.Idempotent {
		switch {
		case m.Input != nil:
			c.report.add(CodeConflict, m.Pos, name+" is idempotent and takes a sequence, which cannot be sent a second time", "drop //daffi:idempotent")
		case m.Output != nil:
			c.report.add(CodeConflict, m.Pos, name+" is idempotent and returns a sequence, which is never opened a second time", "drop //daffi:idempotent")
		case m.Event:
			c.report.add(CodeConflict, m.Pos, name+" is idempotent and an event, whose loss nobody is told of", "drop //daffi:idempotent")
		}
	}
	if m.Serial != nil && i.Serial {
		c.report.add(CodeConflict, m.Serial.pos, name+" is serial, as all of "+i.Name+" is", "drop one: a method with //daffi:serial has a turn of its own, an interface has one for all its methods")
	}
	c.checkKey(i, m)
	if m.Alias != nil && m.Alias.Mode != "" && m.Input == nil {
		c.report.add(CodeEachWhole, m.Alias.Pos, name, m.Alias.Mode+" is said of a method without an input sequence; leave it out")
	}
}

// serviceNames reports names that more than one method of a callback answers to.
func (c *checker) serviceNames(i *Interface) {
	taken := make(map[string]*Method)
	for _, m := range i.Methods {
		if !m.Local {
			taken[m.Name] = m
		}
	}
	for _, m := range i.Methods {
		for _, alias := range m.Aliases {
			if other := taken[alias]; other != nil {
				c.report.add(CodeAliasTaken, m.Pos, i.Name+"."+other.Name, alias, c.report.position(other.Pos))
				continue
			}
			taken[alias] = m
		}
	}
}

// answering is the method of a callback that answers to name, nil if there is none.
func (i *Interface) answering(name string) *Method {
	for _, m := range i.Methods {
		if !m.Local && (m.Name == name || slices.Contains(m.Aliases, name)) {
			return m
		}
	}
	return nil
}

// prepares reports a method of a fetcher that has the name of the proxy's own.
func (c *checker) prepares(i *Interface) {
	for _, m := range i.Methods {
		if m.Name != i.Fetcher.Prepare {
			continue
		}
		what := fmt.Sprintf("%s.%s has the name of the proxy's method that prepares calls", i.Name, m.Name)
		c.report.add(CodePrepare, m.Pos, what, i.Fetcher.Ref)
	}
}
