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

// census is who played in one run of a game, or why it did not tell. Who has seen it
// under o.mu may use it.
type census struct {
	invocation string
	at         time.Time
	players    *server.Players
	humans     *int // nil: unknown
	err        error
}

const (
	// censusTime is how long a game has to say who plays: two queries and a command.
	censusTime = 3 * time.Second
	// censusWait is how long one waits for what asks the game before it.
	censusWait = 20 * time.Second
)

// Players says who plays on a server that runs. A game is asked every five seconds
// at most, also for what all readers see; until then the answer waits, or is what it
// told within these seconds.
func (o *Orchestrator) Players(ctx context.Context, name server.Name) (*server.Players, error) {
	r, err := o.named(name)
	if err != nil {
		return nil, err
	}
	c, err := o.census(ctx, r)
	return c.players, err
}

func (o *Orchestrator) counts() bool { return o.queries.on() }

// people is how many people play on a server, bots left out; at least as many,
// where nobody says which they are. known is false unless the game answered
// lately in this run, or, where it is to be asked afresh, the last time.
func (o *Orchestrator) people(ctx context.Context, r *record, how howAsked) (n int, at time.Time, known bool) {
	mixed := o.mixed(r)
	if how == afresh && !mixed {
		if !o.queries.refresh(ctx, r) {
			return 0, at, false
		}
		mixed = o.mixed(r)
	}
	if mixed {
		c, ok := o.counted(r)
		if !ok && how != fromMemory {
			c, c.err = o.census(ctx, r)
			ok = true
		}
		switch {
		case ok && c.err == nil && c.humans != nil:
			return *c.humans, c.at, true
		case how == afresh && c.err != nil:
			return 0, at, false
		}
	}
	o.mu.RLock()
	defer o.mu.RUnlock()
	n, known = o.playing(r)
	return n, r.heard.at, known
}

// mixed says whether there are bots among the players of a game.
func (o *Orchestrator) mixed(r *record) bool {
	o.mu.RLock()
	defer o.mu.RUnlock()
	n, known := o.playing(r)
	return known && n > 0 && r.heard.game.Bots != nil && *r.heard.game.Bots > 0
}

// census has a game say who plays.
func (o *Orchestrator) census(ctx context.Context, r *record) (census, error) {
	defer o.queries.want(r)()
	bounded, cancel := context.WithTimeout(ctx, censusWait)
	defer cancel()
	for {
		if _, err := o.target(ctx, r); err != nil {
			return census{}, err
		}
		if c, ok := o.counted(r); ok {
			return c, c.err
		}
		ready, err := o.queries.await(bounded, r)
		switch {
		case ctx.Err() != nil:
			return census{}, ctx.Err()
		case err != nil:
			return census{}, errConsoleBusy()
		case !ready:
			continue
		}
		if c, asked, err := o.askWho(ctx, r); asked || err != nil {
			return c, err
		}
	}
}

// counted is what a game told within the last seconds of who plays, or that it did
// not.
func (o *Orchestrator) counted(r *record) (c census, ok bool) {
	o.mu.RLock()
	defer o.mu.RUnlock()
	c = r.census
	return c, !c.at.IsZero() && c.invocation == r.unit.InvocationID && time.Since(c.at) < o.queries.least()
}

// askWho asks a game who plays, unless another was faster.
func (o *Orchestrator) askWho(ctx context.Context, r *record) (c census, asked bool, err error) {
	release, err := o.console.turn(ctx, r)
	if err != nil {
		return c, false, err
	}
	defer release()
	if _, err := o.target(ctx, r); err != nil {
		return c, false, err
	}
	password, err := o.Files.Secret(r.row.Name, server.SecretRCON)
	if err != nil {
		return c, false, err
	}
	a, ok := o.queries.take(r)
	if !ok {
		return c, false, nil
	}
	what := probe.Query{Players: true, Password: password.Reveal()}
	refused := r.denied.fault(a.invocation, password)
	if refused != nil {
		what.Password = ""
	}
	answer, t, err := o.queries.put(ctx, a, what, censusTime)
	if ctx.Err() != nil {
		return c, true, ctx.Err()
	}
	c = census{invocation: a.invocation, at: time.Now()}
	switch {
	case err != nil:
		c.err = o.explainGame(r, t, err)
	case answer.List == nil && answer.ListFault != nil:
		c.err = o.explainGame(r, t, answer.ListFault)
	default:
		if refused == nil {
			r.denied.note(a.invocation, password, answer.StatusFault)
		} else {
			answer.StatusFault = refused
		}
		c.humans, c.players = humansOf(answer), playersOf(answer, c.at)
	}
	o.mu.Lock()
	r.census = c
	o.mu.Unlock()
	return c, true, c.err
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
