package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/left4med/left4med/client"
)

// progress shows how jobs come along.
type progress interface {
	update(job client.Job) // a job's state is new
	note(text string)      // something worth knowing happened
	draw()                 // now is a good time to draw what changed
	end(jobs []client.Job) // no more is coming; this is how all jobs stand
}

// manyJobs is from how many jobs on a terminal shows a count instead of a line
// each.
const manyJobs = 11

func (a *app) newProgress(jobs []client.Job) progress {
	paint := a.paint(a.stderr)
	if !isTerminal(a.stderr) || a.getenv("TERM") == "dumb" {
		return &lines{w: a.stderr, paint: paint, told: map[int64]string{}}
	}
	_, height := terminalSize(a.stderr)
	return &live{
		w: a.stderr, paint: paint, jobs: map[int64]client.Job{}, order: order(jobs),
		count: len(jobs) >= manyJobs || len(jobs) >= height-1,
		width: func() int { width, _ := terminalSize(a.stderr); return width },
	}
}

func order(jobs []client.Job) []int64 {
	ids := make([]int64, len(jobs))
	for i, job := range jobs {
		ids[i] = job.ID
	}
	return ids
}

// lines prints a line as each job ends, and of one that takes long, as an install
// does, now and then how far it is.
type lines struct {
	w     io.Writer
	paint painter
	told  map[int64]string // how far each long job was when that was last told
}

func (l *lines) update(job client.Job) {
	switch p := job.Progress; {
	case job.State.Finished():
		report(l.w, l.paint, job)
	case waiting(job):
		if far := waitsFor(job); l.told[job.ID] != far {
			l.told[job.ID] = far
			sayTo(l.w, "%s: %s", subject(job), p.Text)
		}
	case job.Kind.OfHost() && p != nil:
		far := p.Text
		if p.Total > 0 { // told of at every tenth
			word, _, _ := strings.Cut(p.Text, " ")
			far = fmt.Sprintf("%s %d", word, 10*p.Done/p.Total)
		}
		if l.told[job.ID] != far {
			l.told[job.ID] = far
			sayTo(l.w, "%s:%s", subject(job), steps(job))
		}
	}
}

// waiting says whether a job waits until nobody plays.
func waiting(job client.Job) bool {
	return job.Progress != nil && !job.State.Finished() && strings.HasPrefix(job.Progress.Text, client.WaitingForEmpty)
}

// waitsFor is what is told of a wait when it is another, and not each minute.
func waitsFor(job client.Job) string {
	text, _, _ := strings.Cut(job.Progress.Text, ", gives up in ")
	return text
}

func (l *lines) note(text string) { sayTo(l.w, "%s", text) }
func (l *lines) draw()            {}
func (l *lines) end([]client.Job) {}

// live draws the jobs again and again in the same place of a terminal: a line
// for each when they are few, a count when they are many.
type live struct {
	w     io.Writer
	paint painter
	width func() int
	count bool
	order []int64
	jobs  map[int64]client.Job
	drawn int // lines on the screen that the next drawing replaces
	dirty bool
}

func (l *live) update(job client.Job) {
	l.jobs[job.ID] = job
	l.dirty = true
}

func (l *live) note(text string) {
	l.erase()
	sayTo(l.w, "%s", text)
	l.dirty = true
}

func (l *live) draw() {
	if !l.dirty {
		return
	}
	l.dirty = false
	l.erase()
	rows := l.rows()
	io.WriteString(l.w, strings.Join(rows, "\n")+"\n")
	l.drawn = len(rows)
}

// end leaves the last drawing on the screen and explains what went wrong.
func (l *live) end(jobs []client.Job) {
	l.draw()
	for _, job := range jobs {
		if job.State == client.JobFailed || job.State == client.JobCanceled {
			report(l.w, l.paint, job)
		}
	}
}

// erase removes the last drawing: up to its first line, and clear from there
// (console_codes(4), CUU and ED).
func (l *live) erase() {
	if l.drawn > 0 {
		fmt.Fprintf(l.w, "\x1b[%dA\r\x1b[J", l.drawn)
		l.drawn = 0
	}
}

func (l *live) rows() []string {
	if l.count {
		return []string{l.total()}
	}
	names := 0
	for _, id := range l.order {
		names = max(names, length(subject(l.jobs[id])))
	}
	var rows []string
	for _, id := range l.order {
		job := l.jobs[id]
		name := fmt.Sprintf("%-*s  ", names, client.Visible(subject(job)))
		rows = append(rows, name+l.paint.text(jobStyle(job.State), cut(standing(job), l.width()-1-names-2)))
	}
	return rows
}

// standing is where a job stands, in a few words.
func standing(job client.Job) string {
	switch job.State {
	case client.JobSucceeded:
		return done(job.Kind)
	case client.JobQueued:
		return string(job.Kind) + ": waiting for its turn"
	case client.JobRunning:
		return string(job.Kind) + " …" + steps(job)
	}
	return string(job.Kind) + " " + string(job.State)
}

func steps(job client.Job) string {
	p := job.Progress
	switch {
	case p == nil:
		return ""
	case p.Total > 0 && job.Kind.OfHost():
		return fmt.Sprintf(" %s (%s of %s)", p.Text, client.Bytes(p.Done), client.Bytes(p.Total))
	case p.Total > 0:
		return fmt.Sprintf(" %d/%d %s", p.Done, p.Total, p.Text)
	}
	return " " + p.Text
}

// total is the count of many jobs: "87/100 started, 2 failed".
func (l *live) total() string {
	var succeeded, failed, canceled int
	for _, job := range l.jobs {
		switch job.State {
		case client.JobSucceeded:
			succeeded++
		case client.JobFailed:
			failed++
		case client.JobCanceled:
			canceled++
		}
	}
	text := l.paint.text(green, fmt.Sprintf("%d/%d %s", succeeded, len(l.order), done(l.jobs[l.order[0]].Kind)))
	if failed > 0 {
		text += ", " + l.paint.text(red, fmt.Sprintf("%d failed", failed))
	}
	if canceled > 0 {
		text += ", " + l.paint.text(yellow, fmt.Sprintf("%d canceled", canceled))
	}
	return text
}

// cut shortens a text to so many characters, since a line that wraps could not
// be drawn over.
func cut(text string, width int) string {
	runes := []rune(client.Visible(text))
	if width < 1 || len(runes) <= width {
		return string(runes)
	}
	return string(runes[:width-1]) + "…"
}

// report says how a job ended, and for one that failed what is known and where
// to look on.
func report(w io.Writer, paint painter, job client.Job) {
	sayTo(w, "%s: "+paint.verb(jobStyle(job.State)), subject(job), ended(job))
	if job.State != client.JobFailed || job.Error != nil && job.Error.Code == client.CodeNotEmpty {
		return // nothing has gone wrong in a unit
	}
	if job.Error != nil && len(job.Error.Logs) > 0 {
		sayTo(w, "  its last log lines:")
		for _, line := range job.Error.Logs {
			sayTo(w, "    %s", line)
		}
	}
	switch {
	case job.Server != "":
		sayTo(w, "  look at: l4d2ctl logs %s", string(job.Server))
	case job.Kind == client.JobInstall:
		sayTo(w, "  look at: journalctl -u left4me-install.service")
	case job.Kind == client.JobCheck:
		sayTo(w, "  look at: journalctl -u left4me-install-check.service")
	}
}
