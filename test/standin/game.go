package standin

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// modeNormal is the mode, of queries and of RCON, in which all is answered as it
// should be.
const modeNormal = "normal"

// mostPlayers is what A2S can count.
const mostPlayers = 255

// game is what queries and RCON tell of. Directives, queries and connections use it
// at the same time.
type game struct {
	mu        sync.Mutex
	options   Options
	mapName   string
	vars      map[string]string // hostname, rcon_password, sv_password
	players   []player
	nextID    int
	queryMode string
	rconMode  string
}

// player is one who plays. srcds counts user ids up from 2 or so and never uses one
// twice.
type player struct {
	id     int
	name   string
	bot    bool
	joined time.Time
}

// begin sets a game up. Directives come before the start too.
func (g *game) begin(o Options) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.options = o
	g.vars = map[string]string{"hostname": o.Hostname}
	g.nextID = 2
	g.queryMode, g.rconMode = modeNormal, modeNormal
}

// bound tells the port, once it is known.
func (g *game) bound(port int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.options.Port = port
}

func (g *game) set(name, value string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.vars[name] = value
}

func (g *game) hostname() string { return g.get("hostname") }

func (g *game) get(name string) string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.vars[name]
}

// setModes changes the modes that are not empty.
func (g *game) setModes(query, rcon string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if query != "" {
		g.queryMode = query
	}
	if rcon != "" {
		g.rconMode = rcon
	}
}

func (g *game) modes() (query, rcon string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.queryMode, g.rconMode
}

func (g *game) change(name string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.mapName = name
}

func (g *game) join(name string, bot bool, now time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.players) == mostPlayers {
		return
	}
	g.players = append(g.players, player{id: g.nextID, name: name, bot: bot, joined: now})
	g.nextID++
}

// leave takes away whoever has a name, or all for "*", and answers their names.
func (g *game) leave(name string) []string {
	return g.remove(func(p player) bool { return name == "*" || p.name == name })
}

func (g *game) remove(who func(player) bool) (names []string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.players = slices.DeleteFunc(g.players, func(p player) bool {
		if who(p) {
			names = append(names, p.name)
			return true
		}
		return false
	})
	return names
}

// snapshot is the game at one moment.
type snapshot struct {
	options  Options
	hostname string
	mapName  string
	locked   bool // joining needs a password
	players  []player
	humans   int
	bots     int
}

func (g *game) look() snapshot {
	g.mu.Lock()
	defer g.mu.Unlock()
	s := snapshot{
		options: g.options, hostname: g.vars["hostname"], mapName: g.mapName,
		locked: g.vars["sv_password"] != "", players: slices.Clone(g.players),
	}
	for _, p := range s.players {
		if p.bot {
			s.bots++
		} else {
			s.humans++
		}
	}
	return s
}

// score is one for each user id, so that no two players have the same.
func (p player) score() int32 { return int32(p.id * 3) }

// steamID is made of the user id.
func (p player) steamID() string {
	if p.bot {
		return "BOT"
	}
	return fmt.Sprintf("STEAM_1:%d:%d", p.id%2, 100000+p.id)
}

// status is what the command of that name prints on a Left 4 Dead 2 server.
func (s snapshot) status(now time.Time) string {
	var b strings.Builder
	hibernating := "not hibernating"
	if s.humans == 0 {
		hibernating = "hibernating"
	}
	fmt.Fprintf(&b, "hostname: %s\n", s.hostname)
	fmt.Fprintf(&b, "version : %s 9477 secure  (unknown)\n", version)
	fmt.Fprintf(&b, "udp/ip  : %s:%d [ public n/a ]\n", s.options.IP, s.options.Port)
	fmt.Fprintf(&b, "os      : Linux Dedicated\n")
	fmt.Fprintf(&b, "map     : %s at ( 0, 0, 0 )\n", s.mapName)
	fmt.Fprintf(&b, "players : %d humans, %d bots (%d max) (%s) (unreserved)\n\n", s.humans, s.bots, s.options.MaxPlayers, hibernating)
	fmt.Fprintf(&b, "# userid name uniqueid connected ping loss state rate adr\n")
	for slot, p := range s.players {
		if p.bot {
			fmt.Fprintf(&b, "#%2d \"%s\" BOT active\n", p.id, p.name)
			continue
		}
		fmt.Fprintf(&b, "#%3d %d \"%s\" %s %s %d 0 active 30000 192.0.2.%d:27005\n",
			p.id, slot+1, p.name, p.steamID(), clock(now.Sub(p.joined)), 20+p.id, 1+p.id%250)
	}
	b.WriteString("#end\n")
	return b.String()
}

// clock spells a time as srcds does: minutes and seconds, and hours when there are.
func clock(d time.Duration) string {
	seconds := int(d.Seconds())
	if seconds < 3600 {
		return fmt.Sprintf("%02d:%02d", seconds/60, seconds%60)
	}
	return fmt.Sprintf("%d:%02d:%02d", seconds/3600, seconds/60%60, seconds%60)
}
