package controller

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/daffi-rpc/daffi/internal/policy"
	"github.com/daffi-rpc/daffi/runtime/internal/control"
	"github.com/daffi-rpc/daffi/runtime/internal/rawpeer"
	"github.com/daffi-rpc/daffi/runtime/internal/testkit"
	"github.com/daffi-rpc/daffi/runtime/transport"
)

// way is a way in: a message of a node's, or a Request, that names a method or its number.
type way struct {
	name    string
	op      control.Op // of a message
	request bool
	mode    transport.Mode
	needs   []policy.Action // one of them
	// try asks as the guest, and returns how it was refused, nil if it was not. Of a method whose name is no name number is 0, and ways that take numbers are not tried.
	try func(m *matrix, number uint32) *control.Failure
	// numbered ways are not told the method's name.
	numbered bool
	expect   func(m *matrix) bool // instead of needs; a way without either is checked by its own test
}

// free are the messages that name no method, or what the node itself has brought in, and why they ask nobody.
var free = map[control.Op]string{
	control.OpUnregister: "ends what the node serves", control.OpUncatch: "the same", control.OpForget: "ends what the node waits for",
	control.OpAbout: "labels of the node itself", control.OpStop: "the node does not shut down",
	control.OpWatch: "the table has what the node may know: TestACC65Tables", control.OpFind: "the same", control.OpTasks: "the list, too",
	control.OpAwaitRuns: "only of the node's own schedules",
}

// saidByController are the messages of a controller.
var saidByController = map[control.Op]bool{control.OpOK: true, control.OpFailed: true, control.OpRoutes: true, control.OpFound: true, control.OpTable: true, control.OpMissing: true, control.OpInspected: true,
	control.OpSessions: true, control.OpScheduled: true, control.OpTaskList: true, control.OpTaskState: true, control.OpRuns: true, control.OpIntroduce: true}

// target is a method of the product.
type target struct {
	service, method string
	named           bool // by the rule
	real            bool // it is served
}

var targets = []target{
	{"Shop", "Buy", true, true}, {"Shop", "Sell", false, true}, {"Shop", "Gone", false, false}, {"Gone", "Buy", false, false}, {"Shop", "buy", false, false}, {"shop", "Buy", false, false}, {"SHOP", "BUY", false, false},
	{"Shop", "Buy.Now", false, false}, {"Shop.Buy", "Now", false, false}, {"Sho", "pBuy", false, false}, {"daffi", "Buy", false, false}, {"Deep", "a.b", true, false}, {"Deep.a", "b", true, false}, {"Caught", "Any", true, true}, {"Caught.Any", "More", true, true},
}

// misspelled are no names: there is one answer to them, whatever the policy.
var misspelled = []target{
	{service: "Shop", method: "Buy."}, {service: "Shop", method: ".Buy"}, {service: "Shop.", method: "Buy"}, {service: "Shop..Buy", method: "Now"}, {service: "Shop", method: "Buy\x00"}, {service: "Shop\x00", method: "Buy"},
	{service: "Ѕhop", method: "Buy"}, {service: "Shop", method: "Вuy"}, {service: "Shop", method: "Bu\u200by"}, {service: "Shop", method: " Buy"}, {service: "Shop", method: "Buy\n"}, {service: "Shop/Buy", method: "Buy"}, {service: "%53hop", method: "Buy"},
	{service: "Shop", method: ""}, {service: "", method: "Shop.Buy"}, {service: "Shop", method: "*"}, {service: "*", method: "Buy"}, {service: "Shop", method: strings.Repeat("B", transport.MaxWord+1)}, {service: strings.Repeat("S", 64<<10-1000), method: "Buy"},
}

// matrix is a controller with one policy, and who is there.
type matrix struct {
	*world
	t           *testing.T
	root, guest *rawpeer.Peer
	target
	ruling
	generation uint64
	schedule   int
}

// send sends a Request and returns how it ended, nil if well.
func (m *matrix) send(h transport.Header, number uint32, payload string) *control.Failure {
	m.generation++
	h.Kind, h.Call, h.Route = transport.Request, transport.CallID(1, m.generation), number
	m.guest.Send(transport.Frame{Header: h, Payload: []byte(payload)})
	for {
		switch f := m.guest.Next(m.t); {
		case f.Call != h.Call:
		case f.Kind == transport.Error:
			why := rawpeer.Failure(m.t, f)
			return &why
		case f.Kind == transport.Reply, f.Kind == transport.Accepted:
			return nil
		}
	}
}

func (m *matrix) methods() []control.Method { return rawpeer.Methods("sig", m.method) }

var calling = []policy.Action{policy.Call}

// ways lists all of them. The messages are those of [control.Op.Known], the modes those of [transport.Mode.Unknown].
func ways() []way {
	list := []way{
		{name: "register", op: control.OpRegister, needs: []policy.Action{policy.Serve}, try: func(m *matrix, _ uint32) *control.Failure {
			why := m.guest.Ask(m.t, (&control.Register{Service: m.service, Methods: m.methods(), Part: 7}).Append, control.OpOK, nil)
			m.guest.Ask(m.t, (&control.Unregister{Service: m.service, Part: 7}).Append, control.OpOK, nil)
			return why
		}},
		{name: "catch", op: control.OpCatch, needs: []policy.Action{policy.Serve}, expect: (*matrix).mayCatch, try: func(m *matrix, _ uint32) *control.Failure {
			why := m.guest.Ask(m.t, (&control.Catch{Prefix: m.service}).Append, control.OpOK, nil)
			m.guest.Ask(m.t, (&control.Uncatch{Prefix: m.service}).Append, control.OpOK, nil)
			return why
		}},
		{name: "resolve", op: control.OpResolve, needs: knowing, try: func(m *matrix, _ uint32) *control.Failure {
			var a control.Routes
			return m.number(&a, m.guest.Ask(m.t, (&control.Resolve{Service: m.service, Methods: m.methods()}).Append, control.OpRoutes, &a))
		}},
		{name: "select", op: control.OpSelect, needs: knowing, try: func(m *matrix, _ uint32) *control.Failure {
			var a control.Routes
			return m.number(&a, m.guest.Ask(m.t, (&control.Select{Service: m.service, Methods: m.methods(), Choice: control.Choice{Balance: control.BalanceRandom}}).Append, control.OpRoutes, &a))
		}},
		{name: "describe", op: control.OpDescribe, needs: describing, try: func(m *matrix, _ uint32) *control.Failure {
			return m.unasked(m.guest.Describe(m.t, m.service, "sig", m.method))
		}},
		{name: "describe what is served", op: control.OpDescribe, needs: []policy.Action{policy.Serve}, try: func(m *matrix, _ uint32) *control.Failure {
			d := control.Describe{Service: m.service, Served: true, Methods: []control.Description{{Name: m.method, Sig: "sig"}}}
			return m.unasked(m.guest.Ask(m.t, d.Append, control.OpOK, nil))
		}},
		{name: "targets", op: control.OpTargets, needs: calling, numbered: true, try: func(m *matrix, number uint32) *control.Failure {
			return m.guest.Ask(m.t, (&control.Targets{Route: number, Named: true}).Append, control.OpSessions, nil)
		}},
		{name: "await", op: control.OpAwait, needs: knowing, numbered: true, try: func(m *matrix, number uint32) *control.Failure {
			return m.guest.Ask(m.t, (&control.Await{Routes: []uint32{number, 1 << 30}}).Append, control.OpOK, nil) // there is no such route, so it does not wait
		}},
		{name: "schedule", op: control.OpSchedule, needs: []policy.Action{policy.Schedule}, numbered: true, try: func(m *matrix, number uint32) *control.Failure {
			m.schedule++
			q := control.Schedule{ID: fmt.Sprint("s", m.schedule), Route: number, Plan: control.Plan{Timing: control.Once, Interval: time.Hour}}
			why := m.guest.Ask(m.t, q.Append, control.OpScheduled, nil)
			if why == nil {
				require.Nil(m.t, m.guest.Ask(m.t, (&control.TaskControl{TaskKey: control.TaskKey{Owner: "guest-1", ID: q.ID}, Action: control.TaskCancel}).Append, control.OpTaskState, nil))
			}
			return why
		}},
		{name: "another's schedule", op: control.OpTaskControl, expect: func(*matrix) bool { return true }, try: func(m *matrix, _ uint32) *control.Failure {
			why := m.guest.Ask(m.t, (&control.TaskControl{TaskKey: control.TaskKey{Owner: "root", ID: "hours"}, Action: control.TaskRun}).Append, control.OpTaskState, nil)
			if m.may("Shop", "Sell", knowing) {
				require.Equal(m.t, permissionDenied, why.Code)
				require.Contains(m.t, why.Message, "that of node \"root\"")
			} else {
				require.Equal(m.t, notFound, why.Code)
			}
			return nil
		}},
		{name: "inspect", op: control.OpInspect, needs: []policy.Action{policy.Watch}, expect: (*matrix).mayInspect, try: func(m *matrix, _ uint32) *control.Failure {
			var page control.Inspected
			why := m.guest.Ask(m.t, (&control.Inspect{Service: m.service}).Append, control.OpInspected, &page)
			for _, d := range page.Methods {
				require.True(m.t, m.may(m.service, d.Name, knowing), "%s.%s was shown", m.service, d.Name)
			}
			return why
		}},
	}
	for bits := range 256 {
		mode := transport.Mode(bits)
		if mode.Unknown() != 0 || mode&transport.Oneway != 0 && mode&(transport.Input|transport.Output|transport.Each) != 0 {
			continue
		}
		if n := strings.Count(fmt.Sprintf("%b", bits), "1"); n > testkit.Full(2, 8) {
			continue
		}
		payload := "\x90"
		if mode&transport.Tagged != 0 {
			payload = "\x00\x90"
		}
		for kind, h := range map[string]transport.Header{"": {}, "large": {Flags: transport.Large | transport.Bulk}} {
			if kind != "" {
				payload = "\x00\x00\x02\x00"
			}
			list = append(list, way{name: fmt.Sprintf("request %08b %s", bits, kind), request: true, mode: mode, needs: calling, numbered: true, try: func(m *matrix, number uint32) *control.Failure {
				h := h
				h.Mode = mode
				return m.send(h, number, payload)
			}})
		}
	}
	list = append(list,
		way{name: "request to a node", request: true, needs: calling, numbered: true, try: func(m *matrix, number uint32) *control.Failure {
			return m.send(transport.Header{Peer: m.root.Session}, number, "\x90")
		}},
		way{name: "request on a view", request: true, mode: transport.Oneway, needs: calling, numbered: true, try: func(m *matrix, _ uint32) *control.Failure {
			var a control.Routes // the number is another's
			q := control.Select{Service: m.service, Methods: m.methods(), Choice: control.Choice{Admitted: true}}
			require.Nil(m.t, m.root.Ask(m.t, q.Append, control.OpRoutes, &a))
			return m.send(transport.Header{Mode: transport.Oneway}, a.Routes[0].Number, "\x90")
		}},
	)
	return list
}

// number is the refusal in a number.
func (m *matrix) number(a *control.Routes, why *control.Failure) *control.Failure {
	if why == nil && a.Routes[0].Number == control.NoRoute {
		return &control.Failure{Code: permissionDenied, Reason: reasonPolicy, Outcome: notRun}
	}
	return why
}

// unasked is no refusal: the policy has nothing against it.
func (m *matrix) unasked(why *control.Failure) *control.Failure {
	if why != nil && strings.Contains(why.Message, "was not asked for") {
		return nil
	}
	return why
}

// ruling is a policy of the product: what it says of the guest's action with the methods that are named.
type ruling struct {
	kind   string // none, allow, deny, absent, try
	who    string // as the rule names the guest
	action policy.Action
}

func (r ruling) text() string {
	const what = "Shop.Buy Deep.a.b Caught.*"
	head := "group g = nobody guest-1\nallow root all *\n"
	switch r.kind {
	case "allow":
		return head + fmt.Sprintf("allow %s %v %s\n", r.who, r.action, what)
	case "deny":
		return fmt.Sprintf("deny %s %v %s\n", r.who, r.action, what) + head + "allow * all *\n"
	}
	return head + "allow guest-2,guest-11,guest all *\n"
}

// may says what must be.
func (m *matrix) may(service, method string, needs []policy.Action) bool {
	named := strings.HasPrefix(service, "Caught")
	for _, t := range targets {
		named = named || t.named && t.service+"."+t.method == service+"."+method
	}
	for _, a := range needs {
		switch m.ruling.kind {
		case "none", "try":
			return true
		case "allow":
			if named && a == m.ruling.action {
				return true
			}
		case "deny":
			if !named || a != m.ruling.action {
				return true
			}
		}
	}
	return false
}

func (m *matrix) mayCatch() bool {
	switch r := m.ruling; r.kind {
	case "allow":
		return r.action == policy.Serve && strings.HasPrefix(m.service, "Caught")
	case "deny":
		return r.action != policy.Serve || m.service != "Shop" && !strings.HasPrefix(m.service, "Deep") && !strings.HasPrefix(m.service, "Caught")
	}
	return m.may(m.service, m.method, []policy.Action{policy.Serve})
}

func (m *matrix) mayInspect() bool {
	if m.ruling.kind == "allow" {
		return m.ruling.action != policy.Serve && (m.service == "Shop" || strings.HasPrefix(m.service, "Deep") || strings.HasPrefix(m.service, "Caught"))
	}
	return m.ruling.kind != "absent"
}

// newMatrix has root serve what there is, and answer everything at once.
func newMatrix(t *testing.T, r ruling) *matrix {
	o := Options{PolicyDryRun: r.kind == "try"}
	if r.kind != "none" {
		o.Policy = policyFile(t, r.text())
	}
	m := &matrix{world: start(t, o), t: t, ruling: r}
	m.root = rawpeer.New(m.link())
	m.root.OnFrame = func(f *transport.Frame) bool {
		if f.Kind == transport.Request {
			m.root.Link.Enqueue(transport.Frame{Header: transport.Header{Kind: transport.Reply, Call: f.Call}, Payload: []byte("\x90")})
		}
		return f.Kind != transport.Challenge && f.Kind != transport.Welcome && (f.Kind != transport.Control || f.Call == 0)
	}
	m.peers = append(m.peers, m.root.Start())
	m.root.Join(t, "root").Register(t, "Shop", "Buy", "Sell")
	require.Nil(t, caught(t, m.root, "Caught"))
	q := control.Schedule{ID: "hours", Route: m.root.Route(t, "Shop", "Sell", "sig"), Plan: control.Plan{Timing: control.Once, Interval: time.Hour}}
	require.Nil(t, m.root.Ask(t, q.Append, control.OpScheduled, nil))
	m.guest = m.join("guest-1")
	return m
}

// refused holds a refusal by the policy to what it must be.
func (m *matrix) refused(w way, why *control.Failure) bool {
	if why == nil || why.Code != permissionDenied {
		return false
	}
	require.Equal(m.t, reasonPolicy, why.Reason)
	require.Equal(m.t, notRun, why.Outcome)
	what := m.service + "." + m.method
	switch {
	case w.numbered:
		what = "this method"
	case w.op == control.OpCatch, w.op == control.OpInspect:
		what = m.service + ".*"
	case w.op == control.OpResolve, w.op == control.OpSelect:
		return true // a number says nothing
	}
	require.Equal(m.t, fmt.Sprintf("the controller's policy does not let node \"guest-1\" %v %s", w.needs[0], what), why.Message)
	return true
}

// TestACC65EveryWayIn tries every way in, with every method and spelling, under every kind of policy: the answer is that of the rules, and one to all names that are none.
func TestACC65EveryWayIn(t *testing.T) {
	rulings := []ruling{{kind: "none"}, {kind: "absent"}, {kind: "try"}}
	forms := []string{"guest-1", "guest-*", "@g", "other,guest-1"}
	for a := range policy.Watch + 1 {
		for i, who := range forms {
			if testkit.Night() || i == int(a) {
				rulings = append(rulings, ruling{"allow", who, a}, ruling{"deny", who, a})
			}
		}
	}
	cases := 0
	words := map[string]string{} // what is said of names that are none
	for _, r := range rulings {
		t.Run(fmt.Sprintf("%s %s %v", r.kind, r.who, r.action), func(t *testing.T) {
			m := newMatrix(t, r)
			for _, m.target = range targets {
				number := m.root.Route(t, m.service, m.method, "sig")
				for _, w := range ways() {
					cases++
					want := m.may(m.service, m.method, w.needs)
					if w.expect != nil {
						want = w.expect(m)
					}
					before := m.access.denied.Load()
					why := w.try(m, number)
					require.Equal(t, want, !m.refused(w, why), "%s of %s.%s: %+v", w.name, m.service, m.method, why)
					if !want {
						require.Greater(t, m.access.denied.Load(), before)
					}
					stream := w.mode&(transport.Input|transport.Output|transport.Each) != 0
					if w.request && want && m.real && !(stream && m.service != "Shop") {
						require.Nil(t, why, "%s of %s.%s", w.name, m.service, m.method)
					}
				}
			}
			before := m.access.denied.Load()
			for _, m.target = range misspelled {
				for _, w := range ways() {
					bare := w.op == control.OpCatch || w.op == control.OpInspect // no method
					if w.numbered || w.op == control.OpTaskControl || bare && (transport.ValidWord(m.service) == nil || m.service == "") {
						continue
					}
					why := w.try(m, 0)
					require.NotNil(t, why, "%s of %q.%q", w.name, m.service, m.method)
					require.Equal(t, invalidArgument, why.Code)
					key := fmt.Sprintf("%s %q %q", w.name, m.service, m.method)
					if said, ok := words[key]; ok {
						require.Equal(t, said, why.Message)
					}
					words[key] = why.Message
				}
			}
			require.Equal(t, before, m.access.denied.Load())
			require.Equal(t, r.kind == "none", before == 0 && r.kind != "deny")
			m.root.Ask(t, (&control.TaskControl{TaskKey: control.TaskKey{Owner: "root", ID: "hours"}, Action: control.TaskCancel}).Append, control.OpTaskState, nil)
		})
	}
	t.Logf("%d cases", cases)
}

// TestACC65ListsEveryWayIn fails for a message or a mode that is not among the ways, so that none is added without authorize.
func TestACC65ListsEveryWayIn(t *testing.T) {
	ops, modes := map[control.Op]bool{}, map[transport.Mode]bool{}
	for _, w := range ways() {
		ops[w.op] = true
		if w.request {
			modes[w.mode] = true
		}
	}
	for n := range 256 {
		op := control.Op(n)
		listed := 0
		for _, is := range []bool{n != 0 && ops[op], saidByController[op], free[op] != ""} {
			if is {
				listed++
			}
		}
		require.Equal(t, op.Known(), listed == 1, "control message %d must be in exactly one of the lists", n)
		if mode := transport.Mode(n); mode.Unknown() == 0 && n&(n-1) == 0 {
			require.True(t, modes[mode], "mode %d", n)
		}
	}
}
