package service

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/coreos/go-systemd/v22/journal"
	"github.com/rs/zerolog"

	"github.com/left4med/left4med/internal/server"
)

// journald hands log lines to journald in its own protocol, so that a line's
// fields are the entry's (journalctl SERVER=a) and its message is for people.
// It never makes anybody wait: lines that journald does not take in time are
// counted, and the count is told.
//
// zerolog's own writer for journald would add every line once more as JSON,
// leave the error out of the message, and wait for a journald that hangs.
type journald struct {
	name  string // SYSLOG_IDENTIFIER of what comes
	send  sendFunc
	lines zerolog.LevelWriter // for what journald refuses
	queue chan logLine
	lost  atomic.Int64
}

// sendFunc hands one entry to journald.
type sendFunc func(message string, priority journal.Priority, fields map[string]string) error

// logLine is a line of the log, or a request to say when all before it are out.
type logLine struct {
	level zerolog.Level
	json  []byte
	out   chan struct{}
}

// logQueue is how many lines may wait for journald, and logPatience how long a
// daemon's end waits for them.
const (
	logQueue    = 4096
	logPatience = 2 * time.Second
)

func newJournald(name string, send sendFunc, lines zerolog.LevelWriter) *journald {
	j := &journald{name: name, send: send, lines: lines, queue: make(chan logLine, logQueue)}
	go j.loop()
	return j
}

var _ zerolog.LevelWriter = (*journald)(nil)

// Write implements io.Writer.
func (j *journald) Write(p []byte) (int, error) { return j.WriteLevel(zerolog.NoLevel, p) }

// WriteLevel implements zerolog.LevelWriter.
func (j *journald) WriteLevel(level zerolog.Level, p []byte) (int, error) {
	select {
	case j.queue <- logLine{level: level, json: bytes.Clone(p)}:
	default:
		j.lost.Add(1)
	}
	return len(p), nil
}

// flush waits until what was written so far is out, at most for patience.
func (j *journald) flush(patience time.Duration) {
	over := time.After(patience)
	out := make(chan struct{})
	select {
	case j.queue <- logLine{out: out}:
	case <-over:
		return
	}
	select {
	case <-out:
	case <-over:
	}
}

func (j *journald) loop() {
	for line := range j.queue {
		if n := j.lost.Swap(0); n > 0 {
			j.deliver(zerolog.WarnLevel, fmt.Appendf(nil, `{"level":"warn","message":"%d lines of the log are lost: journald was too slow"}`+"\n", n))
		}
		if line.out != nil {
			close(line.out)
			continue
		}
		j.deliver(line.level, line.json)
	}
}

// deliver sends one line. What journald does not take goes to standard error.
func (j *journald) deliver(level zerolog.Level, line []byte) {
	message, fields, err := entryOf(j.name, line)
	if err == nil {
		err = j.send(message, priorityOf(level), fields)
	}
	if err != nil {
		_, _ = j.lines.WriteLevel(level, line) // there is nobody left to tell
	}
}

// entryOf makes journald's message and fields of a JSON line of a program.
func entryOf(name string, line []byte) (message string, fields map[string]string, err error) {
	var values map[string]any
	decoder := json.NewDecoder(bytes.NewReader(line))
	decoder.UseNumber()
	if err := decoder.Decode(&values); err != nil {
		return "", nil, err
	}
	fields = map[string]string{"SYSLOG_IDENTIFIER": name}
	for key, value := range values {
		switch v := value.(type) {
		case string:
			fields[fieldName(key)] = v
		case nil:
		case json.Number, bool:
			fields[fieldName(key)] = fmt.Sprint(v)
		default:
			text, err := json.Marshal(v)
			if err != nil {
				return "", nil, err
			}
			fields[fieldName(key)] = string(text)
		}
	}
	message = fields["MESSAGE"]
	if cause := fields[fieldName(zerolog.ErrorFieldName)]; cause != "" {
		message = strings.TrimPrefix(message+": "+cause, ": ")
	}
	delete(fields, "MESSAGE") // send's own, as is the priority
	delete(fields, "LEVEL")
	return server.Visible(strings.ReplaceAll(message, "\n", "; ")), fields, nil
}

// fieldName is a key as journald takes it: upper-case letters, digits and '_',
// the first a letter.
func fieldName(key string) string {
	name := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z':
			return r - 'a' + 'A'
		case r >= 'A' && r <= 'Z', r >= '0' && r <= '9':
			return r
		}
		return '_'
	}, key)
	if name == "" || name[0] < 'A' || name[0] == '_' {
		name = "X" + name
	}
	return name
}
