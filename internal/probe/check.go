package probe

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/left4med/left4med/internal/server"
)

// Ranges of what an answer tells. A2S counts players in one byte, and times as
// 32-bit floating point numbers, which can be anything.
const (
	MaxSeconds      = 1e9       // of a player's time, in seconds: thirty years
	MaxRetryAfterMS = 3600_000  // of a Fault, in milliseconds
	maxPing         = 5_000_000 // of an answer, in microseconds: the longest timeout
)

// told are the codes of a Fault that the probe itself tells.
var told = []FaultCode{
	FaultInvalid, FaultSilent, FaultRefused, FaultStranger, FaultKernel, FaultMalformed, FaultPassword, FaultBanned,
	FaultAddress, FaultRedirect, FaultTLS, FaultUnreached, FaultNetwork, FaultStatus, FaultBusy,
}

// Text makes a stranger's text one line that is safe to show, of at most MaxName
// bytes, cut between two characters. It changes nothing when done twice.
func Text(s string) string { return cut(server.Visible(s), MaxName) }

// Lines is Text for what a command printed: lines end with \n, \r\n is one end of
// line, and there are at most MaxOutput bytes. cutOff says whether there were more.
func Lines(s string) (text string, cutOff bool) {
	var b strings.Builder
	for line := range strings.Lines(s) {
		content, ended := strings.CutSuffix(line, "\n")
		b.WriteString(server.Visible(strings.TrimSuffix(content, "\r")))
		if ended {
			b.WriteByte('\n')
		}
		if b.Len() > MaxOutput {
			return cut(b.String(), MaxOutput), true
		}
	}
	return b.String(), false
}

// cut shortens valid UTF-8 to at most n bytes.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// parseAnswer reads and checks the answer to a Query.
func parseAnswer(text []byte) (*Answer, error) {
	var got struct {
		Answer
		List json.RawMessage `json:"list"` // in the place of Answer's
	}
	if err := decode(text, &got); err != nil {
		return nil, err
	}
	a := got.Answer
	for _, n := range []struct {
		what        string
		value, most int64
	}{
		{"players", int64(a.Players), MaxPlayers}, {"max_players", int64(a.MaxPlayers), MaxPlayers},
		{"bots", int64(a.Bots), MaxPlayers}, {"ping_us", a.PingMicros, maxPing},
	} {
		if n.value < 0 || n.value > n.most {
			return nil, fmt.Errorf("%s is %d, which is not within 0 and %d", n.what, n.value, n.most)
		}
	}
	a.Name, a.Map, a.Game, a.Version = Text(a.Name), Text(a.Map), Text(a.Game), Text(a.Version)
	var err error
	if a.List, err = parsePlayers(got.List); err != nil {
		return nil, err
	}
	for _, f := range []*Fault{a.ListFault, a.StatusFault} {
		if f == nil {
			continue
		}
		if err := checkFault(f); err != nil {
			return nil, err
		}
	}
	if a.Humans != nil && (*a.Humans < 0 || *a.Humans > MaxPlayers) {
		return nil, fmt.Errorf("humans is %d, which is not within 0 and %d", *a.Humans, MaxPlayers)
	}
	return &a, nil
}

// parsePlayers reads the list one by one: a million empty players fit into an
// answer, and shall not be held.
func parsePlayers(text []byte) ([]Player, error) {
	if len(text) == 0 || string(text) == "null" {
		return nil, nil
	}
	d := json.NewDecoder(bytes.NewReader(text))
	if open, err := d.Token(); err != nil || open != json.Delim('[') {
		return nil, errors.New("list is no list")
	}
	players := []Player{}
	for d.More() {
		if len(players) == MaxPlayers {
			return nil, fmt.Errorf("list has more than %d players", MaxPlayers)
		}
		var p Player
		if err := d.Decode(&p); err != nil {
			return nil, errors.New("list has something that is no player")
		}
		if !(p.Seconds >= 0 && p.Seconds <= MaxSeconds) {
			return nil, fmt.Errorf("a player's seconds are %g, which is not within 0 and %g", p.Seconds, MaxSeconds)
		}
		for what, n := range map[string]*int{"userid": p.UserID, "ping": p.Ping, "loss": p.Loss} {
			if n != nil && (*n < 0 || *n > math.MaxInt32) {
				return nil, fmt.Errorf("a player's %s is %d, which cannot be", what, *n)
			}
		}
		p.Name, p.SteamID, p.State = Text(p.Name), Text(p.SteamID), Text(p.State)
		players = append(players, p)
	}
	return players, nil
}

// parseOutput reads and checks the answer to a Command.
func parseOutput(text []byte) (*Output, error) {
	var o Output
	if err := decode(text, &o); err != nil {
		return nil, err
	}
	var cutOff bool
	o.Output, cutOff = Lines(o.Output)
	o.Truncated = o.Truncated || cutOff
	return &o, nil
}

// parseDelivered reads and checks the answer to a Delivery.
func parseDelivered(text []byte) (*Delivered, error) {
	var d Delivered
	if err := decode(text, &d); err != nil {
		return nil, err
	}
	if d.Status < 200 || d.Status > 299 {
		return nil, fmt.Errorf("the webhook's status is %d, and is called delivered", d.Status)
	}
	return &d, nil
}

// parseFault reads and checks an answer that is not OK.
func parseFault(text []byte) (*Fault, error) {
	var f Fault
	if err := decode(text, &f); err != nil {
		return nil, err
	}
	return &f, checkFault(&f)
}

func checkFault(f *Fault) error {
	switch {
	case !slices.Contains(told, f.Code):
		return errors.New("the fault is of no known kind")
	case f.Status != 0 && (f.Code != FaultStatus || f.Status < 100 || f.Status > 999):
		return fmt.Errorf("a fault has status %d", f.Status)
	case f.RetryAfterMS < 0 || f.RetryAfterMS > MaxRetryAfterMS:
		return fmt.Errorf("the wait is %d ms, which is not within 0 and an hour", f.RetryAfterMS)
	}
	f.Detail = Text(f.Detail)
	if f.Detail == "" {
		f.Detail = "left4med-probe gives no reason: " + string(f.Code)
	}
	return nil
}

// decode reads one JSON object and nothing after it. Keys that are not known are
// passed over, so that either side may be the newer one. No error repeats what was
// sent.
func decode(text []byte, into any) error {
	if text = bytes.TrimSpace(text); len(text) == 0 || text[0] != '{' {
		return errors.New("the answer is no JSON object")
	}
	d := json.NewDecoder(bytes.NewReader(text))
	if err := d.Decode(into); err != nil {
		return errors.New("the answer is not the JSON that it should be")
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("something follows the answer")
	}
	return nil
}
