package orchestrator

import (
	"time"

	"github.com/left4med/left4med/internal/probe"
	"github.com/left4med/left4med/internal/server"
)

// heard is what is known of one run of a game from the game itself. o.mu guards
// it.
type heard struct {
	invocation string        // of the run; empty: none was seen
	port       uint16        // that this run was started with
	cgroup     uint64        // of this run; 0: not known yet
	game       *server.Game  // what readers see; nil: unknown. Replaced, never changed
	at         time.Time     // when that was heard
	asked      time.Time     // when the last query began, also of an earlier run
	due        time.Time     // when the next one may begin
	busy       chan struct{} // closed when the query is over that is under way, perhaps of an earlier run; nil: none is
	off        bool          // it did not run when the servers were last looked through
	wanted     int           // how many wait until they may ask
	warned     bool          // that the control group cannot be found is in the log
}

// show puts what the game told among what readers see of a server, if it is of
// the run that they see.
func (h *heard) show(s *server.Server) {
	s.Game = nil
	if s.State == server.StateRunning && h.invocation != "" && h.invocation == s.InvocationID {
		s.Game = h.game
	}
}

// sameGame compares what is worth an event: not when the game was asked and how
// fast it answered.
func sameGame(a, b *server.Game) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.Reachable == b.Reachable && a.Map == b.Map && a.Error == b.Error &&
		equal(a.Players, b.Players) && equal(a.MaxPlayers, b.MaxPlayers) && equal(a.Bots, b.Bots)
}

// maxMap is how many characters of a map's name are shown. The game's own limit is 64
// (MAX_QPATH).
const maxMap = 128

// gameOf is what readers see of an answer.
func gameOf(a *probe.Answer, at time.Time) *server.Game {
	ping := float64(a.PingMicros) / 1000
	players, most, bots := a.Players, a.MaxPlayers, a.Bots
	return &server.Game{
		Reachable: true, Map: cut(a.Map, maxMap),
		Players: &players, MaxPlayers: &most, Bots: &bots, PingMS: &ping, QueriedAt: at.UTC(),
	}
}

// wordsOf is what readers see of a query that a game did not answer. It is ours,
// not the fault's detail, so that it is the same for as long as the cause is.
func wordsOf(code probe.FaultCode) string {
	switch code {
	case probe.FaultSilent:
		return "the game does not answer; it may be loading a map"
	case probe.FaultRefused:
		return "the game does not listen on its port"
	case probe.FaultStranger:
		return "another program listens on the game's port"
	case probe.FaultMalformed:
		return "what the game answers cannot be understood"
	}
	return "the game cannot be reached"
}

// lately says whether what was last heard of a game is of the run that goes on,
// and at most three intervals old. The caller holds o.mu.
func (o *Orchestrator) lately(r *record) bool {
	return r.heard.game != nil && r.heard.invocation == r.unit.InvocationID && r.state() == server.StateRunning &&
		time.Since(r.heard.at) <= 3*o.queries.interval()
}

// playing is how many play on a server by what its game last told, and at least
// as many as there are people: where there are bots, too, nobody has said whether
// the game counts them among its players, so all of these count. known is false
// unless the game answered lately in this run. The caller holds o.mu.
func (o *Orchestrator) playing(r *record) (n int, known bool) {
	if !o.lately(r) || !r.heard.game.Reachable {
		return 0, false
	}
	return *r.heard.game.Players, true
}
