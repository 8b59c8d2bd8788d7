package srcds

import (
	"bytes"
	"encoding/binary"
	"math"
)

// Info is what A2S_INFO tells of a game.
type Info struct {
	Name       string // hostname
	Map        string
	Folder     string // the mod's directory, "left4dead2"
	Game       string // the mod's name for people
	AppID      uint16 // Steam's, cut to 16 bits; 550 is Left 4 Dead 2
	Players    int    // 0 to 255, bots included
	MaxPlayers int    // 0 to 255
	Bots       int    // 0 to 255
	Password   bool   // joining needs one
	VAC        bool   // Valve's protection against cheats is on
	Version    string
}

// Player is one entry of A2S_PLAYER.
type Player struct {
	Name    string // empty while connecting
	Score   int32
	Seconds float64 // since connecting; finite and not negative, whatever came
}

// parseInfo reads an answer to A2S_INFO from behind its header:
//
//	byte    protocol
//	string  name
//	string  map
//	string  folder
//	string  game
//	short   Steam's application id
//	byte    players
//	byte    most players
//	byte    bots
//	byte    kind of server: 'd', 'l' or 'p'
//	byte    system: 'l', 'w', 'm' or 'o'
//	byte    1 when joining needs a password
//	byte    1 when VAC is on
//	string  version
//	byte    extra data flag, and what it announces: port, Steam's id, SourceTV,
//	        keywords, game's id
//
// What comes behind the version is not needed here and not looked at, so that a
// flag that nobody knows does no harm.
func parseInfo(data []byte) (Info, error) {
	r := reader{data: data}
	var i Info
	_ = r.byte()
	i.Name = r.string()
	i.Map = r.string()
	i.Folder = r.string()
	i.Game = r.string()
	i.AppID = uint16(r.byte()) | uint16(r.byte())<<8
	i.Players = int(r.byte())
	i.MaxPlayers = int(r.byte())
	i.Bots = int(r.byte())
	r.take(2)
	i.Password = r.byte() == 1
	i.VAC = r.byte() == 1
	i.Version = r.string()
	if r.short {
		return Info{}, malformed("an answer to A2S_INFO that ends early")
	}
	return i, nil
}

// parsePlayers reads an answer to A2S_PLAYER from behind its header:
//
//	byte    number of players
//	for each of them
//	  byte    index, which srcds leaves 0
//	  string  name
//	  long    score
//	  float   seconds since connecting
func parsePlayers(data []byte) ([]Player, error) {
	r := reader{data: data}
	count := int(r.byte())
	// An entry takes ten bytes at least: a count alone makes nothing be held.
	players := make([]Player, 0, min(count, len(data)/10))
	for range count {
		_ = r.byte()
		p := Player{Name: r.string(), Score: int32(r.uint32())}
		if s := float64(math.Float32frombits(r.uint32())); s > 0 && !math.IsInf(s, 1) {
			p.Seconds = s
		}
		if r.short {
			return nil, malformed("an answer to A2S_PLAYER that tells of %d players and ends after %d", count, len(players))
		}
		players = append(players, p)
	}
	if r.short {
		return nil, malformed("an answer to A2S_PLAYER without a number of players")
	}
	return players, nil
}

// reader takes fields off data. Once something is missing it is short, and all
// further fields are zero.
type reader struct {
	data  []byte
	short bool
}

func (r *reader) take(n int) []byte {
	if r.short || len(r.data) < n {
		r.short = true
		return make([]byte, n) // n is one of this file's, at most 4
	}
	taken := r.data[:n]
	r.data = r.data[n:]
	return taken
}

func (r *reader) byte() byte     { return r.take(1)[0] }
func (r *reader) uint32() uint32 { return binary.LittleEndian.Uint32(r.take(4)) }

func (r *reader) string() string {
	end := bytes.IndexByte(r.data, 0)
	if r.short || end < 0 {
		r.short = true
		return ""
	}
	text := string(r.data[:end])
	r.data = r.data[end+1:]
	return text
}
