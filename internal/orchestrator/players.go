package orchestrator

import (
	"context"
	"math"
	"regexp"
	"slices"
	"time"

	"github.com/left4med/left4med/internal/probe"
	"github.com/left4med/left4med/internal/server"
)

// census is who played in one run of a game. Who holds the server's console may
// use it.
type census struct {
	invocation string
	at         time.Time
	players    *server.Players
	humans     *int // nil: unknown
}

// censusTime is how long a game has to say who plays: two queries and a command.
const censusTime = 3 * time.Second

// Players says who plays on a server that runs. A game is asked every five
// seconds at most.
func (o *Orchestrator) Players(ctx context.Context, name server.Name) (*server.Players, error) {
	r, err := o.named(name)
	if err != nil {
		return nil, err
	}
	c, err := o.census(ctx, r)
	return c.players, err
}

// people is how many people play on a server, bots left out; at least as many,
// where nobody says which they are. known is false unless the game answered
// lately in this run. It may ask the game.
func (o *Orchestrator) people(ctx context.Context, r *record) (n int, known bool) {
	o.mu.RLock()
	n, known = o.playing(r)
	mixed := known && n > 0 && r.heard.game.Bots != nil && *r.heard.game.Bots > 0
	o.mu.RUnlock()
	if !mixed {
		return n, known
	}
	if c, err := o.census(ctx, r); err == nil && c.humans != nil {
		return *c.humans, true
	}
	return n, true
}

func (o *Orchestrator) census(ctx context.Context, r *record) (census, error) {
	if _, err := o.target(ctx, r); err != nil {
		return census{}, err
	}
	release, err := o.console.turn(ctx, r)
	if err != nil {
		return census{}, err
	}
	defer release()
	t, err := o.target(ctx, r)
	if err != nil {
		return census{}, err
	}
	o.mu.RLock()
	invocation := r.unit.InvocationID
	o.mu.RUnlock()
	if c := r.census; c.players != nil && c.invocation == invocation && time.Since(c.at) < o.queries.least() {
		return c, nil
	}
	password, err := o.Files.Secret(r.row.Name, server.SecretRCON)
	if err != nil {
		return census{}, err
	}
	bounded, cancel := context.WithTimeout(ctx, censusTime+queryGrace)
	defer cancel()
	answer, err := o.Probe.Query(bounded, probe.Query{
		Target: t, Players: true, Password: password.Reveal(), TimeoutMS: int(censusTime / time.Millisecond),
	})
	if ctx.Err() != nil {
		return census{}, ctx.Err()
	}
	o.queries.note(err, true)
	if err != nil {
		return census{}, o.explainGame(r, t, err)
	}
	if answer.List == nil && answer.ListFault != nil {
		return census{}, o.explainGame(r, t, answer.ListFault)
	}
	now := time.Now()
	r.census = census{invocation: invocation, at: now, humans: humansOf(answer), players: playersOf(answer, now)}
	return r.census, nil
}

// humansOf is how many people there are, if the game said so, and can be
// believed: somebody who plays is somebody.
func humansOf(a *probe.Answer) *int {
	if a.Humans == nil || *a.Humans < 0 || *a.Humans > probe.MaxPlayers {
		return nil
	}
	named := 0
	for _, p := range a.List {
		if p.SteamID != "" && !p.Bot {
			named++
		}
	}
	n := max(*a.Humans, named)
	return &n
}

// What a player's name is cut to, in characters; the game's own limit is 31 bytes
// (MAX_PLAYER_NAME_LENGTH). The state is one word.
const (
	maxPlayerName = 128
	maxWord       = 32
)

var steamID = regexp.MustCompile(`^(STEAM_[0-5]:[01]:[0-9]{1,10}|\[[A-Za-z]:[0-9]{1,3}:[0-9]{1,10}(:[0-9]{1,10})?\])$`)

// playersOf is what readers see of who plays. What cannot be is left out.
func playersOf(a *probe.Answer, at time.Time) *server.Players {
	all := &server.Players{Players: []server.Player{}, QueriedAt: at.UTC()}
	if a.StatusFault != nil {
		all.Detail = "who they are is not known, since the game did not answer over RCON"
		if a.StatusFault.Code == probe.FaultPassword {
			all.Detail = "who they are is not known, since the game refused the RCON password; one that was set since its start is in force after the next"
		}
	}
	for _, p := range a.List[:min(len(a.List), probe.MaxPlayers)] {
		one := server.Player{
			Name: cut(p.Name, maxPlayerName), Score: p.Score, Bot: p.Bot, State: cut(p.State, maxWord),
			UserID: atMost(p.UserID, math.MaxInt32), Ping: atMost(p.Ping, math.MaxInt32), Loss: atMost(p.Loss, 100),
		}
		if steamID.MatchString(p.SteamID) {
			one.SteamID = p.SteamID
		}
		if p.Seconds >= 0 && p.Seconds < math.MaxInt32 { // no NaN passes this
			one.Seconds = math.Round(p.Seconds*10) / 10
		}
		all.Players = append(all.Players, one)
	}
	slices.SortStableFunc(all.Players, func(a, b server.Player) int { // who was there first
		switch {
		case a.Seconds > b.Seconds:
			return -1
		case a.Seconds < b.Seconds:
			return 1
		}
		return 0
	})
	return all
}

// atMost is a number from 0 to most, or nil.
func atMost(n *int, most int) *int {
	if n == nil || *n < 0 || *n > most {
		return nil
	}
	v := *n
	return &v
}
