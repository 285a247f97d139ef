package daffi

import (
	"fmt"

	"github.com/daffi-rpc/daffi/runtime/internal/control"
)

// Balance says how the controller picks one of several providers for a call that names none and has no key.
type Balance uint8

// The ways. Each looks at two providers, however many there are, but for BalanceByCaller, which asks every one.
const (
	BalanceDefault      Balance = iota // of the service; if no provider names one, BalanceLeastRunning
	BalanceLeastRunning                // of two random ones that which has fewer calls running, of all callers and methods
	BalanceRandom                      // any
	BalanceRoundRobin                  // one after the other, for the calls of all callers together
	BalanceLeastLatency                // of two random ones that which is likely to answer sooner: the mean time to its first answer, as the controller has measured it for the method lately, times the calls that it has
	BalanceByCaller                    // always the same for one caller, as long as it is there: as if the caller's name was the key
)

func (b Balance) String() string { return control.Balance(b).String() }

// BalanceBy balances a call, or all calls of a proxy, in another way than the service's.
func BalanceBy(b Balance) CallOption {
	return CallOption{func(o *callOptions) { o.choice.Balance = control.Balance(b) }}
}

// Balanced says how the calls of the service that is registered are balanced, unless they say something else. Where nodes name different ways that of the one that joined first counts, and
// the controller's log says so.
func Balanced(b Balance) ServeOption { return ServeOption{func(o *serveOptions) { o.balance = b }} }

// check refuses what is no Balance.
func (b Balance) check(service string) error {
	if control.Balance(b).Known() {
		return nil
	}
	return &Error{Code: InvalidArgument, Outcome: NotRun, Message: fmt.Sprintf("register %s: %v is not a way to balance calls", service, b)}
}
