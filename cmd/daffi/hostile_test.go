package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"math/big"
	mathrand "math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/daffi-rpc/daffi/internal/evil"
)

// requireShown demands lines that a terminal only shows, none of them endless.
func requireShown(t *testing.T, text string, lines int) {
	t.Helper()
	require.LessOrEqual(t, strings.Count(text, "\n"), lines, "%.2000q", text)
	require.True(t, utf8.ValidString(text), "%.2000q", text)
	for l := range strings.Lines(text) {
		for _, r := range strings.TrimSuffix(l, "\n") {
			if !strconv.IsPrint(r) {
				t.Fatalf("%q in %.2000q", r, l)
			}
		}
		require.Less(t, len(l), 32<<10)
	}
}

// figure is night in a night's run, else base.
func figure(base, night int) int {
	if os.Getenv("DAFFI_NIGHT") != "" {
		return night
	}
	return base
}

// TestACC68CertShow shows certificates whose makers put harm wherever a certificate has text.
func TestACC68CertShow(t *testing.T) {
	r := mathrand.New(mathrand.NewPCG(68, 2))
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "cert.pem")
	shown, refused := 0, 0
	for i := range figure(100, 10_000) {
		text := func() string { return strings.ToValidUTF8(evil.Text(r, 8<<10), "?") } // package x509 makes nothing else of names
		name := pkix.Name{CommonName: text(), Organization: []string{text(), text()}, OrganizationalUnit: []string{text()}, SerialNumber: text()}
		c := &x509.Certificate{
			SerialNumber: big.NewInt(1 + r.Int64()), Subject: name, NotBefore: time.Unix(r.Int64N(1<<31), 0), NotAfter: time.Unix(r.Int64N(1<<32), 0),
			ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		}
		switch i % 4 {
		case 0:
			for range 1 + r.IntN(60) {
				c.DNSNames = append(c.DNSNames, evil.ASCII(r, 1<<10))
			}
		case 1:
			c.IsCA, c.BasicConstraintsValid, c.PermittedURIDomains = true, true, []string{evil.ASCII(r, 200), evil.ASCII(r, 200)}
		case 2: // by hand, since package x509 makes no such names
			san, err := asn1.Marshal([]asn1.RawValue{{Class: asn1.ClassContextSpecific, Tag: 2 + r.IntN(5), Bytes: []byte(evil.Text(r, 4<<10))}, {Class: asn1.ClassContextSpecific, Tag: 6, Bytes: []byte("daffi://" + evil.Text(r, 4<<10))}})
			require.NoError(t, err)
			c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 17}, Value: san}}
		case 3:
			c.SerialNumber = new(big.Int).Lsh(big.NewInt(1), uint(r.IntN(20_000)))
		}
		der, err := x509.CreateCertificate(rand.Reader, c, &x509.Certificate{Subject: pkix.Name{CommonName: text()}}, key.Public(), key)
		if err != nil {
			continue // package x509 makes none of this
		}
		require.NoError(t, os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
		var out bytes.Buffer
		if code := run([]string{"cert", "show", file}, &out, &out); code == 0 {
			shown++
			require.Equal(t, 6, strings.Count(out.String(), "\n"), "%s", out.String())
		} else {
			refused++
		}
		requireShown(t, out.String(), 6)
	}
	t.Logf("%d shown, %d refused", shown, refused)
	require.Greater(t, shown, 25)
	require.Greater(t, refused, 25)
}

// TestACC68CommandLine gives every command names of nodes, of methods and of files that do harm where they are shown.
func TestACC68CommandLine(t *testing.T) {
	r := mathrand.New(mathrand.NewPCG(68, 3))
	dir := t.TempDir()
	good := filepath.Join(dir, "good")
	require.NoError(t, os.WriteFile(good, []byte("allow * call *\n"), 0o600))
	authorities := filepath.Join(dir, "authority")
	require.Zero(t, run([]string{"cert", "init", "--dir", authorities}, new(bytes.Buffer), new(bytes.Buffer)))
	said, made := 0, 0
	for range figure(8, 1000) {
		text := evil.Text(r, 8<<10)
		name := strings.ToValidUTF8(strings.ReplaceAll(text, "/", ""), "") // as what reads the command line makes of it
		file, policy := filepath.Join(dir, "x"+name), filepath.Join(dir, "p"+name)
		os.WriteFile(policy, []byte("allow * call *\nx"+text+"\n"), 0o600) // if the system takes the name
		for _, args := range [][]string{
			{text}, {"--" + text}, {"cert", text}, {"controller", text}, {"controller", "--addr", text}, {"controller", "--addr", "tcp://" + text},
			{"controller", "--addr", "unix://" + file}, {"controller", "--addr", "tcp://127.0.0.1:0", "--policy", file}, {"controller", "--addr", "tcp://127.0.0.1:0", "--policy", policy},
			{"controller", "--addr", "tcp://127.0.0.1:0", "--token-file", policy}, {"controller", "--addr", "tcp://127.0.0.1:0", "--store", filepath.Join(file, "x")},
			{"controller", "--addr", "tcp://127.0.0.1:0", "--tls-cert", file, "--tls-key", file, "--tls-ca", file}, {"controller", "--max-memory", text},
			{"controller", "--name", text + "\n"},
			{"acl", "test", "--policy", good, text, "call", "A.b"}, {"acl", "test", "--policy", good, "a", text, "A.b"}, {"acl", "test", "--policy", good, "a", "call", text},
			{"acl", "test", "--policy", policy, "a", "call", "A.b"}, {"acl", "test", "--policy", file, "a", "call", "A.b"}, {"acl", "check", file}, {"acl", "check", policy},
			{"cert", "init", "--dir", file}, {"cert", "init", "--cluster", text}, {"cert", "issue", text, "--dir", authorities}, {"cert", "issue", "a", "--dir", file},
			{"cert", "issue", "a", "--dir", authorities, "--out", file}, {"cert", "issue", "--controller", "c", "--host", text, "--dir", authorities}, {"cert", "show", file},
			{"token", "new", text, "--out", file}, {"token", "new", "--out", file}, {"token", "new", "a", "--out", file + "y", "--tokens", policy}, {"token", "new", "--out", file},
		} {
			if args[0] == "controller" && len(args) > 2 && strings.HasPrefix(args[2], "unix://") && len(args[2]) < 120 {
				continue // it might run
			}
			var out bytes.Buffer
			if run(args, &out, &out) == 0 {
				made++
			} else {
				said++
			}
			requireShown(t, out.String(), 22)
		}
		for _, made := range []string{file, file + "y", policy} {
			os.RemoveAll(made)
		}
	}
	t.Logf("%d complaints, %d done", said, made)
	require.Greater(t, said, 150)
	require.Greater(t, made, 5)
}

// TestACC67WrongFile names files of tokens and keys wherever another file is to be named. No error and no log shows any of what is in them.
func TestACC67WrongFile(t *testing.T) {
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	write := func(name, text string) string {
		require.NoError(t, os.WriteFile(in(name), []byte(text), 0o600))
		return in(name)
	}
	var out bytes.Buffer
	require.Zero(t, run([]string{"cert", "init", "--dir", dir}, &out, &out), "%s", &out)
	require.Zero(t, run([]string{"cert", "issue", "--controller", "controller", "--dir", dir}, &out, &out), "%s", &out)
	cert, key, ca := in("controller.pem"), in("controller-key.pem"), in("ca.pem")
	text, err := os.ReadFile(key)
	require.NoError(t, err)
	pem := string(text)
	body := strings.Split(pem, "\n")[1]
	token := "5ec7e7ca9a41" + strings.Repeat("0f1e2d3c", 6) + "beef"
	wrong := []string{
		key, write("crlf", strings.ReplaceAll(pem, "\n", "\r\n")), write("half", pem[:len(pem)/2]), write("bare", body), write("inner", strings.ReplaceAll(pem, "-----", "")),
		write("broken", strings.Replace(pem, body[:4], "!!!!", 1)), write("token", token+"\n"), write("short", token[:63]), write("long", token+"0"), write("word", token+" "+token+"\n"),
		write("named", "shop-1 "+token+"\n"), write("rule", "allow "+token+"0 call "+token+"\n"), write("comment", "allow a call b.c # "+token+"\nnonsense # "+token+"\n"), write("group", "group "+token+"0 = a\n"),
	}
	var secrets []string
	for _, secret := range append(strings.Split(pem, "\n")[1:4], token) {
		for at := 0; at+12 <= len(secret); at++ {
			secrets = append(secrets, secret[at:at+12])
		}
	}
	listen := func(more ...string) []string {
		return append([]string{"controller", "-v", "--addr", "tcp://127.0.0.1:0"}, more...)
	}
	complaints := 0
	for _, file := range wrong {
		for _, c := range []struct {
			args []string
			good []string // files that are right there
		}{
			{listen("--policy", file), nil},
			{listen("--store", file), nil},
			{listen("--token-file", file), []string{"token"}},
			{listen("--tls-cert", cert, "--tls-key", key, "--tokens-file", file), []string{"word"}},
			{listen("--tls-cert", cert, "--tls-key", key, "--tls-ca", file), nil},
			{listen("--tls-cert", cert, "--tls-key", file, "--tls-ca", ca), []string{"controller-key.pem", "crlf"}},
			{listen("--tls-cert", file, "--tls-key", file, "--tls-ca", ca), nil},
			{[]string{"acl", "check", file}, nil},
			{[]string{"acl", "test", "--policy", file, "a", "call", "b.c"}, nil},
			{[]string{"cert", "show", file}, nil},
			{[]string{"cert", "issue", "x", "--dir", file}, nil},
			{[]string{"cert", "issue", "x", "--dir", dir, "--out", file}, nil},
		} {
			if slices.Contains(c.good, filepath.Base(file)) {
				continue
			}
			before, err := os.ReadFile(file)
			require.NoError(t, err)
			out.Reset()
			require.NotZero(t, run(c.args, &out, &out), "%q: %s", c.args, &out)
			complaints++
			for _, secret := range secrets {
				require.NotContains(t, out.String(), secret, "%q", c.args)
			}
			after, err := os.ReadFile(file)
			require.NoError(t, err)
			require.Equal(t, before, after, "%q", c.args)
		}
	}
	require.Greater(t, complaints, 150)
}
