package controller

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/daffi-rpc/daffi/internal/policy"
	"github.com/daffi-rpc/daffi/runtime/internal/control"
	"github.com/daffi-rpc/daffi/runtime/internal/rawpeer"
	"github.com/daffi-rpc/daffi/runtime/transport"
)

// policyFile writes a policy.
func policyFile(tb testing.TB, text string) string {
	tb.Helper()
	file := filepath.Join(tb.TempDir(), "policy")
	require.NoError(tb, os.WriteFile(file, []byte(text), 0o600))
	return file
}

func TestPolicyOptions(t *testing.T) {
	_, err := Listen(t.Context(), Options{Addr: "tcp://127.0.0.1:0", PolicyDryRun: true})
	require.ErrorIs(t, err, errBadOption)
	require.ErrorContains(t, err, "PolicyDryRun without a Policy")
	_, err = Listen(t.Context(), Options{Addr: "tcp://127.0.0.1:0", Policy: filepath.Join(t.TempDir(), "none")})
	require.ErrorIs(t, err, os.ErrNotExist)
	_, err = Listen(t.Context(), Options{Addr: "tcp://127.0.0.1:0", Policy: policyFile(t, "allow all")})
	require.ErrorContains(t, err, "policy:1: a rule has 2 words")
	require.Panics(t, func() { New(Options{Policy: policyFile(t, "")}) })
}

// TestPolicyPartOfAService resolves a service of which a node may call one method.
func TestPolicyPartOfAService(t *testing.T) {
	w := start(t, Options{Policy: policyFile(t, "allow server serve Shop.*\nallow caller call Shop.Buy")})
	server, caller := w.join("server").Register(t, "Shop", "Buy", "Sell"), w.join("caller")
	var routes control.Routes
	require.Nil(t, caller.Ask(t, (&control.Resolve{Service: "Shop", Methods: rawpeer.Methods("sig", "Sell", "Buy", "Steal")}).Append, control.OpRoutes, &routes))
	require.Len(t, routes.Routes, 3)
	require.EqualValues(t, uint32(control.NoRoute), routes.Routes[0].Number)
	require.EqualValues(t, uint32(control.NoRoute), routes.Routes[2].Number)
	id := caller.Call(routes.Routes[1].Number, 1, 1, "\x90")
	server.Reply(server.Served(t).Call, "\x90")
	require.Equal(t, id, caller.Next(t).Call)
	for i, number := range []uint32{control.NoRoute, routes.Routes[1].Number + 1} {
		f := caller.Failed(t, caller.Call(number, 1, uint64(i+2), "\x90"))
		require.Equal(t, permissionDenied, f.Code)
		require.Equal(t, reasonPolicy, f.Reason)
		require.Equal(t, notRun, f.Outcome)
		require.Equal(t, `the controller's policy does not let node "caller" call this method`, f.Message)
	}
	why := caller.TryRegister(t, "Shop", rawpeer.Methods("sig", "Buy"))
	require.Equal(t, permissionDenied, why.Code)
	require.Equal(t, `the controller's policy does not let node "caller" serve Shop.Buy`, why.Message)
}

// TestACC65Tables has nodes see what they may know of, and nothing else.
func TestACC65Tables(t *testing.T) {
	w := start(t, Options{Policy: policyFile(t, `
		allow shop,stock,helper serve *
		allow buyer call Shop.Buy Help.Me
		allow keeper watch Stock.*
		allow monitor watch *
		deny monitor watch Stock.Secret
		allow planner schedule Shop.Sell`)})
	w.join("shop").Register(t, "Shop", "Buy", "Sell")
	w.join("stock").Register(t, "Stock", "Count", "Secret")
	require.Nil(t, caught(t, w.join("helper"), "Help"))
	w.join("idle")
	for name, want := range map[string]map[string]string{
		"buyer":    {"shop": "[{Shop [Buy]}]", "helper": "[]"},
		"keeper":   {"stock": "[{Stock [Count Secret]}]"},
		"planner":  {"shop": "[{Shop [Sell]}]"},
		"stranger": {},
		"monitor":  {"shop": "[{Shop [Buy Sell]}]", "stock": "[{Stock [Count]}]", "helper": "[]", "idle": "[]"},
	} {
		p := w.join(name)
		got := map[string]string{}
		_, d := p.Answer(t, p.Control(plainly(control.OpWatch)))
		var m control.Table
		require.NoError(t, m.Read(d))
		for _, n := range m.Nodes {
			got[n.Name] = fmt.Sprint(n.Services)
		}
		require.Equal(t, "[]", got[name], "it sees itself")
		delete(got, name)
		require.Equal(t, want, got, name)
		for _, other := range []string{"shop", "stock", "helper", "idle"} {
			var found control.Found
			require.Nil(t, p.Ask(t, (&control.Find{Node: other}).Append, control.OpFound, &found))
			_, there := want[other]
			require.Equal(t, there, found.Session != 0, "%s looks for %s", name, other)
		}
		p.Close()
		w.eventually(func(st Stats) bool { return st.Nodes == 4 }, "it has left")
	}

	// Numbers of sessions can be guessed; what they lead to is not told.
	buyer := w.join("buyer")
	route := buyer.Route(t, "Shop", "Buy", "sig")
	said := map[string]bool{}
	for i, session := range []uint32{2, 4, 1 << 20} { // stock, idle, nobody
		id := transport.CallID(1, uint64(i+1))
		buyer.Send(transport.Frame{Header: transport.Header{Kind: transport.Request, Call: id, Route: route, Peer: session}, Payload: []byte("\x90")})
		f := buyer.Failed(t, id)
		said[fmt.Sprint(f)] = true
	}
	require.Len(t, said, 1, "a node that there is not, and one that the caller may not know of")
	other := buyer.Route(t, "Stock", "Count", "sig")
	require.EqualValues(t, uint32(control.NoRoute), other)
}

// rewrite writes a policy, and waits until it was taken up.
func rewrite(t *testing.T, file, text string) {
	t.Helper()
	require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	time.Sleep(3 * time.Second)
	synctest.Wait()
}

// TestPolicyChanges has a policy taken up that has changed: new calls go by it, those that run go on.
func TestPolicyChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		before := "allow server serve Shop.* Late.*\nallow caller,looker call Shop.* Late.*\n"
		file := policyFile(t, before)
		w := start(t, Options{PingInterval: 12 * time.Hour, DeadInterval: 24 * time.Hour, Policy: file, Logger: slog.New(slog.NewTextHandler(&log, nil))})
		server, caller, looker := w.join("server").Register(t, "Shop", "Buy", "Sell"), w.join("caller"), w.join("looker")
		require.Nil(t, caught(t, server, "Late"))
		buy, sell := caller.Route(t, "Shop", "Buy", "sig"), caller.Route(t, "Shop", "Sell", "sig")
		late := caller.Route(t, "Wait", "For", "sig")
		require.EqualValues(t, uint32(control.NoRoute), late)
		none := caller.Route(t, "Shop", "None", "sig")
		wait := caller.Control((&control.Await{Routes: []uint32{none}}).Append)
		_, d := looker.Answer(t, looker.Control(plainly(control.OpWatch)))
		var table control.Table
		require.NoError(t, table.Read(d))
		require.Len(t, table.Nodes, 2)
		runs := caller.Call(buy, 1, 1, "\x90")
		request := server.Served(t)

		// What the caller may not call any more.
		rewrite(t, file, "allow server serve Shop.*\nallow caller,looker call Shop.Sell\n")
		op, _ := caller.Answer(t, wait)
		require.Equal(t, control.OpFailed, op)
		_, d = looker.Answer(t, 0)
		require.NoError(t, table.Read(d))
		require.Equal(t, []control.Service{{Name: "Shop", Methods: []string{"Sell"}}}, table.Nodes[0].Services)
		require.Equal(t, permissionDenied, caller.Failed(t, caller.Call(buy, 2, 1, "\x90")).Code)
		server.Reply(request.Call, "\x90")
		require.Equal(t, runs, caller.Expect(t, transport.Reply).Call, "what runs goes on")

		// A file that cannot be used changes nothing, and is logged once.
		log.Reset()
		rewrite(t, file, "allow nonsense\n")
		time.Sleep(time.Minute)
		require.Equal(t, 1, strings.Count(log.String(), "the policy stays what it was"), log.String())
		require.Contains(t, log.String(), "policy:1: a rule has 2 words")
		require.Equal(t, permissionDenied, caller.Failed(t, caller.Call(buy, 2, 2, "\x90")).Code)
		require.NoError(t, os.Remove(file))
		time.Sleep(time.Minute)
		require.Equal(t, permissionDenied, caller.Failed(t, caller.Call(buy, 2, 3, "\x90")).Code)

		// What the server may not serve any more is nobody's, and its again later.
		rewrite(t, file, "allow server serve Shop.Buy\nallow caller call *\n")
		require.Zero(t, w.Stats().Services)
		require.Equal(t, reasonNoProvider, caller.Failed(t, caller.Call(sell, 2, 4, "\x90")).Reason)
		require.Equal(t, reasonNoProvider, caller.Failed(t, caller.Call(caller.Route(t, "Late", "M", "sig"), 2, 5, "\x90")).Reason)
		require.Equal(t, permissionDenied, server.TryRegister(t, "Shop", rawpeer.Methods("sig", "Buy", "Sell")).Code)
		rewrite(t, file, before)
		require.Equal(t, 1, w.Stats().Services)
		require.Equal(t, 2, w.Stats().Providers)
		caller.Call(sell, 2, 6, "\x90")
		f := server.Served(t)
		require.EqualValues(t, 101, f.Route)
		server.Reply(f.Call, "\x90")
		caller.Call(caller.Route(t, "Late", "M", "sig"), 2, 7, "\x90")
		require.Equal(t, transport.Control, server.Next(t).Kind)
		server.Reply(server.Served(t).Call, "\x90")

		// What the node has taken back meanwhile stays away.
		rewrite(t, file, "allow caller call *\n")
		require.Nil(t, server.Ask(t, (&control.Unregister{Service: "Shop"}).Append, control.OpOK, nil))
		rewrite(t, file, before)
		require.Zero(t, w.Stats().Services)
		server.Register(t, "Shop", "Buy")
		rewrite(t, file, "allow caller call *\n") // and goes with the node
		server.Close()
		rewrite(t, file, before)
		require.Zero(t, w.Stats().Services)
	})
}

// during has something happen while signatures are compared for the first time, the second time and so on: the controller has let its lock go then. It returns how often that was.
func (w *world) during(happens ...func()) *atomic.Int32 {
	n := new(atomic.Int32)
	w.compare = func(caller, provider string) error {
		if i := int(n.Add(1)) - 1; i < len(happens) {
			happens[i]()
		}
		return understands(caller, provider)
	}
	return n
}

// withheld is a world in which the policy has just taken a service from each of some nodes, and a caller has named another signature of its method: to put it back, signatures are compared. again
// lets all be put back.
func withheld(t *testing.T, names ...string) (w *world, servers []*rawpeer.Peer, again func()) {
	file := policyFile(t, "allow * serve,call *\n")
	w = start(t, Options{Policy: file})
	w.access.files.Close() // the file is read when the test says so
	read := func(text string) {
		require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
		w.rereadPolicy()
	}
	for _, name := range names {
		p := w.join(name)
		require.Nil(t, p.Serve(t, "Shop."+name, "(int)()", "Buy"))
		servers = append(servers, p)
	}
	read("allow * call *\n")
	require.Zero(t, w.Stats().Services)
	caller := w.join("caller")
	for _, name := range names {
		caller.Route(t, "Shop."+name, "Buy", "(int32)()")
	}
	return w, servers, func() { read("allow * serve,call *\n") }
}

// TestRestoreOfANodeThatLeaves has a node leave while it is put back what it may serve again. What was named for it then would be named for ever, and nothing that it serves would be there.
func TestRestoreOfANodeThatLeaves(t *testing.T) {
	w, servers, again := withheld(t, "a")
	var log bytes.Buffer
	w.Controller.log = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelWarn}))
	n := w.during(func() {
		servers[0].Close()
		w.eventually(func(st Stats) bool { return st.Nodes == 1 && st.Links == 1 && st.Routes == 1 }, "still there")
	})
	again()
	require.EqualValues(t, 1, n.Load())
	require.NotContains(t, log.String(), "no room", "nobody wants it")
	require.Zero(t, w.Stats().Services)
	require.Zero(t, w.Stats().Providers)
	w.peers[1].Close()
	w.eventually(func(st Stats) bool { return st.Nodes == 0 && st.Routes == 0 }, "still there")
	require.Equal(t, nothing, w.remembered())
}

// TestRestoreOfWhatIsTakenBack has a node take back what it is about to be put back, and register it anew.
func TestRestoreOfWhatIsTakenBack(t *testing.T) {
	w, servers, again := withheld(t, "a")
	w.during(func() {
		require.Nil(t, servers[0].Ask(t, (&control.Unregister{Service: "Shop.a"}).Append, control.OpOK, nil))
		require.Nil(t, servers[0].Serve(t, "Shop.a", "(int)()", "Buy"))
	})
	again()
	require.Equal(t, 1, w.Stats().Services)
	require.Equal(t, 1, w.Stats().Providers)
	require.Empty(t, w.session(servers[0].Session).withheld)
}

// TestRestoreWhileOneRegisters has a node register what a change of the policy is about to put back, and does: it serves that once.
func TestRestoreWhileOneRegisters(t *testing.T) {
	w, servers, again := withheld(t, "a", "b")
	begun, goOn, done := make(chan struct{}), make(chan struct{}), make(chan struct{})
	w.during(
		func() { close(begun); <-goOn },                                 // for a: the other policy is in force
		func() { close(goOn); <-done },                                  // for b, as it registers
		func() { require.Equal(t, 1, w.Stats().Services, "that of a") }, // for b, as it is put back
	)
	go func() {
		defer close(done)
		again()
	}()
	<-begun
	why := servers[1].TryRegister(t, "Shop.b", rawpeer.Methods("(int)()", "Buy"))
	require.NotNil(t, why)
	require.Equal(t, alreadyExists, why.Code)
	require.Equal(t, 2, w.Stats().Providers)
	require.Equal(t, 1, w.session(servers[1].Session).parts)
}

// TestPolicyOfWhatIsCaught has a node that sees others by what they serve told of one that takes unknown methods, and when it does not any more.
func TestPolicyOfWhatIsCaught(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		file := policyFile(t, "allow helper serve Help.*\nallow looker call Help.Me\n")
		w := start(t, Options{PingInterval: 12 * time.Hour, DeadInterval: 24 * time.Hour, Policy: file})
		looker, helper := w.join("looker"), w.join("helper") // whose turn is the later one when the policy changes
		_, d := looker.Answer(t, looker.Control(plainly(control.OpWatch)))
		var table control.Table
		require.NoError(t, table.Read(d))
		require.Len(t, table.Nodes, 1, "itself")
		sees := func(there bool) {
			t.Helper()
			for now := !there; now != there; {
				table = control.Table{}
				_, d := looker.Answer(t, 0)
				require.NoError(t, table.Read(d))
				if slices.ContainsFunc(table.Nodes, func(n control.Node) bool { return n.Name == "helper" }) {
					now = true
				} else if slices.Contains(table.Left, helper.Session) {
					now = false
				}
			}
			time.Sleep(tablePause)
		}
		require.Nil(t, caught(t, helper, "Help"))
		sees(true)
		require.Nil(t, helper.Ask(t, (&control.Uncatch{Prefix: "Help"}).Append, control.OpOK, nil))
		sees(false)
		require.Nil(t, caught(t, helper, "Help"))
		sees(true)
		looker.Nothing(t, time.Minute)
		rewrite(t, file, "allow looker call Help.Me\n")
		sees(false)
	})
}

// TestPolicySchedules asks at each run whether the owner may, and again later.
func TestPolicySchedules(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		allow := "allow server serve *\nallow owner schedule Shop.Buy\nallow other call Shop.Sell\n"
		file := policyFile(t, allow)
		w := start(t, Options{PingInterval: 12 * time.Hour, DeadInterval: 24 * time.Hour, Policy: file})
		server, owner, other := w.join("server").Register(t, "Shop", "Buy"), w.join("owner"), w.join("other")
		key := control.TaskKey{Owner: "owner", ID: "tick"}
		q := control.Schedule{ID: "tick", Route: owner.Route(t, "Shop", "Buy", "sig"), Plan: control.Plan{Timing: control.Every, Interval: 10 * time.Second}}
		require.Nil(t, owner.Ask(t, q.Append, control.OpScheduled, nil))
		time.Sleep(11 * time.Second)
		server.Reply(server.Served(t).Call, "\x90")
		require.Equal(t, permissionDenied, owner.Failed(t, owner.Call(q.Route, 1, 1, "\x90")).Code, "to schedule is not to call")

		var list control.TaskList
		require.Nil(t, other.Ask(t, (&control.Tasks{}).Append, control.OpTaskList, &list))
		require.Empty(t, list.Tasks)
		act := func(p *rawpeer.Peer, action control.TaskAction) *control.Failure {
			return p.Ask(t, (&control.TaskControl{TaskKey: key, Action: action}).Append, control.OpTaskState, nil)
		}
		require.Equal(t, notFound, act(other, control.TaskCancel).Code)
		require.Equal(t, notFound, other.Ask(t, (&control.AwaitRuns{TaskKey: key, Now: true}).Append, control.OpRuns, nil).Code)

		rewrite(t, file, "allow server serve *\n")
		require.Equal(t, reasonPolicy, act(owner, control.TaskRun).Reason)
		time.Sleep(10 * time.Second)
		var runs control.Runs
		require.Nil(t, owner.Ask(t, (&control.AwaitRuns{TaskKey: key, Now: true}).Append, control.OpRuns, &runs))
		require.Len(t, runs.Runs, 2)
		require.Empty(t, runs.Runs[0].Failed)
		require.Equal(t, reasonPolicy, runs.Runs[1].Failed[0].Reason)
		require.Equal(t, notRun, runs.Runs[1].Failed[0].Outcome)
		server.Nothing(t, time.Second)
		rewrite(t, file, allow)
		time.Sleep(10 * time.Second)
		server.Reply(server.Served(t).Call, "\x90")
		rewrite(t, file, "allow server serve *\n")
		require.Nil(t, act(owner, control.TaskPause))
		require.Nil(t, act(owner, control.TaskInfo))
		require.Equal(t, reasonPolicy, act(owner, control.TaskResume).Reason)
		require.Nil(t, act(owner, control.TaskCancel))
	})
}

// TestLIM56Denials logs each once a minute, or once in a dry run, and not more different ones than it may.
func TestLIM56Denials(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, dry := range []bool{false, true} {
			var log bytes.Buffer
			a := &access{log: slog.New(slog.NewTextHandler(&log, nil)), dry: dry}
			lines := func() int {
				defer log.Reset()
				return strings.Count(log.String(), "\n")
			}
			say := func(from, to int) {
				for i := from; i < to; i++ {
					a.note(denial{"node", policy.Call, fmt.Sprint("S.M", i)}, 3)
				}
			}
			say(0, 1)
			say(0, 1)
			require.Equal(t, 1, lines())
			time.Sleep(denialPause)
			say(0, 1)
			require.Equal(t, map[bool]int{false: 1, true: 0}[dry], lines())
			say(0, maxDenials)
			require.Equal(t, maxDenials-1, lines())
			say(maxDenials, maxDenials+1)
			require.Zero(t, lines(), "one more")
			say(maxDenials+1, 3*maxDenials)
			require.Zero(t, lines())
			require.Len(t, a.said, maxDenials)
			time.Sleep(denialPause)
			say(maxDenials, maxDenials+1)
			if !dry {
				require.Contains(t, log.String(), fmt.Sprint("not_logged=", 2*maxDenials))
			}
			require.Equal(t, map[bool]int{false: 1, true: 0}[dry], lines())
			require.EqualValues(t, 3+maxDenials+1+2*maxDenials-1+1, a.denied.Load())
			a.forgive()
			say(0, 1)
			require.Equal(t, 1, lines())
		}
	})
}
