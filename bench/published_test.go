package main

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestPublished makes the drawing and the section of README.md again, of the figures that are kept.
func TestPublished(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", publishedJSON))
	if err != nil {
		t.Fatal(err)
	}
	var pub published
	if err := json.Unmarshal(text, &pub); err != nil {
		t.Fatal(err)
	}
	if len(pub.Systems) != len(shown) {
		t.Errorf("%d systems in %s, not %d", len(pub.Systems), publishedJSON, len(shown))
	}
	if svg, err := os.ReadFile(filepath.Join("..", publishedSVG)); err != nil || !bytes.Equal(svg, pub.svg()) {
		t.Errorf("%s is not what %s makes (%v): make bench writes both", publishedSVG, publishedJSON, err)
	}
	readme, err := os.ReadFile(filepath.Join("..", publishedReadme))
	if err != nil {
		t.Fatal(err)
	}
	if again, err := pub.intoReadme(readme); err != nil || !bytes.Equal(again, readme) {
		t.Errorf("%s does not show what is in %s (%v): make bench writes both", publishedReadme, publishedJSON, err)
	}
}

func TestPublish(t *testing.T) {
	r := newReport(plan{systems: systems, scenarios: scenarios(true, idleNodes), rounds: 1, each: time.Second})
	add := func(name string, i int) {
		r.Figures = append(r.Figures,
			figure{System: name, Scenario: crowd, N: 1000 * (i + 1), Elapsed: time.Second, Used: map[string]usage{roleClient: {CPU: time.Second / 2}, roleServer: {CPU: time.Second}}},
			figure{System: name, Scenario: lone, N: 10, Elapsed: time.Second, P50: time.Duration(i+1) * time.Millisecond, Used: map[string]usage{}})
	}
	for i, name := range shown[1:] {
		add(name, i)
	}
	if _, err := r.published(); err == nil || !strings.Contains(err.Error(), shown[0]) {
		t.Errorf("without figures of %s: %v", shown[0], err)
	}
	add(shown[0], len(shown))

	root := t.TempDir()
	for _, dir := range []string{"bench/results", "docs"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o777); err != nil {
			t.Fatal(err)
		}
	}
	readme := filepath.Join(root, publishedReadme)
	if err := os.WriteFile(readme, []byte("no marks\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	if err := r.publish(root); err == nil || !strings.Contains(err.Error(), "marks") {
		t.Errorf("README.md without marks: %v", err)
	}
	if err := os.WriteFile(readme, []byte("before\n"+beginMark+"old\n"+endMark+"after\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	if err := r.publish(root); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(readme)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"before\n" + beginMark + "!", endMark + "after\n", "| **daffi embedded** | 10 k | 150 | 10 k |\n| connect-go | 6000 | 250 | 6000 |\n",
		"| NATS, through a third process | 8000 | 188 | 8000 |\n",
		r.Machine, r.Versions["go"], r.Began.Format("2 January 2006"),
	} {
		if !strings.Contains(string(text), want) {
			t.Errorf("README.md has no %q:\n%s", want, text)
		}
	}
	if strings.Contains(string(text), "old") {
		t.Errorf("README.md still has what was there:\n%s", text)
	}
	if !strings.Contains(string(text), "Provisional: a short run") {
		t.Errorf("README.md does not say that the run was short:\n%s", text)
	}
	drawn(t, filepath.Join(root, publishedSVG), r)
}

// drawn looks whether the drawing is well formed, says what it must, and has a bar for each figure.
func drawn(t *testing.T, file string, r *report) {
	t.Helper()
	svg, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	bars, text := 0, ""
	for d := xml.NewDecoder(bytes.NewReader(svg)); ; {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		switch e := token.(type) {
		case xml.StartElement:
			if e.Name.Local == "rect" {
				bars++
			}
		case xml.CharData:
			text += string(e)
		}
	}
	if want := 1 + 3*len(shown); bars != want {
		t.Errorf("%d rectangles, not %d", bars, want)
	}
	for _, want := range []string{r.Machine, r.Versions["go"], r.Began.Format("2 January 2006"), "less is better"} {
		if !strings.Contains(text, want) {
			t.Errorf("the drawing does not say %q", want)
		}
	}
}

// TestCaution says of which runs nobody should rely on the figures.
func TestCaution(t *testing.T) {
	rounds, each := extent(false)
	for _, c := range []struct {
		rounds int
		each   time.Duration
		load   string
		want   string
	}{
		{rounds, each, "0.41 3.00 5.00", ""},
		{rounds, each, "1.99 0.10 0.10", ""},
		{rounds, each, "unknown", ""},
		{rounds - 1, each, "0.41 0.30 0.20", "a short run"},
		{rounds, each - 1, "0.41 0.30 0.20", "a short run"},
		{rounds, each, "2.00 0.30 0.20", "a machine that was busy with other things"},
		{1, each, "9.10 0.30 0.20", "a short run; a machine that was busy with other things"},
	} {
		pub := published{Rounds: c.rounds, Each: c.each, CPUs: 2, Load: [2]string{c.load}}
		if got := pub.caution(); got != c.want {
			t.Errorf("%d rounds of %v, load %s: %q, not %q", c.rounds, c.each, c.load, got, c.want)
		}
	}
}
