package server

import "time"

// Game is what a running game last told over the network, as left4med-probe heard
// it. It says nothing about the state of the server: a game that does not answer
// may well be loading a map.
type Game struct {
	Reachable  bool      `json:"reachable" doc:"Whether the game answered the last query."`
	Map        string    `json:"map,omitempty" doc:"Left out while the game does not answer."`
	Players    *int      `json:"players,omitempty" doc:"Who plays, as the game counts. Left out while the game does not answer."`
	MaxPlayers *int      `json:"max_players,omitempty" doc:"Left out while the game does not answer."`
	Bots       *int      `json:"bots,omitempty" doc:"Bots, as the game counts. Left out while the game does not answer."`
	PingMS     *float64  `json:"ping_ms,omitempty" doc:"From the last request to its answer, on the host itself, in milliseconds."`
	QueriedAt  time.Time `json:"queried_at" doc:"When the last query ended."`
	Error      string    `json:"error,omitempty" doc:"Why there is no answer, for a person."`
}

// Players are who plays on a server.
type Players struct {
	Players   []Player  `json:"players" doc:"Bots included."`
	QueriedAt time.Time `json:"queried_at"`
	Detail    string    `json:"detail,omitempty" doc:"Why there is not more to tell of them, for a person."`
}

// Player is one of who plays on a server. What is not known is left out: without
// an answer over RCON, all but name, seconds and score.
type Player struct {
	Name    string  `json:"name" doc:"As the player chose it, control and invisible characters escaped; empty while connecting."`
	SteamID string  `json:"steam_id,omitempty" doc:"As STEAM_1:0:1 or [U:1:2]."`
	UserID  *int    `json:"userid,omitempty" doc:"For the game's kickid."`
	Bot     bool    `json:"bot,omitempty"`
	Seconds float64 `json:"seconds" doc:"Since connecting."`
	Ping    *int    `json:"ping,omitempty" doc:"In milliseconds."`
	Loss    *int    `json:"loss,omitempty" doc:"Of packets, in percent."`
	Score   int32   `json:"score"`
	State   string  `json:"state,omitempty" doc:"The game's word: active, spawning, connecting."`
}

// Output is what a command of a game's console printed.
type Output struct {
	Output    string `json:"output" doc:"Control and invisible characters of its lines are escaped, and the server's secrets taken out."`
	Truncated bool   `json:"truncated" doc:"Whether the rest was cut off."`
}
