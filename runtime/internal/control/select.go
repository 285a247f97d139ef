package control

import (
	"fmt"
	"slices"

	"github.com/daffi-rpc/daffi/runtime/codec"
)

// Select is a [Resolve] for calls that do not take every provider for as good as another. The numbers in its answer stand for the route and the choice
// together, so that a call says no more than any other.
type Select struct {
	Service string
	Methods []Method // Number is not used
	Choice  Choice
}

// Choice says which providers calls may go to, and how. It must hold whole or not at all: unlike other messages it may not have elements that the
// controller does not know.
type Choice struct {
	Where    []Label // that a provider must have, sorted, each once
	Self     bool    // the caller's own node counts like any other; else it is the last that a call goes to, and left out of targets
	Balance  Balance
	Admitted bool // a one-way call is answered for when the callee has admitted it
	Apart    bool // the header's peer is a call that is under way: not to where that one went

	Later bool // read, not written: there are elements of a later version
}

// Balance says how one of several providers is picked.
type Balance uint8

// The ways; numbers are the wire's.
const (
	BalanceDefault      Balance = iota // of the service, or else by running calls
	BalanceLeastRunning                // the less busy of two random ones
	BalanceRandom
	BalanceRoundRobin
	BalanceLeastLatency // the one of two random ones that answers sooner
	BalanceByCaller     // by the caller's name, as if that was the key
)

func (b Balance) String() string {
	names := [...]string{"default", "least_running", "random", "round_robin", "least_latency", "by_caller"}
	if b.Known() {
		return names[b]
	}
	return fmt.Sprintf("balance(%d)", b)
}

// Known reports whether b is one of this version.
func (b Balance) Known() bool { return b <= BalanceByCaller }

// Empty reports whether c says nothing.
func (c *Choice) Empty() bool {
	return len(c.Where) == 0 && !c.Self && c.Balance == BalanceDefault && !c.Admitted && !c.Apart
}

// Sort brings Where into its order.
func (c *Choice) Sort() {
	slices.SortFunc(c.Where, Label.Compare)
	c.Where = slices.Compact(c.Where)
}

// Key returns what equal choices have in common, once they are sorted.
func (c *Choice) Key() string {
	var e codec.Encoder
	c.append(&e)
	return string(e.Bytes())
}

func (m *Select) Append(e *codec.Encoder) {
	head(e, 3, OpSelect)
	e.String(m.Service)
	appendMethods(e, m.Methods)
	m.Choice.append(e)
}

func (m *Select) Read(d *codec.Decoder) error {
	m.Service = next(d, codec.ReadString)
	m.Methods = next(d, readMethods)
	m.Choice = next(d, ReadChoice)
	return d.Close()
}

const choiceFields = 5

func (c *Choice) append(e *codec.Encoder) {
	e.Array(choiceFields)
	appendLabels(e, c.Where)
	e.Bool(c.Self)
	e.Uint8(uint8(c.Balance))
	e.Bool(c.Admitted)
	e.Bool(c.Apart)
}

// ReadChoice reads what a key holds.
func ReadChoice(d *codec.Decoder) (c Choice) {
	have := d.Array(1)
	for i := range have {
		if d.Err() != nil {
			return c
		}
		switch i {
		case 0:
			c.Where = readLabels(d)
		case 1:
			c.Self = d.Bool()
		case 2:
			c.Balance = Balance(d.Uint8())
		case 3:
			c.Admitted = d.Bool()
		case 4:
			c.Apart = d.Bool()
		default:
			d.Skip()
		}
	}
	c.Later = have > choiceFields
	return c
}
