package main

import (
	"fmt"
	"time"

	"github.com/left4med/left4med/client"
)

// style is how a piece of text looks on a terminal.
type style string

// The styles: parameters of SGR, see console_codes(4).
const (
	plain  style = ""
	bold   style = "1"
	dim    style = "2"
	red    style = "31"
	green  style = "32"
	yellow style = "33"
)

// painter colours text for one stream, or leaves it as it is.
type painter bool

// paint returns a painter for a stream.
func (a *app) paint(stream any) painter {
	return painter(!a.noColor && a.getenv("NO_COLOR") == "" && a.getenv("TERM") != "dumb" && isTerminal(stream))
}

// text makes text visible and colours it.
func (p painter) text(s style, text string) string {
	text = client.Visible(text)
	if !p || s == plain || text == "" {
		return text
	}
	return "\x1b[" + string(s) + "m" + text + "\x1b[0m"
}

// verb is a format verb for a text that sayTo makes visible, in a style.
func (p painter) verb(s style) string {
	if !p || s == plain {
		return "%s"
	}
	return "\x1b[" + string(s) + "m%s\x1b[0m"
}

func stateStyle(s client.State) style {
	switch s {
	case client.StateRunning:
		return green
	case client.StateFailed:
		return red
	case client.StateStopped:
		return dim
	}
	return yellow
}

func driftStyle(d client.Drift) style {
	if d == client.DriftNone || d == "" {
		return plain
	}
	return red
}

func jobStyle(s client.JobState) style {
	switch s {
	case client.JobSucceeded:
		return green
	case client.JobFailed:
		return red
	}
	return yellow
}

// ago says how long ago something was, for people: "3m ago".
func (a *app) ago(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	d := a.now().Sub(t)
	if d < time.Second {
		return "just now"
	}
	return short(d) + " ago"
}

// short is a duration in its largest unit.
func short(d time.Duration) string {
	switch {
	case d < time.Second:
		return fmt.Sprintf("%dms", d.Milliseconds())
	case d < time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%dm", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh", int(d.Hours()))
	}
	return fmt.Sprintf("%dd", int(d.Hours()/24))
}

// stamp is a time for programs; "-" when it is not known.
func stamp(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format(time.RFC3339)
}
