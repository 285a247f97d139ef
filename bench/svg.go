package main

import (
	"bytes"
	"fmt"
	"html"
	"math"
	"os"
)

// The drawing is a card with a background of its own, so that it can be read wherever it is shown; its colours follow the reader's scheme.
const svgStyle = `<style>
.card { fill: #ffffff; stroke: #d1d9e0 }
text { fill: #1f2328 }
.mute { fill: #59636e }
.peer { fill: #b4bcc6 }
.ours { fill: #0969da }
.line { stroke: #59636e; stroke-width: 1; fill: none }
.rule { stroke: #d1d9e0 }
@media (prefers-color-scheme: dark) {
.card { fill: #0d1117; stroke: #3d444d }
text { fill: #f0f6fc }
.mute { fill: #9198a1 }
.peer { fill: #555d66 }
.ours { fill: #4493f8 }
.line { stroke: #9198a1 }
.rule { stroke: #3d444d }
}
</style>
`

const svgFont = `font-family="-apple-system, 'Segoe UI', 'Noto Sans', Helvetica, Arial, sans-serif" font-size="12"`

// Measures of the drawing.
const (
	svgWide  = 900
	svgLeft  = 136 // of the bars of the first panel
	svgPanel = 250 // from one panel to the next
	svgBar   = 178 // the longest
	svgTop   = 104
	svgRow   = 22
	svgGap   = 26 // above the second group, for its title
)

// svg draws three panels of bars: calls of many callers, their processor time, and the latency of a lone caller. A thin line goes from the least to the greatest of
// the rounds.
func (pub published) svg() []byte {
	var b bytes.Buffer
	height := svgTop + svgRow*len(pub.Systems) + svgGap + 48
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" %s>`+"\n", svgWide, height, svgWide, height, svgFont)
	b.WriteString(svgStyle)
	fmt.Fprintf(&b, `<rect class="card" x="0.5" y="0.5" width="%d" height="%d" rx="6"/>`+"\n", svgWide-1, height-1)
	b.WriteString(`<text x="16" y="28" font-size="16" font-weight="600">A call of 64 bytes between processes of one host</text>` + "\n")
	fmt.Fprintf(&b, `<text class="mute" x="%d" y="%d" font-size="11">two processes</text>`+"\n", 16, svgTop-8)
	fmt.Fprintf(&b, `<text class="mute" x="%d" y="%d" font-size="11">through a third</text>`+"\n", 16, pub.y(pub.direct())-8)
	for i, s := range pub.Systems {
		weight := ""
		if s.Ours {
			weight = ` font-weight="600"`
		}
		fmt.Fprintf(&b, `<text x="%d" y="%d" text-anchor="end"%s>%s</text>`+"\n", svgLeft-8, pub.y(i)+14, weight, html.EscapeString(s.Name))
	}
	for i, p := range []struct {
		title, better string
		of            func(publishedSystem) spread
	}{
		{"calls per second, 64 callers", "more is better", func(s publishedSystem) spread { return s.Rate }},
		{"CPU µs for each, all processes", "less is better", func(s publishedSystem) spread { return s.CPU }},
		{"µs that a lone caller waits, median", "less is better", func(s publishedSystem) spread { return s.P50 }},
	} {
		x := svgLeft + svgPanel*i
		fmt.Fprintf(&b, `<text x="%d" y="58" font-weight="600">%s</text><text class="mute" x="%d" y="74" font-size="11">%s</text>`+"\n", x, p.title, x, p.better)
		pub.panel(&b, x, p.of)
	}
	fmt.Fprintf(&b, `<text class="mute" x="16" y="%d" font-size="11">%s</text>`+"\n", height-28, html.EscapeString(fmt.Sprintf(
		"%s, %s, medians of %d rounds of %v (thin lines: least to greatest)", pub.date(), pub.Machine, pub.Rounds, pub.Each)))
	fmt.Fprintf(&b, `<text class="mute" x="16" y="%d" font-size="11">%s</text>`+"\n", height-12, html.EscapeString(pub.with()))
	if c := pub.caution(); c != "" {
		fmt.Fprintf(&b, `<text class="mute" x="%d" y="28" text-anchor="end" font-size="11">provisional: %s</text>`+"\n", svgWide-16, html.EscapeString(c))
	}
	b.WriteString("</svg>\n")
	return b.Bytes()
}

// panel draws the bars of one panel, on a scale from 0 to the greatest of the medians; a line that goes further ends there.
func (pub published) panel(b *bytes.Buffer, x int, of func(publishedSystem) spread) {
	most := 0.0
	for _, s := range pub.Systems {
		most = max(most, of(s).Median)
	}
	at := func(v float64) float64 { return float64(x) + math.Min(svgBar*v/most, svgBar+6) }
	fmt.Fprintf(b, `<path class="rule" d="M%d.5 %d V%d"/>`+"\n", x, svgTop, pub.y(len(pub.Systems)-1)+svgRow)
	for i, s := range pub.Systems {
		v, y, class := of(s), pub.y(i), "peer"
		if s.Ours {
			class = "ours"
		}
		fmt.Fprintf(b, `<rect class="%s" x="%d" y="%d" width="%.1f" height="%d"/>`, class, x, y+2, at(v.Median)-float64(x), svgRow-4)
		fmt.Fprintf(b, `<path class="line" d="M%.1f %d.5 H%.1f"/>`, at(v.Least), y+svgRow/2, at(v.Greatest))
		fmt.Fprintf(b, `<text x="%.1f" y="%d">%s</text>`+"\n", math.Max(at(v.Greatest), at(v.Median))+5, y+15, number(v.Median))
	}
}

// y is the top of a row.
func (pub published) y(row int) int {
	y := svgTop + svgRow*row
	if row >= pub.direct() {
		y += svgGap
	}
	return y
}

// direct is how many systems have no third process: they come first.
func (pub published) direct() int {
	n := 0
	for _, s := range pub.Systems {
		n += 1 - place(s)
	}
	return n
}

// writeSVG draws the run.
func (r *report) writeSVG(file string) error {
	pub, err := r.published()
	if err != nil {
		return err
	}
	return os.WriteFile(file, pub.svg(), 0o666)
}
