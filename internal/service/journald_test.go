package service

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/coreos/go-systemd/v22/journal"
	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"
)

// entry is what journald was sent.
type entry struct {
	Message  string
	Priority journal.Priority
	Fields   map[string]string
}

func TestJournalEntries(t *testing.T) {
	t.Parallel()
	sent := make(chan entry, 100)
	j := newJournald("left4med", func(message string, priority journal.Priority, fields map[string]string) error {
		sent <- entry{message, priority, fields}
		return nil
	}, journalPriority{&bytes.Buffer{}})
	log := zerolog.New(j)
	for _, c := range []struct {
		write func()
		want  entry
	}{
		{func() {
			log.Info().Str("SERVER", "a").Int64("JOB", 17).Uint32("UID", 4294967295).Msg("a: start asked for")
		}, entry{"a: start asked for", journal.PriInfo, map[string]string{"SERVER": "a", "JOB": "17", "UID": "4294967295"}}},
		{func() {
			log.Warn().Err(errors.Join(errors.New("one\x1b[2J"), errors.New("two"))).Str("so_far", "x\ny").Msg("it failed")
		}, entry{`it failed: one\x1b[2J; two`, journal.PriWarning, map[string]string{"ERROR": "one\x1b[2J\ntwo", "SO_FAR": "x\ny"}}},
		{func() { log.Error().Err(errors.New("alone")).Send() },
			entry{"alone", journal.PriErr, map[string]string{"ERROR": "alone"}}},
		{func() { log.Debug().Bool("on", true).Strs("_odd-näme", []string{"a"}).Any("9", nil).Msg("m") },
			entry{"m", journal.PriDebug, map[string]string{"ON": "true", "X_ODD_N_ME": `["a"]`}}},
		{func() { log.Log().Msg("m") }, entry{"m", journal.PriNotice, map[string]string{}}},
	} {
		c.write()
		c.want.Fields["SYSLOG_IDENTIFIER"] = "left4med"
		if diff := cmp.Diff(c.want, <-sent); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
	}
}

// A journald that hangs holds nobody up, and what it missed is told.
func TestJournaldHangs(t *testing.T) {
	t.Parallel()
	began, goOn := make(chan struct{}, logQueue+10), make(chan struct{})
	var messages []string
	j := newJournald("left4med", func(message string, _ journal.Priority, _ map[string]string) error {
		began <- struct{}{}
		<-goOn
		messages = append(messages, message)
		return nil
	}, journalPriority{&bytes.Buffer{}})
	log := zerolog.New(j)
	log.Info().Msg("first")
	<-began // it hangs in this one
	for range logQueue + 7 {
		log.Info().Msg("m")
	}
	j.flush(time.Nanosecond) // gives up
	close(goOn)
	j.flush(time.Minute)
	if len(messages) != logQueue+2 || messages[1] != "7 lines of the log are lost: journald was too slow" {
		t.Errorf("%d messages came, the second is %q", len(messages), messages[1])
	}
}

// What journald refuses goes where it went before, one JSON object a line.
func TestJournaldIsAway(t *testing.T) {
	t.Parallel()
	var stderr bytes.Buffer
	j := newJournald("left4med", func(string, journal.Priority, map[string]string) error { return errors.New("gone") }, journalPriority{&stderr})
	log := zerolog.New(j)
	log.Warn().Str("SERVER", "a").Msg("m")
	log.Error().Msg("n")
	j.flush(time.Minute)
	want := `<4>{"level":"warn","SERVER":"a","message":"m"}` + "\n" + `<3>{"level":"error","message":"n"}` + "\n"
	if diff := cmp.Diff(want, stderr.String()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestLinesHaveAPriority(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	log := zerolog.New(journalPriority{&out})
	log.Debug().Msg("")
	log.Info().Msg("")
	log.WithLevel(zerolog.FatalLevel).Msg("")
	log.Log().Msg("")
	var got []string
	for line := range strings.Lines(out.String()) {
		got = append(got, line[:3])
	}
	if diff := cmp.Diff([]string{"<7>", "<6>", "<2>", "<5>"}, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestLinesAreWhole(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	log := zerolog.New(journalPriority{&out})
	log.Error().Msg("a")
	log.Info().Msg("b")
	log.Debug().Msg("c")
	want := "<3>{\"level\":\"error\",\"message\":\"a\"}\n<6>{\"level\":\"info\",\"message\":\"b\"}\n<7>{\"level\":\"debug\",\"message\":\"c\"}\n"
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("written (-want +got):\n%s", diff)
	}
}
