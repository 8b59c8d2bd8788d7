package srcds

import (
	"math"
	"regexp"
	"strconv"
	"strings"
)

// Status is what the console command `status` prints of who plays. No document of
// Valve's describes it; this reads what Left 4 Dead 2 prints:
//
//	hostname: a name
//	players : 1 humans, 1 bots (8 max) (not hibernating) (unreserved)
//
//	# userid name uniqueid connected ping loss state rate adr
//	#  2 1 "Ellis" STEAM_1:0:12345 01:23 45 0 active 30000 192.0.2.1:27005
//	# 3 "Nick" BOT active
//	#end
//
// Behind the user id stands the slot, which not every game has, and a bot has
// neither times nor an address. Lines that are none of these are passed over.
type Status struct {
	Humans  int // people; -1 when it does not say
	Players []StatusPlayer
}

// StatusPlayer is one line of Status. What the game did not tell is -1.
type StatusPlayer struct {
	UserID  int
	Name    string
	SteamID string // empty for bots, and while Steam has not said
	Bot     bool
	Seconds int // since connecting
	Ping    int // ms
	Loss    int // percent
	State   string
}

// maxStatus is how many lines of players are read: as many as A2S can count.
const maxStatus = 255

var (
	statusCount = regexp.MustCompile(`^players *: *([0-9]{1,3}) humans`)
	// A name can hold quotation marks and all that follows one. What is behind the
	// last place that fits is the game's own: of an honest line it has no quotation
	// mark.
	statusLine  = regexp.MustCompile(`^# *([0-9]{1,9})(?: +[0-9]{1,9})? +"(.*)" +(\S+)((?: +[^" ]+)*) *$`)
	statusRest  = regexp.MustCompile(`^ +([0-9]{1,5}(?::[0-9]{2}){1,2}) +([0-9]{1,6}) +([0-9]{1,3}) +([a-z]{1,16})(?: |$)`)
	statusBot   = regexp.MustCompile(`^ +([a-z]{1,16})(?: |$)`)
	statusSteam = regexp.MustCompile(`^(?:STEAM_[0-9]:[01]:[0-9]{1,10}|\[[A-Za-z]:[0-9]:[0-9]{1,10}\])$`)
)

// ParseStatus reads what `status` printed, whole or cut off at its end. It takes
// whatever comes, and finds nothing in what is not it.
func ParseStatus(output string) Status {
	s := Status{Humans: -1}
	for line := range strings.Lines(output) {
		line = strings.TrimRight(line, "\r\n")
		if m := statusCount.FindStringSubmatch(line); m != nil && s.Humans < 0 {
			s.Humans, _ = strconv.Atoi(m[1])
		}
		if p, ok := parseStatusLine(line); ok && len(s.Players) < maxStatus {
			s.Players = append(s.Players, p)
		}
	}
	return s
}

func parseStatusLine(line string) (StatusPlayer, bool) {
	m := statusLine.FindStringSubmatch(line)
	if m == nil {
		return StatusPlayer{}, false
	}
	p := StatusPlayer{Name: m[2], Seconds: -1, Ping: -1, Loss: -1}
	p.UserID, _ = strconv.Atoi(m[1])
	switch {
	case m[3] == "BOT":
		p.Bot = true
	case statusSteam.MatchString(m[3]):
		p.SteamID = m[3]
	}
	if rest := statusRest.FindStringSubmatch(m[4]); rest != nil {
		p.Seconds = clock(rest[1])
		p.Ping, _ = strconv.Atoi(rest[2])
		p.Loss, _ = strconv.Atoi(rest[3])
		p.State = rest[4]
	} else if rest := statusBot.FindStringSubmatch(m[4]); rest != nil {
		p.State = rest[1]
	}
	return p, true
}

// clock reads a time as 01:23 or 1:02:03, in seconds.
func clock(s string) int {
	seconds := 0
	for part := range strings.SplitSeq(s, ":") {
		n, _ := strconv.Atoi(part)
		seconds = 60*seconds + n
	}
	return seconds
}

// Take takes out whoever of s has the name of a player of A2S_PLAYER; of several,
// the one who is connected for as long. ok is false when there is none.
func (s *Status) Take(p Player) (_ StatusPlayer, ok bool) {
	best, least := -1, math.Inf(1)
	for i, one := range s.Players {
		if one.Name != p.Name {
			continue
		}
		off := math.Inf(1)
		if one.Seconds >= 0 {
			off = math.Abs(float64(one.Seconds) - p.Seconds)
		}
		if best < 0 || off < least {
			best, least = i, off
		}
	}
	if best < 0 {
		return StatusPlayer{}, false
	}
	taken := s.Players[best]
	s.Players = append(s.Players[:best:best], s.Players[best+1:]...)
	return taken, true
}
