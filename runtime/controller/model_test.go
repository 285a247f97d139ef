package controller

import (
	"cmp"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/daffi-rpc/daffi/internal/policy"
	"github.com/daffi-rpc/daffi/internal/signature"
	"github.com/daffi-rpc/daffi/runtime/codec"
	"github.com/daffi-rpc/daffi/runtime/internal/control"
	"github.com/daffi-rpc/daffi/runtime/internal/rawpeer"
	"github.com/daffi-rpc/daffi/runtime/internal/testkit"
	"github.com/daffi-rpc/daffi/runtime/transport"
)

// TestModel has nodes join, leave, serve, resolve, call, answer, wait and watch in any order, while policies come and go, and also at the moments at which the controller lets its lock go. After each step
// the tables are what a simple model makes of it: a number means one thing to a session, a call reaches a node that serves its method, or takes what nobody serves, if the policy in force lets both,
// and ends once. When all have left nothing is left. MODEL_SEED=7 is one run, MODEL_SEEDS says how many there are.
func TestModel(t *testing.T) {
	first, runs := uint64(0), uint64(testkit.Full(24, 8_000))
	if v, err := strconv.ParseUint(os.Getenv("MODEL_SEEDS"), 10, 64); err == nil {
		runs = v
	}
	if v, err := strconv.ParseUint(os.Getenv("MODEL_SEED"), 10, 64); err == nil {
		first, runs = v, 1
	}
	var did [len(modelSteps)]int
	for seed := first; seed < first+runs; seed++ {
		synctest.Test(t, func(t *testing.T) {
			m := newModel(t, seed)
			defer func() {
				if t.Failed() {
					t.Logf("seed %d: MODEL_SEED=%[1]d\n%s", seed, strings.Join(m.did[max(len(m.did)-60, 0):], "\n"))
				}
			}()
			for range 150 {
				i := m.IntN(len(modelSteps))
				did[i]++
				m.step(modelSteps[i].name, modelSteps[i].do)
				m.compareTables()
			}
			m.leaveAll()
		})
		if t.Failed() {
			return
		}
	}
	if runs >= 20 {
		for i, n := range did {
			require.NotZero(t, n, modelSteps[i].name)
		}
	}
}

// model is what there is, by what nodes were told.
type model struct {
	*world
	*rand.Rand
	file    string // of the policy; empty if there is none
	policy  *policy.Policy
	calm    bool // policies are in force for longer
	tight   bool // limits are so low that they are met
	nodes   map[string]*modelNode
	numbers uint32 // that nodes have given to methods
	busy    map[*modelNode]int
	nested  int                 // steps within another
	changes bool                // the policy is being taken up
	touched int                 // steps that ran within another
	ends    map[modelCall]frame // what callers got
	comes   []modelRequest      // what callees got
	tasks   map[control.TaskKey]modelTask
	did     []string
}

type modelNode struct {
	*rawpeer.Peer
	s        *session
	labels   []control.Label
	parts    []*modelPart
	caught   map[string]bool
	draining bool
	routes   map[modelRoute]uint32
	known    map[uint32]string     // callers it was introduced to
	told     map[uint32]string     // methods it was told of, as "Service.Method signature"
	gens     [6]uint64             // of its calls, by slot
	open     map[uint64]modelRoute // calls that it made and that have not ended
	serving  map[uint64]*modelCall // what it serves, by whom it is called
	over     []uint64              // that it has served
	waits    map[uint64]modelWait
	fires    map[uint32]bool   // of those callers, that they are schedules
	table    map[uint32]string // what it was told of others; nil if it does not watch
}

type modelPart struct {
	control.Register
	texts []string // signatures
	there bool     // and not withheld
}

type modelRoute struct {
	routeKey
	choice string
}

func (r modelRoute) String() string {
	return fmt.Sprintf("%s.%s%s %q", r.service, r.method, r.print, r.choice)
}

type modelCall struct {
	node   *modelNode
	id     uint64
	oneway bool
}

type modelRequest struct {
	node *modelNode
	frame
}

type modelTask struct {
	modelRoute
	lease *modelNode // nil if it stays when its node has left
}

type modelWait struct {
	modelRoute
	nodes  []string
	others bool // its own node does not count
}

var (
	modelNames    = []string{"a", "b", "c", "d", "e"}
	modelServices = []string{"S", "S.T", "U"}
	modelMethods  = []string{"M", "N"}
	modelPrefixes = []string{"", "S", "S.T", "U"}
	modelSigs     = []string{"(int)()", "(int32)()", "(int64)()", "(string)()", "({A string,B string,C string,D string,E string,F string,G string})()", "({A string,B string,C string,D string,E string,F string,H string})()"}
)

var modelSteps = [...]struct {
	name string
	do   func(*model)
}{
	{"join", (*model).join}, {"join", (*model).join}, {"replace", (*model).replace}, {"leave", (*model).leave}, {"drain", (*model).drain},
	{"register", (*model).register}, {"register", (*model).register}, {"unregister", (*model).unregister},
	{"resolve", (*model).resolve}, {"resolve", (*model).resolve}, {"resolve", (*model).resolve},
	{"call", (*model).call}, {"call", (*model).call}, {"call", (*model).call}, {"call", (*model).call}, {"answer", (*model).answer}, {"answer", (*model).answer}, {"cancel", (*model).cancel}, {"late", (*model).late},
	{"catch", (*model).catch}, {"uncatch", (*model).uncatch}, {"policy", (*model).another}, {"targets", (*model).targets}, {"await", (*model).await}, {"find", (*model).find},
	{"schedule", (*model).schedule}, {"unschedule", (*model).unschedule}, {"watch", (*model).watch}, {"pass", (*model).pass}, {"short", (*model).short},
}

// modelWithin are the steps that may come while the controller compares signatures for another.
var modelWithin = []func(*model){(*model).join, (*model).leave, (*model).register, (*model).unregister, (*model).resolve, (*model).drain, (*model).catch, (*model).uncatch, (*model).another, (*model).call}

func newModel(t *testing.T, seed uint64) *model {
	m := &model{Rand: rand.New(rand.NewPCG(seed, 0)), nodes: map[string]*modelNode{}, busy: map[*modelNode]int{}, ends: map[modelCall]frame{}, tasks: map[control.TaskKey]modelTask{}}
	o := Options{PingInterval: 12 * time.Hour, DeadInterval: 24 * time.Hour, Limits: Limits{ProcessMemory: -1}}
	if seed%4 != 0 {
		m.file = policyFile(t, m.rules())
		o.Policy = m.file
	}
	if m.tight = seed%5 == 4; m.tight {
		o.Limits = Limits{ProcessMemory: -1, Named: 10, Routes: 14, RoutesPerNode: 9, RouteBytes: 900, RouteBytesPerNode: 400, Comparisons: 12, Choices: 3, Methods: 4}
	}
	m.calm = seed%2 == 1
	m.world = start(t, o)
	m.routes.many = 1
	if m.file != "" {
		m.access.files.Close() // it is read when a step says so
		m.policy = m.access.current.Load()
	}
	m.compare = func(caller, provider string) error {
		if m.nested == 0 {
			m.nested++
			failed := true
			defer func() {
				if failed && !m.changes { // the goroutine ends: whoever compares gives the lock free
					m.mu.Lock()
				}
			}()
			for range m.IntN(4) {
				m.touched++
				m.step("  within", modelWithin[m.IntN(len(modelWithin))])
			}
			m.nested--
			failed = false
		}
		return understands(caller, provider)
	}
	return m
}

// rules is some policy, which allows most things.
func (m *model) rules() string {
	var b strings.Builder
	for _, who := range modelNames {
		for _, a := range policy.Actions() {
			for range 2 {
				what := m.word("*", "*", "S.*", "U.*", "S.M", "U.N", "S.T.M")
				fmt.Fprintf(&b, "%s %s %s %s\n", m.word("allow", "allow", "allow", "deny"), who, a, what)
			}
		}
	}
	return b.String()
}

func (m *model) word(of ...string) string { return of[m.IntN(len(of))] }

// node is one that there is and that is not waiting for an answer, nil if there is none.
func (m *model) node() *modelNode {
	var free []*modelNode
	for _, name := range slices.Sorted(maps.Keys(m.nodes)) {
		if n := m.nodes[name]; m.busy[n] == 0 {
			free = append(free, n)
		}
	}
	if len(free) == 0 {
		return nil
	}
	return free[m.IntN(len(free))]
}

func (m *model) say(format string, args ...any) { m.did = append(m.did, fmt.Sprintf(format, args...)) }

// step does something and takes up what nodes are told.
func (m *model) step(name string, do func(*model)) {
	m.say("%s", name)
	if m.nested == 0 {
		m.touched = 0
	}
	clear(m.ends)
	do(m)
	m.listen()
}

// listen takes up what nodes were told.
func (m *model) listen() {
	synctest.Wait()
	m.settled()
	for _, name := range slices.Sorted(maps.Keys(m.nodes)) {
		m.hear(m.nodes[name])
	}
}

func (m *model) hear(n *modelNode) {
	for {
		f, ok := n.Poll()
		if !ok {
			return
		}
		switch f.Kind {
		case transport.Request:
			require.Nil(m, n.serving[f.Call])
			if n.fires[f.Header.Peer] {
				m.runs(n, &f)
				break
			}
			require.Equal(m, m.callerOf(f.Header.Peer), n.known[f.Header.Peer], "%s was introduced to who calls it", n.Name)
			n.serving[f.Call] = new(modelCall)
			m.comes = append(m.comes, modelRequest{n, f})
		case transport.Reply, transport.Error, transport.Accepted:
			_, open := n.open[f.Call]
			require.True(m, open, "%s got %v for a call that is not open", n.Name, f.Kind)
			delete(n.open, f.Call)
			m.ends[modelCall{node: n, id: f.Call}] = f
		case transport.Cancel:
			require.NotNil(m, n.serving[f.Call], "%s got a Cancel of a call that it does not serve", n.Name)
			delete(n.serving, f.Call)
			n.over = append(n.over, f.Call)
		case transport.Peer:
			_, known := n.known[f.Header.Peer]
			require.Equal(m, f.Flags&transport.Bulk != 0, known)
			if known {
				delete(n.known, f.Header.Peer)
			} else {
				n.known[f.Header.Peer] = string(f.Payload)
				n.fires[f.Header.Peer] = f.Arg == 1
			}
		case transport.Control:
			m.told(n, &f)
		case transport.Drain:
			require.True(m, n.draining)
		default:
			m.Fatalf("%s got %v", n.Name, f.Kind)
		}
	}
}

// callerOf is the name of a session.
func (m *model) callerOf(session uint32) string {
	for _, n := range m.nodes {
		if n.Session == session {
			return n.Name
		}
	}
	return "nobody"
}

func (m *model) told(n *modelNode, f *frame) {
	var d codec.Decoder
	d.Reset(f.Payload)
	switch op := control.ReadOp(&d); op {
	case control.OpIntroduce:
		var i control.Introduce
		require.NoError(m, i.Read(&d))
		_, before := n.told[i.Number]
		require.False(m, before, "%s was told of %d before", n.Name, i.Number)
		n.told[i.Number] = fmt.Sprintf("%s.%s %s", i.Service, i.Method, i.Sig)
	case control.OpTable:
		var t control.Table
		require.NoError(m, t.Read(&d))
		for _, row := range t.Nodes {
			row.Age = 0
			n.table[row.Session] = fmt.Sprint(row)
		}
		for _, left := range t.Left {
			delete(n.table, left)
		}
	default:
		w, ok := n.waits[f.Call]
		require.True(m, ok, "%s got the answer %d, which nobody awaits", n.Name, op)
		delete(n.waits, f.Call)
		if op == control.OpFailed {
			require.False(m, m.mayKnow(n, w.modelRoute), "%s does not get to know of %v", n.Name, w)
		} else {
			require.Equal(m, control.OpOK, op)
			require.True(m, m.touched > 0 || m.satisfied(n, w), "%s was told that %v is there", n.Name, w)
		}
	}
}

// settled takes over from the controller what is withheld, and compares that with the policy.
func (m *model) settled() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, n := range m.nodes {
		n.parts = slices.DeleteFunc(n.parts, func(p *modelPart) bool {
			number := p.Methods[0].Number
			reg := n.s.services[p.Service]
			p.there = reg != nil && reg.methods[p.Methods[0].Name].number == number
			held := slices.ContainsFunc(n.s.withheld, func(r *control.Register) bool {
				return slices.ContainsFunc(r.Methods, func(x control.Method) bool { return x.Number == number })
			})
			require.False(m, p.there && held)
			if m.changes { // not everything was looked at
				return false
			}
			if p.there || held {
				require.Equal(m, p.there, m.mayServe(n, &p.Register), "%s: %v", n.Name, p)
				return false
			}
			require.True(m, m.tight || slices.ContainsFunc(n.parts, func(q *modelPart) bool { return q != p && q.overlaps(&p.Register) }), "%s does not serve %v any more", n.Name, p)
			return true
		})
	}
}

func (p *modelPart) overlaps(r *control.Register) bool {
	return p.Service == r.Service && (p.Part == r.Part || slices.ContainsFunc(p.Methods, func(a control.Method) bool {
		return slices.ContainsFunc(r.Methods, func(b control.Method) bool { return a.Name == b.Name })
	}))
}

func (m *model) may(who string, a policy.Action, service, method string) bool {
	return m.policy == nil || m.policy.Decide(who, a, service, method).Allowed
}

func (m *model) mayServe(n *modelNode, r *control.Register) bool {
	return !slices.ContainsFunc(r.Methods, func(x control.Method) bool { return !m.may(n.Name, policy.Serve, r.Service, x.Name) })
}

func (m *model) mayKnow(n *modelNode, r modelRoute) bool {
	return slices.ContainsFunc(knowing, func(a policy.Action) bool { return m.may(n.Name, a, r.service, r.method) })
}

// register has a node serve something.
func (m *model) register() {
	n := m.node()
	if n == nil {
		return
	}
	p := &modelPart{Register: control.Register{Service: m.word(modelServices...), Part: uint32(m.IntN(3)), Balance: control.Balance(m.IntN(6))}}
	for _, i := range m.Perm(len(modelMethods))[:1+m.IntN(2)] {
		m.numbers++
		text := m.word(modelSigs...)
		p.texts = append(p.texts, text)
		p.Methods = append(p.Methods, control.Method{Name: modelMethods[i], Sig: signature.Fingerprint(text), Number: m.numbers})
	}
	could := func() bool {
		return m.mayServe(n, &p.Register) && !slices.ContainsFunc(n.parts, func(q *modelPart) bool { return q.there && q.overlaps(&p.Register) })
	}
	before := could()
	m.say("%s registers %v", n.Name, p)
	why := m.ask(n, p.Service, p.Methods, p.texts, p.Append, control.OpOK, nil)
	m.say("%s registers %v: %v", n.Name, p, why)
	if why == nil {
		p.there = true // and nothing of it in the way
		require.True(m, m.nested > 0 && m.changes || before && could(), "%s serves %v", n.Name, p)
		n.parts = append(n.parts, p)
	} else {
		require.True(m, m.tight && why.Code == resourceExhausted || !before || !could() || m.changes, "%v", why)
	}
}

// ask is a question that says signatures where they are missing.
func (m *model) ask(n *modelNode, service string, methods []control.Method, texts []string, fill func(*codec.Encoder), want control.Op, out interface {
	Read(*codec.Decoder) error
}) *control.Failure {
	m.busy[n]++
	defer func() { m.busy[n]-- }()
	for {
		op, d := n.Answer(m, n.Control(fill))
		switch op {
		case control.OpFailed:
			why := new(control.Failure)
			require.NoError(m, why.Read(d))
			return why
		case control.OpMissing:
			var missing control.Missing
			require.NoError(m, missing.Read(d))
			q := control.Describe{Service: service}
			for _, i := range missing.Methods {
				q.Methods = append(q.Methods, control.Description{Name: methods[i].Name, Sig: texts[i]})
			}
			if why := n.Ask(m, q.Append, control.OpOK, nil); why != nil {
				return why
			}
		default:
			require.Equal(m, want, op)
			if out != nil {
				require.NoError(m, out.Read(d))
			}
			return nil
		}
	}
}

func (m *model) unregister() {
	n := m.node()
	if n == nil {
		return
	}
	q := control.Unregister{Service: m.word(modelServices...), Part: uint32(m.IntN(3))}
	if len(n.parts) > 0 {
		p := n.parts[m.IntN(len(n.parts))]
		q = control.Unregister{Service: p.Service, Part: p.Part}
	}
	m.say("%s unregisters %v", n.Name, q)
	require.Nil(m, n.Ask(m, q.Append, control.OpOK, nil))
	n.parts = slices.DeleteFunc(n.parts, func(p *modelPart) bool { return p.Service == q.Service && p.Part == q.Part })
}

// choices that calls are made with.
func (m *model) choice() (c control.Choice, key string) {
	switch m.IntN(6) {
	case 0:
		c.Self = true
	case 1:
		c.Where = []control.Label{{Name: "zone", Value: m.word("x", "y")}}
	case 2:
		c.Balance = control.Balance(1 + m.IntN(5))
	default:
		return c, ""
	}
	return c, c.Key()
}

func (m *model) resolve() {
	n := m.node()
	if n == nil {
		return
	}
	text, c := m.word(modelSigs...), control.Choice{}
	r := modelRoute{routeKey: routeKey{methodKey{m.word(modelServices...), m.word(modelMethods...)}, signature.Fingerprint(text)}}
	c, r.choice = m.choice()
	methods := []control.Method{{Name: r.method, Sig: r.print}}
	fill := (&control.Resolve{Service: r.service, Methods: methods}).Append
	if r.choice != "" {
		fill = (&control.Select{Service: r.service, Methods: methods, Choice: c}).Append
	}
	m.say("%s resolves %v", n.Name, r)
	may, touched := m.mayKnow(n, r), m.touched
	var routes control.Routes
	if why := m.ask(n, r.service, methods, []string{text}, fill, control.OpRoutes, &routes); why != nil {
		require.True(m, (m.tight && why.Code == resourceExhausted) || m.policy != nil && why.Reason == reasonPolicy && !may, "%v", why)
		return
	}
	number := routes.Routes[0].Number
	m.say("%s resolves %v: %d", n.Name, r, number)
	if m.touched == touched {
		require.Equal(m, may, number != uint32(control.NoRoute))
	}
	if number == uint32(control.NoRoute) {
		return
	}
	if before, ok := n.routes[r]; ok {
		require.Equal(m, before, number, "the number of %v", r)
	}
	for other, its := range n.routes {
		require.True(m, other == r || its != number, "%v and %v have the number %d for %s", r, other, number, n.Name)
	}
	n.routes[r] = number
}

// serves are the nodes that a call of caller may reach, with what they are to see as its number.
func (m *model) serves(r modelRoute, wanted uint32) map[*modelNode]uint32 {
	found := map[*modelNode]uint32{}
	for _, n := range m.nodes {
		if n.draining || wanted != 0 && n.Session != wanted || !n.labelled(r.choice) {
			continue
		}
		for _, p := range n.parts {
			for i, x := range p.Methods {
				if (p.there || m.changes) && p.Service == r.service && x.Name == r.method && (x.Sig == r.print || understands(textOf(r.print), p.texts[i]) == nil) {
					found[n] = x.Number
				}
			}
		}
	}
	return found
}

func textOf(print string) string {
	i := slices.IndexFunc(modelSigs, func(text string) bool { return signature.Fingerprint(text) == print })
	return modelSigs[i]
}

func choiceOf(key string) (c control.Choice) {
	if key != "" {
		var d codec.Decoder
		d.Reset([]byte(key))
		c = control.ReadChoice(&d)
	}
	return c
}

func (n *modelNode) labelled(choice string) bool {
	c := choiceOf(choice)
	return !slices.ContainsFunc(c.Where, func(l control.Label) bool { return !slices.Contains(n.labels, l) })
}

// catches are the nodes that take what nobody serves.
func (m *model) catches(r modelRoute, wanted uint32) (found []*modelNode) {
	for _, n := range m.nodes {
		for _, p := range n.parts {
			if p.there && !n.draining && (wanted == 0 || n.Session == wanted) && p.Service == r.service && slices.ContainsFunc(p.Methods, func(x control.Method) bool { return x.Name == r.method }) {
				return nil
			}
		}
	}
	longest := -1
	for _, n := range m.nodes {
		for prefix := range n.caught {
			below := prefix == "" || r.service == prefix || strings.HasPrefix(r.service, prefix+".")
			may := m.policy == nil || m.policy.Everything(n.Name, policy.Serve, prefix).Allowed
			if !below || !may || n.draining || wanted != 0 && n.Session != wanted || !n.labelled(r.choice) || len(prefix) < longest {
				continue
			}
			if len(prefix) > longest {
				longest, found = len(prefix), nil
			}
			found = append(found, n)
		}
	}
	return found
}

// call has a node call something, by a number that it was given or has guessed.
func (m *model) call() {
	n := m.node()
	if n == nil {
		return
	}
	var r modelRoute
	number, guessed := uint32(m.IntN(20)), true
	if keys := slices.SortedFunc(maps.Keys(n.routes), compareModelRoutes); len(keys) > 0 && m.IntN(4) != 0 {
		r = keys[m.IntN(len(keys))]
		number, guessed = n.routes[r], false
	}
	named := true
	if at := m.route(number); guessed && at != nil {
		r = modelRoute{at.routeKey, at.viewKey}
		named = at.called || at.base != nil // else it is served, and nobody calls it
	} else if guessed {
		r.method = ""
	}
	slot := m.IntN(len(n.gens))
	delete(n.open, transport.CallID(uint32(slot), n.gens[slot])) // the call before ends with it
	n.gens[slot]++
	h := header{Kind: transport.Request, Call: transport.CallID(uint32(slot), n.gens[slot]), Route: number}
	wanted := uint32(0)
	switch m.IntN(6) {
	case 0:
		h.Mode = transport.Oneway
	case 1:
		h.Mode, h.Peer = transport.Keyed, m.Uint32()
	case 2:
		for _, name := range modelNames {
			if other := m.nodes[name]; other != nil && m.IntN(2) == 0 {
				wanted = other.Session
			}
		}
		h.Peer = wanted
	}
	m.say("%s calls %v by %d, guessed %v, mode %d, to %d, call %#x", n.Name, r, number, guessed, h.Mode, wanted, h.Call)
	m.comes = nil
	n.open[h.Call] = r
	n.Send(frame{Header: h, Payload: []byte("\x90")})
	m.listen()
	end, ended := m.ends[modelCall{node: n, id: h.Call}]
	require.LessOrEqual(m, len(m.comes), 1)
	refused := func(code uint8, reasons ...string) {
		require.Empty(m, m.comes)
		require.True(m, ended)
		require.Equal(m, transport.Error, end.Kind)
		f := rawpeer.Failure(m, end)
		require.Equal(m, notRun, f.Outcome)
		require.Equal(m, code, f.Code, "%v", f)
		require.Contains(m, reasons, f.Reason)
	}
	if guessed && r.method == "" {
		refused(unavailable, reasonStaleRoute)
		return
	}
	if !m.may(n.Name, policy.Call, r.service, r.method) {
		refused(permissionDenied, reasonPolicy)
		return
	}
	if !named {
		refused(unavailable, reasonStaleRoute)
		return
	}
	servers, catchers := m.serves(r, wanted), m.catches(r, wanted)
	if len(m.comes) == 0 {
		require.True(m, ended)
		f := rawpeer.Failure(m, end)
		require.Equal(m, notRun, f.Outcome)
		require.True(m, m.changes || len(servers) == 0 && len(catchers) == 0, "nobody gets it: %v", f)
		return
	}
	came := m.comes[0]
	require.Equal(m, n.Session, came.Header.Peer)
	require.Equal(m, h.Mode, came.Mode)
	if came.Route < control.Introduced {
		require.Contains(m, servers, came.node)
		require.Equal(m, servers[came.node], came.Route)
	} else {
		require.True(m, m.changes || len(servers) == 0, "who serves it gets it")
		require.True(m, m.changes || slices.Contains(catchers, came.node))
		require.Equal(m, fmt.Sprintf("%s.%s %s", r.service, r.method, textOf(r.print)), came.node.told[came.Route])
	}
	if came.node == n && wanted == 0 && h.Mode != transport.Keyed && !choiceOf(r.choice).Self && came.Route < control.Introduced && !m.changes {
		for other := range servers {
			require.True(m, other == n || other.s.health.trial.Load() == out, "its own node is the last")
		}
	}
	require.Equal(m, h.Mode == transport.Oneway, ended)
	if ended {
		require.Equal(m, transport.Accepted, end.Kind)
	}
	*came.node.serving[came.Call] = modelCall{n, h.Call, ended}
}

func compareModelRoutes(a, b modelRoute) int { return cmp.Compare(fmt.Sprint(a), fmt.Sprint(b)) }

// some is one of the keys of a table, ok if there is one.
func some[V any](m *model, table map[uint64]V) (id uint64, ok bool) {
	ids := slices.Sorted(maps.Keys(table))
	if len(ids) == 0 {
		return 0, false
	}
	return ids[m.IntN(len(ids))], true
}

// answer has a node answer a call that it serves.
func (m *model) answer() {
	n := m.node()
	if n == nil {
		return
	}
	id, ok := some(m, n.serving)
	if !ok {
		return
	}
	call := n.serving[id]
	f := frame{Header: header{Kind: transport.Reply, Call: id}, Payload: []byte("\x90")}
	switch m.IntN(4) {
	case 0:
		f.Kind, f.Payload = transport.Error, rawpeer.ErrorPayload(control.Failure{Code: internal, Reason: reasonPanic, Outcome: ran})
	case 1:
		f.Kind, f.Payload = transport.Error, rawpeer.ErrorPayload(control.Failure{Code: unavailable, Reason: reasonClosed, Outcome: notRun})
	}
	m.say("%s answers %#x with %v", n.Name, id, f.Kind)
	delete(n.serving, id)
	n.over = append(n.over, id)
	n.Send(f)
	m.listen()
	end, ended := m.ends[modelCall{node: call.node, id: call.id}]
	require.Equal(m, !call.oneway, ended)
	if ended {
		require.Equal(m, f.Kind, end.Kind)
		require.Equal(m, f.Payload, end.Payload)
	}
}

// late has a node say something of a call that is over, which nobody gets.
func (m *model) late() {
	n := m.node()
	if n == nil || len(n.over) == 0 {
		return
	}
	kind := []transport.Kind{transport.Reply, transport.Error, transport.Stop, transport.Data}[m.IntN(4)]
	n.Send(frame{Header: header{Kind: kind, Call: n.over[m.IntN(len(n.over))]}, Payload: rawpeer.ErrorPayload(control.Failure{})})
	m.listen()
	require.Empty(m, m.ends)
}

func (m *model) cancel() {
	n := m.node()
	if n == nil {
		return
	}
	if id, ok := some(m, n.open); ok {
		m.say("%s cancels %#x", n.Name, id)
		delete(n.open, id)
		n.Send(frame{Header: header{Kind: transport.Cancel, Call: id}})
	}
}

// absent is a name that nobody has, empty if there is none.
func (m *model) absent() string {
	for _, i := range m.Perm(len(modelNames)) {
		if m.nodes[modelNames[i]] == nil {
			return modelNames[i]
		}
	}
	return ""
}

func (m *model) join() {
	if name := m.absent(); name != "" {
		m.enters(name, 1)
	}
}

func (m *model) enters(name string, incarnation uint64) {
	p := m.peer()
	hello := transport.HelloPayload{Name: name, Incarnation: incarnation}
	copy(hello.Session[:], name)
	f := p.Hello(m, hello, nil)
	if m.memory.level.Load() == shut {
		require.Equal(m, transport.Refuse, f.Kind)
		p.Close()
		return
	}
	require.Equal(m, transport.Welcome, f.Kind)
	n := &modelNode{Peer: p, caught: map[string]bool{}, routes: map[modelRoute]uint32{}, known: map[uint32]string{}, told: map[uint32]string{}, fires: map[uint32]bool{}, open: map[uint64]modelRoute{},
		serving: map[uint64]*modelCall{}, waits: map[uint64]modelWait{}}
	m.mu.Lock()
	n.s = m.session(p.Session)
	m.mu.Unlock()
	m.nodes[name] = n
	if m.IntN(2) == 0 {
		n.labels = []control.Label{{Name: "zone", Value: m.word("x", "y")}}
		require.Nil(m, p.Ask(m, (&control.About{Labels: n.labels}).Append, control.OpOK, nil))
	}
	m.say("%s is session %d with %v", name, p.Session, n.labels)
}

// replace has a node come again before it has left.
func (m *model) replace() {
	n := m.node()
	if n == nil || m.memory.level.Load() == shut {
		return
	}
	m.say("%s comes again", n.Name)
	delete(m.nodes, n.Name)
	m.lost(n, func() { m.enters(n.Name, 2+n.s.hello.Incarnation) })
}

func (m *model) leave() {
	n := m.node()
	if n == nil {
		return
	}
	m.say("%s leaves", n.Name)
	delete(m.nodes, n.Name)
	m.lost(n, func() {
		if m.IntN(2) == 0 {
			n.Send(frame{Header: header{Kind: transport.Goodbye}})
		}
		n.Close()
	})
}

// lost expects that calls which a node has not answered end where they were made.
func (m *model) lost(n *modelNode, leaves func()) {
	maps.DeleteFunc(m.tasks, func(_ control.TaskKey, t modelTask) bool { return t.lease == n })
	leaves()
	m.listen()
	for _, call := range n.serving {
		end, ended := m.ends[modelCall{node: call.node, id: call.id}]
		require.Equal(m, !call.oneway && call.node != n, ended)
		if ended {
			f := rawpeer.Failure(m, end)
			require.Equal(m, reasonNodeLost, f.Reason)
			require.Equal(m, mayHaveRun, f.Outcome)
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	require.True(m, n.s.is(gone))
	require.Empty(m, n.s.named)
	require.Empty(m, n.s.introduced)
	require.Empty(m, n.s.awaits)
	require.Empty(m, n.s.services)
	require.Empty(m, n.s.caught)
	require.Zero(m, n.s.awaited+n.s.methods+n.s.parts+n.s.told)
}

func (m *model) drain() {
	if n := m.node(); n != nil && m.IntN(2) == 0 {
		m.say("%s drains", n.Name)
		n.draining = true
		n.Send(frame{Header: header{Kind: transport.Drain}})
	}
}

func (m *model) catch() {
	n := m.node()
	if n == nil {
		return
	}
	prefix := m.word(modelPrefixes...)
	why := n.Ask(m, (&control.Catch{Prefix: prefix}).Append, control.OpOK, nil)
	may := m.policy == nil || m.policy.Everything(n.Name, policy.Serve, prefix).Allowed
	m.say("%s takes unknown methods of %q: %v", n.Name, prefix, why)
	require.Equal(m, may && !n.caught[prefix], why == nil)
	if why == nil {
		n.caught[prefix] = true
	}
}

func (m *model) uncatch() {
	if n := m.node(); n != nil {
		prefix := m.word(modelPrefixes...)
		m.say("%s does not take unknown methods of %q", n.Name, prefix)
		require.Nil(m, n.Ask(m, (&control.Uncatch{Prefix: prefix}).Append, control.OpOK, nil))
		delete(n.caught, prefix)
	}
}

// another policy is in force from now on.
func (m *model) another() {
	if m.file == "" || m.changes || m.calm && m.IntN(8) != 0 {
		return
	}
	text := m.rules()
	m.say("policy %s", strings.ReplaceAll(text, "\n", "; "))
	require.NoError(m, os.WriteFile(m.file, []byte(text), 0o600))
	p, err := policy.Parse("", []byte(text))
	require.NoError(m, err)
	m.policy, m.changes = p, true
	m.rereadPolicy()
	m.changes = false
}

// route is one that a node has named.
func (m *model) named(n *modelNode) (r modelRoute, ok bool) {
	keys := slices.SortedFunc(maps.Keys(n.routes), compareModelRoutes)
	if len(keys) == 0 {
		return r, false
	}
	return keys[m.IntN(len(keys))], true
}

func (m *model) targets() {
	n := m.node()
	if n == nil {
		return
	}
	r, ok := m.named(n)
	if !ok {
		return
	}
	var want []uint32
	for other := range m.serves(r, 0) {
		if other != n || choiceOf(r.choice).Self {
			want = append(want, other.Session)
		}
	}
	slices.Sort(want)
	var got control.Sessions
	why := n.Ask(m, (&control.Targets{Route: n.routes[r]}).Append, control.OpSessions, &got)
	m.say("%s asks who serves %v: %v, %v", n.Name, r, got, why)
	switch {
	case !m.may(n.Name, policy.Call, r.service, r.method):
		require.Equal(m, permissionDenied, why.Code)
	case len(want) == 0:
		require.NotNil(m, why)
		require.Equal(m, notRun, why.Outcome)
	default:
		require.Nil(m, why)
		require.Equal(m, want, got.Numbers)
	}
}

// await has a node wait for a provider, perhaps one of some nodes.
func (m *model) await() {
	n := m.node()
	if n == nil {
		return
	}
	r, ok := m.named(n)
	if !ok {
		return
	}
	w := modelWait{modelRoute: r}
	if m.IntN(2) == 0 {
		w.nodes = []string{m.word(modelNames...), m.word(modelNames...)}
	}
	q := control.Await{Routes: []uint32{n.routes[r]}, Nodes: w.nodes}
	if w.others = m.IntN(2) == 0; w.others {
		q.Routes, q.Others = nil, q.Routes
	}
	number := n.Control(q.Append)
	m.say("%s waits for %v, question %d", n.Name, w, number)
	n.waits[number] = w
	if m.IntN(8) == 0 {
		m.listen()
		if _, waits := n.waits[number]; waits {
			n.Control((&control.Forget{Number: number}).Append)
			delete(n.waits, number)
		}
	}
}

// satisfied reports whether there is what a node waits for.
func (m *model) satisfied(n *modelNode, w modelWait) bool {
	for other := range m.serves(w.modelRoute, 0) {
		if (other != n || !w.others) && (len(w.nodes) == 0 || slices.Contains(w.nodes, other.Name)) {
			return true
		}
	}
	return false
}

// sees reports whether a node gets to know of another.
func (m *model) sees(n, other *modelNode) bool {
	if m.policy == nil || n == other || m.policy.Overall(n.Name, policy.Watch).Allowed {
		return true
	}
	for _, p := range other.parts {
		for _, x := range p.Methods {
			if p.there && m.mayKnow(n, modelRoute{routeKey: routeKey{methodKey: methodKey{p.Service, x.Name}}}) {
				return true
			}
		}
	}
	for prefix := range other.caught {
		if m.policy.Everything(other.Name, policy.Serve, prefix).Allowed && slices.ContainsFunc(knowing, func(a policy.Action) bool { return m.policy.Something(n.Name, a, prefix) }) {
			return true
		}
	}
	return false
}

func (m *model) find() {
	n := m.node()
	if n == nil {
		return
	}
	name, want := m.word(modelNames...), uint32(0)
	if other := m.nodes[name]; other != nil && m.sees(n, other) {
		want = other.Session
	}
	var found control.Found
	require.Nil(m, n.Ask(m, (&control.Find{Node: name}).Append, control.OpFound, &found))
	require.Equal(m, want, found.Session)
}

// schedule has a node schedule calls of something, every second.
func (m *model) schedule() {
	n := m.node()
	if n == nil {
		return
	}
	key := control.TaskKey{Owner: n.Name, ID: m.word("s", "t")}
	r, ok := m.named(n)
	if _, again := m.tasks[key]; !ok || again {
		return
	}
	q := control.Schedule{ID: key.ID, Route: n.routes[r], Plan: control.Plan{Timing: control.Every, Interval: time.Second, WhileConnected: m.IntN(2) == 0}}
	why := n.Ask(m, q.Append, control.OpScheduled, nil)
	m.say("%s schedules %v: %v", n.Name, r, why)
	require.Equal(m, m.may(n.Name, policy.Schedule, r.service, r.method), why == nil)
	if why == nil {
		t := modelTask{modelRoute: r}
		if q.Plan.WhileConnected {
			t.lease = n
		}
		m.tasks[key] = t
	}
}

func (m *model) unschedule() {
	keys := slices.SortedFunc(maps.Keys(m.tasks), compareKeys)
	if len(keys) == 0 {
		return
	}
	key := keys[m.IntN(len(keys))]
	m.say("%v ends", key)
	ok, err := m.CancelTask(key.Owner, key.ID)
	require.NoError(m, err)
	require.True(m, ok)
	delete(m.tasks, key)
}

// runs takes a call of a schedule: there must be one of its owner that may run there.
func (m *model) runs(n *modelNode, f *frame) {
	owner := n.known[f.Header.Peer]
	fits := false
	for key, t := range m.tasks {
		if key.Owner != owner || !m.may(owner, policy.Schedule, t.service, t.method) {
			continue
		}
		if f.Route < control.Introduced {
			number, serves := m.serves(t.modelRoute, 0)[n]
			fits = fits || serves && number == f.Route
		} else {
			fits = fits || slices.Contains(m.catches(t.modelRoute, 0), n) && n.told[f.Route] == fmt.Sprintf("%s.%s %s", t.service, t.method, textOf(t.print))
		}
	}
	require.True(m, fits, "%s gets a call of a schedule of %s by %d", n.Name, owner, f.Route)
	n.serving[f.Call] = &modelCall{oneway: true} // nobody whom the model listens to gets the answer
	if m.IntN(2) == 0 {
		delete(n.serving, f.Call)
		n.Reply(f.Call, "\x90")
	}
}

func (m *model) watch() {
	if n := m.node(); n != nil && m.IntN(3) == 0 {
		m.say("%s watches", n.Name)
		n.table = map[uint32]string{}
		n.Control(plainly(control.OpWatch))
	}
}

// pass lets time pass, after which watchers know what there is.
func (m *model) pass() {
	time.Sleep(2*tablePause + time.Duration(m.Int64N(int64(3*time.Second))))
	m.listen()
	for _, n := range m.nodes {
		if n.table == nil {
			continue
		}
		want := map[uint32]string{}
		for _, other := range m.nodes {
			if m.sees(n, other) {
				want[other.Session] = fmt.Sprint(m.row(n, other))
			}
		}
		require.Equal(m, want, n.table, "what %s knows", n.Name)
	}
}

// row is what a node gets to know of another that it sees.
func (m *model) row(n, other *modelNode) control.Node {
	row := control.Node{Session: other.Session, Name: other.Name, Labels: other.labels}
	for _, service := range modelServices {
		var methods []string
		for _, p := range other.parts {
			for _, x := range p.Methods {
				if p.there && !other.draining && p.Service == service && (n == other || m.mayKnow(n, modelRoute{routeKey: routeKey{methodKey: methodKey{service, x.Name}}})) {
					methods = append(methods, x.Name)
				}
			}
		}
		if slices.Sort(methods); len(methods) > 0 {
			row.Services = append(row.Services, control.Service{Name: service, Methods: methods})
		}
	}
	return row
}

// short has memory run short for a moment.
func (m *model) short() {
	level := shedding + int32(m.IntN(2))
	m.say("memory is at level %d", level)
	m.memory.level.Store(level)
	defer m.memory.level.Store(watched)
	if n := m.node(); n != nil {
		if r, ok := m.named(n); ok && m.may(n.Name, policy.Call, r.service, r.method) {
			m.comes = nil
			n.gens[0]++
			delete(n.open, transport.CallID(0, n.gens[0]-1))
			id := transport.CallID(0, n.gens[0])
			n.open[id] = r
			n.Send(frame{Header: header{Kind: transport.Request, Call: id, Route: n.routes[r]}, Payload: []byte("\x90")})
			m.listen()
			require.Empty(m, m.comes)
			f := rawpeer.Failure(m, m.ends[modelCall{node: n, id: id}])
			require.Equal(m, reasonOverloaded, f.Reason)
			require.Equal(m, notRun, f.Outcome)
		}
	}
	m.join()
	m.listen()
}

// leaveAll ends the run: nothing is left.
func (m *model) leaveAll() {
	for len(m.tasks) > 0 {
		m.step("unschedule", (*model).unschedule)
	}
	for len(m.nodes) > 0 {
		m.step("leave", (*model).leave)
		m.compareTables()
	}
	time.Sleep(5 * time.Minute)
	synctest.Wait()
	require.Equal(m, nothing, m.remembered())
	m.mu.Lock()
	defer m.mu.Unlock()
	require.Zero(m, m.memory.meter.Held())
	require.Zero(m, m.kept.Used())
	for _, left := range []any{m.links, m.names, m.waiting, m.sessions, m.services, m.served, m.catchers, m.watchers, m.roused, m.ended, m.gate.visitors, m.gate.of, m.schedules.owners, m.schedules.waits} {
		require.Empty(m, left)
	}
	require.Zero(m, m.waiters+m.refusing+m.gate.leaving+int(m.catching.Load()))
	require.Nil(m, m.pause)
}

// compareTables compares all that the controller has in its tables with the model, and the tables with each other.
func (m *model) compareTables() {
	m.mu.Lock()
	defer m.mu.Unlock()
	users, own, caught, sessions := map[*route]int{}, map[*route][]provider{}, 0, []*session{}
	for _, name := range modelNames {
		n := m.nodes[name]
		if n == nil {
			continue
		}
		sessions = append(sessions, n.s)
		require.Same(m, n.s, m.names[name])
		for r := range n.s.named {
			users[r]++
		}
		for _, r := range n.s.introduced {
			users[r]++
		}
		require.Len(m, n.s.toldOf, len(n.s.introduced))
		m.comparePart(n, own)
		caught += len(n.s.caught)
		require.Len(m, n.s.caught, len(n.caught))
		m.compareCalls(n)
		require.Len(m, n.s.awaits, len(n.waits))
		weight := 0
		for number, w := range n.s.awaits {
			weight += w.weight
			require.Contains(m, w.routes[w.at].awaited, w)
			require.False(m, m.satisfied(n, n.waits[number]), "%s waits for %v, question %d", n.Name, n.waits[number], number)
		}
		require.Equal(m, weight, n.s.awaited)
	}
	for _, o := range m.schedules.owners {
		if o.s != nil {
			for r := range o.s.named {
				users[r]++
			}
		}
	}
	slices.SortFunc(sessions, func(a, b *session) int { return cmp.Compare(a.number, b.number) })
	require.True(m, slices.Equal(sessions, m.sessions))
	require.EqualValues(m, caught, m.catching.Load())
	require.Empty(m, m.roused)
	require.Empty(m, m.gate.visitors)
	require.Zero(m, m.gate.leaving)

	count, bytes, serials, groups, services := 0, 0, map[uint64]bool{}, map[*group]*bits{}, map[string]int{}
	for r := range m.routes.all() {
		count++
		bytes += r.cost
		require.Equal(m, users[r], r.users, "%v", r)
		require.NotZero(m, r.users, "%v", r)
		require.False(m, serials[r.serial])
		serials[r.serial] = true
		for w := range r.awaited {
			require.Same(m, w, w.s.awaits[w.number])
		}
		m.compareChoices(r)
		if r.base != nil {
			require.Same(m, r, r.base.views[r.viewKey])
			require.Same(m, r.base, m.routes.at(r.base.number))
			continue
		}
		require.Same(m, r, m.routeIndex[r.routeKey])
		services[r.service]++
		g := groups[r.group]
		if g == nil {
			g = new(bits)
			groups[r.group] = g
		}
		require.False(m, g.has(r.index))
		g.add(r.index)
		require.Contains(m, r.group.routes, r)
		for _, v := range r.views {
			require.Same(m, v, m.routes.at(v.number))
		}
		list := own[r]
		slices.SortFunc(list, func(a, b provider) int { return cmp.Compare(a.s.number, b.s.number) })
		require.Equal(m, numbersOf(list), numbersOf(r.own), "%v", r)
		require.Equal(m, len(r.own) > 0, slices.Contains(m.served[r.service], r))
	}
	require.Equal(m, count, m.routes.count)
	require.Equal(m, int(m.routes.next)-1, count+len(m.routes.free))
	require.Len(m, groups, len(m.groups))
	for g, used := range groups {
		require.Equal(m, *used, g.used)
	}
	require.Len(m, m.spoken, len(services))
	for service, n := range services {
		require.Equal(m, n, m.spoken[service].routes)
		bytes += len(m.spoken[service].doc)
	}
	require.Equal(m, bytes, m.routeBytes)
}

// numbersOf are sessions, and what they have called a method.
func numbersOf(list []provider) (numbers [][2]uint32) {
	for _, p := range list {
		numbers = append(numbers, [2]uint32{p.s.number, p.number})
	}
	return numbers
}

// comparePart compares what a node serves, and adds it to what its routes have.
func (m *model) comparePart(n *modelNode, own map[*route][]provider) {
	methods, parts, words := 0, 0, 0
	for _, l := range n.labels {
		words += len(l.Name) + len(l.Value) + 8
	}
	services := map[string]bool{}
	for _, p := range n.parts {
		if !p.there {
			continue
		}
		parts++
		services[p.Service] = true
		require.Same(m, n.s.services[p.Service], m.services[p.Service][n.s])
		require.Contains(m, n.s.services[p.Service].parts, p.Part)
		for _, x := range p.Methods {
			methods++
			words += methodWords(x.Name)
			at := n.s.services[p.Service].methods[x.Name]
			require.Equal(m, x.Number, at.number)
			require.Equal(m, routeKey{methodKey{p.Service, x.Name}, x.Sig}, at.route.routeKey)
			if !n.draining {
				own[at.route] = append(own[at.route], provider{s: n.s, number: x.Number})
			}
		}
	}
	for service := range services {
		words += serviceWords(service)
	}
	require.Len(m, n.s.services, len(services))
	require.Equal(m, [3]int{methods, parts, words}, [3]int{n.s.methods, n.s.parts, n.s.words}, n.Name)
}

// compareChoices compares whom the calls of a route may go to with who serves what its caller understands.
func (m *model) compareChoices(r *route) {
	var list []provider
	base := r
	if r.base != nil {
		base = r.base
	}
	for _, to := range base.group.routes {
		a, _ := base.signature()
		b, _ := to.signature()
		if base.called && (base == to || understands(a, b) == nil) {
			list = append(list, to.own...)
		}
	}
	list = slices.DeleteFunc(list, func(p provider) bool { return !r.admits(p.s) })
	slices.SortFunc(list, func(a, b provider) int { return cmp.Compare(a.s.number, b.s.number) })
	require.Equal(m, numbersOf(list), numbersOf(*r.providers.Load()), "%v", r)
	c := r.choices.Load()
	require.GreaterOrEqual(m, len(c.list), len(list)-len(list)/2)
	for _, p := range c.list {
		require.Contains(m, numbersOf(list), [2]uint32{p.s.number, p.number})
	}
}

// compareCalls compares the two ends of calls.
func (m *model) compareCalls(n *modelNode) {
	served := map[uint64]bool{}
	for _, callee := range m.nodes {
		for _, call := range callee.serving {
			if call.node == n && !call.oneway {
				served[call.id] = true
			}
		}
	}
	require.Len(m, served, len(n.open), "%s: %v", n.Name, n.open)
	for id := range n.open {
		require.True(m, served[id])
	}
	for session := range n.known {
		if n.fires[session] {
			continue
		}
		require.NotEqual(m, "nobody", m.callerOf(session), "%s was told that session %d has left", n.Name, session)
	}
	for _, call := range n.serving {
		require.True(m, call.oneway || m.nodes[call.node.Name] == call.node, "%s was told that its caller has left", n.Name)
	}
	n.s.mu.Lock()
	defer n.s.mu.Unlock()
	require.Equal(m, len(n.open), n.s.calls.live)
	require.Equal(m, len(n.serving), n.s.calls.served)
	require.EqualValues(m, len(n.serving), n.s.running.Load())
	require.Len(m, n.s.calls.known, len(n.known))
}
