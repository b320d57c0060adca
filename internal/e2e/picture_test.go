package e2e

import (
	"fmt"
	"html"
	"math"
	"strings"
	"testing"
	"time"
)

// Classes as they are stacked, from the bottom, and their colours.
var drawn = []struct{ class, name, colour string }{
	{"cpu", "CPU", "#3fa34d"},
	{"io", "IO", "#3b7dd8"},
	{"lwlock", "LWLock", "#8c564b"},
	{"client", "Client", "#9aa5b1"},
	{"timeout", "Timeout", "#c9b458"},
	{"idle_in_transaction", "idle in transaction", "#f0a53c"},
	{"lock", "Lock", "#d1343b"},
}

// Measures of the picture, in its own units.
const (
	pictureWidth  = 920
	pictureHeight = 330
	plotLeft      = 44
	plotTop       = 64
	plotBottom    = 292
)

// picture draws the timeline of an incident of one second a bucket, as SVG:
// docs/incident.svg, which the README shows.
func picture(t *testing.T, line series, from time.Time, events []eventRow) string {
	t.Helper()
	buckets, most := len(line.MaxSessions), 1.0
	for n := range buckets {
		sum := 0.0
		for _, d := range drawn {
			sum += valueOf(line.Sessions[d.class], n)
		}
		most = math.Max(most, sum)
	}
	if buckets == 0 {
		t.Fatal("there is nothing to draw")
	}
	var b strings.Builder
	say := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	width := float64(pictureWidth-plotLeft-16) / float64(buckets)
	x := func(n float64) float64 { return plotLeft + n*width }
	scale := (plotBottom - plotTop) / (most * 1.08)
	y := func(v float64) float64 { return plotBottom - v*scale }

	say(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="12" fill="#333">`, pictureWidth, pictureHeight)
	say(`<title>Average active sessions by wait class, one minute, one second a bar</title>`)
	say(`<rect width="100%%" height="100%%" fill="#fff"/>`)
	at := plotLeft
	for _, d := range drawn {
		say(`<rect x="%d" y="12" width="11" height="11" fill="%s"/><text x="%d" y="22">%s</text>`, at, d.colour, at+16, d.name)
		at += 30 + 7*len(d.name)
	}
	say(`<rect x="%d" y="12" width="11" height="11" fill="#e8e8ec"/><text x="%d" y="22">not seen</text>`, at, at+16)
	for v := 0.0; v <= most; v += 5 {
		say(`<path d="M%d %.1fH%d" stroke="#e4e4e8"/><text x="%d" y="%.1f" text-anchor="end">%.0f</text>`, plotLeft, y(v), pictureWidth-16, plotLeft-6, y(v)+4, v)
	}
	last := buckets - 1 // what comes later was not stored yet
	for last > 0 && line.MaxSessions[last] == nil {
		last--
	}
	for n := range last + 1 {
		if line.MaxSessions[n] == nil {
			say(`<rect x="%.1f" y="%d" width="%.1f" height="%d" fill="#e8e8ec"/>`, x(float64(n)), plotTop, width, plotBottom-plotTop)
			continue
		}
		base := 0.0
		for _, d := range drawn {
			if v := valueOf(line.Sessions[d.class], n); v > 0 {
				say(`<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" fill="%s"/>`, x(float64(n))+0.5, y(base+v), width-1, v*scale, d.colour)
				base += v
			}
		}
	}
	for n := 0; n <= buckets; n += 10 {
		say(`<text x="%.1f" y="%d" text-anchor="middle">%s</text>`, x(float64(n)), plotBottom+18, from.Add(time.Duration(n)*time.Second).UTC().Format(time.TimeOnly))
	}
	row := 0
	for _, e := range events {
		if e.Kind != "database_dropped" && e.Kind != "burst_started" && e.Kind != "restart" {
			continue
		}
		n, text, below := e.At.Sub(from).Seconds(), strings.ReplaceAll(e.Kind, "_", " "), 40+15*(row%2)
		if e.Kind == "database_dropped" {
			text += " " + *e.Subject
		}
		say(`<path d="M%.1f %dV%d" stroke="#555" stroke-dasharray="3 3"/><text x="%.1f" y="%d">%s</text>`, x(n), below, plotBottom, x(n)+4, below+9, html.EscapeString(text))
		row++
	}
	say(`</svg>`)

	return b.String()
}

// valueOf is the value of a bucket; 0 where it is not known.
func valueOf(values []*float64, n int) float64 {
	if n >= len(values) || values[n] == nil {
		return 0
	}

	return *values[n]
}
