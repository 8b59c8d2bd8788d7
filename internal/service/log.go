package service

import (
	"fmt"
	"io"
	"os"

	"github.com/coreos/go-systemd/v22/journal"
	"github.com/rs/zerolog"
)

// NewLog makes the log of a daemon, name being what journald calls it: entries
// with fields when standard error is the journal, as the unit has it; on a
// terminal, lines for people; else one JSON object a line. flush waits, not for
// long, until it is written.
func NewLog(name string, level zerolog.Level) (log zerolog.Logger, flush func()) {
	flush = func() {}
	if fi, err := os.Stderr.Stat(); err == nil && fi.Mode()&os.ModeCharDevice != 0 {
		return zerolog.New(zerolog.ConsoleWriter{Out: os.Stderr}).Level(level).With().Timestamp().Logger(), flush
	}
	var w zerolog.LevelWriter = journalPriority{os.Stderr}
	if is, err := journal.StderrIsJournalStream(); is && err == nil {
		j := newJournald(name, (&sender{path: journalSocket}).send, w)
		w, flush = j, func() { j.flush(logPatience) }
	}
	return zerolog.New(w).Level(level), flush
}

// priorityOf is syslog's word for a level.
func priorityOf(level zerolog.Level) journal.Priority {
	switch level {
	case zerolog.TraceLevel, zerolog.DebugLevel:
		return journal.PriDebug
	case zerolog.InfoLevel:
		return journal.PriInfo
	case zerolog.WarnLevel:
		return journal.PriWarning
	case zerolog.ErrorLevel:
		return journal.PriErr
	case zerolog.FatalLevel, zerolog.PanicLevel:
		return journal.PriCrit
	}
	return journal.PriNotice
}

// journalPriority begins each line with the priority that journald takes from
// it (sd-daemon(3)), so that `journalctl -p warning` works.
type journalPriority struct{ w io.Writer }

var _ zerolog.LevelWriter = journalPriority{}

// Write implements io.Writer.
func (j journalPriority) Write(p []byte) (int, error) {
	return j.WriteLevel(zerolog.NoLevel, p)
}

// WriteLevel writes prefix and line in one call, so that lines never mix.
func (j journalPriority) WriteLevel(level zerolog.Level, p []byte) (int, error) {
	if _, err := j.w.Write(append(fmt.Appendf(nil, "<%d>", priorityOf(level)), p...)); err != nil {
		return 0, err
	}
	return len(p), nil
}
