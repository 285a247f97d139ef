package safetext

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

func TestLIM68Line(t *testing.T) {
	for in, want := range map[string]string{
		"":                         "",
		"plain text, ünïcode 日本 🙂": "plain text, ünïcode 日本 🙂",
		"two\nlines":               `"two\nlines"`,
		"tab\t":                    `"tab\t"`,
		"\x1b[31mred":              `"\x1b[31mred"`,
		"bell\a":                   `"bell\a"`,
		"nul\x00":                  `"nul\x00"`,
		"bidi \u202e":              `"bidi \u202e"`,
		"no width \u200b":          `"no width \u200b"`,
		"separator \u2028":         `"separator \u2028"`,
		"hard space \u00a0":        `"hard space \u00a0"`,
		"c1 \u0085":                `"c1 \u0085"`,
		"bad \xff utf-8":           `"bad \xff utf-8"`,
		"said \uFFFD itself":       "said \uFFFD itself",
	} {
		require.Equal(t, want, Line(in, 64), "%q", in)
		require.Equal(t, want, Line(Line(in, 64), 64), "what was quoted is not quoted again")
	}
	for _, limit := range []int{16, 64, MaxLog, MaxError} {
		for _, unit := range []string{"x", "\x00", "\n", "é", "日", "\u202e", "\U0010ffff", "\xff", "\x80", "a\n"} {
			for _, n := range []int{limit - 1, limit, limit + 1, 64 << 10} {
				in := strings.Repeat(unit, n/len(unit)+1)[:n]
				got := Line(in, limit)
				require.LessOrEqual(t, len(got), limit, "%q × %d", unit, n)
				require.True(t, Printable(got), "%q", got)
				if unit == "x" && n <= limit {
					require.Equal(t, in, got)
				}
			}
		}
	}
	require.Equal(t, "sta … end", Cut("start"+strings.Repeat("-", 100)+"end", 6))
}

func FuzzLine(f *testing.F) {
	f.Add("a\nb", 16)
	f.Add(strings.Repeat("\xf0\x9f", 100), 17)
	f.Fuzz(func(t *testing.T, s string, limit int) {
		limit = 16 + int(uint(limit)%2048)
		got := Line(s, limit)
		if len(got) > limit || !Printable(got) || !utf8.ValidString(got) {
			t.Fatalf("%q of %q", got, s)
		}
		if len(s) <= limit && Printable(s) && got != s {
			t.Fatalf("%q of %q", got, s)
		}
	})
}

type shown struct{ text string }

func (s shown) LogValue() slog.Value { return slog.StringValue(s.text) }

func TestLoggerGivesOneLineOfEverything(t *testing.T) {
	const evil = "a\nlevel=ERROR msg=forged \x1b[2J\u202e\xff"
	long := strings.Repeat("y", 64<<10)
	for name, handler := range map[string]func(io.Writer) slog.Handler{
		"text": func(w io.Writer) slog.Handler {
			return slog.NewTextHandler(w, &slog.HandlerOptions{Level: slog.LevelDebug})
		},
		"json": func(w io.Writer) slog.Handler { return slog.NewJSONHandler(w, nil) },
		"raw":  func(w io.Writer) slog.Handler { return rawHandler{w} },
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			l := Logger(slog.New(handler(&out)))
			require.Same(t, l, Logger(l))
			l.With(evil, evil).WithGroup(evil).Warn(evil, "string", evil, "error", errors.New(evil), "any", struct{ A string }{evil}, "group", slog.GroupValue(slog.String(evil, evil)),
				"value", shown{evil}, "long", long, "bytes", []byte(evil), "n", 7)
			text := strings.TrimSuffix(out.String(), "\n")
			require.True(t, Printable(text), "%q", text)
			require.Less(t, len(text), 20*MaxLog)
			require.Contains(t, text, "7")
		})
	}
	var kept slog.Record
	errKept := fmt.Errorf("as it is: %w", io.EOF)
	Logger(slog.New(keeper{&kept})).Info("m", "error", errKept, "stack", Block("a\nb"))
	var values []any
	kept.Attrs(func(a slog.Attr) bool { values = append(values, a.Value.Any()); return true })
	require.Equal(t, []any{errKept, "a\nb"}, values)
}

// rawHandler quotes nothing by itself.
type rawHandler struct{ w io.Writer }

func (h rawHandler) Enabled(context.Context, slog.Level) bool { return true }

func (h rawHandler) Handle(_ context.Context, r slog.Record) error {
	fmt.Fprint(h.w, r.Message)
	r.Attrs(func(a slog.Attr) bool { fmt.Fprintf(h.w, " %s=%s", a.Key, a.Value); return true })
	fmt.Fprintln(h.w)
	return nil
}

func (h rawHandler) WithAttrs(as []slog.Attr) slog.Handler {
	for _, a := range as {
		fmt.Fprintf(h.w, " %s=%s", a.Key, a.Value)
	}
	return h
}

func (h rawHandler) WithGroup(name string) slog.Handler { fmt.Fprint(h.w, name); return h }

type keeper struct{ r *slog.Record }

func (k keeper) Enabled(context.Context, slog.Level) bool      { return true }
func (k keeper) Handle(_ context.Context, r slog.Record) error { *k.r = r; return nil }
func (k keeper) WithAttrs([]slog.Attr) slog.Handler            { return k }
func (k keeper) WithGroup(string) slog.Handler                 { return k }

type secret struct{ key string }

func (s *secret) Format(f fmt.State, verb rune) { Format(f, verb, "a secret") }

func TestFormatShowsNothingElse(t *testing.T) {
	s := &secret{"canary"}
	for _, flags := range []string{"", "+", "#", "-20", "020", ".3", "+#"} {
		for _, verb := range "vsqxXdtbcoOUeEfFgG" { // %T and %p show nothing of it, and %w is nobody's but Errorf's
			require.NotContains(t, fmt.Sprintf("%"+flags+string(verb), s), "canary")
		}
	}
	require.Equal(t, "a secret a secret a secret", fmt.Sprintf("%v %+v %#v", s, s, s))
	require.Equal(t, `"a secret"`, fmt.Sprintf("%q", s))
}
