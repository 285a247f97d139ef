package signature

import "fmt"

// Class says what a change of a contract asks of those who deploy it.
type Class int

// The classes, from the mildest.
const (
	// Safe: old and new peers understand each other in both roles, and nothing that was there is gone.
	Safe Class = iota
	// NeedsOrder: they do if they are deployed in the [Order] that is said.
	NeedsOrder
	// Breaking: old and new peers do not understand each other, whoever goes first.
	Breaking
)

func (c Class) String() string { return [...]string{"safe", "needs order", "breaking"}[c] }

// Order says who must be new first.
type Order int

// The orders. In the order ProvidersFirst all providers are new before the first caller is, so old callers call new providers and new
// callers never call an old one.
const (
	AnyOrder Order = iota
	ProvidersFirst
	CallersFirst
	// TwoSteps: what is removed must first be given up by all that read it, while it still is in the contract, since no order of callers and providers alone
	// keeps it from those.
	TwoSteps
)

func (o Order) String() string {
	return [...]string{"any order", "providers first", "callers first", "two steps: stop using it everywhere, then remove it"}[o]
}

// Change is what lies between two signatures of a method.
type Change struct {
	Class   Class
	Order   Order    // of a change that needs one
	Reasons []string // one for each part that changed, in the order of the signature; a safe change may have some too
}

// Compare says what changed from one signature of a method to another. Equal ones are safe, without reasons.
//
// The class follows from [Compatible] in both directions, and from what was removed. Removing a struct's field, an argument or a result does not
// keep old and new peers from understanding each other, but a reader may rely on what it gets no longer: so readers go first, which
// are the providers for arguments and the callers for results.
func Compare(before, after *Method) Change {
	if was, is := before.shape(), after.shape(); was != is {
		return Change{Class: Breaking, Reasons: []string{fmt.Sprintf("it was %s and is %s", was, is)}}
	}
	c := comparison{walk: walk{seen: make(map[seen]bool)}}
	c.role(arguments, before.Params, after.Params)
	c.role(input, items(before.Input), items(after.Input))
	c.role(results, before.Results, after.Results)
	c.role(output, items(before.Output), items(after.Output))
	if c.steps > MaxSteps {
		return Change{Class: Breaking, Reasons: append(c.reasons, ErrTooLarge.Error())}
	}
	return c.change()
}

// comparison finds the parts that changed, of pairs of an old and a new type.
type comparison struct {
	walk
	reasons []string
	// What does not work: a caller of one age calls a provider of the other and one of them does not understand, or misses something.
	newCallers, oldCallers struct{ fail, miss bool }
}

func (c *comparison) change() Change {
	x := Change{Reasons: c.reasons}
	providersFirst := !c.oldCallers.fail && !c.oldCallers.miss
	callersFirst := !c.newCallers.fail && !c.newCallers.miss
	switch {
	case providersFirst && callersFirst:
		return x
	case c.oldCallers.fail && c.newCallers.fail:
		x.Class = Breaking
		return x
	case providersFirst:
		x.Order = ProvidersFirst
	case callersFirst:
		x.Order = CallersFirst
	default:
		x.Order = TwoSteps
	}
	x.Class = NeedsOrder
	return x
}

// role compares the types in one role.
func (c *comparison) role(r role, before, after []*Type) {
	c.add(r, before, after)
	for p, ok := c.next(); ok; p, ok = c.next() {
		c.compare(p)
	}
	for i := len(after); i < len(before); i++ {
		c.removed(r, r.at(i), before[i])
	}
	for i := len(before); i < len(after); i++ {
		c.added(r.at(i), after[i])
	}
}

// compare notes what changed between the two types, and puts what they are made of on the stack.
func (c *comparison) compare(p pair) {
	forth, back := p.takes(), p.swapped().takes()
	if !forth || !back || p.a.Kind == Word && p.a.Name != p.b.Name {
		c.note(p, forth, back)
	}
	switch {
	case forth:
		c.parts(p)
	case back:
		from := len(c.stack)
		c.parts(p.swapped())
		for i, q := range c.stack[from:] {
			c.stack[from+i] = q.swapped()
		}
	}
	if p.a.Kind == Struct && p.b.Kind == Struct && c.steps <= MaxSteps {
		c.fields(p)
	}
}

// note records that a type changed: forth says that new readers take what old writers write, back the reverse.
func (c *comparison) note(p pair, forth, back bool) {
	writers, readers := "callers", "providers"
	oldCallers, newCallers := forth, back
	if p.role.fromProvider() {
		writers, readers = readers, writers
		oldCallers, newCallers = back, forth
	}
	c.oldCallers.fail = c.oldCallers.fail || !oldCallers
	c.newCallers.fail = c.newCallers.fail || !newCallers
	why := ""
	switch {
	case !forth && !back:
		why = " (neither is read as the other)"
	case !forth:
		why = fmt.Sprintf(" (new %s cannot read what old %s send)", readers, writers)
	case !back:
		why = fmt.Sprintf(" (old %s cannot read what new %s send)", readers, writers)
	}
	was, is := p.sides()
	c.reasons = append(c.reasons, fmt.Sprintf("%v was %s and is %s%s", p.path, was, is, why))
}

// fields notes the fields that only one of two structs has.
func (c *comparison) fields(p pair) {
	before, after := fieldTypes(p.a), fieldTypes(p.b)
	for _, f := range p.a.Fields {
		if after[f.Name] == nil {
			c.removed(p.role, &path{p.path, "." + f.Name}, f.Type)
		}
	}
	for _, f := range p.b.Fields {
		if before[f.Name] == nil {
			c.added(&path{p.path, "." + f.Name}, f.Type)
		}
	}
}

func (c *comparison) added(at *path, t *Type) {
	c.reasons = append(c.reasons, fmt.Sprintf("%v is new (%s)", at, describe(t)))
}

func (c *comparison) removed(r role, at *path, t *Type) {
	who := "providers"
	if r.fromProvider() {
		who = "callers"
		c.oldCallers.miss = true
	} else {
		c.newCallers.miss = true
	}
	c.reasons = append(c.reasons, fmt.Sprintf("%v was removed (%s, on which old %s may rely)", at, describe(t), who))
}
