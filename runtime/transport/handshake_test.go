package transport

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"
)

// payloads has one valid value of each kind, appended.
func payloads() map[Kind][]byte {
	return map[Kind][]byte{
		Hello: AppendHello(nil, &HelloPayload{
			Features: FeatureZstd, Session: [16]byte{1, 2, 3}, Incarnation: math.MaxUint64, Nonce: [32]byte{4, 5, 6}, Name: "shop-1",
		}),
		Challenge: AppendChallenge(nil, &ChallengePayload{Features: FeatureZstd, Auth: AuthToken, Nonce: [32]byte{7}, Proof: [32]byte{8}}),
		Proof:     AppendProof(nil, [32]byte{9}),
		Welcome: AppendWelcome(nil, &WelcomePayload{
			Session: 7, Incarnation: [16]byte{1}, Ping: 5 * time.Second, Dead: 15 * time.Second, MessageLimit: MaxMessage, Name: "controller",
		}),
		Refuse: AppendRefuse(nil, &RefusePayload{Code: 7, Reason: "name_taken", Message: `the name "shop-1" is taken`}),
	}
}

// reappend parses a payload and appends what was found.
func reappend(k Kind, b []byte) ([]byte, error) {
	switch k {
	case Hello:
		h, err := ParseHello(b)
		return AppendHello(nil, &h), err
	case Challenge:
		c, err := ParseChallenge(b)
		return AppendChallenge(nil, &c), err
	case Proof:
		p, err := ParseProof(b)
		return AppendProof(nil, p), err
	case Welcome:
		w, err := ParseWelcome(b)
		return AppendWelcome(nil, &w), err
	case Refuse:
		f, err := ParseRefuse(b)
		return AppendRefuse(nil, &f), err
	}
	panic(k)
}

func TestD57HandshakeRoundTrip(t *testing.T) {
	h := HelloPayload{Features: 255, Session: [16]byte{15: 1}, Incarnation: 3, Nonce: [32]byte{31: 2}, Name: strings.Repeat("a", MaxName)}
	if got, err := ParseHello(AppendHello(nil, &h)); err != nil || got != h {
		t.Errorf("Hello: %+v, %v", got, err)
	}
	c := ChallengePayload{Features: 1, Auth: AuthNone, Nonce: [32]byte{31: 2}, Proof: [32]byte{31: 3}}
	if got, err := ParseChallenge(AppendChallenge(nil, &c)); err != nil || got != c {
		t.Errorf("Challenge: %+v, %v", got, err)
	}
	p := [32]byte{31: 1}
	if got, err := ParseProof(AppendProof(nil, p)); err != nil || got != p {
		t.Errorf("Proof: %v, %v", got, err)
	}
	w := WelcomePayload{Session: math.MaxUint32, Ping: time.Millisecond, Dead: math.MaxUint32 * time.Millisecond, MessageLimit: 1, Name: "c"}
	if got, err := ParseWelcome(AppendWelcome(nil, &w)); err != nil || got != w {
		t.Errorf("Welcome: %+v, %v", got, err)
	}
	f := RefusePayload{Code: 255, Reason: strings.Repeat("r", MaxRefuseReason), Message: strings.Repeat("m", MaxRefuseMessage)}
	if got, err := ParseRefuse(AppendRefuse(nil, &f)); err != nil || got != f {
		t.Errorf("Refuse: %+v, %v", got, err)
	}
	long := RefusePayload{Reason: f.Reason + "r", Message: f.Message + "m"}
	if got, err := ParseRefuse(AppendRefuse(nil, &long)); err != nil || got.Reason != f.Reason || got.Message != f.Message {
		t.Errorf("Refuse that is too long: %+v, %v", got, err)
	}
	for k, b := range payloads() {
		if len(b) > MaxUnproven {
			t.Errorf("%v: %d bytes", k, len(b))
		}
	}
}

// The layout is the package comment's: a change of it is another version.
func TestHandshakeLayout(t *testing.T) {
	zeros := func(n int) string { return strings.Repeat("00", n) }
	for k, want := range map[Kind]string{
		Hello:     "44414646" + "01" + "01" + "010203" + zeros(13) + "ffffffffffffffff" + "040506" + zeros(29) + "06" + hex.EncodeToString([]byte("shop-1")),
		Challenge: "01" + "01" + "01" + "07" + zeros(31) + "08" + zeros(31),
		Proof:     "09" + zeros(31),
		Welcome:   "07000000" + "01" + zeros(15) + "88130000" + "983a0000" + "00004000" + "0a" + hex.EncodeToString([]byte("controller")),
		Refuse:    "07" + "0a" + hex.EncodeToString([]byte("name_taken")) + "1a00" + hex.EncodeToString([]byte(`the name "shop-1" is taken`)),
	} {
		if got := hex.EncodeToString(payloads()[k]); got != want {
			t.Errorf("%v is\n%s, want\n%s", k, got, want)
		}
	}
}

func TestHandshakeTruncated(t *testing.T) {
	for k, b := range payloads() {
		for n := range b {
			if _, err := reappend(k, b[:n:n]); !errors.Is(err, ErrProtocol) {
				t.Errorf("%v cut to %d of %d bytes: %v", k, n, len(b), err)
			}
		}
		if got, err := reappend(k, append(b, make([]byte, MaxUnproven-len(b))...)); err != nil || !bytes.Equal(got, b) {
			t.Errorf("%v with bytes of a later version: %v", k, err)
		}
	}
}

func TestHandshakeRefused(t *testing.T) {
	welcome := WelcomePayload{Session: 1, Ping: time.Second, Dead: 2 * time.Second, MessageLimit: 1, Name: "c"}
	changed := func(change func(*WelcomePayload)) []byte {
		w := welcome
		change(&w)
		return AppendWelcome(nil, &w)
	}
	patched := func(k Kind, at int, to ...byte) []byte {
		b := bytes.Clone(payloads()[k])
		copy(b[at:], to)
		return b
	}
	hello := len(payloads()[Hello]) - len("shop-1") // where the name begins
	for _, tt := range []struct {
		name    string
		kind    Kind
		payload []byte
		want    string
	}{
		{"magic", Hello, patched(Hello, 0, 'G', 'E', 'T', ' '), `begins with "GET "`},
		{"version 0", Hello, patched(Hello, 4, 0), "Hello of version 0, this is version 1"},
		{"version 2", Hello, patched(Hello, 4, 2), "Hello of version 2, this is version 1"},
		{"version 255", Challenge, patched(Challenge, 0, 255), "Challenge of version 255, this is version 1"},
		{"upper case", Hello, patched(Hello, hello, 'S'), `bad name "Shop-1"`},
		{"line break", Hello, patched(Hello, hello, '\n'), `bad name "\nhop-1"`},
		{"no name", Hello, patched(Hello, hello-1, 0)[:hello], "bad name of 0 bytes"},
		{"long name", Hello, append(patched(Hello, hello-1, MaxName+1)[:hello], strings.Repeat("a", MaxName+1)...), "text of 65 bytes, at most 64"},
		{"longest name", Hello, append(patched(Hello, hello-1, 255)[:hello], strings.Repeat("a", 255)...), "text of 255 bytes, at most 64"},
		{"auth 3", Challenge, patched(Challenge, 2, 3), "authentication 3"},
		{"session 0", Welcome, changed(func(w *WelcomePayload) { w.Session = 0 }), "session number 0"},
		{"ping 0", Welcome, changed(func(w *WelcomePayload) { w.Ping = 0 }), "ping every 0s"},
		{"dead as ping", Welcome, changed(func(w *WelcomePayload) { w.Dead = w.Ping }), "death after 1s"},
		{"no message", Welcome, changed(func(w *WelcomePayload) { w.MessageLimit = 0 }), "allows no message"},
		{"no controller name", Welcome, changed(func(w *WelcomePayload) { w.Name = "" }), "bad name"},
		{"long reason", Refuse, append([]byte{1, MaxRefuseReason + 1}, make([]byte, MaxRefuseReason+3)...), "text of 65 bytes"},
		{"long message", Refuse, append([]byte{1, 0, 1, 4}, make([]byte, MaxRefuseMessage+1)...), "text of 1025 bytes"},
		{"longest message", Refuse, append([]byte{1, 0, 255, 255}, make([]byte, math.MaxUint16)...), "text of 65535 bytes"},
	} {
		_, err := reappend(tt.kind, tt.payload)
		if !errors.Is(err, ErrProtocol) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
		if got, want := errors.Is(err, ErrVersion), strings.HasPrefix(tt.name, "version"); got != want {
			t.Errorf("%s: is ErrVersion: %v", tt.name, got)
		}
	}
	// A later version may have another layout: the number must be found in whatever follows it.
	if _, err := ParseHello([]byte("DAFF\x02")); !errors.Is(err, ErrVersion) {
		t.Errorf("short Hello of version 2: %v", err)
	}
	if h, err := ParseHello(patched(Hello, 4, 2)); h != (HelloPayload{}) || err == nil {
		t.Errorf("Hello of version 2: %+v, %v", h, err)
	}
}

func TestProofs(t *testing.T) {
	token := bytes.Repeat([]byte{1}, TokenSize)
	hello, challenge := payloads()[Hello], payloads()[Challenge]
	unproven := challenge[:len(challenge)-ProofSize]
	c, err := ParseChallenge(challenge)
	if err != nil {
		t.Fatal(err)
	}
	if got := AppendChallengeWithoutProof(nil, &c); !bytes.Equal(got, unproven) {
		t.Errorf("Challenge without proof is %x, want %x", got, unproven)
	}

	// By openssl: { printf 'daffi controller\x45\x00'; hello; unproven } | openssl dgst -sha256 -mac HMAC -macopt hexkey:0101…
	if got, want := fmt.Sprintf("%x", ControllerProof(token, hello, unproven)), controllerProofWant; got != want {
		t.Errorf("controller's proof is %s, want %s", got, want)
	}
	if got, want := fmt.Sprintf("%x", NodeProof(token, hello, challenge)), nodeProofWant; got != want {
		t.Errorf("node's proof is %s, want %s", got, want)
	}
	if ControllerProof(token, hello, challenge) != ControllerProof(token, hello, unproven) {
		t.Error("controller's proof depends on the proof in the Challenge")
	}
	// What a later version adds is covered, and does not move from one payload to the other.
	if ControllerProof(token, hello, append(bytes.Clone(challenge), 1)) == ControllerProof(token, hello, append(bytes.Clone(challenge), 2)) {
		t.Error("controller's proof does not cover the end of the Challenge")
	}
	if NodeProof(token, append(bytes.Clone(hello), challenge...), challenge) == NodeProof(token, hello, append(bytes.Clone(challenge), challenge...)) {
		t.Error("node's proof does not tell the end of the Hello from the Challenge")
	}

	// Each bit that was said counts, for either proof.
	type inputs struct{ token, hello, challenge []byte }
	proofs := map[string]func(inputs) [ProofSize]byte{
		"controller": func(in inputs) [ProofSize]byte { return ControllerProof(in.token, in.hello, in.challenge) },
		"node":       func(in inputs) [ProofSize]byte { return NodeProof(in.token, in.hello, in.challenge) },
	}
	seen := map[[ProofSize]byte]string{}
	for name, proof := range proofs {
		clone := func() inputs { return inputs{bytes.Clone(token), bytes.Clone(hello), bytes.Clone(challenge)} }
		seen[proof(clone())] = name
		for field := range reflect.TypeFor[inputs]().NumField() {
			pick := func(in *inputs) []byte { return [][]byte{in.token, in.hello, in.challenge}[field] }
			in := clone()
			for i := range pick(&in) {
				if field == 2 && name == "controller" && i >= len(unproven) {
					break
				}
				in := clone()
				pick(&in)[i] ^= 1
				p := proof(in)
				if other, ok := seen[p]; ok {
					t.Fatalf("%s: field %d byte %d gives the same as %s", name, field, i, other)
				}
				seen[p] = name
			}
		}
	}
}

const (
	controllerProofWant = "6c3de45741154344ca39f63bc33aafdb60e9143f647b8bf40728fe848594889d"
	nodeProofWant       = "b820959985f301c11953cec6dd22d6f05581368ec032e3c481631e406013856b"
)

func TestEqualProof(t *testing.T) {
	a := [ProofSize]byte{1}
	b := [ProofSize]byte{1}
	last := [ProofSize]byte{0: 1, 31: 1}
	for _, tt := range []struct {
		a, b []byte
		want bool
	}{
		{a[:], b[:], true}, {a[:], last[:], false}, {a[:], a[:31], false}, {nil, a[:], false}, {make([]byte, 32), a[:], false},
	} {
		if got := EqualProof(tt.a, tt.b); got != tt.want {
			t.Errorf("EqualProof(%x, %x) = %v", tt.a, tt.b, got)
		}
	}
}

func TestD2LIM10ValidName(t *testing.T) {
	for _, name := range []string{"a", "0", "shop", "shop-1", "a_b", "a--b", "a-_b", strings.Repeat("z", MaxName)} {
		if err := ValidName(name); err != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
	for _, name := range []string{
		"", "-", "_", "-a", "a-", "_a", "a_", "A", "aB", "a.b", "a b", "a/b", "a\x00", "a\n", "ä", "a:b", "a*", strings.Repeat("z", MaxName+1), "a\xff",
	} {
		err := ValidName(name)
		if err == nil {
			t.Errorf("%q is valid", name)
		} else if strings.ContainsAny(err.Error(), "\n\x00") {
			t.Errorf("%q is not quoted in the error", name)
		}
	}
}

func FuzzHandshake(f *testing.F) {
	for k, b := range payloads() {
		f.Add(uint8(k), b)
	}
	f.Fuzz(func(t *testing.T, kind uint8, b []byte) {
		k := Kind(kind)
		if !k.Handshake() {
			return
		}
		got, err := reappend(k, b)
		if err != nil {
			if !errors.Is(err, ErrProtocol) {
				t.Fatalf("%v: %v", k, err)
			}
			return
		}
		if !bytes.HasPrefix(b, got) {
			t.Fatalf("%v: %x was read and written as %x", k, b, got)
		}
	})
}
