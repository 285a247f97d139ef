package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// What the repository keeps of a run: the few figures that README.md shows, in a table and a drawing, with when and where they were measured. The files below
// are made of the first of them, and tests compare.
const (
	publishedJSON   = "bench/results/bench.json"
	publishedReport = "bench/results/bench.md" // the whole report
	publishedSVG    = "docs/bench.svg"
	publishedReadme = "README.md" // between the marks
)

// published is the content of publishedJSON.
type published struct {
	Began    time.Time         `json:"began"`
	Machine  string            `json:"machine"`
	CPUs     int               `json:"cpus"`
	Load     [2]string         `json:"load"`
	Versions map[string]string `json:"versions"`
	Rounds   int               `json:"rounds"`
	Each     time.Duration     `json:"each_ns"`
	Systems  []publishedSystem `json:"systems"`
}

// publishedSystem is a row: 64 bytes each way, over tcp, two processes or with a third between them.
type publishedSystem struct {
	Name   string `json:"name"`
	Ours   bool   `json:"ours,omitempty"`
	Broker bool   `json:"broker,omitempty"`
	Rate   spread `json:"calls_per_s"` // of 64 callers on one connection
	CPU    spread `json:"cpu_us"`      // of all processes for one of these calls
	P50    spread `json:"p50_us"`      // of a lone caller
}

// shown are the systems of a row, in no order: rows are by what they reach.
var shown = []string{embedded, kitexTCP, "net/rpc, tcp", "ttrpc, tcp", grpcTCP, "grpc-go tuned, tcp", "connect-go, tcp", separate, natsTCP}

// microseconds is the processor time of one call.
var microseconds = metric{"CPU µs", func(f figure) float64 { return cpu.of(f) * 10 }}

// published fails if the run has left out what is shown.
func (r *report) published() (published, error) {
	pub := published{Began: r.Began, Machine: r.Machine, CPUs: r.CPUs, Load: r.Load, Versions: r.Versions, Rounds: r.Rounds, Each: r.Each}
	for _, name := range shown {
		i := slices.IndexFunc(r.systems, func(s system) bool { return s.name == name })
		busy, alone := r.values(name, crowd, rate), r.values(name, lone, p50)
		if i < 0 || len(busy) == 0 || len(alone) == 0 {
			return pub, fmt.Errorf("%s was not measured with %s and %s, which README.md shows", name, crowd, lone)
		}
		s := r.systems[i]
		pub.Systems = append(pub.Systems, publishedSystem{
			Name: strings.TrimSuffix(name, ", tcp"), Ours: s.ours, Broker: s.broker != nil,
			Rate: spreadOf(busy), CPU: spreadOf(r.values(name, crowd, microseconds)), P50: spreadOf(alone),
		})
	}
	slices.SortStableFunc(pub.Systems, func(a, b publishedSystem) int {
		if a.Broker != b.Broker {
			return cmp.Compare(place(a), place(b))
		}
		return -cmp.Compare(a.Rate.Median, b.Rate.Median)
	})
	return pub, nil
}

// place has those with a broker last.
func place(s publishedSystem) int {
	if s.Broker {
		return 1
	}
	return 0
}

// publish writes what the repository at root keeps of the run.
func (r *report) publish(root string) error {
	pub, err := r.published()
	if err != nil {
		return err
	}
	var whole bytes.Buffer
	if err := r.writeMarkdown(&whole); err != nil {
		return err
	}
	text, err := json.MarshalIndent(pub, "", "\t")
	if err != nil {
		return err
	}
	readme, err := os.ReadFile(filepath.Join(root, publishedReadme))
	if err != nil {
		return err
	}
	if readme, err = pub.intoReadme(readme); err != nil {
		return err
	}
	for _, f := range []struct {
		name    string
		content []byte
	}{
		{publishedJSON, append(text, '\n')}, {publishedReport, append([]byte("# Figures\n\n"), whole.Bytes()...)}, {publishedSVG, pub.svg()}, {publishedReadme, readme},
	} {
		if err := os.WriteFile(filepath.Join(root, filepath.FromSlash(f.name)), f.content, 0o666); err != nil {
			return err
		}
	}
	return nil
}

// The marks in README.md between which the figures are.
const (
	beginMark = "<!-- make bench writes what follows -->\n"
	endMark   = "<!-- make bench wrote what precedes -->\n"
)

// intoReadme replaces what is between the marks.
func (pub published) intoReadme(readme []byte) ([]byte, error) {
	before, rest, ok := strings.Cut(string(readme), beginMark)
	_, after, ok2 := strings.Cut(rest, endMark)
	if !ok || !ok2 {
		return nil, errors.New(publishedReadme + " has lost the marks between which figures are written")
	}
	return []byte(before + beginMark + pub.section() + endMark + after), nil
}

// section is what stands there.
func (pub published) section() string {
	var b strings.Builder
	fmt.Fprintf(&b, "![Calls per second, processor time and latency beside other systems, measured %s](%s)\n\n", pub.date(), publishedSVG)
	b.WriteString("| 64 bytes each way, TCP on one host | 64 callers: calls/s | CPU µs for a call | one caller: p50 µs |\n|---|---:|---:|---:|\n")
	for _, s := range pub.Systems {
		name := s.Name
		if s.Ours {
			name = "**" + name + "**"
		}
		if s.Broker {
			name += ", through a third process"
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", name, number(s.Rate.Median), number(s.CPU.Median), number(s.P50.Median))
	}
	fmt.Fprintf(&b, "\nMeasured %s on %s, with %s; medians of %d rounds of %v, load average %s before and %s after. The processor time is that of all processes.\n",
		pub.date(), pub.Machine, pub.with(), pub.Rounds, pub.Each, pub.Load[0], pub.Load[1])
	if c := pub.caution(); c != "" {
		fmt.Fprintf(&b, "\n**Provisional: %s.**\n", c)
	}
	return b.String()
}

// caution says why the figures are not to be relied on, or nothing.
func (pub published) caution() string {
	var why []string
	if rounds, each := extent(false); pub.Rounds < rounds || pub.Each < each {
		why = append(why, "a short run")
	}
	var before float64
	if _, err := fmt.Sscan(pub.Load[0], &before); err == nil && before >= float64(pub.CPUs) {
		why = append(why, "a machine that was busy with other things")
	}
	return strings.Join(why, "; ")
}

func (pub published) date() string { return pub.Began.Format("2 January 2006") }

// with lists the versions.
func (pub published) with() string {
	list := []string{"daffi " + pub.Versions[ourModule], pub.Versions["go"]}
	for _, m := range peers {
		if v, ok := pub.Versions[m]; ok {
			list = append(list, peerName(m)+" "+v)
		}
	}
	return strings.Join(list, ", ")
}

// peerName is how people call a module.
func peerName(module string) string {
	switch module {
	case "google.golang.org/grpc":
		return "grpc-go"
	case "connectrpc.com/connect":
		return "connect-go"
	case "github.com/nats-io/nats-server/v2":
		return "nats-server"
	}
	return path.Base(module)
}
