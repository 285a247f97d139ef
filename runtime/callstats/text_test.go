package callstats_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	daffi "github.com/daffi-rpc/daffi/runtime"
	"github.com/daffi-rpc/daffi/runtime/callstats"
	"github.com/daffi-rpc/daffi/runtime/daffitest"
	"github.com/daffi-rpc/daffi/runtime/internal/testkit"
)

var (
	metricName = regexp.MustCompile(`^[a-zA-Z_:][a-zA-Z0-9_:]*`)
	labelName  = regexp.MustCompile(`^[a-zA-Z_][a-zA-Z0-9_]*`)
)

// parse reads a text as the format wants it and nothing else: of each metric HELP, TYPE and then all its samples, no series twice. Samples are by name and labels, the latter
// quoted as Go does.
func parse(t *testing.T, text string) map[string]float64 {
	t.Helper()
	require.True(t, text == "" || strings.HasSuffix(text, "\n"), "the last line ends too")
	samples, seen := map[string]float64{}, map[string]bool{}
	var family, kind string
	helped := ""
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		if rest, ok := strings.CutPrefix(line, "# HELP "); ok {
			helped, _, ok = strings.Cut(rest, " ")
			require.True(t, ok && !seen[helped] && metricName.FindString(helped) == helped, line)
			seen[helped] = true
			continue
		}
		if rest, ok := strings.CutPrefix(line, "# TYPE "); ok {
			family, kind, ok = strings.Cut(rest, " ")
			require.True(t, ok && family == helped, line)
			require.Contains(t, []string{"counter", "gauge", "histogram"}, kind)
			continue
		}
		name := metricName.FindString(line)
		base := name
		if kind == "histogram" {
			for _, suffix := range []string{"_bucket", "_sum", "_count"} {
				base = strings.TrimSuffix(base, suffix)
			}
			require.NotEqual(t, base, name, line)
		}
		require.Equal(t, family, base, "in its family: %s", line)
		require.Equal(t, kind == "counter", strings.HasSuffix(name, "_total"), line)
		labels, rest := parseLabels(t, line[len(name):])
		value, err := strconv.ParseFloat(rest, 64)
		require.NoError(t, err, line)
		key := name + labels
		require.NotContains(t, samples, key)
		samples[key] = value
	}
	return samples
}

// parseLabels reads {name="value",…} and the space behind.
func parseLabels(t *testing.T, s string) (labels, rest string) {
	t.Helper()
	require.True(t, strings.HasPrefix(s, "{"), s)
	values := map[string]string{}
	for s = s[1:]; ; s = s[1:] {
		name := labelName.FindString(s)
		require.NotEmpty(t, name, s)
		require.NotContains(t, values, name)
		s = s[len(name):]
		require.True(t, strings.HasPrefix(s, `="`), s)
		var value strings.Builder
		for s = s[2:]; s[0] != '"'; s = s[1:] {
			c := s[0]
			if c == '\\' {
				require.Contains(t, `\n"`, s[1:2], "an escape that the format does not have")
				s = s[1:]
				if c = s[0]; c == 'n' {
					c = '\n'
				}
			}
			value.WriteByte(c)
		}
		values[name] = value.String()
		if s = s[1:]; s[0] != ',' {
			break
		}
	}
	require.True(t, strings.HasPrefix(s, "} "), s)
	var list []string
	for _, name := range slices.Sorted(maps.Keys(values)) {
		list = append(list, fmt.Sprintf("%s=%q", name, values[name]))
	}
	return "{" + strings.Join(list, ",") + "}", s[2:]
}

// expected are the samples of a snapshot.
func expected(list []callstats.Method) map[string]float64 {
	out := map[string]float64{}
	for _, m := range list {
		labels := func(before, after string) string {
			return fmt.Sprintf(`{%smethod=%q,shape=%q,side=%q%s}`, before, m.Method, m.Shape, m.Side, after)
		}
		out["daffi_calls_total"+labels(`code="ok",`, "")] = float64(m.OK)
		for code, n := range m.Errors {
			out["daffi_calls_total"+labels(fmt.Sprintf(`code=%q,`, code), "")] = float64(n)
		}
		out["daffi_calls_in_flight"+labels("", "")] = float64(m.InFlight)
		for direction, traffic := range map[string]callstats.Traffic{"in": m.In, "out": m.Out} {
			out["daffi_call_messages_total"+labels(`direction="`+direction+`",`, "")] = float64(traffic.Messages)
			out["daffi_call_bytes_total"+labels(`direction="`+direction+`",`, "")] = float64(traffic.Bytes)
		}
		n := 0.0
		for i, bound := range callstats.Bounds() {
			n += float64(m.Latency.Buckets[i])
			out["daffi_call_seconds_bucket"+labels(fmt.Sprintf(`le="%v",`, bound.Seconds()), "")] = n
		}
		n += float64(m.Latency.Buckets[len(m.Latency.Buckets)-1])
		out["daffi_call_seconds_bucket"+labels(`le="+Inf",`, "")] = n
		out["daffi_call_seconds_count"+labels("", "")] = n
		out["daffi_call_seconds_sum"+labels("", "")] = m.Latency.Seconds
	}
	return out
}

func text(t *testing.T, s *callstats.Stats, nodes ...*daffi.Node) string {
	t.Helper()
	var b strings.Builder
	require.NoError(t, s.WriteText(&b, nodes...))
	return b.String()
}

func TestD75CallstatsText(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := callstats.New()
		require.Empty(t, text(t, s))
		for i, name := range []string{"S.M", `S."`, `S.\`, "S.\n", `S.\n`, "S.é{},= ", "S.\"}\n# TYPE x counter\nx 1", "S.M"} {
			one(s, name, func(context.Context) error { time.Sleep(time.Duration(i) * 7 * time.Millisecond); return nil })
			one(s, name, func(context.Context) error { return &daffi.Error{Code: daffi.Code(i)} })
		}
		vast := &daffi.Interception{Method: "S.Vast", Side: daffi.AtCallee, In: daffi.Traffic{Messages: 2_000_001, Bytes: math.MaxInt}}
		require.NoError(t, s.Interceptor()(t.Context(), vast, ok))
		hour := func(context.Context) error { time.Sleep(time.Hour); return nil }
		one(s, "S.Slow", hour)
		go one(s, "S.Slow", hour)
		synctest.Wait()
		got := text(t, s)
		require.Equal(t, expected(s.Snapshot()), parse(t, got))
		require.Contains(t, got, `daffi_calls_total{method="S.\"",side="caller",shape="unary",code="ok"} 1`+"\n")
		require.Contains(t, got, `daffi_call_seconds_bucket{method="S.M",side="caller",shape="unary",le="1e-05"} 3`+"\n")
		require.Contains(t, got, `daffi_call_seconds_sum{method="S.Slow",side="caller",shape="unary"} 3600`+"\n")
		require.Contains(t, got, `daffi_calls_in_flight{method="S.Slow",side="caller",shape="unary"} 1`+"\n")
		require.Contains(t, got, `daffi_call_messages_total{method="S.Vast",side="callee",shape="unary",direction="in"} 2.000001e+06`+"\n")
		require.Equal(t, got, text(t, s), "in the same order")
		time.Sleep(time.Hour)
		synctest.Wait()
	})
}

func TestD75CallstatsTextOfNodes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := callstats.New()
		net := daffitest.New(t)
		server, client := net.Node("server"), net.Node("client")
		_, err := testkit.RegisterKit(server, new(testkit.Impl), daffi.Workers(2))
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		for range 3 {
			go testkit.NewKit(client).Block(ctx)
		}
		lonely := net.Node("lonely")
		require.NoError(t, testkit.NewKit(lonely).Prepare().Add(1).With(daffi.After(time.Second), daffi.To("nobody")).Post(ctx))
		time.Sleep(time.Second)
		synctest.Wait()
		got := parse(t, text(t, s, server, client, lonely))
		require.Len(t, got, 3*7)
		maps.DeleteFunc(got, func(_ string, v float64) bool { return v == 0 })
		require.Equal(t, map[string]float64{
			`daffi_node_calls{node="client"}`:            3,
			`daffi_node_serving{node="server"}`:          3,
			`daffi_node_running{node="server"}`:          2,
			`daffi_node_waiting{node="server"}`:          1,
			`daffi_node_lost_calls_total{node="lonely"}`: 1,
		}, got)
		cancel()
		synctest.Wait()
	})
}

// writes counts them, and fails.
type writes int

var errFull = errors.New("the disk is full")

func (w *writes) Write([]byte) (int, error) {
	*w++
	return 0, errFull
}

func TestD75CallstatsTextIsWrittenOnce(t *testing.T) {
	s := callstats.New()
	one(s, "S.M", ok)
	w := new(writes)
	require.ErrorIs(t, s.WriteText(w), errFull)
	require.EqualValues(t, 1, *w)
}
