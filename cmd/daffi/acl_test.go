package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestACL(t *testing.T) {
	dir := t.TempDir()
	good, bad := filepath.Join(dir, "good"), filepath.Join(dir, "bad")
	require.NoError(t, os.WriteFile(good, []byte("allow shop-*  call Cart.* # buy\ndeny shop-test call Cart.Clear\n"), 0o600))
	require.NoError(t, os.WriteFile(bad, []byte("allow shop-* Cart.*\n"), 0o600))
	for _, c := range []struct {
		args string
		code int
		want string
	}{
		{"acl test --policy good shop-1 call Cart.Add", 0, "allowed by good:1: allow shop-* call Cart.*\n"},
		{"acl test --policy good shop-test call Cart.Clear", 1, "denied by good:2: deny shop-test call Cart.Clear\n"},
		{"acl test --policy good shop-1 watch Cart.Add", 0, "allowed by good:1: allow shop-* call Cart.*\n"},
		{"acl test --policy good shop-test watch Cart.Clear", 1, "denied: no rule of good allows it\n"},
		{"acl test --policy good shop-1 serve Cart.Add", 1, "denied: no rule of good allows it\n"},
		{"acl test --policy bad shop-1 call Cart.Add", 2, "daffi: bad:1: a rule has 3 words; "},
		{"acl test --policy none shop-1 call Cart.Add", 2, "daffi: policy: open none: "},
		{"acl test --policy good Shop call Cart.Add", 2, `daffi: name "Shop"`},
		{"acl test --policy good shop-1 stop Cart.Add", 2, `the action "stop" is not known; it is one of call, serve, schedule, watch`},
		{"acl test --policy good shop-1 call Cart.", 2, `"Cart." is no method`},
		{"acl test --policy good shop-1 call Cart", 2, `"Cart" is no method`},
		{"acl test shop-1 call Cart.Add", 2, "missing flags: --policy=FILE"},
		{"acl check good", 0, "good: 2 rules\n"},
		{"acl check bad", 2, "daffi: bad:1: a rule has 3 words; "},
	} {
		args := strings.Fields(c.args)
		for i, arg := range args {
			if arg == "good" || arg == "bad" || arg == "none" {
				args[i] = filepath.Join(dir, arg)
			}
		}
		var out bytes.Buffer
		code := run(args, &out, &out)
		require.Equal(t, c.code, code, "%s: %s", c.args, out.String())
		require.Contains(t, strings.ReplaceAll(out.String(), dir+string(filepath.Separator), ""), c.want, c.args)
	}
}
