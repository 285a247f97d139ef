package main

import (
	"bytes"
	"fmt"
	"html"
	"math"
	"os"
	"time"
)

// writeSVG draws what a call of 64 bytes costs with 64 callers, and how many there are in a second: a bar for each system, with a line from the least to the
// greatest of the rounds. Bars stand on a logarithmic scale, since the systems lie two orders of magnitude apart.
func (r *report) writeSVG(file string) error {
	const (
		row, left, wide, gap = 18, 210, 300, 90
		top                  = 58
	)
	panels := []struct {
		title       string
		metric      metric
		least, most float64 // of the scale
	}{
		{"CPU seconds of all processes per 100 000 calls (less is better)", cpu, 0.01, 20},
		{"calls per second (more is better)", rate, 1e3, 1e7},
	}
	var b bytes.Buffer
	height := top + row*len(r.systems) + 12
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" font-family="sans-serif" font-size="11">`+"\n", left+2*(wide+gap), height)
	fmt.Fprintf(&b, `<rect width="100%%" height="100%%" fill="white"/>`+"\n")
	fmt.Fprintf(&b, `<text x="8" y="18" font-size="13">64 callers on one connection, 64 bytes each way: medians of %d rounds, logarithmic scale</text>`+"\n", r.Rounds)
	fmt.Fprintf(&b, `<text x="8" y="34" fill="#666">%s</text>`+"\n", html.EscapeString(fmt.Sprintf("%s, %s, %s, load %s", r.Began.Format(time.DateOnly), r.Machine, r.Versions["go"], r.Load[0])))
	for i, p := range panels {
		x0 := left + i*(wide+gap)
		at := func(v float64) float64 {
			return float64(x0) + wide*math.Log(min(max(v, p.least), p.most)/p.least)/math.Log(p.most/p.least)
		}
		fmt.Fprintf(&b, `<text x="%d" y="52" font-weight="bold">%s</text>`+"\n", x0, p.title)
		for j, s := range r.systems {
			y := top + row*j
			if i == 0 {
				fmt.Fprintf(&b, `<text x="%d" y="%d" text-anchor="end">%s</text>`+"\n", left-6, y+12, html.EscapeString(s.name))
			}
			all := r.values(s.name, crowd, p.metric)
			if len(all) == 0 {
				continue
			}
			v := spreadOf(all)
			colour := "#9aa5b1"
			if s.ours {
				colour = "#2f7ed8"
			}
			fmt.Fprintf(&b, `<rect x="%d" y="%d" width="%.1f" height="%d" fill="%s"/>`, x0, y+2, at(v.median)-float64(x0), row-4, colour)
			fmt.Fprintf(&b, `<path d="M%.1f %d H%.1f" stroke="black"/>`, at(v.least), y+row/2, at(v.greatest))
			fmt.Fprintf(&b, `<text x="%.1f" y="%d">%s</text>`+"\n", at(v.greatest)+4, y+12, number(v.median))
		}
	}
	b.WriteString("</svg>\n")
	return os.WriteFile(file, b.Bytes(), 0o666)
}
