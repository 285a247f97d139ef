//go:build unix

package e2e

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// canary is a secret by what it is, and who may show it: nobody, or one program.
type canary struct {
	what, owner string
	forms       []string // any of which gives it away
}

// formsOf are the ways in which a part of a secret may stand in a text.
func formsOf(secret []byte) []string {
	part := secret[:min(len(secret), 12)]
	list := []string{string(part), hex.EncodeToString(part), strings.ToUpper(hex.EncodeToString(part)), strings.Trim(fmt.Sprint(part), "[]"),
		strings.Trim(strings.TrimPrefix(fmt.Sprintf("%#v", part), "[]byte"), "{}"), strings.Trim(strconv.QuoteToASCII(string(part)), `"`)}
	for shift := range 3 { // as it stands among others' bytes
		text := base64.StdEncoding.EncodeToString(append(bytes.Repeat([]byte{0}, shift), part...))
		list = append(list, text[4:12])
	}
	return list
}

// ofKey are the canaries of a file with a key: its lines, the key as DER and its number.
func ofKey(t *testing.T, file string) (list []canary) {
	t.Helper()
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	block, _ := pem.Decode(text)
	require.NotNil(t, block)
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	require.NoError(t, err)
	number, err := key.(*ecdsa.PrivateKey).Bytes()
	require.NoError(t, err)
	name := filepath.Base(file)
	list = append(list, canary{what: "number of " + name, forms: formsOf(number)}, canary{what: "DER of " + name, forms: []string{hex.EncodeToString(block.Bytes[30:60]), string(block.Bytes[30:60])}})
	for i, l := range strings.Fields(string(text)) {
		if len(l) > 40 && i > 3 { // the first line of the body begins like that of any key
			list = append(list, canary{what: "line of " + name, forms: []string{l[:20], l[len(l)-20:]}})
		}
	}
	return list
}

// watched are programs whose output has to be free of what is not theirs.
type watched struct {
	t        *testing.T
	dir      string
	canaries []canary
	programs map[string][]*process // by what they are
}

// run starts a program in a directory where a core would be found, if one is written.
func (w *watched) run(as string, env []string, name string, args ...string) *process {
	w.t.Helper()
	cmd := exec.Command("sh", append([]string{"-c", `ulimit -c unlimited 2>/dev/null; exec "$@"`, "sh", bin + name}, args...)...)
	cmd.Dir = w.dir
	p := startEnv(w.t, cmd, append([]string{"XDG_RUNTIME_DIR=" + w.dir}, env...))
	w.programs[as] = append(w.programs[as], p)
	return p
}

// arguments looks at the command lines of what runs now.
func (w *watched) arguments() {
	w.t.Helper()
	for as, list := range w.programs {
		for _, p := range list {
			line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", p.cmd.Process.Pid))
			if err != nil {
				continue // it has ended, or the system has no such files
			}
			w.look("the command line of "+as, "", string(line))
		}
	}
}

// look demands that a text has no canary but those of owner.
func (w *watched) look(where, owner, text string) {
	w.t.Helper()
	for _, c := range w.canaries {
		if owner != "" && c.owner == owner {
			continue
		}
		for _, form := range c.forms {
			if i := strings.Index(text, form); i >= 0 {
				w.t.Errorf("%s shows the %s: %q", where, c.what, text[max(0, i-200):min(len(text), i+100)])
				break
			}
		}
	}
}

// end looks at all that was printed by programs that have ended, and for cores.
func (w *watched) end() {
	w.t.Helper()
	for as, list := range w.programs {
		for _, p := range list {
			p.kill()
			if status, ok := p.cmd.ProcessState.Sys().(syscall.WaitStatus); ok && status.CoreDump() {
				w.t.Errorf("%s has left a core", as)
			}
			w.look("the output of "+as, "", p.out.String())
			w.look("the log of "+as, as, p.log.String())
		}
	}
	cores, err := filepath.Glob(filepath.Join(w.dir, "core*"))
	require.NoError(w.t, err)
	require.Empty(w.t, cores)
}

// TestACC67Processes has a controller, a node that serves and one that calls as processes of their own, with secrets wherever there are some. They log all they can, and none shows what is not its own:
// not while all goes well, nor where files are broken, wrong or replaced, nor when they are asked for their stacks.
func TestACC67Processes(t *testing.T) {
	t.Parallel()
	dir := shortDir(t)
	w := &watched{t: t, dir: dir, programs: map[string][]*process{}}
	in := func(name string) string { return filepath.Join(dir, name) }
	plain := func(what, owner, secret string) string {
		w.canaries = append(w.canaries, canary{what, owner, formsOf([]byte(secret))})
		return secret
	}
	prepare := func(args ...string) {
		t.Helper()
		require.Zero(t, w.run("the maker of files", nil, "daffi", args...).code())
	}
	prepare("cert", "init", "--dir", dir)
	prepare("cert", "issue", "--dir", dir, "--controller", "controller", "--host", "127.0.0.1")
	prepare("cert", "issue", "--dir", dir, "server", "client", "other")
	for _, name := range []string{"ca", "controller", "server", "client", "other"} {
		w.canaries = append(w.canaries, ofKey(t, in(name+"-key.pem"))...)
	}
	tokens := map[string]string{}
	for _, name := range []string{"server", "client", "stray"} {
		args := []string{"token", "new", name, "--out", in(name + ".token")}
		if name != "stray" {
			args = append(args, "--tokens", in("tokens"))
		}
		prepare(args...)
		text, err := os.ReadFile(in(name + ".token"))
		require.NoError(t, err)
		tokens[name] = strings.TrimSpace(string(text))
		plain("token of "+name, "", tokens[name])
		raw, err := hex.DecodeString(tokens[name])
		require.NoError(t, err)
		plain("bytes of the token of "+name, "", string(raw))
	}
	remark, line := plain("remark in the policy", "", "remarkQ7f1aa\"x"), strings.Repeat("5ec7e70f1e2d3c4b", 4)
	plain("bad line of the policy", "", line)
	policy := "allow * call,serve * # " + remark + "\n"
	require.NoError(t, os.WriteFile(in("policy"), []byte(policy), 0o600))
	serving := []string{"VAULT_PANIC=" + plain("panic", "server", "panicB82e51aa\"\t"), "VAULT_CAUSE=" + plain("cause", "", "causeC61fd7ab\x01"), "VAULT_REPLY=" + plain("reply", "", "replyD5f0c99\"é"),
		"VAULT_OTHER=" + plain("environment", "", "environE44c0b")}
	calling := []string{"VAULT_PAYLOAD=" + plain("payload", "", "payloadF1b3e\n7"), "VAULT_METADATA=" + plain("metadata", "", "metaG77aac3d1\"")}

	for mode, c := range map[string]struct {
		controller []string
		who        func(name string) []string
	}{
		"certificates": {[]string{"--tls-ca", in("ca.pem")}, func(name string) []string {
			return []string{"DAFFI_TLS_CERT=" + in(name+".pem"), "DAFFI_TLS_KEY=" + in(name+"-key.pem")}
		}},
		"tokens": {[]string{"--tokens-file", in("tokens")}, func(name string) []string {
			return []string{"DAFFI_NAME=" + name, "DAFFI_TOKEN_FILE=" + in(name+".token")}
		}},
	} {
		t.Log(mode)
		addr := address(t, "tcp")
		node := func(name string, more ...string) []string {
			return append(slices.Concat(c.who(name), []string{"DAFFI_ADDR=" + addr, "DAFFI_LOG=debug", "DAFFI_TLS_CA=" + in("ca.pem")}), more...)
		}
		// The controller reads copies, which are spoiled later.
		for _, name := range []string{"controller.pem", "controller-key.pem"} {
			copyTo(t, in(name), in("used-"+name))
		}
		copyTo(t, in("policy"), in("used-policy"))
		controller := w.run("controller", nil, "daffi", append([]string{"controller", "-v", "--addr", addr, "--tls-cert", in("used-controller.pem"), "--tls-key", in("used-controller-key.pem"),
			"--policy", in("used-policy")}, c.controller...)...)
		controller.wait("listening on")
		server := w.run("server", node("server", serving...), "vault")
		server.wait("ready")
		client := w.run("client", node("client", calling...), "vault", "-call")
		client.wait("called")
		w.arguments()
		require.NoError(t, client.stdin.Close())
		require.Zero(t, client.code())
		require.Contains(t, client.out.String(), "handler panicked (id ")
		require.Contains(t, client.out.String(), "denied")
		require.Contains(t, client.out.String(), `method="vault.Get"`)

		// Files that are wrong.
		half := tokens["client"][:31] + "\n"
		require.NoError(t, os.WriteFile(in("half.token"), []byte(half), 0o600))
		text, err := os.ReadFile(in("client-key.pem"))
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(in("broken-key.pem"), bytes.Replace(text, []byte("-----END"), []byte("----"), 1), 0o600))
		require.NoError(t, os.WriteFile(in("inside-key.pem"), bytes.Replace(text, text[100:110], []byte("AAAAAAAAAA"), 1), 0o600))
		var started []*process
		for why, env := range map[string][]string{
			"a key of another":             {"DAFFI_TLS_CERT=" + in("client.pem"), "DAFFI_TLS_KEY=" + in("other-key.pem")},
			"a broken key":                 {"DAFFI_TLS_CERT=" + in("client.pem"), "DAFFI_TLS_KEY=" + in("broken-key.pem")},
			"a key with an error":          {"DAFFI_TLS_CERT=" + in("client.pem"), "DAFFI_TLS_KEY=" + in("inside-key.pem")},
			"a key for a certificate":      {"DAFFI_TLS_CERT=" + in("client-key.pem"), "DAFFI_TLS_KEY=" + in("client-key.pem")},
			"another's name":               {"DAFFI_TLS_CERT=" + in("client.pem"), "DAFFI_TLS_KEY=" + in("client-key.pem"), "DAFFI_NAME=server"},
			"half a token":                 {"DAFFI_NAME=client", "DAFFI_TOKEN_FILE=" + in("half.token")},
			"a key for a token":            {"DAFFI_NAME=client", "DAFFI_TOKEN_FILE=" + in("client-key.pem")},
			"a key in place of its file":   {"DAFFI_TLS_CERT=" + in("client.pem"), "DAFFI_TLS_KEY=" + string(text)},
			"a token in place of its file": {"DAFFI_NAME=client", "DAFFI_TOKEN_FILE=" + tokens["client"]},
			"a stray token":                {"DAFFI_NAME=client", "DAFFI_TOKEN_FILE=" + in("stray.token")},
			"another's token":              {"DAFFI_NAME=client", "DAFFI_TOKEN_FILE=" + in("server.token")},
			"a token for a name":           {"DAFFI_NAME=client", "DAFFI_TOKEN_FILE=" + in("server.token"), "DAFFI_TOKEN=" + tokens["server"]},
		} {
			started = append(started, w.run("a node with "+why, append(env, "DAFFI_ADDR="+addr, "DAFFI_LOG=debug", "DAFFI_TLS_CA="+in("ca.pem")), "vault", "-call", "-patience", "500ms"))
		}
		for _, p := range started {
			require.Equal(t, 1, p.code())
		}

		// Files that are replaced while they are used.
		spoil := func(file, content, said string) {
			t.Helper()
			require.NoError(t, os.WriteFile(in(file), []byte(content), 0o600))
			controller.waitLog(said)
		}
		spoil("used-policy", policy+"nonsense # "+remark+"\n"+line+"\nallow "+line+"0 call a.b\n", "the policy stays what it was")
		spoil("used-controller-key.pem", string(text), "no good")
		if mode == "tokens" {
			before, err := os.ReadFile(in("tokens"))
			require.NoError(t, err)
			spoil("tokens", string(before)+half+tokens["client"]+" "+tokens["client"][:20]+" x\n", "no good")
			require.NoError(t, os.WriteFile(in("tokens"), before, 0o600))
		}

		// What they do at the moment, for whoever asks.
		for _, p := range []*process{server, controller} {
			require.NoError(t, p.cmd.Process.Signal(syscall.SIGQUIT))
			require.Equal(t, 2, p.code())
			require.Contains(t, p.log.String(), "goroutine ")
		}
	}
	w.end()
	// And it finds what it looks for.
	found := map[string]bool{}
	for _, p := range w.programs["server"] {
		for _, c := range w.canaries {
			if c.owner == "server" && strings.Contains(p.log.String(), c.forms[0]) {
				found[c.what] = true
			}
		}
	}
	require.Equal(t, []string{"panic"}, slices.Collect(maps.Keys(found)), "the callee's own log has its own panics")
}

func copyTo(t *testing.T, from, to string) {
	t.Helper()
	text, err := os.ReadFile(from)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(to, text, 0o600))
}
