package policy

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/daffi-rpc/daffi/internal/watchfile"
	"github.com/daffi-rpc/daffi/runtime/transport"
)

// The bounds of a file (LIM-57).
const (
	MaxBytes = watchfile.MaxSize // 1 MiB
	MaxLine  = 8 << 10           // bytes of a line
	MaxRules = 4096              // rules and groups
	MaxPairs = 1 << 16           // of all rules: actions times nodes times methods
)

// maxErrors is how many mistakes of a file are told.
const maxErrors = 20

// Read reads and parses a file.
func Read(file string) (*Policy, error) {
	data, err := watchfile.Read(file)
	if err != nil {
		return nil, fmt.Errorf("policy: %w", err)
	}
	return Parse(file, data)
}

// Parse reads a policy. Errors say "file:line: what is wrong; what to do", one to a line, in order; file is only their beginning.
func Parse(file string, data []byte) (*Policy, error) {
	if !utf8.ValidString(file) || strings.ContainsFunc(file, func(r rune) bool { return !strconv.IsPrint(r) }) {
		file = strconv.Quote(file) // else its name may be several lines
	}
	p := parser{groups: map[string]*group{}}
	if len(data) > MaxBytes {
		return nil, fmt.Errorf("%s: the file has more than %d bytes; use groups and patterns", file, MaxBytes)
	}
	if bytes.Contains(data, []byte("-----BEGIN ")) {
		return nil, fmt.Errorf("%s: there is PEM in it, as of a certificate or a key, and it is no policy", file)
	}
	n := 0
	for text := range strings.SplitSeq(string(data), "\n") {
		n++
		p.at = n
		p.readLine(text)
	}
	p.resolve()
	if len(p.errs) == 0 && len(p.rules) == 0 {
		return nil, fmt.Errorf(`%s: there is no rule in it; write "deny * all *" to forbid everything`, file)
	}
	if len(p.errs) > 0 {
		return nil, p.report(file)
	}
	policy := &Policy{rules: p.rules}
	policy.index()
	return policy, nil
}

type parser struct {
	at     int // line
	rules  []rule
	uses   []use
	groups map[string]*group
	pairs  int
	errs   []mistake
}

type group struct {
	line    int
	members []pattern
}

// use is a group in a rule, which may stand before the group.
type use struct {
	rule  int
	line  int
	group string
}

type mistake struct {
	line int
	text string
}

func (p *parser) fail(format string, args ...any) {
	p.errs = append(p.errs, mistake{p.at, fmt.Sprintf(format, args...)})
}

func (p *parser) report(file string) error {
	slices.SortStableFunc(p.errs, func(a, b mistake) int { return a.line - b.line })
	var errs []error
	for i, m := range p.errs {
		if i == maxErrors {
			errs = append(errs, fmt.Errorf("%s: and %d more", file, len(p.errs)-i))
			break
		}
		errs = append(errs, fmt.Errorf("%s:%d: %s", file, m.line, m.text))
	}
	return Mistakes(errs)
}

// Mistakes are what is wrong with a policy, one for each line of its text.
type Mistakes []error

func (m Mistakes) Error() string { return errors.Join(m...).Error() }

// Unwrap is for errors.Is and errors.As.
func (m Mistakes) Unwrap() []error { return m }

// maxShown is how long a word may be that an error shows.
const maxShown = 40

// cut is a word as an error shows it, not one that is as long as a token or the line of a key: somebody may have named the wrong file.
func cut(word string) string {
	if len(word) > maxShown {
		return fmt.Sprintf("(a word of %d bytes)", len(word))
	}
	return fmt.Sprintf("%q", word)
}

func (p *parser) readLine(text string) {
	if len(text) > MaxLine {
		p.fail("the line has %d bytes, more than %d; make several of it", len(text), MaxLine)
		return
	}
	text, _, _ = strings.Cut(text, "#")
	words := strings.FieldsFunc(text, func(r rune) bool { return r == ' ' || r == '\t' || r == '\r' })
	if len(words) == 0 {
		return
	}
	if len(p.rules)+len(p.groups) == MaxRules {
		p.fail("there are more than %d rules and groups; use groups and patterns", MaxRules)
		return
	}
	switch words[0] {
	case "allow", "deny":
		p.readRule(words)
	case "group":
		p.readGroup(words[1:])
	default:
		p.fail("the line begins with %s; begin it with allow, deny or group", cut(words[0]))
	}
}

func (p *parser) readRule(words []string) {
	if len(words) < 4 {
		p.fail("a rule has %d words; write \"%s WHO ACTION WHAT...\", lists with commas and without spaces", len(words), words[0])
		return
	}
	before := len(p.errs)
	r := rule{line: int32(p.at), deny: words[0] == "deny", text: strings.Join(words, " ")}
	var uses []use
	for who := range strings.SplitSeq(words[1], ",") {
		if name, ok := strings.CutPrefix(who, "@"); ok {
			uses = append(uses, use{len(p.rules), p.at, name})
			continue
		}
		p.who(&r.who, who)
	}
	for name := range strings.SplitSeq(words[2], ",") {
		a, ok := ParseAction(name)
		switch {
		case name == "all":
			for a := range Action(actions) {
				r.actions = appendNew(r.actions, a)
			}
		case ok:
			r.actions = appendNew(r.actions, a)
		default:
			p.fail("the action %s is not known; write %s or all", cut(name), strings.Join(actionNames[:], ", "))
		}
	}
	for _, word := range words[3:] {
		for what := range strings.SplitSeq(word, ",") {
			p.what(&r.what, what)
		}
	}
	if len(p.errs) == before {
		p.rules = append(p.rules, r)
		p.uses = append(p.uses, uses...)
	}
}

func appendNew[T comparable](list []T, v T) []T {
	if slices.Contains(list, v) {
		return list
	}
	return append(list, v)
}

// who reads a name or the beginning of names.
func (p *parser) who(list *[]pattern, word string) {
	name, open := strings.CutSuffix(word, "*")
	if err := validBeginning(name, open); err != nil {
		p.fail("%s is no node: %v", cut(word), err)
		return
	}
	*list = append(*list, pattern{name, open})
}

// validBeginning is [transport.ValidName], also for what a name may begin with.
func validBeginning(name string, open bool) error {
	switch {
	case open && name == "":
		return nil
	case name == "":
		return errors.New("there is nothing; write lists with commas and without spaces")
	case open && len(name) < transport.MaxName:
		name += "a"
	}
	if err := transport.ValidName(name); err != nil {
		return errors.New("write a name of a-z, 0-9, _ and -, at most 64, the beginning of one and a *, @ and a group, or *")
	}
	return nil
}

// what reads the name of a method, or what is below a name.
func (p *parser) what(list *[]string, word string) {
	switch name, below := strings.CutSuffix(word, ".*"); {
	case word == "*":
		*list = append(*list, "")
	case below && validBelow(name):
		*list = append(*list, name+".")
	case !below && validMethod(word):
		*list = append(*list, word)
	default:
		p.fail("%s is no method; write Service.Method, Service.* or *: letters, digits, _ and - in parts separated by dots, a * for whole parts only", cut(word))
	}
}

// validMethod reports whether a name can be split into those of a service and a method.
func validMethod(name string) bool {
	for i := range len(name) {
		if name[i] == '.' && transport.ValidWord(name[:i]) == nil && transport.ValidWord(name[i+1:]) == nil {
			return true
		}
	}
	return false
}

// validBelow reports whether there are methods below a name.
func validBelow(name string) bool { return transport.ValidWord(name) == nil || validMethod(name) }

func (p *parser) readGroup(words []string) {
	if len(words) < 3 || words[1] != "=" {
		p.fail("write \"group NAME = WHO...\", with a space before and after the =")
		return
	}
	name := words[0]
	if err := transport.ValidName(name); err != nil {
		p.fail("the group %s has no name; write one of a-z, 0-9, _ and -, at most 64", cut(name))
		return
	}
	if before := p.groups[name]; before != nil {
		p.fail("the group %s is there already, on line %d; give one of them another name", name, before.line)
		return
	}
	g := &group{line: p.at}
	for _, word := range words[2:] {
		for who := range strings.SplitSeq(word, ",") {
			if strings.HasPrefix(who, "@") {
				p.fail("the group %s has the group %s in it; name the nodes themselves", name, cut(who))
				continue
			}
			p.who(&g.members, who)
		}
	}
	p.groups[name] = g
}

// resolve puts the members of groups into the rules.
func (p *parser) resolve() {
	for _, u := range p.uses {
		p.at = u.line
		g := p.groups[u.group]
		if g == nil {
			p.fail("there is no group %s; %s", cut(u.group), p.known())
			continue
		}
		p.rules[u.rule].who = append(p.rules[u.rule].who, g.members...)
	}
	for i := range p.rules {
		r := &p.rules[i]
		p.at = int(r.line)
		if p.pairs += len(r.actions) * len(r.who) * len(r.what); p.pairs > MaxPairs {
			p.fail("the rules up to here have more than %d pairs of a node and a method; use patterns", MaxPairs)
			return
		}
	}
}

// known names some groups.
func (p *parser) known() string {
	names := slices.Sorted(maps.Keys(p.groups))
	switch {
	case len(names) == 0:
		return "make one with \"group NAME = WHO...\""
	case len(names) > 8:
		names = append(names[:8], "others")
	}
	return "there are " + strings.Join(names, ", ")
}
