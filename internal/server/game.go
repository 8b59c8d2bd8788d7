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
