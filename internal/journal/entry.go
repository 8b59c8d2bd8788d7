package journal

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/left4med/left4med/internal/server"
)

// Entry is one line of a unit's log.
type Entry struct {
	At           time.Time `json:"at" doc:"When journald received it."`
	Priority     int       `json:"priority" doc:"As in syslog: 0 emergency to 7 debug."`
	Message      string    `json:"message" doc:"Control characters are shown escaped."`
	PID          int       `json:"pid,omitempty"`
	InvocationID string    `json:"invocation_id,omitempty" doc:"The run of the unit that it belongs to."`
	Cursor       string    `json:"cursor" doc:"Its place in the journal."`
}

const (
	// maxMessage is the longest message in bytes as it was written; the rest is
	// cut off visibly.
	maxMessage = 64 << 10
	// maxLine is the longest line of journalctl's that is kept. A byte takes
	// up to five characters there ("255, ").
	maxLine = 8 * maxMessage

	defaultPriority = 6 // info, as journald gives to what came without one
)

// fields are those of an entry that are asked for. Those that begin with two
// underscores always come.
const fields = "MESSAGE,PRIORITY,_PID,_SYSTEMD_INVOCATION_ID,INVOCATION_ID"

// decode reads a line of journalctl's JSON (systemd.io/JOURNAL_EXPORT_FORMATS,
// "Journal JSON Format"). Of a line that was cut it takes the fields before the
// cut.
func decode(line []byte, cut bool) (Entry, error) {
	raw, err := object(line)
	if err != nil && !cut {
		return Entry{}, fmt.Errorf("cannot read an entry of the journal: %w", err)
	}
	micros, err := strconv.ParseInt(text(raw["__REALTIME_TIMESTAMP"]), 10, 64)
	if err != nil && !cut {
		return Entry{}, errors.New("cannot read an entry of the journal: it has no time")
	}
	e := Entry{Priority: defaultPriority, Cursor: clean(text(raw["__CURSOR"]), 1024)}
	if micros > 0 {
		e.At = time.UnixMicro(micros).UTC()
	}
	if p, err := strconv.Atoi(text(raw["PRIORITY"])); err == nil && p >= 0 && p <= 7 {
		e.Priority = p
	}
	if pid, err := strconv.Atoi(text(raw["_PID"])); err == nil && pid > 0 {
		e.PID = pid
	}
	// Anyone can send an INVOCATION_ID; it counts from systemd alone.
	id := "_SYSTEMD_INVOCATION_ID"
	if e.PID == 1 {
		id = "INVOCATION_ID"
	}
	e.InvocationID = clean(text(raw[id]), 32)
	if _, ok := raw["MESSAGE"]; cut && !ok {
		e.Message = fmt.Sprintf("(a message of more than %d bytes was left out)", maxMessage)
		return e, nil
	}
	e.Message = clean(text(raw["MESSAGE"]), maxMessage)
	return e, nil
}

// object reads the members of a JSON object up to the first fault.
func object(line []byte) (map[string]json.RawMessage, error) {
	members := map[string]json.RawMessage{}
	dec := json.NewDecoder(bytes.NewReader(line))
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return members, errors.Join(err, errors.New("it is no JSON object"))
	}
	for dec.More() {
		t, err := dec.Token()
		if err != nil {
			return members, err
		}
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return members, err
		}
		members[t.(string)] = value // a member's name is a string, or Token had failed
	}
	_, err := dec.Token()
	return members, err
}

// text is the value of a field: a string; an array of bytes where it is not
// valid UTF-8; null where there is none; an array of these for a field given
// several times, which come on a line each.
func text(raw json.RawMessage) string {
	var s string
	if json.Unmarshal(raw, &s) == nil {
		return s
	}
	var numbers []uint16 // not bytes: json takes a []byte for base64
	if json.Unmarshal(raw, &numbers) == nil {
		b := make([]byte, len(numbers))
		for i, n := range numbers {
			b[i] = byte(n)
		}
		return string(b)
	}
	var several []json.RawMessage
	if json.Unmarshal(raw, &several) != nil {
		return ""
	}
	parts := make([]string, 0, len(several))
	for _, r := range several {
		if len(r) > 0 && r[0] == '[' && bytes.IndexByte(r[1:], '[') >= 0 {
			continue // nothing is nested deeper
		}
		parts = append(parts, text(r))
	}
	return strings.Join(parts, "\n")
}

// clean cuts a text to max bytes and makes it safe to show.
func clean(s string, max int) string {
	if len(s) <= max {
		return server.Visible(s)
	}
	end := max
	for end > max-utf8.UTFMax && !utf8.RuneStart(s[end]) {
		end--
	}
	return server.Visible(s[:end]) + fmt.Sprintf("… (%d bytes cut off)", len(s)-end)
}
