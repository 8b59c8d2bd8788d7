package orchestrator

import (
	"fmt"
	"time"

	"github.com/left4med/left4med/internal/server"
)

// paceWindow is how far back the speed of a download is measured.
const paceWindow = 10 * time.Second

// pace makes of what left4me-install says how far it is, how fast it goes and for
// how long still.
type pace struct {
	state string
	seen  []timedLine // of this state within the window, oldest first
}

// add takes in a line; nil when it says nothing of that.
func (p *pace) add(l timedLine) *server.Progress {
	switch {
	case l.Step != "":
		p.state, p.seen = "", nil
		return &server.Progress{Text: l.Step}
	case l.State == "":
		return nil
	case l.State != p.state || len(p.seen) > 0 && l.Done < p.seen[len(p.seen)-1].Done:
		p.state, p.seen = l.State, nil
	}
	p.seen = append(p.seen, l)
	for len(p.seen) > 2 && l.at.Sub(p.seen[0].at) > paceWindow {
		p.seen = p.seen[1:]
	}
	if l.Total == 0 {
		return &server.Progress{Text: l.State}
	}
	text := fmt.Sprintf("%s %.1f %%", l.State, 100*float64(l.Done)/float64(l.Total))
	if speed := p.speed(); speed > 0 {
		text += ", " + server.Bytes(int64(speed)) + "/s"
		if left := l.Total - l.Done; left > 0 {
			text += ", " + server.Span(time.Duration(float64(left)/speed*float64(time.Second))) + " left"
		}
	}
	return &server.Progress{Done: l.Done, Total: l.Total, Text: text}
}

// speed is in bytes a second; 0 while it is not known.
func (p *pace) speed() float64 {
	first, last := p.seen[0], p.seen[len(p.seen)-1]
	took := last.at.Sub(first.at)
	if took < time.Second/2 {
		return 0
	}
	return float64(last.Done-first.Done) / took.Seconds()
}
