package steamcmd

import (
	"regexp"
	"strconv"
	"strings"
)

// maxLine is how many bytes of a line are read; the rest of it is left out.
const maxLine = 4096

// kind is what a line of SteamCMD's means.
type kind int

const (
	kindOther        kind = iota
	kindProgress          // Progress is set
	kindInstalled         // the app is installed, or was up to date
	kindAppState          // the update ended in a state, Reason: "0x202"
	kindAppRefused        // the update did not begin, Reason: "Invalid platform"
	kindOffline           // no connection to Steam
	kindLoginRefused      // Reason: "Invalid Password"
	kindGuard             // Steam Guard wants a code
	kindConfirm           // Steam Guard asks on the account's telephone, and SteamCMD waits for a while
	kindPrompt            // it waits for something to be typed, Reason: the prompt
)

// line is one line of SteamCMD's.
type line struct {
	Kind     kind
	Reason   string
	Progress Progress
}

// Progress is how far an update is.
type Progress struct {
	State       string // one lower-case word: "downloading"
	Done, Total int64  // bytes
}

// The lines. Nothing else of SteamCMD's has these forms.
var (
	escapes      = regexp.MustCompile(`\x1b\[[0-9;?]*[A-Za-z]`)
	progressLine = regexp.MustCompile(`^ ?Update state \(0x[0-9a-fA-F]+\) ([a-z]+)[a-z ]*, progress: [0-9.]+ \(([0-9]{1,18}) / ([0-9]{1,18})\)`)
	successLine  = regexp.MustCompile(`^Success! App '` + App + `' (?:fully installed|already up to date)`)
	stateLine    = regexp.MustCompile(`^Error! App '` + App + `' state is (0x[0-9a-fA-F]{1,8}) after update job`)
	refusedLine  = regexp.MustCompile(`^ERROR! Failed to install app '` + App + `' \(([^()]{1,80})\)`)
	loginLine    = regexp.MustCompile(`(?:FAILED|ERROR|Login Failure)(?:: | \(| login with result code | with result code )([^()]{1,80}?)\)?\s*$`)
	promptLine   = regexp.MustCompile(`(?i)(?:^|\n| )((?:steam guard|two-factor) code:|password:|Steam>)\s*$`)
)

// offline are the reasons of a failed login that are the network's or Steam's
// own; the numbers are those of Steam's EResult.
var offline = map[string]bool{
	"No Connection": true, "NoConnection": true, "Timeout": true, "Service Unavailable": true,
	"ServiceUnavailable": true, "Try Another CM": true, "3": true, "16": true, "20": true, "48": true,
}

// parseLine reads one line, without its end.
func parseLine(text string) line {
	text = escapes.ReplaceAllString(text, "")
	if m := progressLine.FindStringSubmatch(text); m != nil {
		done, _ := strconv.ParseInt(m[2], 10, 64)
		total, _ := strconv.ParseInt(m[3], 10, 64)
		return line{Kind: kindProgress, Progress: Progress{State: m[1], Done: done, Total: total}}
	}
	if successLine.MatchString(text) {
		return line{Kind: kindInstalled}
	}
	if m := stateLine.FindStringSubmatch(text); m != nil {
		return line{Kind: kindAppState, Reason: strings.ToLower(m[1])}
	}
	if m := refusedLine.FindStringSubmatch(text); m != nil {
		return line{Kind: kindAppRefused, Reason: m[1]}
	}
	if strings.Contains(text, "needs to be online to update") || strings.Contains(text, "not online or not logged in to Steam") {
		return line{Kind: kindOffline, Reason: "not online"}
	}
	if m := loginLine.FindStringSubmatch(text); m != nil {
		return loginRefused(m[1])
	}
	if strings.HasPrefix(text, "This computer has not been authenticated for your account using Steam Guard") {
		return line{Kind: kindGuard}
	}
	if strings.Contains(text, "confirm the login in the Steam Mobile app") {
		return line{Kind: kindConfirm}
	}
	return line{}
}

// loginRefused tells the reasons apart for which a login fails.
func loginRefused(reason string) line {
	low := strings.ToLower(reason)
	switch {
	case offline[reason]:
		return line{Kind: kindOffline, Reason: reason}
	case strings.Contains(low, "logon denied"), strings.Contains(low, "two-factor"), strings.Contains(low, "steam guard"),
		reason == "63", reason == "65", reason == "85", reason == "88":
		return line{Kind: kindGuard, Reason: reason}
	}
	return line{Kind: kindLoginRefused, Reason: reason}
}

// parsePrompt reads the beginning of a line that has no end yet: SteamCMD may
// wait for an answer that nobody will type.
func parsePrompt(text string) line {
	m := promptLine.FindStringSubmatch(escapes.ReplaceAllString(text, ""))
	switch {
	case m == nil:
		return line{}
	case strings.HasSuffix(strings.ToLower(m[1]), "code:"):
		return line{Kind: kindGuard}
	case strings.EqualFold(m[1], "password:"):
		return line{Kind: kindLoginRefused, Reason: "it asks for the password"}
	}
	return line{Kind: kindPrompt, Reason: m[1]}
}

// splitter cuts what SteamCMD writes into lines. Both a line feed and a carriage
// return end one.
type splitter struct {
	line []byte
	each func(string)
}

func (s *splitter) write(data []byte) {
	for _, c := range data {
		switch {
		case c == '\n' || c == '\r':
			s.flush()
		case len(s.line) < maxLine:
			s.line = append(s.line, c)
		}
	}
}

// flush ends the line that has begun; empty ones are left out.
func (s *splitter) flush() {
	if len(s.line) > 0 {
		s.each(string(s.line))
	}
	s.line = s.line[:0]
}

// begun is the line that has no end yet.
func (s *splitter) begun() string { return string(s.line) }
