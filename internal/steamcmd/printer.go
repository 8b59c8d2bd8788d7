package steamcmd

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/left4med/left4med/internal/server"
)

// What goes into the journal at most: lines of SteamCMD's for one run of the
// unit, and characters of one.
const (
	maxOwnLines = 2000
	maxOwnWidth = 400
)

// progressEvery is how much time lies between two lines of progress at least.
const progressEvery = time.Second

// printer writes what the daemon reads from the unit's journal. A line begins
// with a word and a space:
//
//	progress STATE DONE TOTAL    bytes; the last one is always written
//	step TEXT                    what is being done
//	build installed|latest ID
//	fault TEXT                   why the run fails, before it ends
//	steamcmd: TEXT               a line of SteamCMD's own
type printer struct {
	to      io.Writer
	now     func() time.Time
	secret  string // never written
	lines   int    // of SteamCMD's own, so far
	last    time.Time
	pending *Progress // not written yet
}

func (p *printer) say(word, text string) {
	// A journal that nobody takes lines for must not end an update.
	_, _ = fmt.Fprintf(p.to, "%s %s\n", word, server.Visible(text))
}

func (p *printer) stepf(format string, args ...any) { p.say("step", fmt.Sprintf(format, args...)) }

func (p *printer) progress(at Progress) {
	p.pending = &at
	if now := p.now(); now.Sub(p.last) >= progressEvery {
		p.last = now
		p.flush()
	}
}

// flush writes progress that had to wait.
func (p *printer) flush() {
	if at := p.pending; at != nil {
		p.pending = nil
		_, _ = fmt.Fprintf(p.to, "progress %s %d %d\n", at.State, at.Done, at.Total)
	}
}

// own writes a line of SteamCMD's.
func (p *printer) own(text string) {
	text = strings.TrimSpace(escapes.ReplaceAllString(text, ""))
	if p.secret != "" {
		text = strings.ReplaceAll(text, p.secret, "[secret]")
	}
	if text == "" {
		return
	}
	if p.lines++; p.lines > maxOwnLines {
		if p.lines == maxOwnLines+1 {
			p.say("steamcmd:", "(no more lines of SteamCMD's are shown)")
		}
		return
	}
	p.say("steamcmd:", cut(text, maxOwnWidth))
}

// cut shortens a text to so many bytes, at the border of a character.
func cut(text string, most int) string {
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + "…"
}
