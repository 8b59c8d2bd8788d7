package main

import (
	"io"

	"github.com/rs/zerolog"
)

// journalPriority begins each line with the priority that journald takes from
// it (sd-daemon(3)), so that `journalctl -p warning` works.
type journalPriority struct{ w io.Writer }

var _ zerolog.LevelWriter = journalPriority{}

func (j journalPriority) Write(p []byte) (int, error) {
	return j.WriteLevel(zerolog.NoLevel, p)
}

// WriteLevel writes prefix and line in one call, so that lines never mix.
func (j journalPriority) WriteLevel(level zerolog.Level, p []byte) (int, error) {
	prefix := "<5>"
	switch level {
	case zerolog.TraceLevel, zerolog.DebugLevel:
		prefix = "<7>"
	case zerolog.InfoLevel:
		prefix = "<6>"
	case zerolog.WarnLevel:
		prefix = "<4>"
	case zerolog.ErrorLevel:
		prefix = "<3>"
	case zerolog.FatalLevel, zerolog.PanicLevel:
		prefix = "<2>"
	}
	line := make([]byte, 0, len(prefix)+len(p))
	line = append(append(line, prefix...), p...)
	if _, err := j.w.Write(line); err != nil {
		return 0, err
	}
	return len(p), nil
}
