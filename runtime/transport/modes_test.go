package transport

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// firstForeign is an IPv4 address of this machine that is not loopback, "" if there is none.
func firstForeign(t *testing.T) string {
	all, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range all {
		if p, err := netip.ParsePrefix(a.String()); err == nil && p.Addr().Is4() && !p.Addr().IsLoopback() {
			return p.Addr().String()
		}
	}
	return ""
}

// TestACC60Bind binds exactly what was asked, by the system's own table, and every interface only where that was asked in so many words, with TLS or a reason.
func TestACC60Bind(t *testing.T) {
	t.Setenv("XDG_RUNTIME_DIR", shortDir(t))
	a := newTestAuthority(t)
	encrypted := ListenOptions{TLS: a.issue("controller", true, nil)}
	bold := ListenOptions{Insecure: "a test"}
	foreign := firstForeign(t)
	for _, c := range []struct {
		host, want string
		o          ListenOptions
		mode       string
	}{
		{"127.0.0.1", "127.0.0.1", ListenOptions{}, ByToken},
		{"localhost", "127.0.0.1", ListenOptions{}, ByToken},
		{"127.0.0.2", "127.0.0.2", ListenOptions{}, ByToken},
		{"[::1]", "::1", ListenOptions{}, ByToken},
		{"[::ffff:127.0.0.1]", "127.0.0.1", ListenOptions{}, ByToken},
		{"127.0.0.1", "127.0.0.1", bold, ByNobody},
		{"localhost", "127.0.0.1", encrypted, ByCertificate},
		{"0.0.0.0", "0.0.0.0", encrypted, ByCertificate},
		{"0.0.0.0", "0.0.0.0", bold, ByNobody},
		{"[::]", "::", encrypted, ByCertificate},
		{"[::]", "::", bold, ByNobody},
		{"", "::", encrypted, ByCertificate},
		{"", "::", bold, ByNobody},
		{foreign, foreign, encrypted, ByCertificate},
		{foreign, foreign, bold, ByNobody},
	} {
		if c.host == foreign && foreign == "" {
			continue
		}
		l, err := Listen(t.Context(), Addr{"tcp", c.host + ":0"}, c.o)
		if err != nil && (strings.Contains(c.want, ":") || runtime.GOOS != "linux") {
			t.Logf("%s: %v", c.host, err) // the system has no such address
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		at := netip.MustParseAddrPort(l.Addr().Path)
		if at.Addr().String() != c.want || l.Authenticates() != c.mode {
			t.Errorf("%q: listens at %v for %s", c.host, l.Addr(), l.Authenticates())
		}
		_, port, _ := net.SplitHostPort(l.Addr().Path)
		checkSocketTable(t, c.want, port)
		if c.host == "[::]" { // IPv6 alone
			if conn, err := net.Dial("tcp4", "127.0.0.1:"+port); err == nil {
				conn.Close()
				t.Errorf("%q: reached over IPv4", c.host)
			}
		}
		if c.host == "" {
			conn, err := net.Dial("tcp4", "127.0.0.1:"+port)
			if err != nil {
				t.Errorf("%q: %v", c.host, err)
			} else {
				conn.Close()
			}
		}
		l.Close()
	}
}

// TestACC61Refused does not start what nobody would be asked at, or what contradicts itself, and says which option is missing or one too many.
func TestACC61Refused(t *testing.T) {
	dir := shortDir(t)
	t.Setenv("XDG_RUNTIME_DIR", dir)
	a := newTestAuthority(t)
	pair := a.issue("controller", true, nil)
	file := func(name, text string) string {
		f := filepath.Join(dir, name)
		writeFile(t, f, text, 0o600)
		return f
	}
	token, tokens := file("token", strings.Repeat("5a", TokenSize)), file("tokens", "")
	alone := &TLS{CertFile: pair.CertFile, KeyFile: pair.KeyFile}
	everywhere, here := Addr{"tcp", "0.0.0.0:0"}, Addr{"tcp", "127.0.0.1:0"}
	for _, c := range []struct {
		a    Addr
		o    ListenOptions
		want []string
	}{
		{everywhere, ListenOptions{}, []string{"TLS", "Insecure"}},
		{Addr{"tcp", ":0"}, ListenOptions{}, []string{"TLS", "Insecure"}},
		{Addr{"tcp", "[::]:0"}, ListenOptions{}, []string{"TLS", "Insecure"}},
		{everywhere, ListenOptions{TokenFile: token}, []string{"TLS", "Insecure"}},
		{everywhere, ListenOptions{TLS: alone}, []string{"TLS.CAFile", "TokenFile", "TokensFile"}},
		{here, ListenOptions{TLS: alone}, []string{"TLS.CAFile", "TokenFile", "TokensFile"}},
		{everywhere, ListenOptions{TLS: &TLS{CAFile: pair.CAFile}}, []string{"TLS.CertFile", "TLS.KeyFile"}},
		{everywhere, ListenOptions{TLS: &TLS{CertFile: pair.CertFile, CAFile: pair.CAFile}}, []string{"TLS.KeyFile"}},
		{everywhere, ListenOptions{TLS: &TLS{KeyFile: pair.KeyFile, CAFile: pair.CAFile}}, []string{"TLS.CertFile"}},
		{everywhere, ListenOptions{TLS: pair, TokensFile: tokens}, []string{"TLS.CAFile", "TokensFile"}},
		{everywhere, ListenOptions{TLS: pair, TokenFile: token}, []string{"TLS.CAFile", "TokenFile"}},
		{everywhere, ListenOptions{TLS: alone, TokenFile: token, TokensFile: tokens}, []string{"TokenFile", "TokensFile"}},
		{everywhere, ListenOptions{TLS: pair, Insecure: "x"}, []string{"TLS", "Insecure"}},
		{here, ListenOptions{TokensFile: tokens}, []string{"TokensFile", "TLS"}},
		{here, ListenOptions{Users: []int{1}}, []string{"Users"}},
		{Addr{"unix", filepath.Join(dir, "x.sock")}, ListenOptions{TLS: pair}, []string{"TLS"}},
		{Addr{"unix", filepath.Join(dir, "x.sock")}, ListenOptions{Insecure: "x"}, []string{"Insecure"}},
		{Addr{"unix", filepath.Join(dir, "x.sock")}, ListenOptions{TokensFile: tokens}, []string{"TokensFile"}},
	} {
		l, err := Listen(t.Context(), c.a, c.o)
		if err == nil {
			l.Close()
			t.Errorf("%v %+v: listens", c.a, c.o)
			continue
		}
		for _, part := range append(c.want, c.a.String()) {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("%v %+v: %v, want %q in it", c.a, c.o, err, part)
			}
		}
	}
	// And what is enough.
	for mode, o := range map[string]ListenOptions{
		ByCertificate: {TLS: pair}, ByTokenTLS: {TLS: alone, TokensFile: tokens}, ByToken: {Insecure: "x", TokenFile: token}, ByNobody: {Insecure: "x"},
	} {
		if l := listen(t, everywhere, o); l.Authenticates() != mode || (l.Token() != nil) != (mode == ByToken) || (l.Tokens() != nil) != (mode == ByTokenTLS) {
			t.Errorf("%+v: %s", o, l.Authenticates())
		}
	}
	if l := listen(t, everywhere, ListenOptions{TLS: alone, TokenFile: token}); l.Authenticates() != ByTokenTLS || l.Token() == nil {
		t.Errorf("TLS with a token: %s", l.Authenticates())
	}
}

func TestDialContradictions(t *testing.T) {
	a := newTestAuthority(t)
	files := a.issue("worker", false, nil)
	node := open(t, files, false, t.Output())
	bare := open(t, &TLS{CAFile: files.CAFile}, false, t.Output())
	there := Addr{"tcp", "192.0.2.1:1"}
	for _, c := range []struct {
		a    Addr
		o    DialOptions
		want string
	}{
		{there, DialOptions{}, "Insecure"},
		{there, DialOptions{TLS: node, Insecure: "x"}, "Insecure"},
		{there, DialOptions{TLS: node, TokenFile: "x"}, "TokenFile"},
		{there, DialOptions{TLS: bare}, "TokenFile"},
		{there, DialOptions{Users: []int{1}}, "Users"},
		{Addr{"unix", "/x"}, DialOptions{TLS: node}, "TLS"},
	} {
		if _, _, _, err := Dial(t.Context(), c.a, c.o); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v %+v: %v", c.a, c.o, err)
		}
	}
}

func TestLIM51Tokens(t *testing.T) {
	const one, two = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08", "60303ae22b998861bce3b28f33eec1be758a213c86c93c076dbe9f558c11c752"
	for text, want := range map[string]string{
		"":                  "",
		"# nobody\n\n":      "",
		one + " worker-*\n": "",
		"  " + one + "\tworker # the one\r\n" + two + " *": "",
		one:                                 "line 1: want",
		one + " worker x":                   "line 1: want",
		"\n" + one[1:] + " worker":          "line 2: want",
		strings.Repeat("x", 64) + " worker": "hexadecimal",
		one + " Worker":                     `name "Worker"`,
		one + " " + strings.Repeat("a", 65): "65 bytes",
		one + " a\n" + one + " b":           "line 2: the token of line 1",
	} {
		_, err := parseTokens([]byte(text))
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
		if err != nil && strings.Contains(err.Error(), one[:16]) {
			t.Errorf("%q is quoted: %v", text, err)
		}
	}
	var many strings.Builder
	for i := range MaxTokens {
		many.WriteString(one[:60])
		many.WriteString(string("0123456789abcdef"[i>>12&15]) + string("0123456789abcdef"[i>>8&15]) + string("0123456789abcdef"[i>>4&15]) + string("0123456789abcdef"[i&15]) + " a\n")
	}
	if list, err := parseTokens([]byte(many.String())); err != nil || len(list) != MaxTokens {
		t.Errorf("LIM-51: %d, %v", len(list), err)
	}
	if _, err := parseTokens([]byte(many.String() + two + " a\n")); err == nil {
		t.Error("LIM-51: one more")
	}
}

func TestTokensFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "tokens")
	var token [TokenSize]byte
	// The SHA-256 of 32 zero bytes.
	writeFile(t, file, "66687aadf862bd776c8fc18b8e9f8e20089714856ee233b3902a591d0d5f2925 worker-*\n", 0o644)
	tokens, err := openTokens(file, 0, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer tokens.close()
	for name, want := range map[string]error{"worker-1": nil, "worker-": nil, "worker": ErrWrongName, "other": ErrWrongName} {
		if err := tokens.Check(token, name); !errors.Is(err, want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	token[31] = 1
	if err := tokens.Check(token, "worker-1"); !errors.Is(err, ErrWrongToken) {
		t.Error(err)
	}
	if os.PathSeparator == '/' {
		if err := os.Chmod(file, 0o622); err != nil {
			t.Fatal(err)
		}
		if _, err := openTokens(file, 0, nil); err == nil || !strings.Contains(err.Error(), "chmod go-w") {
			t.Error(err)
		}
	}
}
