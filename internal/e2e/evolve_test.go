package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/daffi-rpc/daffi/internal/e2e/evolve"
	daffi "github.com/daffi-rpc/daffi/runtime"
	"github.com/daffi-rpc/daffi/runtime/daffitest"
)

const (
	schema        = "failed_precondition/schema"
	unimplemented = "unimplemented"
)

// outcomes are what a change makes of calls between versions. A caller that does not have the method leaves its column empty.
type outcomes struct {
	oldOld, oldNew string // the old caller's call at an old and at a new provider
	newOld, newNew string // the new one's
}

// evolution says of each change who understands whom, and what arrives.
var evolution = map[string]outcomes{
	"Same":              {"before got x", "after got x", "before got x", "after got x"},
	"FieldAdded":        {"{Name:before got {Name:Ann}}", "{Name:after got {Name:Ann Age:0}}", "{Name:before got {Name:Ann} Age:0}", "{Name:after got {Name:Ann Age:30} Age:40}"},
	"FieldRemoved":      {"{Street:before got {Street:Main Zip:10} Zip:back}", "{Street:after got {Street:Main} Zip:}", "{Street:before got {Street:Main Zip:}}", "{Street:after got {Street:Main}}"},
	"ArgumentAdded":     {"before got x", "after got x 0", "before got x", "after got x 5"},
	"ArgumentRemoved":   {"before got x 5", "after got x", "before got x 0", "after got x"},
	"ResultAdded":       {"before", "after", "before 0", "after 7"},
	"ResultRemoved":     {"before 7", "after 0", "before", "after"},
	"FirstResultAdded":  {"done", "done", "", "after"},
	"OnlyResultRemoved": {"before", "", "done", "done"},

	"ArgumentWidened":  {"before got -2147483648", "after got -2147483648", schema, "after got -9223372036854775808"},
	"ResultWidened":    {"1", schema, "1", "2"},
	"ArgumentNarrowed": {"before got 4611686018427387904", schema, "before got 2147483647", "after got 2147483647"},
	"ResultNarrowed":   {"1", "2", schema, "2"},
	"FieldWidened":     {"before got {Lines:[{Quantity:3}]}", "after got {Lines:[{Quantity:3}]}", schema, "after got {Lines:[{Quantity:3}]}"},
	"ArgumentChanged":  {"before got x", schema, schema, "after got 5"},
	"ResultChanged":    {"before", schema, schema, "2"},
	"FieldChanged":     {"before got {Count:many}", schema, schema, "after got {Count:3}"},

	"Removed": {oldOld: "before", oldNew: unimplemented},
	"Added":   {newOld: unimplemented, newNew: "after"},
	"Renamed": {"before got x", "after got x", unimplemented, "after got x"},

	"ItemFieldAdded":  {"[{Name:before} {Name:before}]", "[{Name:after} {Name:after}]", "[{Name:before Age:0} {Name:before Age:0}]", "[{Name:after Age:2} {Name:after Age:2}]"},
	"ItemWidened":     {"[1 1]", schema, "[1 1]", "[2 2]"},
	"ItemChanged":     {"[1 1]", schema, schema, "[after after]"},
	"InputFieldAdded": {"before got [{Name:Ann} {Name:last}]", "after got [{Name:Ann Age:0} {Name:last Age:0}]", "before got [{Name:Ann} {Name:last}]", "after got [{Name:Ann Age:30} {Name:last Age:30}]"},
	"InputWidened":    {"before got [1 -1]", "after got [1 -1]", schema, "after got [1 -1]"},
	"InputChanged":    {"before got [x]", schema, schema, "after got [5]"},
	"Chat":            {"[{Name:before got {Name:Ann}}]", "[{Name:after got {Name:Ann Age:0}}]", "[{Name:before got {Name:Ann} Age:0}]", "[{Name:after got {Name:Ann Age:30} Age:40}]"},
	"ChatChanged":     {"[1 2]", schema, schema, "[after got 1 after got 2]"},
	"BecameStream":    {"before", schema, schema, "[after]"},
	"Put":             {"before got {Name:last}", "after got {Name:last Age:0}", "before got {Name:last}", "after got {Name:last Age:30}"},
	"PutAll":          {"before got {Name:last}", "after got {Name:last Age:0}", "before got {Name:last}", "after got {Name:last Age:30}"},
	"PutAllChanged":   {"before got 1", schema, schema, "after got a"},
}

// expect are the answers, sorted, that a caller of one version must get where these versions are served: from all that understand it, or
// the refusal if none does.
func (o outcomes) expect(caller string, providers []string) []string {
	var answers, refusals []string
	for _, p := range providers {
		answer := map[string]string{"before before": o.oldOld, "before after": o.oldNew, "after before": o.newOld, "after after": o.newNew}[caller+" "+p]
		if answer == schema || answer == unimplemented {
			refusals = append(refusals, answer)
		} else {
			answers = append(answers, answer)
		}
	}
	if len(answers) == 0 {
		answers = refusals
	}
	slices.Sort(answers)
	return slices.Compact(answers)
}

// sets are who serves.
var sets = [][]string{{"before"}, {"after"}, {"before", "after"}}

// callsEach is how many calls show where they go: if both providers may be picked, one is missed once in 2^199 times.
const callsEach = 200

func TestEvolutionInMemory(t *testing.T) {
	called := map[string]bool{}
	for _, providers := range sets {
		for _, caller := range evolve.Versions {
			t.Run(fmt.Sprint(caller.Name, " calls ", providers), func(t *testing.T) {
				net := daffitest.New(t)
				client := caller.NewClient(net.Node("caller"))
				for _, v := range evolve.Versions {
					if slices.Contains(providers, v.Name) {
						_, err := v.Serve(net.Node(v.Name))
						require.NoError(t, err)
					}
				}
				for _, change := range client.Changes() {
					called[change] = true
					require.Equal(t, evolution[change].expect(caller.Name, providers), client.Answers(t.Context(), change, callsEach), change)
				}
			})
		}
	}
	require.Len(t, called, len(evolution))
}

// TestEvolutionAtNamedNodes chooses the provider: a call does not go to another one that would understand it.
func TestEvolutionAtNamedNodes(t *testing.T) {
	net := daffitest.New(t)
	for _, v := range evolve.Versions {
		_, err := v.Serve(net.Node(v.Name))
		require.NoError(t, err)
	}
	for _, caller := range evolve.Versions {
		for _, provider := range evolve.Versions {
			client := caller.NewClient(net.Node(caller.Name+"-to-"+provider.Name), daffi.To(provider.Name))
			for _, change := range client.Changes() {
				want := evolution[change].expect(caller.Name, []string{provider.Name})
				require.Equal(t, want, client.Answers(t.Context(), change, 3), "%s: %s to %s", change, caller.Name, provider.Name)
			}
		}
	}
}

// TestEvolutionWhileProvidersChange replaces old providers by new ones one at a time, as a deployment does, while both versions call: what both
// versions understand never fails, and nothing is ever misunderstood.
func TestEvolutionWhileProvidersChange(t *testing.T) {
	net := daffitest.New(t)
	nodes := map[string]*daffi.Node{}
	serve := func(name string, v evolve.Version) {
		nodes[name] = net.Node(name)
		_, err := v.Serve(nodes[name])
		require.NoError(t, err)
	}
	var clients []*evolve.Client
	for _, v := range evolve.Versions {
		clients = append(clients, v.NewClient(net.Node("caller-"+v.Name)))
	}
	check := func(providers ...string) {
		t.Helper()
		for i, client := range clients {
			for _, change := range []string{"FieldAdded", "ArgumentWidened", "ResultWidened", "ArgumentChanged", "ChatChanged", "Renamed"} {
				require.Equal(t, evolution[change].expect(evolve.Versions[i].Name, providers), client.Answers(t.Context(), change, callsEach), change)
			}
		}
	}
	serve("a", evolve.Versions[0])
	serve("b", evolve.Versions[0])
	check("before")
	serve("c", evolve.Versions[1])
	check("before", "after")
	require.NoError(t, nodes["a"].Shutdown(t.Context()))
	check("before", "after")
	serve("a", evolve.Versions[1]) // under the name that it had
	check("before", "after")
	require.NoError(t, nodes["b"].Close())
	require.Eventually(t, func() bool { return net.Controller.Stats().Nodes == 4 }, patience, time.Millisecond) // Close does not wait until the controller has seen it
	check("after")
}

// TestEvolutionRefusal wants a refusal to say what is in the way.
func TestEvolutionRefusal(t *testing.T) {
	net := daffitest.New(t)
	_, err := evolve.Versions[0].Serve(net.Node("eu-1"))
	require.NoError(t, err)
	client := evolve.Versions[1].NewClient(net.Node("caller"))
	for change, want := range map[string]string{
		"ArgumentChanged": "argument 1: the caller sends int, the provider reads string; the caller's signature of Evolving.ArgumentChanged is `(int)(string)`, that of node \"eu-1\" is `(string)(string)`",
		"ResultNarrowed":  "result 1: the provider sends int64, the caller reads int32; the caller's signature of Evolving.ResultNarrowed is `()(int32)`, that of node \"eu-1\" is `()(int64)`",
		"FieldWidened":    "argument 1.Lines[].Quantity: the caller sends int64, the provider reads int32",
		"BecameStream":    "the caller's method is a server stream, the provider's is unary",
	} {
		err := client.Error(t.Context(), change)
		require.ErrorContains(t, err, want)
		require.Equal(t, daffi.NotRun, daffi.OutcomeOf(err))
	}
}

// TestEvolutionOfProcesses is TestEvolutionInMemory with a process for each node.
func TestEvolutionOfProcesses(t *testing.T) {
	for _, providers := range sets {
		t.Run(fmt.Sprint(providers), func(t *testing.T) {
			t.Parallel()
			addr := address(t, "unix")
			controllerAt(t, addr)
			for _, v := range providers {
				start(t, "evolver", "-addr", addr, "-version", v).wait("ready")
			}
			for _, caller := range evolve.Versions {
				p := start(t, "evolver", "-addr", addr, "-version", caller.Name, "-role", "call", "-n", fmt.Sprint(callsEach))
				require.Zero(t, p.code())
				got := map[string][]string{}
				for line := range strings.Lines(p.out.String()) {
					change, answer, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
					require.True(t, ok, line)
					got[change] = append(got[change], answer)
				}
				want := map[string][]string{}
				for change, o := range evolution {
					if o.expect(caller.Name, []string{caller.Name})[0] != "" { // it has the method
						want[change] = o.expect(caller.Name, providers)
					}
				}
				require.Equal(t, want, got, "%s calls %v", caller.Name, providers)
			}
		})
	}
}
