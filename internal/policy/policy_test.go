package policy

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/daffi-rpc/daffi/internal/watchfile"
	"github.com/daffi-rpc/daffi/runtime/transport"
)

func parse(tb testing.TB, lines ...string) *Policy {
	tb.Helper()
	p, err := Parse("test.policy", []byte(strings.Join(lines, "\n")))
	require.NoError(tb, err)
	return p
}

func TestDecide(t *testing.T) {
	p := parse(t,
		`# who may buy`, // 1
		`group shops = shop-* kiosk # and others`, // 2
		``,                                      // 3
		`allow @shops call Cart.* Orders.Place`, // 4
		`deny shop-test all Orders.Place`,       // 5
		"allow cart-1,cart-2\tserve Cart.*,Basket.*",  // 6
		"allow clerk call,schedule Reports.Daily\r",   // 7
		`allow monitor watch *`,                       // 8
		`allow shop-test call Orders.Place`,           // 9
		`deny monitor watch shop.v1.Cart.*`,           // 10
		`allow * call shop.v1.Hours.Today`,            // 11
		`allow deep call shop.*`,                      // 12
		`deny deep call,serve shop.v1.Hours.Tomorrow`, // 13
	)
	require.Equal(t, 10, p.Rules())
	require.Equal(t, "allow @shops call Cart.* Orders.Place", p.Text(4))
	require.Empty(t, p.Text(2))
	require.Empty(t, p.Text(99))
	for _, c := range []struct {
		who     string
		action  Action
		service string
		method  string
		want    Decision
	}{
		{"shop-1", Call, "Cart", "Add", Decision{true, 4}},
		{"shop-", Call, "Cart", "Add", Decision{true, 4}},
		{"kiosk", Call, "Cart", "Add", Decision{true, 4}},
		{"kiosk-2", Call, "Cart", "Add", Decision{}},
		{"kiosk", Serve, "Cart", "Add", Decision{}},
		{"kiosk", Call, "Cart", "Add.More", Decision{true, 4}},
		{"kiosk", Call, "CartAdmin", "Add", Decision{}},
		{"kiosk", Call, "cart", "Add", Decision{}},
		{"Kiosk", Call, "Cart", "Add", Decision{}},
		{"kiosk", Call, "Orders", "Place", Decision{true, 4}},
		{"kiosk", Call, "Orders", "place", Decision{}},
		{"kiosk", Call, "Orders", "Place.", Decision{}},
		{"kiosk", Call, "Orders", "Place\x00", Decision{}},
		{"kiosk", Call, "Orders.", "Place", Decision{}},
		{"shop-2", Call, "Orders", "Place", Decision{true, 4}},
		{"shop-test", Call, "Orders", "Place", Decision{false, 5}},
		{"shop-test", Watch, "Orders", "Place", Decision{false, 5}},
		{"cart-2", Serve, "Basket", "Clear", Decision{true, 6}},
		{"clerk", Schedule, "Reports", "Daily", Decision{true, 7}},
		{"clerk", Watch, "Reports", "Daily", Decision{}},
		{"monitor", Watch, "Any", "Thing", Decision{true, 8}},
		{"monitor", Watch, "shop.v1.Cart", "Add", Decision{false, 10}},
		{"monitor", Watch, "shop", "v1.Cart.Add", Decision{false, 10}}, // the same name
		{"monitor", Watch, "shop.v1", "Cart", Decision{true, 8}},
		{"nobody", Call, "shop.v1.Hours", "Today", Decision{true, 11}},
		{"deep", Call, "shop.v1.Hours", "Today", Decision{true, 11}},
		{"deep", Call, "shop.v1.Hours", "Tomorrow", Decision{false, 13}},
		{"deep", Call, "shop", "Open", Decision{true, 12}},
		{"", Call, "Cart", "Add", Decision{}},
		{"kiosk", Action(9), "Cart", "Add", Decision{}},
	} {
		if int(c.action) < actions {
			require.Equal(t, c.want, p.Decide(c.who, c.action, c.service, c.method), "%+v", c)
		}
	}
	require.Equal(t, Decision{true, 6}, p.Everything("cart-1", Serve, "Cart"))
	require.Equal(t, Decision{}, p.Everything("cart-1", Serve, ""))
	require.Equal(t, Decision{false, 10}, p.Everything("monitor", Watch, ""))
	require.Equal(t, Decision{false, 10}, p.Everything("monitor", Watch, "shop"))
	require.Equal(t, Decision{true, 8}, p.Everything("monitor", Watch, "Cart"))
	require.Equal(t, Decision{false, 13}, p.Everything("deep", Call, "shop.v1"))
	require.Equal(t, Decision{}, p.Everything("kiosk", Call, "Orders")) // only one of them
	require.True(t, p.Something("kiosk", Call, "Orders"))
	require.Equal(t, Decision{true, 8}, p.Overall("monitor", Watch))
	require.Equal(t, Decision{}, p.Overall("deep", Call))
	require.True(t, p.Something("kiosk", Call, ""))
	require.False(t, p.Something("shop-test", Call, "Orders"))
	require.False(t, p.Something("kiosk", Call, "Order"))
	require.True(t, p.Something("monitor", Watch, "shop"))
	require.False(t, p.Something("monitor", Watch, "shop.v1.Cart"))
	require.False(t, p.Something("cart-1", Call, "Cart"))
}

func TestDecideDoesNotAllocate(t *testing.T) {
	p := parse(t, "allow shop-*,kiosk call Cart.* Orders.Place", "deny * all Secret.*")
	long := strings.Repeat("x", transport.MaxWord)
	require.Zero(t, testing.AllocsPerRun(100, func() {
		p.Decide("shop-1", Call, "Cart", "Add")
		p.Decide("kiosk", Call, long, long)
	}))
}

func TestMistakes(t *testing.T) {
	for _, c := range []struct{ file, want string }{
		{"", `p: there is no rule in it; write "deny * all *" to forbid everything`},
		{"# nothing\n\n", `p: there is no rule in it; write "deny * all *" to forbid everything`},
		{"Allow a call B.c", `p:1: the line begins with "Allow"; begin it with allow, deny or group`},
		{"allow a call", `p:1: a rule has 3 words; write "allow WHO ACTION WHAT...", lists with commas and without spaces`},
		{"allow A call B.c", `p:1: "A" is no node: write a name of a-z, 0-9, _ and -, at most 64, the beginning of one and a *, @ and a group, or *`},
		{"allow *a call B.c", `p:1: "*a" is no node: write a name`},
		{"allow a** call B.c", `p:1: "a**" is no node: write a name`},
		{"allow -* call B.c", `p:1: "-*" is no node: write a name`},
		{"allow a, call B.c", `p:1: "" is no node: there is nothing; write lists with commas and without spaces`},
		{"allow a, b call B.c", `p:1: the action "b" is not known; write call, serve, schedule, watch or all`},
		{"allow a call B", `p:1: "B" is no method; write Service.Method, Service.* or *: letters, digits, _ and - in parts separated by dots, a * for whole parts only`},
		{"allow a call B.c*", `p:1: "B.c*" is no method`},
		{"allow a call *.c", `p:1: "*.c" is no method`},
		{"allow a call B..c", `p:1: "B..c" is no method`},
		{"allow a call .c", `p:1: ".c" is no method`},
		{"allow a call B.c.", `p:1: "B.c." is no method`},
		{"allow a call B.ç", `p:1: "B.ç" is no method`},
		{"allow a call B.c\x00", `p:1: "B.c\x00" is no method`},
		{"allow a call B.c,", `p:1: "" is no method`},
		{"allow a call B\u00a0.c", `is no method`},
		{"allow a stop B.c", `p:1: the action "stop" is not known; write call, serve, schedule, watch or all`},
		{"allow @none call B.c", `p:1: there is no group "none"; make one with "group NAME = WHO..."`},
		{"group g = a\nallow @f call B.c", `p:2: there is no group "f"; there are g`},
		{"group g = a\ngroup g = b\nallow @g call B.c", `p:2: the group g is there already, on line 1; give one of them another name`},
		{"group g = @f\nallow a call B.c", `p:1: the group g has the group "@f" in it; name the nodes themselves`},
		{"group g= a\nallow a call B.c", `p:1: write "group NAME = WHO...", with a space before and after the =`},
		{"group G = a\nallow a call B.c", `p:1: the group "G" has no name; write one of a-z, 0-9, _ and -, at most 64`},
		{"group g =\nallow a call B.c", `p:1: write "group NAME = WHO..."`},
		{"allow @g call B.c\n\n\nfoo\ngroup g = a", `p:4: the line begins with "foo"`},
		{"allow " + strings.Repeat("a", 65) + " call B.c", `is no node`},
		{"allow a call " + strings.Repeat("a", 300) + ".c", `is no method`},
	} {
		p, err := Parse("p", []byte(c.file))
		require.ErrorContains(t, err, c.want, "%q", c.file)
		require.Nil(t, p, "%q", c.file)
		require.Less(t, len(err.Error()), 300)
	}
	_, err := Parse("p", []byte(strings.Repeat("x\n", 30)))
	require.Equal(t, maxErrors, strings.Count(err.Error(), "\n"))
	require.ErrorContains(t, err, "p: and 10 more")
}

// TestLIM57Bounds has files as large as they may be, and larger by one.
func TestLIM57Bounds(t *testing.T) {
	rule := "allow a call B.c\n"
	fill := func(n int) string {
		return rule + strings.Repeat(strings.Repeat("#", MaxLine)+"\n", n/(MaxLine+1)) + strings.Repeat("#", n%(MaxLine+1))
	}
	fits := func(file string) {
		t.Helper()
		_, err := Parse("p", []byte(file))
		require.NoError(t, err)
	}
	not := func(file, want string) {
		t.Helper()
		_, err := Parse("p", []byte(file))
		require.ErrorContains(t, err, want)
	}
	fits(fill(MaxBytes - len(rule)))
	not(fill(MaxBytes-len(rule)+1), "p: the file has more than 1048576 bytes")
	fits(rule + strings.Repeat("#", MaxLine))
	not(rule+strings.Repeat("#", MaxLine+1), "p:2: the line has 8193 bytes, more than 8192")
	fits("group g = a\n" + strings.Repeat(rule, MaxRules-1))
	not("group g = a\n"+strings.Repeat(rule, MaxRules), "p:4097: there are more than 4096 rules and groups")

	var group, what strings.Builder
	group.WriteString("group g =")
	what.WriteString("allow @g call")
	for i := range 256 {
		fmt.Fprintf(&group, " n%d", i)
		fmt.Fprintf(&what, " S.m%d", i)
	}
	fits(group.String() + "\n" + what.String())
	not(group.String()+"\n"+what.String()+"\nallow a call B.c", "p:3: the rules up to here have more than 65536 pairs")
	not(group.String()+" x\n"+what.String(), "p:2: the rules up to here have more than 65536 pairs")

	name := strings.Repeat("n", transport.MaxName)
	method := strings.Repeat("m", transport.MaxWord)
	p := parse(t, "allow "+name+","+name+"* call "+method+"."+method)
	require.True(t, p.Decide(name, Call, method, method).Allowed)
	require.False(t, p.Decide(name[1:], Call, method, method).Allowed)
	not("allow a call "+method+"m."+method, "is no method")
}

func TestRead(t *testing.T) {
	file := filepath.Join(t.TempDir(), "p")
	_, err := Read(file)
	require.ErrorIs(t, err, os.ErrNotExist)
	require.NoError(t, os.WriteFile(file, []byte("allow a call B.c"), 0o600))
	p, err := Read(file)
	require.NoError(t, err)
	require.Equal(t, 1, p.Rules())
	require.NoError(t, os.WriteFile(file, make([]byte, MaxBytes+1), 0o600))
	_, err = Read(file)
	require.ErrorIs(t, err, watchfile.ErrTooLarge)
	_, err = Read(t.TempDir())
	require.Error(t, err)
}

// slow decides rule by rule, as the documentation says.
func (p *Policy) slow(who string, a Action, name string) (d Decision) {
	for _, r := range p.rules {
		does, is, has := false, false, false
		for _, b := range r.actions {
			does = does || a == b
		}
		for _, w := range r.who {
			is = is || w.matches(who)
		}
		for _, w := range r.what {
			has = has || w == name || w == "" || strings.HasSuffix(w, ".") && strings.HasPrefix(name, w)
		}
		switch {
		case !does || !is || !has:
		case r.deny:
			return Decision{Line: int(r.line)}
		case !d.Allowed:
			d = Decision{Allowed: true, Line: int(r.line)}
		}
	}
	return d
}

// compare holds the decisions of a policy against the rules as they are written.
func compare(t *testing.T, p *Policy, who, service, method string) {
	for a := range Action(actions) {
		name := service + "." + method
		d := p.Decide(who, a, service, method)
		if want := p.slow(who, a, name); d != want {
			t.Fatalf("%s %v %s: %+v, want %+v", who, a, name, d, want)
		}
		for below := name; below != ""; {
			below = below[:max(strings.LastIndexByte(below, '.'), 0)]
			if d.Allowed && !p.Something(who, a, below) || !d.Allowed && p.Everything(who, a, below).Allowed {
				t.Fatalf("%s %v %s is %v, which is not so below %q", who, a, name, d.Allowed, below)
			}
		}
	}
}

// TestDecideLikeTheRules compares decisions with those that are made rule by rule, for random files.
func TestDecideLikeTheRules(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	pick := func(words ...string) string { return words[r.IntN(len(words))] }
	who := func() string { return pick("a", "ab", "abc", "a*", "ab*", "*", "b", "@g", "a,b", "abc*,b*") }
	what := func() string {
		return pick("A.b", "A.b.c", "A.*", "A.b.*", "*", "B.c", "B.* A.b", "A.c,B.d", "A.b.c.*", "AB.c")
	}
	for range 100 {
		var file strings.Builder
		file.WriteString("group g = a b*\n")
		for range 1 + r.IntN(6) {
			fmt.Fprintln(&file, pick("allow", "allow", "deny"), who(), pick("call", "serve", "schedule", "watch", "call,watch", "all"), what())
		}
		p := parse(t, file.String())
		for range 30 {
			compare(t, p, pick("a", "ab", "abc", "b", "c", "abcd"), pick("A", "A.b", "B", "AB", "C"), pick("b", "c", "d", "b.c", "b.c.d"))
		}
	}
}

// FuzzParse feeds files that anybody may have written.
func FuzzParse(f *testing.F) {
	f.Add([]byte("group g = a b-*\nallow @g,c call,serve A.b A.* *\ndeny * all B.c # no\n"), "a", "A", "b")
	f.Add([]byte("allow * * *"), "", "", "")
	f.Add([]byte("group g =\x00 a\r\nallow @ all .\n"), "g", "A.", ".b")
	f.Fuzz(func(t *testing.T, file []byte, who, service, method string) {
		p, err := Parse("p", file)
		if (p == nil) == (err == nil) {
			t.Fatalf("%v and %v", p, err)
		}
		if err != nil {
			for _, c := range []byte(err.Error()) {
				if c < ' ' && c != '\n' || c == 0x7f {
					t.Fatalf("control characters in %q", err)
				}
			}
			return
		}
		if transport.ValidName(who) == nil && transport.ValidWord(service) == nil && transport.ValidWord(method) == nil {
			compare(t, p, who, service, method)
		} else {
			p.Decide(who, Call, service, method)
			p.Everything(who, Serve, service)
			p.Something(who, Watch, service)
		}
	})
}
