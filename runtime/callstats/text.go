package callstats

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	daffi "github.com/daffi-rpc/daffi/runtime"
)

// ContentType is what HTTP says of the text that [Stats.WriteText] writes.
const ContentType = "text/plain; version=0.0.4; charset=utf-8"

// WriteText writes what was counted in the text format that Prometheus reads, version 0.0.4, and of each of nodes, whose names must differ, what [daffi.Node.Stats] and
// [daffi.Node.Lost] say. It writes once, at the end, and returns the error of that.
//
// Every metric of calls has the labels method, side and shape. The label code of daffi_calls_total is "ok" or that of the error; those that did not come yet are left out.
func (s *Stats) WriteText(w io.Writer, nodes ...*daffi.Node) error {
	var e exposition
	e.calls(s.Snapshot())
	e.nodes(nodes)
	_, err := w.Write(e.Bytes())
	return err
}

// exposition is a text in the making. All lines of a metric stand together, as the format wants it.
type exposition struct{ bytes.Buffer }

func (e *exposition) calls(list []Method) {
	if len(list) == 0 {
		return
	}
	e.family("daffi_calls_total", "counter", "Calls that have ended.")
	for _, m := range list {
		e.sample("daffi_calls_total", float64(m.OK), m.labels("code", "ok")...)
		for _, code := range slices.Sorted(maps.Keys(m.Errors)) {
			e.sample("daffi_calls_total", float64(m.Errors[code]), m.labels("code", code.String())...)
		}
	}
	e.family("daffi_calls_in_flight", "gauge", "Calls that have begun and not ended.")
	for _, m := range list {
		e.sample("daffi_calls_in_flight", float64(m.InFlight), m.labels()...)
	}
	e.family("daffi_call_seconds", "histogram", "How long calls took.")
	for _, m := range list {
		e.latency(m)
	}
	e.family("daffi_call_messages_total", "counter", "Messages to the handler (in) and from it (out), of calls that have ended.")
	for _, m := range list {
		e.sample("daffi_call_messages_total", float64(m.In.Messages), m.labels("direction", "in")...)
		e.sample("daffi_call_messages_total", float64(m.Out.Messages), m.labels("direction", "out")...)
	}
	e.family("daffi_call_bytes_total", "counter", "Encoded bytes to the handler (in) and from it (out), of calls that have ended.")
	for _, m := range list {
		e.sample("daffi_call_bytes_total", float64(m.In.Bytes), m.labels("direction", "in")...)
		e.sample("daffi_call_bytes_total", float64(m.Out.Bytes), m.labels("direction", "out")...)
	}
}

// latency writes a histogram, in which each bucket counts those below it as well.
func (e *exposition) latency(m Method) {
	var n uint64
	for i, bound := range bounds {
		n += m.Latency.Buckets[i]
		e.sample("daffi_call_seconds_bucket", float64(n), m.labels("le", number(bound.Seconds()))...)
	}
	all := float64(m.Latency.Count())
	e.sample("daffi_call_seconds_bucket", all, m.labels("le", "+Inf")...)
	e.sample("daffi_call_seconds_sum", m.Latency.Seconds, m.labels()...)
	e.sample("daffi_call_seconds_count", all, m.labels()...)
}

// labels are names and values, in turn.
func (m Method) labels(more ...string) []string {
	return append([]string{"method", m.Method, "side", m.Side.String(), "shape", m.Shape.String()}, more...)
}

// ofNodes are the metrics of a node's own counts.
var ofNodes = []struct {
	name, kind, help string
	value            func(daffi.NodeStats) float64
}{
	{"daffi_node_calls", "gauge", "Calls that the node has made and that have not ended.", func(s daffi.NodeStats) float64 { return float64(s.Calls) }},
	{"daffi_node_serving", "gauge", "Calls that the node was given and that have not ended.", func(s daffi.NodeStats) float64 { return float64(s.Serving) }},
	{"daffi_node_running", "gauge", "Handlers that run, without nested ones.", func(s daffi.NodeStats) float64 { return float64(s.Running) }},
	{"daffi_node_nested", "gauge", "Handlers that run for calls of other handlers.", func(s daffi.NodeStats) float64 { return float64(s.Nested) }},
	{"daffi_node_waiting", "gauge", "Calls that wait for room, a turn or a worker.", func(s daffi.NodeStats) float64 { return float64(s.Waiting) }},
	{"daffi_node_late_frames_total", "counter", "Frames that came for calls that had ended.", func(s daffi.NodeStats) float64 { return float64(s.Late) }},
}

func (e *exposition) nodes(nodes []*daffi.Node) {
	if len(nodes) == 0 {
		return
	}
	stats := make([]daffi.NodeStats, len(nodes))
	for i, n := range nodes {
		stats[i] = n.Stats()
	}
	for _, m := range ofNodes {
		e.family(m.name, m.kind, m.help)
		for i, n := range nodes {
			e.sample(m.name, m.value(stats[i]), "node", n.Name())
		}
	}
	e.family("daffi_node_lost_calls_total", "counter", "One-way calls that failed when nobody waited for them.")
	for _, n := range nodes {
		var lost uint64
		for _, methods := range n.Lost() {
			lost += methods
		}
		e.sample("daffi_node_lost_calls_total", float64(lost), "node", n.Name())
	}
}

func (e *exposition) family(name, kind, help string) {
	fmt.Fprintf(e, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, kind)
}

// escape is what the format asks for in the value of a label.
var escape = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`)

// sample writes a line; labels are names and values, in turn.
func (e *exposition) sample(name string, value float64, labels ...string) {
	e.WriteString(name)
	for i := 0; i < len(labels); i += 2 {
		e.WriteByte("{,"[min(i, 1)])
		e.WriteString(labels[i] + `="`)
		escape.WriteString(e, labels[i+1])
		e.WriteByte('"')
	}
	e.WriteString("} " + number(value) + "\n")
}

func number(v float64) string { return strconv.FormatFloat(v, 'g', -1, 64) }
