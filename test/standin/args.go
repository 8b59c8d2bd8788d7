package standin

import (
	"fmt"
	"strconv"
	"strings"
)

// Options is what the stand-in takes from srcds' command line.
type Options struct {
	Game       string // -game, the mod's directory; srcds' default is "hl2"
	IP         string // +ip or -ip; default "0.0.0.0"
	Port       int    // +hostport, -port or +port; default 27015. 0, in code only: any free one
	ClientPort int    // +clientport; default 27005
	SourceTV   int    // +tv_port; default 27020
	Map        string // +map; no default: srcds waits without a map
	GameMode   string // +mp_gamemode; default "coop"
	MaxPlayers int    // -maxplayers; default 8
	Hostname   string // +hostname; default "Left 4 Dead 2"
	Exec       []string
	NoRestart  bool
	Unknown    []string // what srcds would have swallowed silently
}

// ParseArgs reads srcds' arguments as srcds does: a word that begins with "-"
// or "+" is a switch, the words after it up to the next switch are its value,
// and whatever is not known is tolerated. Only a value that cannot be meant,
// such as a port that is no number, is an error.
func ParseArgs(args []string) (Options, error) {
	o := Options{Game: "hl2", IP: "0.0.0.0", Port: 27015, ClientPort: 27005, SourceTV: 27020, GameMode: "coop", MaxPlayers: 8, Hostname: "Left 4 Dead 2"}
	for len(args) > 0 {
		name := args[0]
		n := 1
		for n < len(args) && !isSwitch(args[n]) {
			n++
		}
		value := strings.Join(args[1:n], " ")
		args = args[n:]
		var err error
		switch name {
		case "-game":
			o.Game = value
		case "-norestart":
			o.NoRestart = true
		case "+ip", "-ip":
			o.IP = value
		case "+hostport", "-port", "+port":
			o.Port, err = parseCount(value, 1, 65535)
		case "+clientport":
			o.ClientPort, err = parseCount(value, 1, 65535)
		case "+tv_port":
			o.SourceTV, err = parseCount(value, 1, 65535)
		case "+map":
			// The game mode may follow the map as a word of its own.
			m, mode, found := strings.Cut(value, " ")
			o.Map = m
			if found {
				o.GameMode = mode
			}
		case "+mp_gamemode":
			o.GameMode = value
		case "-maxplayers", "+maxplayers":
			o.MaxPlayers, err = parseCount(value, 1, 32)
		case "+hostname":
			o.Hostname = value
		case "+exec":
			o.Exec = append(o.Exec, value)
		default:
			o.Unknown = append(o.Unknown, strings.TrimSpace(name+" "+value))
		}
		if err != nil {
			return Options{}, fmt.Errorf("cannot use %s: %w", name, err)
		}
	}
	return o, nil
}

// isSwitch tells "-game" from the value "-1".
func isSwitch(word string) bool {
	if len(word) < 2 || (word[0] != '-' && word[0] != '+') {
		return false
	}
	_, err := strconv.ParseFloat(word, 64)
	return err != nil
}
