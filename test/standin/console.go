package standin

import (
	"fmt"
	"strconv"
	"strings"
)

// mostSpew is how much "spew" prints at most.
const mostSpew = 16 << 20

// command runs one of the console's commands, as RCON does, and answers what it
// prints. "spew N" is no command of srcds': it prints N bytes.
func (s *Server) command(line string) string {
	verb, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
	rest = strings.TrimSpace(rest)
	value := strings.Trim(rest, `"`)
	switch verb {
	case "":
		return ""
	case "status":
		return s.game.look().status(s.Now())
	case "echo":
		return s.tell(value + "\n")
	case "say":
		return s.tell("Console: " + value + "\n")
	case "changelevel", "map":
		s.changeMap(value)
	case "kick":
		s.drop(s.game.remove(func(p player) bool { return p.name == value }))
	case "kickid":
		id, _, _ := strings.Cut(value, " ")
		n, err := strconv.Atoi(id)
		if err != nil {
			n = -1
		}
		s.drop(s.game.remove(func(p player) bool { return p.id == n || p.steamID() == id && !p.bot }))
	case "hostname", "sv_password":
		if rest == "" {
			return fmt.Sprintf("\"%s\" = \"%s\"\n", verb, s.game.get(verb))
		}
		s.game.set(verb, value)
	case "spew":
		n, err := parseCount(rest, 0, mostSpew)
		if err != nil {
			return err.Error() + "\n"
		}
		return spew(n)
	default:
		return fmt.Sprintf("Unknown command \"%s\"\n", verb)
	}
	return ""
}

// tell prints text on the console too, where a test can see it.
func (s *Server) tell(text string) string {
	s.printf("%s", strings.TrimSuffix(text, "\n"))
	return text
}

// spew is n bytes in numbered lines.
func spew(n int) string {
	var b strings.Builder
	for i := 0; b.Len() < n; i++ {
		fmt.Fprintf(&b, "line %d of what spew prints\n", i)
	}
	return b.String()[:n]
}
